// A folder of blobs whose times are those of a test's clock: what is stored is dated by it, so that days pass for maintenance,
// here and in kopia, while a test runs.
import { utimesSync } from 'node:fs';

import type { Clock } from '../../base/clock.ts';
import type { BlobId, BlobMetadata, BlobStorage } from '../../repo-format/blob/storage.ts';

export function agedStorage(storage: BlobStorage, clock: Pick<Clock, 'nowMs'>): BlobStorage {
  const files = storage.localFiles;
  if (files === undefined) throw new Error('only files can be dated');
  const date = (id: BlobId, metadata: BlobMetadata): BlobMetadata => {
    const timestampMs = Math.floor(clock.nowMs());
    utimesSync(files.pathOf(id), timestampMs / 1000, timestampMs / 1000);
    return { ...metadata, timestampMs };
  };
  return {
    displayName: storage.displayName,
    getBlob: (id, range, signal) => storage.getBlob(id, range, signal),
    getMetadata: (id, signal) => storage.getMetadata(id, signal),
    putBlob: async (id, bytes, signal) => date(id, await storage.putBlob(id, bytes, signal)),
    listBlobs: (prefix, signal) => storage.listBlobs(prefix, signal),
    deleteBlob: (id, signal) => storage.deleteBlob(id, signal),
    freeBytes: (signal) => storage.freeBytes(signal),
    localFiles: {
      layout: files.layout,
      pathOf: (id) => files.pathOf(id),
      stagingPathOf: (id) => files.stagingPathOf(id),
      commitStaged: async (path, id, signal) => date(id, await files.commitStaged(path, id, signal)),
    },
    close: () => storage.close(),
  };
}
