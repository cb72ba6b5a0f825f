// Blobs in memory: for tests and for wrappers to be tried on. Not durable, of course.
import type { Clock } from '../../base/clock.ts';
import { assertRangeInside, blobNotFound } from './blob-errors.ts';
import { assertBlobId, assertBlobPrefix } from './blob-id.ts';
import type { BlobId, BlobMetadata, BlobStorage } from './storage.ts';

interface StoredBlob {
  readonly bytes: Uint8Array;
  readonly timestampMs: number;
}

export interface MemoryStorageDeps {
  readonly clock: Pick<Clock, 'nowMs'>;
}

/** Keeps copies: neither side sees later changes of the other's buffers. */
export function createMemoryStorage(deps: MemoryStorageDeps): BlobStorage {
  const blobs = new Map<BlobId, StoredBlob>();

  const existing = (id: BlobId): StoredBlob => {
    assertBlobId(id);
    const blob = blobs.get(id);
    if (blob === undefined) throw blobNotFound(id);
    return blob;
  };
  const metadataOf = (id: BlobId, blob: StoredBlob): BlobMetadata => ({
    id,
    length: blob.bytes.length,
    timestampMs: blob.timestampMs,
  });

  return {
    displayName: 'memory:',
    async getBlob(id, range, signal) {
      signal.throwIfAborted();
      const { bytes } = existing(id);
      if (range === undefined) return bytes.slice();
      assertRangeInside(id, range, bytes.length);
      return bytes.slice(range.offset, range.offset + range.length);
    },
    async getMetadata(id, signal) {
      signal.throwIfAborted();
      return metadataOf(id, existing(id));
    },
    async putBlob(id, bytes, signal) {
      signal.throwIfAborted();
      assertBlobId(id);
      // Not `slice`: that of a Buffer shares its bytes.
      const blob: StoredBlob = { bytes: new Uint8Array(bytes), timestampMs: deps.clock.nowMs() };
      blobs.set(id, blob);
      return metadataOf(id, blob);
    },
    async *listBlobs(prefix, signal) {
      signal.throwIfAborted();
      assertBlobPrefix(prefix);
      // A Map iterates safely while blobs come and go.
      for (const [id, blob] of blobs) {
        signal.throwIfAborted();
        if (id.startsWith(prefix)) yield metadataOf(id, blob);
      }
    },
    async deleteBlob(id, signal) {
      signal.throwIfAborted();
      assertBlobId(id);
      blobs.delete(id);
    },
    async freeBytes(signal) {
      signal.throwIfAborted();
      return undefined;
    },
    async close() {
      blobs.clear();
    },
  };
}
