// Counts what goes to a store: requests by verb, bytes, failures, retries and how long it all took. The numbers behind
// `--log-level debug`, the member `storage` of `--json` and the benchmark.
import type { Clock } from '../../../base/clock.ts';
import { isAbortError } from '../../../base/errors.ts';
import type { BlobMetadata, BlobStorage } from '../storage.ts';
import { retentionMembers } from './retention-members.ts';

export interface VerbStats {
  requests: number;
  /** Cancelled requests are none. */
  failures: number;
  /** From the call to its end, all requests together. */
  totalMs: number;
  maxMs: number;
}

/** Live numbers; copy what you want to keep. A request is one attempt where this wrapper stands below the retries. */
export interface StorageStats {
  readonly get: VerbStats;
  readonly head: VerbStats;
  readonly put: VerbStats;
  /** Lists; each asks for as many pages as it has. Its time is that of waiting for them. */
  readonly list: VerbStats;
  readonly delete: VerbStats;
  bytesUp: number;
  bytesDown: number;
  blobsListed: number;
  /** Counted by whoever retries. */
  retries: number;
}

type Verb = 'get' | 'head' | 'put' | 'list' | 'delete';

export function newStorageStats(): StorageStats {
  const zero = (): VerbStats => ({ requests: 0, failures: 0, totalMs: 0, maxMs: 0 });
  return {
    get: zero(),
    head: zero(),
    put: zero(),
    list: zero(),
    delete: zero(),
    bytesUp: 0,
    bytesDown: 0,
    blobsListed: 0,
    retries: 0,
  };
}

/** Whether there was a request at all. */
export function isUsed(stats: StorageStats): boolean {
  return [stats.get, stats.head, stats.put, stats.list, stats.delete].some(({ requests }) => requests > 0);
}

/**
 * Counts into `stats`. Local files pass through, what is done to them is not counted. Closing closes the wrapped storage.
 */
export function countingStorage(
  inner: BlobStorage,
  stats: StorageStats,
  deps: { readonly clock: Pick<Clock, 'monotonicMs'> },
): BlobStorage {
  const { localFiles } = inner;

  const finish = (verb: Verb, waitedMs: number): void => {
    stats[verb].totalMs += waitedMs;
    stats[verb].maxMs = Math.max(stats[verb].maxMs, waitedMs);
  };
  const fail = (verb: Verb, error: unknown): void => {
    if (!isAbortError(error)) stats[verb].failures++;
  };
  async function counted<Result>(verb: Verb, call: () => Promise<Result>): Promise<Result> {
    const startedMs = deps.clock.monotonicMs();
    stats[verb].requests++;
    try {
      return await call();
    } catch (error) {
      fail(verb, error);
      throw error;
    } finally {
      finish(verb, deps.clock.monotonicMs() - startedMs);
    }
  }
  async function* list(prefix: string, signal: AbortSignal): AsyncGenerator<BlobMetadata, void, void> {
    stats.list.requests++;
    // The time in which the caller works on a blob is not the store's.
    let waitedMs = 0;
    let askedMs = deps.clock.monotonicMs();
    try {
      for await (const blob of inner.listBlobs(prefix, signal)) {
        waitedMs += deps.clock.monotonicMs() - askedMs;
        stats.blobsListed++;
        yield blob;
        askedMs = deps.clock.monotonicMs();
      }
      waitedMs += deps.clock.monotonicMs() - askedMs;
    } catch (error) {
      fail('list', error);
      throw error;
    } finally {
      finish('list', waitedMs);
    }
  }

  return {
    displayName: inner.displayName,
    async getBlob(id, range, signal) {
      const bytes = await counted('get', () => inner.getBlob(id, range, signal));
      stats.bytesDown += bytes.length;
      return bytes;
    },
    getMetadata: (id, signal) => counted('head', () => inner.getMetadata(id, signal)),
    async putBlob(id, bytes, signal) {
      const blob = await counted('put', () => inner.putBlob(id, bytes, signal));
      stats.bytesUp += blob.length;
      return blob;
    },
    listBlobs: list,
    deleteBlob: (id, signal) => counted('delete', () => inner.deleteBlob(id, signal)),
    freeBytes: (signal) => inner.freeBytes(signal),
    ...retentionMembers(inner, (_id, request) => counted('put', request)),
    ...(localFiles === undefined ? {} : { localFiles }),
    close: () => inner.close(),
  };
}
