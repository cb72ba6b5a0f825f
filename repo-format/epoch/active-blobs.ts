// The complete set of index blobs of a repository with epochs (repository format §8.3).
import { WindlassError } from '../../base/errors.ts';
import type { BlobMetadata, BlobStorage } from '../blob/storage.ts';
import { uncompactedPrefix, UNCOMPACTED_PREFIX } from './names.ts';
import {
  listAll,
  loadEpochSnapshot,
  validityLeftMs,
  type EpochDeps,
  type EpochSnapshot,
  type ListedEpochs,
} from './snapshot.ts';

export interface ActiveIndexBlobs {
  readonly blobs: readonly BlobMetadata[];
  readonly snapshot: EpochSnapshot;
}

// A machine that sleeps through ten whole validity periods in a row is not going to make it.
const MAX_ATTEMPTS = 10;
// From here on one listing of all uncompacted blobs is cheaper than one for each epoch, and a hostile epoch number
// costs nothing.
const MAX_SEPARATE_LISTINGS = 4;

/** Starts over when finding them took longer than the snapshot is valid: inputs of compactions may be gone by then. */
export async function loadActiveIndexBlobs(
  deps: EpochDeps,
  signal: AbortSignal,
  early?: Promise<ListedEpochs>,
): Promise<ActiveIndexBlobs> {
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
    const snapshot = await loadEpochSnapshot(deps, signal, attempt === 1 ? early : undefined);
    const blobs = await activeBlobsOf(snapshot, 0, snapshot.writeEpoch + 1, deps.storage, signal);
    if (validityLeftMs(snapshot, deps.clock) > 0) return { blobs, snapshot };
  }
  throw new WindlassError('finding the active index blobs takes longer than the epoch state stays valid', {
    code: 'EPOCH_REFRESH_TOO_SLOW',
    retry: 'transient',
    context: { attempts: MAX_ATTEMPTS },
  });
}

/**
 * Blobs that together hold all entries of epochs `minEpoch`–`maxEpoch`. The epoch after the write epoch belongs to the
 * active set, because another client may just have advanced.
 */
export async function activeBlobsOf(
  snapshot: EpochSnapshot,
  minEpoch: number,
  maxEpoch: number,
  storage: BlobStorage,
  signal: AbortSignal,
): Promise<BlobMetadata[]> {
  const result: BlobMetadata[] = [];
  let start = minEpoch;
  for (const range of snapshot.rangeChain) {
    if (range.max <= start) continue;
    result.push(...range.blobs);
    start = range.max + 1;
  }
  const settled = snapshot.writeEpoch - 2;
  let covered = 0;
  for (const [epoch, blobs] of snapshot.singleEpochSets) {
    if (epoch < start || epoch > Math.min(maxEpoch, settled)) continue;
    result.push(...blobs);
    covered++;
  }
  for (const [epoch, blobs] of snapshot.uncompacted) {
    if (epoch < start || epoch > maxEpoch) continue;
    result.push(...blobs);
    covered++;
  }
  const missing = maxEpoch - start + 1 - covered;
  if (missing <= 0) return result;
  const wanted = (epoch: number): boolean =>
    epoch >= start &&
    epoch <= maxEpoch &&
    !snapshot.uncompacted.has(epoch) &&
    !(epoch <= settled && snapshot.singleEpochSets.has(epoch));
  if (missing > MAX_SEPARATE_LISTINGS) {
    for await (const blob of storage.listBlobs(UNCOMPACTED_PREFIX, signal)) {
      const epoch = uncompactedEpochOf(blob.id);
      if (epoch !== undefined && wanted(epoch)) result.push(blob);
    }
    return result;
  }
  // The epochs to list are few, but the single ones between them may be many.
  const epochs: number[] = [];
  for (let epoch = start; epoch <= maxEpoch && epochs.length < missing; epoch++) if (wanted(epoch)) epochs.push(epoch);
  const lists = await Promise.all(epochs.map((epoch) => listAll(storage, uncompactedPrefix(epoch), signal)));
  return result.concat(...lists);
}

function uncompactedEpochOf(name: string): number | undefined {
  const digits = /^xn(0|[1-9]\d{0,14})_/.exec(name)?.[1];
  return digits === undefined ? undefined : Number(digits);
}
