import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseBandwidthLimit } from './bandwidth-limit.ts';

const MIB = 2 ** 20;
const rates = (up: number | undefined, down: number | undefined) => ({
  upBytesPerSecond: up,
  downBytesPerSecond: down,
});

test('one rate, or one each way', () => {
  assert.deepEqual(parseBandwidthLimit('10MiB/s'), { windows: [], otherwise: rates(10 * MIB, 10 * MIB) });
  assert.deepEqual(parseBandwidthLimit('10M'), { windows: [], otherwise: rates(10 * MIB, 10 * MIB) });
  assert.deepEqual(parseBandwidthLimit('1MiB/s:off'), { windows: [], otherwise: rates(MIB, undefined) });
  assert.deepEqual(parseBandwidthLimit('1MiB:2MiB'), { windows: [], otherwise: rates(MIB, 2 * MIB) });
  assert.deepEqual(parseBandwidthLimit('off'), { windows: [], otherwise: rates(undefined, undefined) });
});

test('times of the day', () => {
  assert.deepEqual(parseBandwidthLimit('08:00-18:00=2MiB/s,else=off'), {
    windows: [{ fromMinute: 480, toMinute: 1080, rates: rates(2 * MIB, 2 * MIB) }],
    otherwise: rates(undefined, undefined),
  });
  assert.deepEqual(parseBandwidthLimit('8:00-12:30=1M:2M, 22:00-24:00=off, 5M'), {
    windows: [
      { fromMinute: 480, toMinute: 750, rates: rates(MIB, 2 * MIB) },
      { fromMinute: 1320, toMinute: 1440, rates: rates(undefined, undefined) },
    ],
    otherwise: rates(5 * MIB, 5 * MIB),
  });
  assert.deepEqual(parseBandwidthLimit('08:00-18:00=2MiB/s').otherwise, rates(undefined, undefined));
});

test('what is none of these is refused', () => {
  for (const text of [
    '',
    'fast',
    '0',
    '1023',
    '1M:2M:3M',
    '1M,2M',
    'else=1M,else=2M',
    '25:00-26:00=1M',
    '08:60-09:00=1M',
    '08:00-08:00=1M',
    '08:00=1M',
    '08:00-18:00',
    '08:00-18:00=',
    '1M,',
    '-1M',
  ]) {
    assert.throws(() => parseBandwidthLimit(text), { code: 'commander.invalidArgument' }, text);
  }
});
