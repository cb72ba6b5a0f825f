// Counts calls, bytes and failures of a storage: the numbers behind `repository status` and the benchmarks.
import { isAbortError } from '../../../base/errors.ts';
import type { BlobMetadata, BlobStorage } from '../storage.ts';

export type StorageOperation = 'getBlob' | 'getMetadata' | 'putBlob' | 'listBlobs' | 'deleteBlob' | 'commitStaged';

export interface OperationCounts {
  calls: number;
  failures: number;
  bytes: number;
}

/** Live numbers; copy what you want to keep. */
export type StorageCounts = Record<StorageOperation, OperationCounts>;

function newCounts(): StorageCounts {
  const zero = (): OperationCounts => ({ calls: 0, failures: 0, bytes: 0 });
  return {
    getBlob: zero(),
    getMetadata: zero(),
    putBlob: zero(),
    listBlobs: zero(),
    deleteBlob: zero(),
    commitStaged: zero(),
  };
}

/** Bytes are those read or written; for lists, the number of blobs listed. Cancelled calls are not failures. */
export function countingStorage(inner: BlobStorage): { readonly storage: BlobStorage; readonly counts: StorageCounts } {
  const counts = newCounts();
  const { localFiles } = inner;

  async function counted<Result>(
    operation: StorageOperation,
    call: () => Promise<Result>,
    bytesOf: (result: Result) => number,
  ): Promise<Result> {
    const count = counts[operation];
    count.calls++;
    try {
      const result = await call();
      count.bytes += bytesOf(result);
      return result;
    } catch (error) {
      if (!isAbortError(error)) count.failures++;
      throw error;
    }
  }

  async function* list(prefix: string, signal: AbortSignal): AsyncGenerator<BlobMetadata, void, void> {
    const count = counts.listBlobs;
    count.calls++;
    try {
      for await (const blob of inner.listBlobs(prefix, signal)) {
        count.bytes++;
        yield blob;
      }
    } catch (error) {
      if (!isAbortError(error)) count.failures++;
      throw error;
    }
  }

  const none = (): number => 0;
  const storage: BlobStorage = {
    displayName: inner.displayName,
    getBlob: (id, range, signal) =>
      counted(
        'getBlob',
        () => inner.getBlob(id, range, signal),
        (bytes) => bytes.length,
      ),
    getMetadata: (id, signal) => counted('getMetadata', () => inner.getMetadata(id, signal), none),
    putBlob: (id, bytes, signal) =>
      counted(
        'putBlob',
        () => inner.putBlob(id, bytes, signal),
        () => bytes.length,
      ),
    listBlobs: list,
    deleteBlob: (id, signal) => counted('deleteBlob', () => inner.deleteBlob(id, signal), none),
    freeBytes: (signal) => inner.freeBytes(signal),
    ...(localFiles === undefined
      ? {}
      : {
          localFiles: {
            layout: localFiles.layout,
            pathOf: (id) => localFiles.pathOf(id),
            stagingPathOf: (id) => localFiles.stagingPathOf(id),
            commitStaged: (path, id, signal) =>
              counted(
                'commitStaged',
                () => localFiles.commitStaged(path, id, signal),
                (blob) => blob.length,
              ),
          },
        }),
    close: () => inner.close(),
  };
  return { storage, counts };
}
