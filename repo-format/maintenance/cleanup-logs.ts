// Deletes diagnostic logs that clients left in the repository beyond what the settings keep (snapshots §7.9).
import type { BlobMetadata } from '../blob/storage.ts';
import { listAll } from '../epoch/snapshot.ts';
import { deleteBlobs, totalBytes } from './delete-blobs.ts';
import { effectiveLogRetention, type LogRetention } from './parameters.ts';
import type { Task } from './task.ts';

export const LOG_PREFIX = '_';

/** Newest first, the first that would exceed a limit and all after it go. A limit of 0 is none. */
export function expiredLogs(
  logs: readonly BlobMetadata[],
  { maxTotalSizeBytes, maxCount, maxAgeNs }: LogRetention,
  nowMs: number,
): { readonly kept: readonly BlobMetadata[]; readonly expired: readonly BlobMetadata[] } {
  const newestFirst = logs.toSorted((a, b) => b.timestampMs - a.timestampMs);
  const maxAgeMs = Number(maxAgeNs) / 1e6;
  let keptBytes = 0;
  const cut = newestFirst.findIndex(({ length, timestampMs }, position) => {
    if (maxTotalSizeBytes > 0 && keptBytes + length > maxTotalSizeBytes) return true;
    if (maxCount > 0 && position >= maxCount) return true;
    if (maxAgeMs !== 0 && nowMs - timestampMs > maxAgeMs) return true;
    keptBytes += length;
    return false;
  });
  return cut < 0
    ? { kept: newestFirst, expired: [] }
    : { kept: newestFirst.slice(0, cut), expired: newestFirst.slice(cut) };
}

export const cleanupLogsTask: Task = {
  name: 'cleanup-logs',
  async plan(run, signal) {
    const { storage } = run.repository;
    const logs = await listAll(storage, LOG_PREFIX, signal);
    // The store's own clock, which is also the one that stamped the logs.
    const { kept, expired } = expiredLogs(logs, effectiveLogRetention(run.parameters), run.startTimeMs);
    const bytes = totalBytes(expired);
    return {
      kind: 'run',
      summary: `delete ${expired.length} of ${logs.length} logs`,
      facts: { logs: logs.length, toDelete: expired.length, bytes },
      async apply(applySignal) {
        const onDeleted = (done: number): void =>
          run.progress({ task: 'cleanup-logs', done, total: expired.length, unit: 'logs' });
        await deleteBlobs(storage, expired, { parallel: DELETE_PARALLELISM, onDeleted }, applySignal);
        const data = {
          toDeleteBlobCount: expired.length,
          toDeleteBlobSize: bytes,
          deletedBlobCount: expired.length,
          deletedBlobSize: bytes,
          retainedBlobCount: kept.length,
          retainedBlobSize: totalBytes(kept),
        };
        return { kind: 'cleanupLogsStats', data };
      },
    };
  },
};

const DELETE_PARALLELISM = 4;
