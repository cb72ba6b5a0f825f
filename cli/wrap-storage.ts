// The wrappers between an object store's adapter and the repository, in their order (docs/design/0006).
import type { BlobStorage } from '../repo-format/index.ts';
import { countingStorage } from '../repo-format/blob/wrap/counting.ts';
import { limitedStorage } from '../repo-format/blob/wrap/limited.ts';
import { readOnlyStorage } from '../repo-format/blob/wrap/read-only.ts';
import { retryingStorage } from '../repo-format/blob/wrap/retrying.ts';
import { throttledStorage } from '../repo-format/blob/wrap/throttled.ts';
import type { CliContext } from './context.ts';

// A store answers many at once, and a bucket's name is good for some thousands a second; past this many our own sockets and
// buffers cost more than the waiting saves.
const MAX_REQUESTS = 64;

export interface WrapOptions {
  readonly readOnly: boolean;
  /** Makes the adapter ask for credentials anew. */
  readonly refreshCredentials?: (signal: AbortSignal) => Promise<void>;
}

/** Retries, limits, throttles and counts what goes to an object store, as the global options say. */
export function wrapObjectStore(context: CliContext, adapter: BlobStorage, options: WrapOptions): BlobStorage {
  const { clock, random, logger, storageStats: stats } = context;
  const { maxRequests = MAX_REQUESTS } = context.options;
  const counted = countingStorage(adapter, stats, { clock });
  const limited = limitedStorage(throttled(context, counted), {
    reads: maxRequests,
    writes: maxRequests,
    lists: maxRequests,
  });
  const { refreshCredentials } = options;
  const retried = retryingStorage(
    limited,
    {},
    {
      clock,
      random,
      ...(refreshCredentials === undefined ? {} : { refreshCredentials }),
      onRetry: ({ operation, subject, error, delayMs }) => {
        stats.retries++;
        const fields = { operation, subject, code: error.code, delayMs: Math.round(delayMs) };
        logger.info(`trying again: ${error.message}`, fields);
      },
    },
  );
  return options.readOnly ? readOnlyStorage(retried) : retried;
}

/** As `--bwlimit` says, folders too: they are then read and written as an object store is, not directly. */
export function throttled(context: CliContext, storage: BlobStorage): BlobStorage {
  const { bwlimit } = context.options;
  return bwlimit === undefined ? storage : throttledStorage(storage, bwlimit, { clock: context.clock });
}
