// The wrappers between an object store's adapter and the repository, in their order (docs/design/0006).
import type { Clock } from '../../../base/clock.ts';
import type { Logger } from '../../../base/logger.ts';
import type { RandomSource } from '../../../base/random.ts';
import type { BlobStorage } from '../storage.ts';
import type { BandwidthSchedule } from './bandwidth.ts';
import { countingStorage, type StorageStats } from './counting.ts';
import { limitedStorage } from './limited.ts';
import { readOnlyStorage } from './read-only.ts';
import { retryingStorage } from './retrying.ts';
import { throttledStorage } from './throttled.ts';

// A store answers many at once, and a bucket's name is good for some thousands a second; past this many our own sockets and
// buffers cost more than the waiting saves.
const MAX_REQUESTS = 64;

export interface WrapOptions {
  readonly readOnly: boolean;
  readonly bandwidth?: BandwidthSchedule | undefined;
  /** Requests at a time, of each kind. */
  readonly maxRequests?: number | undefined;
  /** Makes the adapter ask for credentials anew. */
  readonly refreshCredentials?: ((signal: AbortSignal) => Promise<void>) | undefined;
}

export interface WrapDeps {
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly logger: Logger;
  /** Counts what all stores that share it do. */
  readonly storageStats: StorageStats;
}

/** Retries, limits, throttles and counts what goes to an object store. */
export function wrapObjectStore(adapter: BlobStorage, options: WrapOptions, deps: WrapDeps): BlobStorage {
  const { clock, random, logger, storageStats: stats } = deps;
  const { maxRequests = MAX_REQUESTS, refreshCredentials } = options;
  const counted = countingStorage(adapter, stats, { clock });
  const limited = limitedStorage(throttled(counted, options.bandwidth, clock), {
    reads: maxRequests,
    writes: maxRequests,
    lists: maxRequests,
  });
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

/** Folders too: they are then read and written as an object store is, not directly. */
export function throttled(storage: BlobStorage, bandwidth: BandwidthSchedule | undefined, clock: Clock): BlobStorage {
  return bandwidth === undefined ? storage : throttledStorage(storage, bandwidth, { clock });
}
