// Snapshot garbage collection (snapshots §7.6): marks contents deleted that no snapshot needs, and brings back those that an
// earlier run marked while somebody began to use them again. No data is removed here; deleted contents stay readable until
// `full-drop-deleted-content` forgets them, which a second collection must confirm.
//
// Not protected is what belongs to no snapshot and has no prefix `m`.
import type { IndexEntry } from '../index/entry.ts';
import type { IndexSet, SetRow } from '../index/index-set.ts';
import { listSnapshots } from '../snapshot/snapshots.ts';
import { checkedBytes } from './checked-bytes.ts';
import { eachRow } from './each-row.ts';
import { compareByPlace, readContents } from './read-contents.ts';
import type { RowSet } from './row-set.ts';
import type { MaintenanceRun, Task, TaskPlan, TaskStats } from './task.ts';
import { findUsedContents } from './used-contents.ts';

/** What is to be done with a content. */
export type Verdict =
  /** A manifest: never touched. */
  | 'system'
  | 'keep'
  /** Needed, and marked deleted. */
  | 'undelete'
  | 'too-recent'
  /** Unused, and marked already: its deletion time stays what it is. */
  | 'marked'
  | 'delete';

export interface ContentFacts {
  /** First byte of the key: the letter of the id, 0 for none. */
  readonly prefixByte: number;
  readonly used: boolean;
  readonly deleted: boolean;
  readonly timestampSeconds: number;
}

/** The times of the collection, Unix ms. */
export interface SweepLimits {
  /** The store's time when maintenance began. */
  readonly startTimeMs: number;
  readonly minAgeMs: number;
}

const MANIFEST_PREFIX_BYTE = 0x6d; // m

export function judgeContent(content: ContentFacts, { startTimeMs, minAgeMs }: SweepLimits): Verdict {
  if (content.prefixByte === MANIFEST_PREFIX_BYTE) return 'system';
  if (content.used) return content.deleted ? 'undelete' : 'keep';
  if (startTimeMs - content.timestampSeconds * 1000 < minAgeMs) return 'too-recent';
  return content.deleted ? 'marked' : 'delete';
}

/** Contents and their sealed bytes, by verdict. */
export type SweepCounts = Readonly<Record<Verdict, { count: number; bytes: number }>>;

/**
 * Calls `onVerdict` for every content that something is to be done with, with a row that is used again once what it answers
 * has resolved; counts all.
 */
export async function sweep(
  indexSet: IndexSet,
  used: RowSet,
  limits: SweepLimits,
  onVerdict: (verdict: 'delete' | 'undelete', row: SetRow) => Promise<void> | undefined,
  deps: { readonly signal: AbortSignal; progress?(contents: number): void },
): Promise<SweepCounts> {
  const counts = emptyCounts();
  await eachRow(
    indexSet,
    (row) => {
      const verdict = judgeContent(factsOf(row, used), limits);
      counts[verdict].count++;
      counts[verdict].bytes += row.index.packedLengthAt(row.entry);
      if (verdict !== 'delete' && verdict !== 'undelete') return undefined;
      return onVerdict(verdict, row);
    },
    deps,
  );
  return counts;
}

function factsOf({ index, entry, row }: SetRow, used: RowSet): ContentFacts {
  return {
    prefixByte: index.bytes[index.keyOffset(entry)] ?? 0,
    used: used.has(row),
    deleted: index.isDeletedAt(entry),
    timestampSeconds: index.timestampAt(entry),
  };
}

function emptyCounts(): SweepCounts {
  const none = (): { count: number; bytes: number } => ({ count: 0, bytes: 0 });
  return {
    system: none(),
    keep: none(),
    undelete: none(),
    'too-recent': none(),
    marked: none(),
    delete: none(),
  };
}

