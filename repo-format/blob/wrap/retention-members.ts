// What wrappers hand on of a store that can lock blobs: without it locks would silently not be there.
import type { BlobId, BlobStorage } from '../storage.ts';

type Call = <Result>(id: BlobId, request: () => Promise<Result>, signal: AbortSignal) => Promise<Result>;
type Members = Pick<BlobStorage, 'extendRetention' | 'retainPuts'>;

/** The members for locks, where `inner` has them. Renewing is a request like any other: `call` makes it. */
export function retentionMembers(inner: BlobStorage, call: Call = (_id, request) => request()): Members {
  const extendRetention = inner.extendRetention?.bind(inner);
  const retainPuts = inner.retainPuts?.bind(inner);
  return {
    ...(extendRetention === undefined
      ? {}
      : { extendRetention: (id, retention, signal) => call(id, () => extendRetention(id, retention, signal), signal) }),
    ...(retainPuts === undefined ? {} : { retainPuts }),
  };
}
