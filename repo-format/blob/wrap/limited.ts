// Bounds the requests under way: reads, writes (deletes too) and lists each have their own places, so that neither a long
// upload nor a long list keeps the others waiting.
import { Semaphore } from '../../../base/semaphore.ts';
import type { BlobMetadata, BlobStorage } from '../storage.ts';
import { retentionMembers } from './retention-members.ts';

export interface RequestLimits {
  readonly reads: number;
  readonly writes: number;
  readonly lists: number;
}

/** Local files pass through: they are no requests. Closing closes the wrapped storage. */
export function limitedStorage(inner: BlobStorage, limits: RequestLimits): BlobStorage {
  const { localFiles } = inner;
  const reads = new Semaphore(limits.reads);
  const writes = new Semaphore(limits.writes);
  const lists = new Semaphore(limits.lists);

  // A place is held while the next blob is waited for, never while the caller works on one: it may well list again.
  async function* list(prefix: string, signal: AbortSignal): AsyncGenerator<BlobMetadata, void, void> {
    const blobs = inner.listBlobs(prefix, signal)[Symbol.asyncIterator]();
    let isDone = false;
    try {
      for (;;) {
        const next = await lists.run(() => blobs.next(), signal);
        if (next.done === true) {
          isDone = true;
          return;
        }
        yield next.value;
      }
    } finally {
      if (!isDone) await blobs.return?.();
    }
  }

  return {
    displayName: inner.displayName,
    getBlob: (id, range, signal) => reads.run(() => inner.getBlob(id, range, signal), signal),
    getMetadata: (id, signal) => reads.run(() => inner.getMetadata(id, signal), signal),
    putBlob: (id, bytes, signal) => writes.run(() => inner.putBlob(id, bytes, signal), signal),
    listBlobs: list,
    deleteBlob: (id, signal) => writes.run(() => inner.deleteBlob(id, signal), signal),
    freeBytes: (signal) => reads.run(() => inner.freeBytes(signal), signal),
    ...retentionMembers(inner, (_id, request, signal) => writes.run(request, signal)),
    ...(localFiles === undefined ? {} : { localFiles }),
    close: () => inner.close(),
  };
}
