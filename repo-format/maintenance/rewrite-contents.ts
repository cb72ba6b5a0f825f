// Moves the live contents of short packs into full ones (snapshots §7.7), which empties the short packs for deletion. Sealed
// bytes are moved as they are, after they were opened once: what is damaged is found, not copied.
//
// Unlike kopia it leaves deleted contents where they are. Moving one would copy garbage and restart its wait; left behind, it
// keeps its old pack until it is dropped, and then that pack goes as a whole.
import { hasCode } from '../../base/errors.ts';
import type { BlobId, BlobStorage } from '../blob/storage.ts';
import type { IndexEntry } from '../index/entry.ts';
import type { IndexSet } from '../index/index-set.ts';
import { PackNumbers } from '../index/pack-numbers.ts';
import { checkedBytes } from './checked-bytes.ts';
import { eachRow } from './each-row.ts';
import { PackTable, type PackUse } from './pack-table.ts';
import { compareByPlace, readContents } from './read-contents.ts';
import { isRewriteAllowed } from './safety-gates.ts';
import { CONTENTS_A_FLUSH } from './snapshot-gc.ts';
import type { MaintenanceRun, Task, TaskName, TaskPlan } from './task.ts';

/** Kopia's: packs below this share of the largest are short. */
const SHORT_PACK_PERCENT = 60;
// A session's packs must be indexed well within the 24 h that maintenance leaves them; kopia flushes as often.
const FLUSH_AFTER_MS = 10 * 60 * 1000;

export interface RewriteLimits {
  readonly maxPackSizeBytes: number;
  /** Contents younger than this stay where they are. */
  readonly minAgeMs: number;
  readonly nowMs: number;
  /** Packs of these letters only. */
  readonly kinds: readonly string[];
}

interface Amount {
  count: number;
  bytes: number;
}

export interface RewritePlan {
  /** Packs to be emptied, with the number of contents to move out of each. */
  readonly packs: ReadonlyMap<BlobId, number>;
  readonly toRewrite: Amount;
  /** Live in these packs, but too young. */
  readonly retained: Amount;
}

/**
 * Packs that are short (deleted contents count, as in kopia) and have live contents to move, by kind. Joining needs two;
 * a single one is `alone`, worth moving only when much of it is garbage.
 */
export function shortPacks(
  packs: Iterable<PackUse>,
  { maxPackSizeBytes, kinds }: Pick<RewriteLimits, 'maxPackSizeBytes' | 'kinds'>,
): { readonly together: PackUse[]; readonly alone: PackUse[] } {
  const threshold = Math.floor((maxPackSizeBytes * SHORT_PACK_PERCENT) / 100);
  const short = [...packs].filter(({ totalBytes, movable }) => totalBytes < threshold && movable > 0);
  const together: PackUse[] = [];
  const alone: PackUse[] = [];
  for (const kind of kinds) {
    const ofKind = short.filter(({ id }) => id.startsWith(kind));
    (ofKind.length >= 2 ? together : alone).push(...ofKind);
  }
  return { together, alone };
}

const WASTE_PERCENT = 40;
// Below this the bytes are not worth the requests, and a pack's own overhead would count as garbage.
const MIN_WASTE_BYTES = 64 << 10;
const OVERHEAD_BYTES_A_CONTENT = 64;

/** Whether so much of a pack is not live that moving the rest out of it is worth while. */
export function isWasteful(packLength: number, { liveBytes, liveCount }: PackUse): boolean {
  const waste = packLength - liveBytes - liveCount * OVERHEAD_BYTES_A_CONTENT;
  return waste > MIN_WASTE_BYTES && waste * 100 > packLength * WASTE_PERCENT;
}

/** Looks at every content. Holds a few numbers for each pack. */
export async function planRewrite(
  indexSet: IndexSet,
  storage: Pick<BlobStorage, 'getMetadata'>,
  limits: RewriteLimits,
  signal: AbortSignal,
): Promise<RewritePlan> {
  const table = new PackTable();
  await eachRow(
    indexSet,
    ({ index, entry }) => {
      const live = !index.isDeletedAt(entry);
      const isMovable = live && isOldEnough(index.timestampAt(entry), limits);
      table.add(index, entry, live, isMovable);
    },
    { signal },
  );
  const { together, alone } = shortPacks(table.packs(), limits);
  const chosen = [...together];
  for (const pack of alone) {
    const length = await packLength(storage, pack.id, signal);
    if (isWasteful(length, pack)) chosen.push(pack);
  }
  const toRewrite = { count: 0, bytes: 0 };
  const retained = { count: 0, bytes: 0 };
  for (const { movable, movableBytes, liveCount, liveBytes } of chosen) {
    toRewrite.count += movable;
    toRewrite.bytes += movableBytes;
    retained.count += liveCount - movable;
    retained.bytes += liveBytes - movableBytes;
  }
  return { packs: new Map(chosen.map(({ id, movable }) => [id, movable])), toRewrite, retained };
}

/** 0 for a pack that is gone: nothing can be moved out of it. */
async function packLength(storage: Pick<BlobStorage, 'getMetadata'>, id: BlobId, signal: AbortSignal): Promise<number> {
  try {
    return (await storage.getMetadata(id, signal)).length;
  } catch (error) {
    if (hasCode(error, 'BLOB_NOT_FOUND')) return 0;
    throw error;
  }
}

