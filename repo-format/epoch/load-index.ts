// Loads all active indexes of a repository, with epochs or without, into memory that threads share.
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import type { Clock } from '../../base/clock.ts';
import { hasCode, WindlassError } from '../../base/errors.ts';
import type { BlobId, BlobMetadata, BlobStorage, ManyCachedBlobs } from '../blob/storage.ts';
import type { ContentCipher } from '../crypto/content-cipher.ts';
import { IndexSet, inSharedMemory, NO_WATERMARK, type LoadedIndex } from '../index/index-set.ts';
import { parseIndex } from '../index/parse-index.ts';
import { releaseWhole } from '../index/row-store.ts';
import { SharedArena } from '../index/shared-arena.ts';
import { loadActiveIndexBlobs } from './active-blobs.ts';
import { openBlob } from './encrypted-blob.ts';
import { loadLegacyActiveBlobs } from './legacy.ts';
import type { EpochSnapshot, IndexConfig, ListedEpochs } from './snapshot.ts';

export interface LoadIndexDeps {
  readonly storage: BlobStorage;
  readonly cipher: ContentCipher;
  readonly config: IndexConfig;
  readonly clock: Pick<Clock, 'nowMs' | 'monotonicMs' | 'sleep'>;
  /** Listings that have begun already, for the first attempt. */
  readonly early?: Promise<ListedEpochs> | undefined;
}

export interface LoadedIndexSet {
  readonly indexSet: IndexSet;
  readonly blobIds: readonly BlobId[];
  /** Local time before the first listing: what was written later may be missing. */
  readonly loadedAtMs: number;
  /** Absent without epochs. */
  readonly epochSnapshot?: EpochSnapshot;
}

// Kopia's: a blob that vanished was compacted meanwhile, so list again.
const MAX_ATTEMPTS = 10;
const FIRST_BACKOFF_MS = 100;
// Enough to hide a network's latency. Each blob is held twice while it is opened, so fewer of large ones.
const PARALLEL_READS = 32;
const PARALLEL_LARGE_READS = 4;
const LARGE_BLOB_BYTES = 4 << 20;
// From so many on, what a promise costs for each is most of the time that opening takes (measured: 5,000 blobs).
const MANY_BLOBS = 64;
const SCRATCH_BYTES = 256 << 10;
/** A disk or a network slower than this is not waited for: asynchronous reads hide it. */
const MAX_BLOCKING_MS = 0.3;
/** 16 million entries with the longest keys and names stay below; a larger blob is not an index. */
export const MAX_INDEX_BLOB_BYTES = 2 ** 30;

/** Where indexes are opened, and where they stay. */
interface Room {
  readonly arena: SharedArena | undefined;
  readonly scratch: Uint8Array;
}

/**
 * `BLOB_CORRUPT` or `INDEX_CORRUPT` name the blob that cannot be read; `INDEX_BLOB_LOST` when listed blobs keep being
 * missing. `reuse` saves reading blobs again that an earlier load had: their names are their contents' hashes.
 */
export async function loadIndexSet(
  deps: LoadIndexDeps,
  signal: AbortSignal,
  reuse?: IndexSet,
): Promise<LoadedIndexSet> {
  const known = new Map<BlobId, LoadedIndex>(reuse?.indexes.map((index) => [index.blobId, index]));
  let backoffMs = FIRST_BACKOFF_MS;
  for (let attempt = 1; ; attempt++) {
    const loadedAtMs = deps.clock.nowMs();
    const { blobs, epochSnapshot } = await activeBlobs(deps, signal, attempt === 1 ? deps.early : undefined);
    try {
      const indexes = await readIndexes(deps, blobs, known, signal);
      const indexSet = new IndexSet(indexes, epochSnapshot?.watermarkSeconds ?? NO_WATERMARK);
      const blobIds = blobs.map((blob) => blob.id);
      return { indexSet, blobIds, loadedAtMs, ...(epochSnapshot === undefined ? {} : { epochSnapshot }) };
    } catch (error) {
      if (!hasCode(error, 'BLOB_NOT_FOUND')) throw error;
      if (attempt >= MAX_ATTEMPTS) throw indexBlobLost(error);
    }
    await deps.clock.sleep(backoffMs, signal);
    backoffMs *= 2;
  }
}

async function activeBlobs(
  deps: LoadIndexDeps,
  signal: AbortSignal,
  early: Promise<ListedEpochs> | undefined,
): Promise<{ blobs: readonly BlobMetadata[]; epochSnapshot?: EpochSnapshot }> {
  if (!deps.config.epochParameters.enabled) return { blobs: await loadLegacyActiveBlobs(deps, signal) };
  const { blobs, snapshot } = await loadActiveIndexBlobs(deps, signal, early);
  return { blobs, epochSnapshot: snapshot };
}

