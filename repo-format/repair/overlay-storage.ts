// A storage as a repair would leave it: some blobs hidden, others in place of what is there. What is planned is planned on
// this, so that nothing need be written to see what a repair would bring.
import type { BlobId, BlobStorage } from '../blob/storage.ts';

export interface Overlay {
  /** Damaged blobs that will be put aside: not listed any more. */
  readonly hidden: Set<BlobId>;
  /** Bytes in place of a blob's own. */
  readonly replaced: Map<BlobId, Uint8Array>;
}

/** Reads through the overlay, which may change meanwhile; writes go to the storage itself. */
export function overlaidStorage(inner: BlobStorage, { hidden, replaced }: Overlay): BlobStorage {
  const { localFiles } = inner;
  return {
    displayName: inner.displayName,
    getBlob: (id, range, signal) => {
      const bytes = range === undefined ? replaced.get(id) : undefined;
      return bytes === undefined ? inner.getBlob(id, range, signal) : Promise.resolve(Uint8Array.from(bytes));
    },
    getMetadata: (id, signal) => {
      const bytes = replaced.get(id);
      if (bytes === undefined) return inner.getMetadata(id, signal);
      return Promise.resolve({ id, length: bytes.length, timestampMs: 0 });
    },
    putBlob: (id, bytes, signal) => inner.putBlob(id, bytes, signal),
    async *listBlobs(prefix, signal) {
      for await (const blob of inner.listBlobs(prefix, signal)) if (!hidden.has(blob.id)) yield blob;
    },
    deleteBlob: (id, signal) => inner.deleteBlob(id, signal),
    freeBytes: (signal) => inner.freeBytes(signal),
    ...(localFiles === undefined ? {} : { localFiles }),
    close: () => inner.close(),
  };
}
