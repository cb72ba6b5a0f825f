import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createTestClock } from '../../../test/harness/test-clock.ts';
import { type BandwidthSchedule, localMinuteOfDay, ratesAt, TokenBucket } from './bandwidth.ts';

const signal = new AbortController().signal;
const both = (rate: number | undefined) => ({ upBytesPerSecond: rate, downBytesPerSecond: rate });

test('the first window that holds the time counts, over midnight too', () => {
  const schedule: BandwidthSchedule = {
    windows: [
      { fromMinute: 8 * 60, toMinute: 18 * 60, rates: both(1) },
      { fromMinute: 12 * 60, toMinute: 13 * 60, rates: both(2) },
      { fromMinute: 22 * 60, toMinute: 6 * 60, rates: both(3) },
    ],
    otherwise: both(undefined),
  };
  const at = (hour: number, minute = 0): number | undefined => ratesAt(schedule, hour * 60 + minute).upBytesPerSecond;
  assert.deepEqual([at(8), at(12, 30), at(17, 59), at(7, 59), at(18)], [1, 1, 1, undefined, undefined]);
  assert.deepEqual([at(22), at(23, 59), at(0), at(5, 59), at(6), at(21, 59)], [3, 3, 3, 3, undefined, undefined]);
});

test('the minute of the day is the local one', () => {
  assert.equal(localMinuteOfDay(new Date(2026, 5, 15, 13, 37, 59).getTime()), 13 * 60 + 37);
});

test('the average holds, whatever the sizes', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 1, max: 5_000_000 }), { minLength: 1, maxLength: 20 }),
      fc.integer({ min: 10_000, max: 10_000_000 }),
      async (sizes, rate) => {
        const clock = createTestClock();
        const startMs = clock.monotonicMs();
        const bucket = new TokenBucket(() => rate, clock);
        for (const size of sizes) await bucket.take(size, signal);
        const seconds = (clock.monotonicMs() - startMs) / 1000;
        const total = sizes.reduce((sum, size) => sum + size, 0);
        assert.ok(Math.abs(seconds - total / rate) < 1e-6 * Math.max(1, seconds), `${seconds} s for ${total / rate} s`);
      },
    ),
    { numRuns: 50 },
  );
});

test('a quiet time is no credit for more than a moment', async () => {
  const clock = createTestClock();
  const bucket = new TokenBucket(() => 1000, clock);
  clock.advance(3_600_000);
  await bucket.take(10_000, signal);
  assert.equal(
    clock.sleepsMs.reduce((sum, each) => sum + each, 0),
    9750,
  );
});

test('a rate that changes holds from the next slice on', async () => {
  const clock = createTestClock();
  const startMs = clock.monotonicMs();
  const bucket = new TokenBucket(() => (clock.monotonicMs() - startMs < 2000 ? 10_000 : undefined), clock);
  await bucket.take(1_000_000, signal);
  assert.equal(clock.monotonicMs() - startMs, 2000);
});

test('callers share the rate and take turns', async () => {
  const clock = createTestClock();
  const startMs = clock.monotonicMs();
  const bucket = new TokenBucket(() => 100_000, clock);
  const ended: string[] = [];
  await Promise.all([
    bucket.take(1_000_000, signal).then(() => ended.push('large')),
    bucket.take(10_000, signal).then(() => ended.push('small')),
  ]);
  assert.deepEqual(ended, ['small', 'large']);
  assert.ok(clock.monotonicMs() - startMs >= 10_100, 'not faster than the rate');
});

test('waiting ends with the signal; nothing costs nothing', async () => {
  const bucket = new TokenBucket(() => 1, createTestClock());
  await bucket.take(0, signal);
  await bucket.take(-5, signal);
  await assert.rejects(bucket.take(1, AbortSignal.abort()), { name: 'AbortError' });
});
