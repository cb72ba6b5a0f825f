// Renews the locks that keep blobs from being deleted, where the repository wants blobs locked (snapshots §7.9).
import { WindlassError } from '../../base/errors.ts';
import type { BlobMetadata } from '../blob/storage.ts';
import { isRetentionEnabled } from '../format/blob-config.ts';
import type { MaintenanceRun, Task } from './task.ts';

/** What is locked: packs, indexes, the two format blobs. Markers, logs and the schedule are short-lived. */
export const LOCKED_PREFIXES: readonly string[] = ['n', 'x', 'kopia.repository', 'kopia.blobcfg', 'p', 'q'];

const NS_PER_MS = 1_000_000n;
// One small request each, and latency is all there is to it.
const PARALLEL = 16;

export const extendRetentionTask: Task = {
  name: 'extend-blob-retention-time',
  async plan(run, signal) {
    const { storage, format } = run.repository;
    if (!run.parameters.extendObjectLocks) return { kind: 'skip', reason: 'the settings do not ask for it' };
    const { retentionMode, retentionPeriodNs } = format.blobConfig;
    if (!isRetentionEnabled(format.blobConfig)) {
      const apply = async (): Promise<undefined> => undefined;
      return { kind: 'run', summary: 'blobs of this repository are not locked', facts: {}, apply };
    }
    if (storage.extendRetention === undefined) {
      throw new WindlassError(`${storage.displayName} cannot lock blobs, but the repository wants them locked`, {
        code: 'RETENTION_UNSUPPORTED',
        context: { retentionMode },
      });
    }
    let blobs = 0;
    for (const prefix of LOCKED_PREFIXES) for await (const _blob of storage.listBlobs(prefix, signal)) blobs++;
    return {
      kind: 'run',
      summary: `keep ${blobs} blobs locked for another ${formatGoDuration(retentionPeriodNs)}`,
      facts: { blobs, retentionMode, retentionPeriodNs },
      async apply(applySignal) {
        const extended = await extendAll(run, blobs, applySignal);
        const data = {
          toExtendBlobCount: extended,
          extendedBlobCount: extended,
          retentionPeriod: formatGoDuration(retentionPeriodNs),
        };
        return { kind: 'extendBlobRetentionStats', data };
      },
    };
  },
};

/** Streams the listing: however many packs there are, a few are in memory. */
async function extendAll(run: MaintenanceRun, total: number, signal: AbortSignal): Promise<number> {
  const { storage, format } = run.repository;
  const { retentionMode: mode, retentionPeriodNs } = format.blobConfig;
  const periodMs = Number(retentionPeriodNs / NS_PER_MS);
  let done = 0;
  for (const prefix of LOCKED_PREFIXES) {
    const blobs: AsyncIterator<BlobMetadata> = storage.listBlobs(prefix, signal)[Symbol.asyncIterator]();
    const worker = async (): Promise<void> => {
      for (let next = await blobs.next(); next.done !== true; next = await blobs.next()) {
        signal.throwIfAborted();
        await storage.extendRetention?.(next.value.id, { mode, periodMs }, signal);
        run.progress({ task: 'extend-blob-retention-time', done: ++done, total, unit: 'blobs' });
      }
    };
    const outcomes = await Promise.allSettled(Array.from({ length: PARALLEL }, worker));
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  }
  return done;
}

/** As Go prints a duration of at least a second: `720h0m0s`. */
export function formatGoDuration(ns: bigint): string {
  const seconds = ns / 1_000_000_000n;
  const fraction = (ns % 1_000_000_000n).toString().padStart(9, '0').replace(/0+$/, '');
  const [h, m, s] = [seconds / 3600n, (seconds / 60n) % 60n, seconds % 60n];
  const tail = `${s}${fraction === '' ? '' : `.${fraction}`}s`;
  if (h > 0n) return `${h}h${m}m${tail}`;
  return m > 0n ? `${m}m${tail}` : tail;
}
