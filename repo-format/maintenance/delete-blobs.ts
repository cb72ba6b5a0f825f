// Deletes many blobs, a few at a time. Cut off at any point, the rest simply stays for the next run.
import type { BlobId, BlobMetadata, BlobStorage } from '../blob/storage.ts';

/** Rejects with the first failure once none is under way any more. */
export async function deleteBlobs(
  storage: BlobStorage,
  blobs: readonly Pick<BlobMetadata, 'id'>[],
  options: { readonly parallel: number; readonly onDeleted?: (deleted: number) => void },
  signal: AbortSignal,
): Promise<void> {
  const queue = blobs.values();
  let deleted = 0;
  let failed = false;
  const worker = async (): Promise<void> => {
    for (const { id } of queue) {
      if (failed) return;
      signal.throwIfAborted();
      await deleteOne(storage, id, signal).catch((error: unknown) => {
        failed = true;
        throw error;
      });
      options.onDeleted?.(++deleted);
    }
  };
  const workers = Math.min(Math.max(1, options.parallel), blobs.length);
  const outcomes = await Promise.allSettled(Array.from({ length: workers }, worker));
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
}

function deleteOne(storage: BlobStorage, id: BlobId, signal: AbortSignal): Promise<void> {
  return storage.deleteBlob(id, signal);
}

export function totalBytes(blobs: readonly Pick<BlobMetadata, 'length'>[]): number {
  return blobs.reduce((sum, { length }) => sum + length, 0);
}