async function readIndexes(
  deps: LoadIndexDeps,
  blobs: readonly BlobMetadata[],
  known: Map<BlobId, LoadedIndex>,
  signal: AbortSignal,
): Promise<LoadedIndex[]> {
  // Few are not worth an arena; what is opened is copied out of `scratch` at once.
  const arena = blobs.length - known.size >= MANY_BLOBS ? new SharedArena() : undefined;
  const room: Room = { arena, scratch: new Uint8Array(arena === undefined ? 0 : SCRATCH_BYTES) };
  const wanted = blobs.filter((blob) => !known.has(blob.id));
  if (wanted.length >= MANY_BLOBS) {
    readManyLocally(deps, wanted, known, room, signal);
    readManyCached(deps, blobs, known, room);
  }
  const missing = wanted.filter((blob) => !known.has(blob.id));
  const bundles = missing.length >= MANY_BLOBS ? deps.storage.manyCached : undefined;
  const isLarge = missing.some((blob) => blob.length > LARGE_BLOB_BYTES);
  const queue = missing.values();
  const reader = async (): Promise<void> => {
    for (const blob of queue) known.set(blob.id, await readIndex(deps, blob, room, signal, bundles));
  };
  const outcomes = await Promise.allSettled(
    Array.from({ length: isLarge ? PARALLEL_LARGE_READS : PARALLEL_READS }, reader),
  );
  bundles?.flush();
  // A reader stops at its first failure; corruption is worth more to know than a blob that went away.
  const failures = outcomes
    .filter((outcome) => outcome.status === 'rejected')
    .map((outcome): unknown => outcome.reason);
  const failure = failures.find((error) => !hasCode(error, 'BLOB_NOT_FOUND')) ?? failures[0];
  if (failure !== undefined) throw failure;
  return blobs.map((blob) => known.get(blob.id)).filter((index) => index !== undefined);
}

/** Small blobs of a local folder, one after another without promises, while that is fast. What fails is left to `readIndex`. */
function readManyLocally(
  deps: LoadIndexDeps,
  blobs: readonly BlobMetadata[],
  known: Map<BlobId, LoadedIndex>,
  room: Room,
  signal: AbortSignal,
): void {
  const files = deps.storage.localFiles;
  if (files === undefined) return;
  const startedMs = deps.clock.monotonicMs();
  let count = 0;
  const sealed = new Uint8Array(SCRATCH_BYTES);
  for (const blob of blobs) {
    signal.throwIfAborted();
    if (count >= MANY_BLOBS && deps.clock.monotonicMs() - startedMs > count * MAX_BLOCKING_MS) return;
    if (blob.length > LARGE_BLOB_BYTES) continue;
    try {
      known.set(blob.id, openIndex(deps, blob, readFileNow(files.pathOf(blob.id), blob.length, sealed), room));
    } catch {
      // Said properly by the ordinary way of reading it.
    }
    count++;
  }
}

/** What this machine keeps of a remote store. What cannot be opened is left to `readIndex`, which asks the store. */
function readManyCached(
  deps: LoadIndexDeps,
  blobs: readonly BlobMetadata[],
  known: Map<BlobId, LoadedIndex>,
  room: Room,
): void {
  deps.storage.manyCached?.read(blobs, (blob, sealed) => {
    if (known.has(blob.id)) return;
    try {
      known.set(blob.id, openIndex(deps, blob, sealed, room));
    } catch {
      // Said properly by the ordinary way of reading it.
    }
  });
}

/** Throws when it is no regular file of exactly this length. */
function readFileNow(path: string, length: number, into: Uint8Array): Uint8Array {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const status = fstatSync(fd);
    const bytes = length <= into.length ? into.subarray(0, length) : new Uint8Array(length);
    if (!status.isFile() || status.size !== length || readSync(fd, bytes, 0, length, 0) !== length)
      throw new RangeError('not the file that was listed');
    return bytes;
  } finally {
    closeSync(fd);
  }
}

async function readIndex(
  deps: LoadIndexDeps,
  blob: BlobMetadata,
  room: Room,
  signal: AbortSignal,
  bundles?: ManyCachedBlobs,
): Promise<LoadedIndex> {
  if (blob.length > MAX_INDEX_BLOB_BYTES) throw indexUnreadable(blob, new RangeError('too large for an index'));
  try {
    return await readIndexOnce(deps, blob, room, signal, bundles);
  } catch (error) {
    const isDamaged = hasCode(error, 'BLOB_CORRUPT') || hasCode(error, 'INDEX_CORRUPT');
    if (!isDamaged || deps.storage.dropCached?.(blob.id) !== true) throw error;
  }
  // A copy on this machine was damaged, or made of a blob that has been repaired since.
  return readIndexOnce(deps, blob, room, signal);
}

async function readIndexOnce(
  deps: LoadIndexDeps,
  blob: BlobMetadata,
  room: Room,
  signal: AbortSignal,
  bundles?: ManyCachedBlobs,
): Promise<LoadedIndex> {
  const sealed = await (bundles?.fetch(blob.id, signal) ?? deps.storage.getBlob(blob.id, undefined, signal));
  const index = openIndex(deps, blob, sealed, room);
  releaseWhole(sealed);
  return index;
}

function openIndex(deps: LoadIndexDeps, blob: BlobMetadata, sealed: Uint8Array, room: Room): LoadedIndex {
  const plaintext = openBlob(deps.cipher, blob.id, sealed, room.scratch);
  const shared = room.arena?.copy(plaintext) ?? inSharedMemory(plaintext);
  // At once: a collection comes only after more of these than two million contents need for good. Where threads share no memory
  // (a browser's page), it is no copy but the plaintext itself.
  if (plaintext.buffer !== room.scratch.buffer && plaintext.buffer !== shared.buffer) releaseWhole(plaintext);
  try {
    return { blobId: blob.id, parsed: parseIndex(shared) };
  } catch (error) {
    throw indexUnreadable(blob, error);
  }
}

function indexUnreadable(blob: BlobMetadata, cause: unknown): WindlassError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new WindlassError(`index blob ${blob.id} (offset 0, length ${blob.length}) cannot be read: ${reason}`, {
    code: 'INDEX_CORRUPT',
    context: { blobId: blob.id, offset: 0, length: blob.length },
    cause,
  });
}

function indexBlobLost(cause: unknown): WindlassError {
  return new WindlassError('index blobs that are listed cannot be found', {
    code: 'INDEX_BLOB_LOST',
    retry: 'transient',
    context: { attempts: MAX_ATTEMPTS },
    cause,
  });
}
