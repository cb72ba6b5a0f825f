// Holds uploads and downloads to so many bytes a second, by the time of the day.
//
// Bytes are paid for around a request, not within it: an upload waits before it begins, a download before it begins where
// its length is known and after it where not. So a request itself runs as fast as the line is, never so slowly that a
// server gives it up, and over some seconds the average holds.
import type { Clock } from '../../../base/clock.ts';
import type { BlobStorage } from '../storage.ts';
import { type BandwidthSchedule, localMinuteOfDay, ratesAt, TokenBucket } from './bandwidth.ts';
import { retentionMembers } from './retention-members.ts';

export interface ThrottleDeps {
  readonly clock: Pick<Clock, 'nowMs' | 'monotonicMs' | 'sleep'>;
  /** Default: where this machine is. */
  readonly minuteOfDay?: (nowMs: number) => number;
}

/**
 * Local files do not pass through: who reads and writes them directly is not to be held. Without them the repository works
 * as on an object store, whose every byte comes by here. Closing closes the wrapped storage.
 */
export function throttledStorage(inner: BlobStorage, schedule: BandwidthSchedule, deps: ThrottleDeps): BlobStorage {
  const { clock, minuteOfDay = localMinuteOfDay } = deps;
  const rates = () => ratesAt(schedule, minuteOfDay(clock.nowMs()));
  const up = new TokenBucket(() => rates().upBytesPerSecond, clock);
  const down = new TokenBucket(() => rates().downBytesPerSecond, clock);
  return {
    displayName: inner.displayName,
    async getBlob(id, range, signal) {
      // A range that is none costs nothing: the storage below refuses it.
      const length = range === undefined || !(range.length > 0) ? 0 : range.length;
      await down.take(length, signal);
      const bytes = await inner.getBlob(id, range, signal);
      await down.take(bytes.length - length, signal);
      return bytes;
    },
    getMetadata: (id, signal) => inner.getMetadata(id, signal),
    async putBlob(id, bytes, signal) {
      await up.take(bytes.length, signal);
      return inner.putBlob(id, bytes, signal);
    },
    listBlobs: (prefix, signal) => inner.listBlobs(prefix, signal),
    deleteBlob: (id, signal) => inner.deleteBlob(id, signal),
    ...retentionMembers(inner),
    freeBytes: (signal) => inner.freeBytes(signal),
    close: () => inner.close(),
  };
}
