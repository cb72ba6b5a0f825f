// Deletes packs that no index names, and markers of dead sessions (snapshots §7.7, repository format §9.4). Needs no write,
// so it also runs on a full store. Ages of blobs are told by the store's clock alone.
import type { BlobMetadata, BlobStorage } from '../blob/storage.ts';
import type { SessionId } from '../content/session.ts';
import type { IndexSet } from '../index/index-set.ts';
import type { ParsedIndex } from '../index/parsed-index.ts';
import { deleteBlobs } from './delete-blobs.ts';
import { eachRow } from './each-row.ts';
import { NameSet } from './name-set.ts';
import { RowSet } from './row-set.ts';
import { deleteAllowedFromNs, isDeleteAllowed, wasLastRewriteFull } from './safety-gates.ts';
import type { SafetyParameters } from './safety-parameters.ts';
import type { Schedule } from './schedule.ts';
import { loadSessions, SESSION_PREFIX, type SessionInfo, sessionOf } from './sessions.ts';
import type { MaintenanceRun, Task, TaskName, TaskPlan } from './task.ts';

/** Why a blob stays, or that it goes. */
export type PackVerdict = 'used' | 'too-new' | 'too-young' | 'session' | 'delete';

export interface PackLimits {
  /** The store's time when maintenance began. */
  readonly startTimeMs: number;
  readonly safety: Pick<SafetyParameters, 'packDeleteMinAgeMs' | 'sessionExpirationAgeMs'>;
  readonly sessions: ReadonlyMap<SessionId, Pick<SessionInfo, 'checkpointTimeMs'>>;
}

/** Clocks of some stores do not move on between two writes; as kopia does. */
const CUTOFF_SLACK_MS = 1000;

export function judgePack(
  blob: Pick<BlobMetadata, 'id' | 'timestampMs'>,
  isUsed: boolean,
  { startTimeMs, safety, sessions }: PackLimits,
): PackVerdict {
  if (isUsed) return 'used';
  const cutoffMs = startTimeMs + CUTOFF_SLACK_MS;
  if (blob.timestampMs > cutoffMs) return 'too-new';
  if (cutoffMs - blob.timestampMs < safety.packDeleteMinAgeMs) return 'too-young';
  const session = sessionOf(blob.id);
  const marker = session === undefined ? undefined : sessions.get(session);
  if (marker !== undefined && cutoffMs - marker.checkpointTimeMs < safety.sessionExpirationAgeMs) return 'session';
  return 'delete';
}

/** Packs that a content is in, live or deleted; what the watermark hides is in none. */
export async function usedPacks(indexSet: IndexSet, signal: AbortSignal): Promise<NameSet> {
  const packs = new NameSet();
  const seen = new Map<ParsedIndex, RowSet>();
  await eachRow(
    indexSet,
    ({ index, entry }) => {
      // A name is looked at once for each index: no string for each row.
      let numbers = seen.get(index);
      if (numbers === undefined) seen.set(index, (numbers = new RowSet(index.packCount)));
      const number = index.packNumberAt(entry);
      if (number < 0) packs.add(index.packIdAt(entry));
      else if (numbers.add(number)) packs.add(index.packNameOf(number));
    },
    { signal },
  );
  return packs;
}

export interface PackTotals {
  readonly unreferenced: { count: number; bytes: number };
  readonly retained: { count: number; bytes: number };
  readonly deleted: { count: number; bytes: number };
}

export interface DeletePacksOptions {
  readonly prefixes: readonly string[];
  readonly limits: PackLimits;
  readonly used: Pick<NameSet, 'has'>;
  readonly dryRun: boolean;
  readonly parallel: number;
}

// Deleted together, so that a listing is never held up for long and never held whole.
const BLOBS_A_BATCH = 1000;
const DEFAULT_PARALLEL = 16;

/** Lists and deletes. The first failure ends it; what is deleted by then was garbage all the same. */
export async function deletePacks(
  storage: BlobStorage,
  options: DeletePacksOptions,
  deps: { readonly signal: AbortSignal; progress?(deleted: number): void },
): Promise<PackTotals> {
  const { signal } = deps;
  const totals = {
    unreferenced: { count: 0, bytes: 0 },
    retained: { count: 0, bytes: 0 },
    deleted: { count: 0, bytes: 0 },
  };
  const batch: BlobMetadata[] = [];
  const remove = async (): Promise<void> => {
    const blobs = batch.splice(0);
    if (options.dryRun) return;
    await deleteBlobs(storage, blobs, { parallel: options.parallel }, signal);
    for (const { length } of blobs) add(totals.deleted, length);
    deps.progress?.(totals.deleted.count);
  };
  for (const prefix of options.prefixes) {
    for await (const blob of storage.listBlobs(prefix, signal)) {
      const verdict = judgePack(blob, options.used.has(blob.id), options.limits);
      if (verdict === 'used') continue;
      add(verdict === 'delete' ? totals.unreferenced : totals.retained, blob.length);
      if (verdict === 'delete') batch.push(blob);
      if (batch.length >= BLOBS_A_BATCH) await remove();
    }
  }
  await remove();
  return totals;
}

