// Removes what compactions and later markers have replaced (repository format §8.5 d, e). The clock is the store's: the
// newest index blob of the open epochs. Replacements must have been there for a safety margin, so that everybody has seen
// them.
import { formatTimestampNs } from '../../base/go-time.ts';
import type { BlobMetadata } from '../blob/storage.ts';
import {
  EPOCH_MARKER_PREFIX,
  epochNumberOf,
  UNCOMPACTED_PREFIX,
  WATERMARK_PREFIX,
  watermarkSecondsOf,
} from '../epoch/names.ts';
import { listAll, type EpochSnapshot } from '../epoch/snapshot.ts';
import { deleteBlobs, totalBytes } from './delete-blobs.ts';
import type { Task, TaskPlan } from './task.ts';

/** Replacements written before this count as seen by all; undefined when nothing tells the store's time. */
export function replacedBeforeMs(
  snapshot: Pick<EpochSnapshot, 'uncompacted'>,
  cleanupSafetyMarginMs: number,
): number | undefined {
  const times = [...snapshot.uncompacted.values()].flat().map(({ timestampMs }) => timestampMs);
  if (times.length === 0) return undefined;
  return times.reduce((a, b) => Math.max(a, b)) - cleanupSafetyMarginMs;
}

/** Markers of epochs before the last one: the greatest says it all, the one before it may still be relied on. */
export function supersededMarkers(markers: readonly BlobMetadata[], writeEpoch: number): BlobMetadata[] {
  return markers.filter(({ id }) => {
    const epoch = epochNumberOf(id);
    return epoch !== undefined && epoch < writeEpoch - 1;
  });
}

/** Watermarks that are not the greatest, and old. */
export function supersededWatermarks(
  watermarks: readonly BlobMetadata[],
  watermarkSeconds: number,
  beforeMs: number,
): BlobMetadata[] {
  return watermarks.filter(({ id, timestampMs }) => {
    const seconds = watermarkSecondsOf(id);
    return seconds !== undefined && seconds < watermarkSeconds && timestampMs < beforeMs;
  });
}

/**
 * Index blobs of settled epochs whose compaction is complete and old. An epoch that is not settled keeps its blobs even
 * when a compaction of it lies there: readers do not use that one.
 */
export function supersededIndexes(
  uncompacted: readonly BlobMetadata[],
  snapshot: Pick<EpochSnapshot, 'writeEpoch' | 'singleEpochSets'>,
  beforeMs: number,
): BlobMetadata[] {
  return uncompacted.filter(({ id }) => {
    const epoch = epochNumberOf(id);
    if (epoch === undefined || epoch > snapshot.writeEpoch - 2) return false;
    const compaction = snapshot.singleEpochSets.get(epoch) ?? [];
    return compaction.length > 0 && compaction.every(({ timestampMs }) => timestampMs < beforeMs);
  });
}

const NOTHING_TOLD: Omit<Extract<TaskPlan, { kind: 'run' }>, 'apply'> = {
  kind: 'run',
  summary: 'nothing to go by: no index blobs in the open epochs',
  facts: {},
};

export const cleanupMarkersTask: Task = {
  name: 'cleanup-epoch-markers',
  async plan(run, signal) {
    const { storage, format } = run.repository;
    const { cleanupSafetyMarginMs, deleteParallelism } = format.config.epochParameters;
    const snapshot = await run.epochs(signal);
    const beforeMs = replacedBeforeMs(snapshot, cleanupSafetyMarginMs);
    if (beforeMs === undefined) {
      return { ...NOTHING_TOLD, apply: async () => ({ kind: 'cleanupMarkersStats', data: null }) };
    }
    const listedMarkers = await listAll(storage, EPOCH_MARKER_PREFIX, signal);
    const listedWatermarks = await listAll(storage, WATERMARK_PREFIX, signal);
    const markers = supersededMarkers(listedMarkers, snapshot.writeEpoch);
    const watermarks = supersededWatermarks(listedWatermarks, snapshot.watermarkSeconds, beforeMs);
    return {
      kind: 'run',
      summary: `delete ${markers.length} epoch markers and ${watermarks.length} watermarks`,
      facts: { epochMarkers: markers.length, watermarks: watermarks.length },
      async apply(applySignal) {
        await deleteBlobs(storage, [...markers, ...watermarks], { parallel: deleteParallelism }, applySignal);
        const data = {
          deletedEpochMarkerBlobCount: markers.length,
          deletedWatermarkBlobCount: watermarks.length,
        };
        return { kind: 'cleanupMarkersStats', data };
      },
    };
  },
};

export const deleteSupersededIndexesTask: Task = {
  name: 'delete-superseded-epoch-indexes',
  async plan(run, signal) {
    const { storage, format } = run.repository;
    const { cleanupSafetyMarginMs, deleteParallelism } = format.config.epochParameters;
    const snapshot = await run.epochs(signal);
    const beforeMs = replacedBeforeMs(snapshot, cleanupSafetyMarginMs);
    if (beforeMs === undefined) {
      return { ...NOTHING_TOLD, apply: async () => ({ kind: 'cleanupSupersededIndexesStats', data: null }) };
    }
    const blobs = supersededIndexes(await listAll(storage, UNCOMPACTED_PREFIX, signal), snapshot, beforeMs);
    const bytes = totalBytes(blobs);
    return {
      kind: 'run',
      summary: `delete ${blobs.length} index blobs that compactions have replaced`,
      facts: { indexBlobs: blobs.length, bytes },
      async apply(applySignal) {
        const onDeleted = (done: number): void =>
          run.progress({ task: 'delete-superseded-epoch-indexes', done, total: blobs.length, unit: 'index blobs' });
        await deleteBlobs(storage, blobs, { parallel: deleteParallelism, onDeleted }, applySignal);
        run.forgetEpochs();
        const data = {
          maxReplacementTime: formatTimestampNs(BigInt(Math.floor(beforeMs)) * 1_000_000n),
          deletedBlobCount: blobs.length,
          deletedTotalSize: bytes,
        };
        return { kind: 'cleanupSupersededIndexesStats', data };
      },
    };
  },
};
