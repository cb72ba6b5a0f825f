// Begins the next epoch when the current one has grown large and old enough (repository format §8.5 b). Only maintenance
// does so, only by one, and never sooner than an epoch's minimal age: writers rely on that to land in an open epoch.
import type { BlobId, BlobMetadata } from '../blob/storage.ts';
import { EPOCH_MARKER_PREFIX } from '../epoch/names.ts';
import type { EpochParameters } from '../format/epoch-parameters.ts';
import { totalBytes } from './delete-blobs.ts';
import type { Task } from './task.ts';

type AdvanceParameters = Pick<
  EpochParameters,
  'minEpochDurationMs' | 'epochAdvanceOnCountThreshold' | 'epochAdvanceOnTotalSizeBytesThreshold'
>;

/** Whether the epoch with these index blobs is to end. Ages are the store's own times, compared with each other only. */
export function isEpochFull(blobs: readonly BlobMetadata[], parameters: AdvanceParameters): boolean {
  if (blobs.length === 0) return false;
  let oldestMs = Number.POSITIVE_INFINITY;
  let newestMs = Number.NEGATIVE_INFINITY;
  for (const { timestampMs } of blobs) {
    oldestMs = Math.min(oldestMs, timestampMs);
    newestMs = Math.max(newestMs, timestampMs);
  }
  if (newestMs - oldestMs < parameters.minEpochDurationMs) return false;
  return (
    blobs.length >= parameters.epochAdvanceOnCountThreshold ||
    totalBytes(blobs) >= parameters.epochAdvanceOnTotalSizeBytesThreshold
  );
}

const MARKER_TEXT = new TextEncoder().encode('epoch-marker');

export const advanceEpochTask: Task = {
  name: 'advance-epoch',
  async plan(run, signal) {
    const { storage, format } = run.repository;
    const { writeEpoch, uncompacted } = await run.epochs(signal);
    const blobs = uncompacted.get(writeEpoch) ?? [];
    const advances = isEpochFull(blobs, format.config.epochParameters);
    const next = writeEpoch + 1;
    return {
      kind: 'run',
      summary: advances ? `epoch ${next} begins` : `epoch ${writeEpoch} goes on`,
      facts: { epoch: writeEpoch, advances, indexBlobs: blobs.length, indexBytes: totalBytes(blobs) },
      async apply(applySignal) {
        if (advances) {
          // From a listing that is still valid, or two advances in a row could end an epoch that writers still write to.
          await storage.putBlob(`${EPOCH_MARKER_PREFIX}${next}` as BlobId, MARKER_TEXT, applySignal);
          run.forgetEpochs();
        }
        return {
          kind: 'advanceEpochStats',
          data: { currentEpoch: advances ? next : writeEpoch, wasAdvanced: advances },
        };
      },
    };
  },
};