function add(amount: { count: number; bytes: number }, bytes: number): void {
  amount.count++;
  amount.bytes += bytes;
}

/** Markers are read anew, and before the packs are listed: a session that begins later has packs too new to be deleted. */
async function packLimits(
  run: Pick<MaintenanceRun, 'repository' | 'cipher' | 'safety' | 'startTimeMs'>,
  signal: AbortSignal,
): Promise<PackLimits> {
  const { cipher, repository, safety, startTimeMs } = run;
  return { startTimeMs, safety, sessions: await loadSessions({ storage: repository.storage, cipher }, signal) };
}

/** @param kind quick: packs of metadata only */
function deletePacksTask(kind: 'full' | 'quick', isDue: (schedule: Schedule) => boolean): Task {
  const name: TaskName = `${kind}-delete-blobs`;
  return {
    name,
    async plan(run, signal): Promise<TaskPlan> {
      const { clock, safety, schedule } = run;
      if (!isDue(schedule)) return { kind: 'skip', reason: 'the last rewrite was of another kind' };
      if (!isDeleteAllowed(schedule, safety, clock.nowNs())) {
        const fromMs = Number((deleteAllowedFromNs(schedule, safety) ?? 0n) / 1_000_000n);
        return { kind: 'skip', reason: `readers may use what was moved until ${new Date(fromMs).toISOString()}` };
      }
      const prefixes = kind === 'full' ? ALL_PREFIXES : QUICK_PREFIXES;
      const { options, found } = await planDeletion(run, prefixes, signal);
      return {
        kind: 'run',
        summary: `${found.unreferenced.count} unreferenced packs of ${found.unreferenced.bytes} bytes to delete`,
        facts: statsOf(found),
        async apply(applySignal) {
          const totals = await deletePacks(
            run.repository.storage,
            { ...options, dryRun: false },
            { signal: applySignal, progress: (done) => run.progress({ task: name, done, unit: 'packs' }) },
          );
          return { kind: 'deleteUnreferencedPacksStats', data: statsOf(totals) };
        },
      };
    },
  };
}

const ALL_PREFIXES = ['p', 'q', SESSION_PREFIX];
const QUICK_PREFIXES = ['q'];

type DeletionRun = Pick<MaintenanceRun, 'repository' | 'cipher' | 'safety' | 'startTimeMs' | 'parameters'>;

/** The index is older than the markers, and those are older than the list. */
async function planDeletion(
  run: DeletionRun,
  prefixes: readonly string[],
  signal: AbortSignal,
): Promise<{ readonly options: DeletePacksOptions; readonly found: PackTotals }> {
  const { parameters, repository } = run;
  const options: DeletePacksOptions = {
    prefixes,
    used: await usedPacks(repository.contents.indexSet, signal),
    limits: await packLimits(run, signal),
    dryRun: true,
    parallel: parameters.listParallelism > 0 ? parameters.listParallelism : DEFAULT_PARALLEL,
  };
  return { options, found: await deletePacks(repository.storage, options, { signal }) };
}

function statsOf({ unreferenced, deleted, retained }: PackTotals): Record<string, number> {
  return {
    unreferencedPackCount: unreferenced.count,
    unreferencedTotalSize: unreferenced.bytes,
    deletedPackCount: deleted.count,
    deletedTotalSize: deleted.bytes,
    retainedPackCount: retained.count,
    retainedTotalSize: retained.bytes,
  };
}

export const fullDeletePacksTask = deletePacksTask('full', () => true);
/** In a quick cycle only one of these two has anything to do: the one that finds what the last rewrite left behind. */
export const quickDeletePacksTask = deletePacksTask('quick', (schedule) => !wasLastRewriteFull(schedule));
export const fullDeleteInQuickTask = deletePacksTask('full', wasLastRewriteFull);

/**
 * Deletes what is unreferenced already, on a store that takes no more bytes: nothing is written, and nothing is recorded. The
 * store's time is taken from its newest blob, which is no later than now, so that no blob looks older than it is. Answers
 * the bytes freed.
 */
export async function freeWithoutWriting(
  run: Omit<DeletionRun, 'startTimeMs'> & { readonly schedule: Schedule },
  signal: AbortSignal,
): Promise<number> {
  const { storage } = run.repository;
  let startTimeMs = 0;
  for await (const { timestampMs } of storage.listBlobs('', signal)) startTimeMs = Math.max(startTimeMs, timestampMs);
  if (!isDeleteAllowed(run.schedule, run.safety, BigInt(Math.floor(startTimeMs)) * 1_000_000n)) return 0;
  await run.repository.refresh(signal);
  const { options } = await planDeletion({ ...run, startTimeMs }, ALL_PREFIXES, signal);
  return (await deletePacks(storage, { ...options, dryRun: false }, { signal })).deleted.bytes;
}