function isOldEnough(timestampSeconds: number, { nowMs, minAgeMs }: RewriteLimits): boolean {
  return nowMs - timestampSeconds * 1000 >= minAgeMs;
}

/**
 * What the plan moves, pack by pack and in the order of the bytes: each pack is read once. Holds a row number for each
 * content, and the entries of one pack.
 */
async function* entriesOf(
  indexSet: IndexSet,
  plan: RewritePlan,
  limits: RewriteLimits,
  signal: AbortSignal,
): AsyncGenerator<IndexEntry[], undefined> {
  const starts = new Map<BlobId, number>();
  let next = 0;
  for (const [id, count] of plan.packs) {
    starts.set(id, next);
    next += count;
  }
  const rows = new Uint32Array(next);
  const numbers = new PackNumbers();
  /** Where the next row of a pack goes, by its number; -1 for packs that are not in the plan. */
  const nextOf: number[] = [];
  await eachRow(
    indexSet,
    ({ index, entry, winnerRow }) => {
      const number = numbers.numberOf(index, entry);
      const at = (nextOf[number] ??= starts.get(numbers.nameOf(number)) ?? -1);
      if (at < 0 || index.isDeletedAt(entry) || !isOldEnough(index.timestampAt(entry), limits)) return;
      rows[at] = winnerRow;
      nextOf[number] = at + 1;
    },
    { signal },
  );
  for (const [id, count] of plan.packs) {
    const start = starts.get(id) ?? 0;
    const entries = [...rows.subarray(start, start + count)].map((row) => indexSet.entryOfRow(row));
    yield entries.sort(compareByPlace);
  }
}

/** Resolves when everything moved is stored and indexed. A failure leaves what was indexed so far, which is good. */
export async function applyRewrite(
  run: MaintenanceRun,
  task: TaskName,
  indexSet: IndexSet,
  plan: RewritePlan,
  limits: RewriteLimits,
  signal: AbortSignal,
): Promise<Amount> {
  const { clock, cipher, repository } = run;
  const deps = { cipher, config: repository.format.config };
  const moved = { count: 0, bytes: 0 };
  let pending = 0;
  let flushedAtMs = clock.monotonicMs();
  const move = async (entry: IndexEntry, sealed: Uint8Array): Promise<void> => {
    const bytes = checkedBytes(deps, entry, sealed);
    if (!(await repository.contents.move(entry, bytes, signal))) return;
    moved.count++;
    moved.bytes += entry.packedLength;
    pending++;
    if (moved.count % PROGRESS_EVERY === 0) {
      run.progress({ task, done: moved.count, total: plan.toRewrite.count, unit: 'contents' });
    }
    const isDue = pending >= CONTENTS_A_FLUSH || clock.monotonicMs() - flushedAtMs > FLUSH_AFTER_MS;
    if (!isDue) return;
    await repository.flush(signal);
    pending = 0;
    flushedAtMs = clock.monotonicMs();
  };
  let batch: IndexEntry[] = [];
  for await (const entries of entriesOf(indexSet, plan, limits, signal)) {
    batch.push(...entries);
    if (batch.length < CONTENTS_A_READ) continue;
    await readContents(batch, repository.storage, move, signal);
    batch = [];
  }
  await readContents(batch, repository.storage, move, signal);
  if (pending > 0) await repository.flush(signal);
  return moved;
}

const CONTENTS_A_READ = 1 << 12;
const PROGRESS_EVERY = 1 << 10;

/** @param kind quick: packs of metadata only */
function rewriteTask(kind: 'full' | 'quick'): Task {
  const name = `${kind}-rewrite-contents` as const;
  return {
    name,
    async plan(run, signal): Promise<TaskPlan> {
      const { clock, repository, safety, schedule } = run;
      if (!isRewriteAllowed(kind, schedule, safety)) {
        return { kind: 'skip', reason: 'what the last rewrite left behind is to be deleted first' };
      }
      const limits: RewriteLimits = {
        maxPackSizeBytes: repository.format.config.maxPackSizeBytes,
        minAgeMs: safety.rewriteMinAgeMs,
        nowMs: clock.nowMs(),
        kinds: kind === 'full' ? ['p', 'q'] : ['q'],
      };
      const { indexSet } = repository.contents;
      const plan = await planRewrite(indexSet, repository.storage, limits, signal);
      return {
        kind: 'run',
        summary: `${plan.toRewrite.count} contents of ${plan.packs.size} short packs to move`,
        facts: { shortPacks: plan.packs.size, ...statsOf(plan, NOTHING) },
        async apply(applySignal) {
          const moved = await applyRewrite(run, name, indexSet, plan, limits, applySignal);
          return { kind: 'rewriteContentsStats', data: statsOf(plan, moved) };
        },
      };
    },
  };
}

const NOTHING = { count: 0, bytes: 0 };

function statsOf({ toRewrite, retained }: RewritePlan, moved: Readonly<Amount>): Record<string, number> {
  return {
    toRewriteContentCount: toRewrite.count,
    toRewriteContentSize: toRewrite.bytes,
    rewrittenContentCount: moved.count,
    rewrittenContentSize: moved.bytes,
    retainedContentCount: retained.count,
    retainedContentSize: retained.bytes,
  };
}

export const fullRewriteTask = rewriteTask('full');
export const quickRewriteTask = rewriteTask('quick');
