// Where snapshot times come from.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock, wallTimeNs } from './clock.ts';

test('the fine clock counts while it agrees with the clock on the wall', () => {
  assert.equal(wallTimeNs(1_800_000_000_000, 1_800_000_000_000.25), 1_800_000_000_000_250_000n);
  assert.equal(wallTimeNs(1_800_000_000_000, 1_800_000_000_001.5), 1_800_000_000_001_500_000n);
  assert.equal(wallTimeNs(1_800_000_000_000, 1_799_999_999_999.5), 1_799_999_999_999_500_000n);
});

test('a clock that was set, or a machine that slept, is seen', () => {
  const hourMs = 3_600_000;
  assert.equal(wallTimeNs(1_800_000_000_000 + hourMs, 1_800_000_000_000.25), 1_800_003_600_000_000_000n);
  assert.equal(wallTimeNs(1_800_000_000_000 - hourMs, 1_800_000_000_000.25), 1_799_996_400_000_000_000n);
});

test('the time in nanoseconds is the time in milliseconds', () => {
  const before = systemClock.nowMs();
  const now = Number(systemClock.nowNs() / 1_000_000n);
  assert.ok(now >= before - 3 && now <= systemClock.nowMs() + 3);
});
