import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatGoDuration, parseGoDurationMs } from './go-duration.ts';

test('durations are read as Go reads them', () => {
  const read = ['1h30m', '10m0s', '250ms', '1.5s', '.5m', '0', '-2m', '1h1m1s1ms', '3µs'].map(parseGoDurationMs);
  assert.deepEqual(read, [5_400_000, 600_000, 250, 1500, 30_000, 0, -120_000, 3_661_001, 0.003]);
  for (const bad of ['', '10', 'm', '1d', '1h 2m', '5 m', '1e3s']) assert.equal(parseGoDurationMs(bad), undefined, bad);
});

test('and written as Go writes them', () => {
  assert.deepEqual([0, 59_000, 600_000, 3_600_000, 90_061_000].map(formatGoDuration), [
    '0s',
    '59s',
    '10m0s',
    '1h0m0s',
    '25h1m1s',
  ]);
});
