// Publishes the index blobs of a flush: the commit point (repository format §8.4, §9.2). All packs they mention must be
// durable before.
import { WindlassError } from '../../base/errors.ts';
import type { BlobId, BlobMetadata } from '../blob/storage.ts';
import { releaseBytes } from '../index/row-store.ts';
import { sealBlob, type SealDeps, type SealedBlob } from './encrypted-blob.ts';
import { LEGACY_INDEX_PREFIX } from './legacy.ts';
import { uncompactedPrefix } from './names.ts';
import { loadEpochSnapshot, loadWriteEpoch, validityLeftMs, type EpochDeps, type EpochSnapshot } from './snapshot.ts';

export interface WriteIndexDeps extends EpochDeps, SealDeps {
  readonly sessionId: string;
  /** As of the last load of the indexes: saves listing anew while it is fresh enough. */
  readonly epochSnapshot?: EpochSnapshot | undefined;
}

// Part of a snapshot's validity that must be left before writing starts.
const NEEDED_VALIDITY = 0.75;
// Kopia tries for ever; each of these is at least a quarter of a validity period, 5 minutes by default.
const MAX_ATTEMPTS = 10;

/**
 * Metadata of the blobs, in the order of `shards`. `EPOCH_WRITE_TOO_SLOW` when epochs went by meanwhile: nothing counts
 * as written then, and the flush has failed. When it rejects for another reason some shards may be visible, which is
 * harmless: each is complete in itself.
 */
export async function writeIndexShards(
  deps: WriteIndexDeps,
  shards: readonly Uint8Array[],
  signal: AbortSignal,
): Promise<BlobMetadata[]> {
  if (shards.length === 0) return [];
  if (!deps.config.epochParameters.enabled) return writeLegacyShards(deps, shards, signal);
  const suffix = `${deps.sessionId}-c${shards.length}`;
  const sealed = shards.map((shard) => sealBlob(deps, '', suffix, shard));
  const { written, epoch } = await writeIntoEpoch(deps, sealed, signal);
  for (const { bytes } of sealed) releaseBytes(bytes);
  const currentEpoch = await loadWriteEpoch(deps.storage, signal);
  if (currentEpoch >= epoch + 2) {
    // Readers of settled epochs may already use a compaction that does not know these blobs.
    await deleteQuietly(deps, written, signal);
    throw tooSlow(epoch, currentEpoch);
  }
  return written;
}

async function writeLegacyShards(
  deps: WriteIndexDeps,
  shards: readonly Uint8Array[],
  signal: AbortSignal,
): Promise<BlobMetadata[]> {
  const written: BlobMetadata[] = [];
  for (const shard of shards) {
    const { id, bytes } = sealBlob(deps, LEGACY_INDEX_PREFIX, deps.sessionId, shard);
    written.push(await deps.storage.putBlob(id, bytes, signal));
  }
  return written;
}

/** Puts all shards into the write epoch of one snapshot while that is valid; starts over in another epoch if it must. */
async function writeIntoEpoch(
  deps: WriteIndexDeps,
  sealed: readonly SealedBlob[],
  signal: AbortSignal,
): Promise<{ written: BlobMetadata[]; epoch: number }> {
  const { clock, storage, config } = deps;
  const neededMs = NEEDED_VALIDITY * config.epochParameters.epochRefreshFrequencyMs;
  let snapshot = deps.epochSnapshot;
  let epoch = -1;
  let written: BlobMetadata[] = [];
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
    if (snapshot === undefined || validityLeftMs(snapshot, clock) < neededMs) {
      snapshot = await loadEpochSnapshot(deps, signal);
    }
    if (snapshot.writeEpoch !== epoch) {
      for (const blob of written) await storage.deleteBlob(blob.id, signal);
      written = [];
      epoch = snapshot.writeEpoch;
    }
    while (written.length < sealed.length && validityLeftMs(snapshot, clock) > 0) {
      const next = sealed[written.length];
      if (next === undefined) break;
      const id = `${uncompactedPrefix(epoch)}${next.id}` as BlobId;
      written.push(await storage.putBlob(id, next.bytes, signal));
    }
    if (written.length === sealed.length) return { written, epoch };
  }
  throw new WindlassError('writing the index blobs takes longer than the epoch state stays valid', {
    code: 'EPOCH_WRITE_TOO_SLOW',
    retry: 'transient',
    context: { attempts: MAX_ATTEMPTS, epoch },
  });
}

/** Best effort: the flush has failed anyway, and what stays behind is complete in itself. */
async function deleteQuietly(deps: WriteIndexDeps, blobs: readonly BlobMetadata[], signal: AbortSignal): Promise<void> {
  for (const { id } of blobs) await deps.storage.deleteBlob(id, signal).catch(() => undefined);
}

function tooSlow(writtenEpoch: number, currentEpoch: number): WindlassError {
  return new WindlassError(`index blobs were written to epoch ${writtenEpoch}, but epoch ${currentEpoch} has begun`, {
    code: 'EPOCH_WRITE_TOO_SLOW',
    retry: 'transient',
    context: { writtenEpoch, currentEpoch },
  });
}