export const snapshotGcTask: Task = {
  name: 'snapshot-gc',
  async plan(run, signal): Promise<TaskPlan> {
    const { repository, cipher } = run;
    // Contents of a snapshot are indexed before or with its manifest: the set of contents is looked at after the list.
    const manifests = await listSnapshots(repository.manifests, {}, signal);
    const { indexSet, refreshes } = repository.contents;
    const report = (unit: string) => (done: number) => run.progress({ task: 'snapshot-gc', done, unit });
    const used = await findUsedContents(
      manifests,
      { indexSet, cipher, storage: repository.storage, source: repository, progress: report('objects') },
      signal,
    );
    indexSet.forgetDirectory();
    const limits = { startTimeMs: run.startTimeMs, minAgeMs: run.safety.minContentAgeSubjectToGcMs };
    const counts = await sweep(indexSet, used, limits, () => undefined, { signal, progress: report('contents') });
    return {
      kind: 'run',
      summary:
        `${manifests.length} snapshots: ${counts.delete.count} unused contents to mark, ` +
        `${counts.marked.count} marked before, ${counts['too-recent'].count} too recent, ` +
        `${counts.undelete.count} to bring back`,
      facts: { snapshots: manifests.length, ...statsOf(counts) },
      async apply(applySignal) {
        await applySweep(run, { indexSet, refreshes, used, limits }, applySignal);
        return { kind: 'snapshotGCStats', data: statsOf(counts) } satisfies TaskStats;
      },
    };
  },
};

/** In kopia's words: `unreferenced` are all that are unused and old enough, `deleted` as well. */
function statsOf(counts: SweepCounts): Record<string, number> {
  const unreferenced = {
    count: counts.delete.count + counts.marked.count,
    bytes: counts.delete.bytes + counts.marked.bytes,
  };
  return {
    unreferencedContentCount: unreferenced.count,
    unreferencedContentSize: unreferenced.bytes,
    deletedContentCount: unreferenced.count,
    deletedContentSize: unreferenced.bytes,
    unreferencedRecentContentCount: counts['too-recent'].count,
    unreferencedRecentContentSize: counts['too-recent'].bytes,
    inUseContentCount: counts.keep.count + counts.undelete.count,
    inUseContentSize: counts.keep.bytes + counts.undelete.bytes,
    inUseSystemContentCount: counts.system.count,
    inUseSystemContentSize: counts.system.bytes,
    recoveredContentCount: counts.undelete.count,
    recoveredContentSize: counts.undelete.bytes,
  };
}

/** Changes of so many contents make one index blob, and bound the memory. */
export const CONTENTS_A_FLUSH = 100_000;
const CONTENTS_A_READ = 1 << 12;

/** What the plan found, and by which reading of the index. */
interface Marked {
  readonly indexSet: IndexSet;
  readonly refreshes: number;
  readonly used: RowSet;
  readonly limits: SweepLimits;
}

async function applySweep(run: MaintenanceRun, marked: Marked, signal: AbortSignal): Promise<void> {
  const { repository } = run;
  const { indexSet, refreshes, used, limits } = marked;
  const { contents } = repository;
  let changed = 0;
  const revived: IndexEntry[] = [];
  const flush = async (): Promise<void> => {
    await undelete(run, revived.splice(0), signal);
    if (changed > 0) await repository.flush(signal);
    changed = 0;
  };
  const isRoomLeft = (): boolean => revived.length < CONTENTS_A_READ && changed < CONTENTS_A_FLUSH;
  const makeRoom = async (waiting: Promise<void> | undefined): Promise<void> => {
    await waiting;
    if (revived.length >= CONTENTS_A_READ) await undelete(run, revived.splice(0), signal);
    if (changed >= CONTENTS_A_FLUSH) await flush();
  };
  await sweep(
    indexSet,
    used,
    limits,
    (verdict, row) => {
      // No promise for each of millions: only where something must be waited for.
      const waiting = verdict === 'delete' ? contents.deleteRow(row, refreshes, signal) : undefined;
      if (verdict === 'undelete') revived.push(row.index.entryAt(row.entry));
      changed++;
      return waiting === undefined && isRoomLeft() ? undefined : makeRoom(waiting);
    },
    {
      signal,
      progress: (done) => run.progress({ task: 'snapshot-gc', done, total: indexSet.rowCount, unit: 'contents' }),
    },
  );
  await flush();
}

/** Stores contents again, live. */
async function undelete(run: MaintenanceRun, entries: readonly IndexEntry[], signal: AbortSignal): Promise<void> {
  const { cipher, repository } = run;
  const { config } = repository.format;
  await readContents(
    entries.toSorted(compareByPlace),
    repository.storage,
    async (entry, sealed) => {
      await repository.contents.move(entry, checkedBytes({ cipher, config }, entry, sealed), signal);
    },
    signal,
  );
}
