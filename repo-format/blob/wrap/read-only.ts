// Refuses every change, whatever the wrapped storage allows.
import { storageIsReadOnly } from '../blob-errors.ts';
import type { BlobStorage } from '../storage.ts';

/** Changes fail with `BLOB_READ_ONLY`; everything else passes through. Closing closes the wrapped storage. */
export function readOnlyStorage(inner: BlobStorage): BlobStorage {
  const { displayName, localFiles } = inner;
  const refuse = (operation: string): never => {
    throw storageIsReadOnly(operation, displayName);
  };
  return {
    displayName,
    getBlob: (id, range, signal) => inner.getBlob(id, range, signal),
    getMetadata: (id, signal) => inner.getMetadata(id, signal),
    putBlob: async (id) => refuse(`write blob ${id}`),
    listBlobs: (prefix, signal) => inner.listBlobs(prefix, signal),
    deleteBlob: async (id) => refuse(`delete blob ${id}`),
    freeBytes: (signal) => inner.freeBytes(signal),
    ...(localFiles === undefined
      ? {}
      : {
          localFiles: {
            layout: localFiles.layout,
            pathOf: (id) => localFiles.pathOf(id),
            stagingPathOf: (id) => refuse(`stage blob ${id}`),
            commitStaged: async (_stagingPath, id) => refuse(`commit blob ${id}`),
          },
        }),
    close: () => inner.close(),
  };
}
