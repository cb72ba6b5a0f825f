import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  MAX_TIMESTAMP_NS,
  MIN_TIMESTAMP_NS,
  TimestampReader,
  clampToInt64Ns,
  fitsInt64Ns,
  formatTimestamp,
  formatTimestampNs,
  fromNs,
  parseTimestampNs,
  toNs,
} from './go-time.ts';

test('timestamps are written without trailing zeros', () => {
  assert.equal(formatTimestamp(1500000000, 0), '2017-07-14T02:40:00Z');
  assert.equal(formatTimestamp(1767323045, 100_000_000), '2026-01-02T03:04:05.1Z');
  assert.equal(formatTimestamp(0, 1), '1970-01-01T00:00:00.000000001Z');
  assert.equal(formatTimestamp(-1, 999_999_999), '1969-12-31T23:59:59.999999999Z');
  // The zero time of Go as kopia wraps it (snapshots §9.6).
  assert.equal(formatTimestampNs(-6795364578871345152n), '1754-08-30T22:43:41.128654848Z');
  assert.equal(formatTimestampNs(MAX_TIMESTAMP_NS), '2262-04-11T23:47:16.854775807Z');
  assert.equal(formatTimestampNs(MIN_TIMESTAMP_NS), '1677-09-21T00:12:43.145224192Z');
  assert.equal(formatTimestampNs(-62135596800_000_000_000n), '0001-01-01T00:00:00Z');
});

test('every instant reads back exactly', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: MIN_TIMESTAMP_NS, max: MAX_TIMESTAMP_NS }), (ns) => {
      assert.equal(parseTimestampNs(formatTimestampNs(ns)), ns);
      const { seconds, nanos } = fromNs(ns);
      assert.equal(toNs(seconds, nanos), ns);
      assert.ok(nanos >= 0 && fitsInt64Ns(seconds, nanos));
    }),
  );
});

test('the date agrees with the platform for every day of eight centuries', () => {
  for (let day = -200_000; day < 200_000; day += 7) {
    const expected = new Date(day * 86_400_000).toISOString().replace('.000', '');
    assert.equal(formatTimestamp(day * 86400, 0), expected);
    assert.equal(parseTimestampNs(expected), BigInt(day) * 86_400_000_000_000n);
  }
});

test('other zones and long fractions are read as Go reads them', () => {
  assert.equal(parseTimestampNs('2026-01-02T03:04:05+02:00'), parseTimestampNs('2026-01-02T01:04:05Z'));
  assert.equal(parseTimestampNs('2026-01-02T03:04:05.5-00:30'), parseTimestampNs('2026-01-02T03:34:05.5Z'));
  assert.equal(parseTimestampNs('1970-01-01T00:00:00.1234567899Z'), 123456789n);
});

test('what is not a time is refused', () => {
  const bad = [
    '',
    'x',
    '2026-01-02',
    '2026-13-02T03:04:05Z',
    '2026-02-29T03:04:05Z',
    '2026-01-02T24:00:00Z',
    '2026-01-02T03:60:05Z',
    '2026-01-02T03:04:05',
    '2026-01-02T03:04:05.Z',
    '2026-01-02T03:04:05.1',
    '2026-01-02T03:04:05+25:00',
    '2026-01-02x03:04:05Z',
    '2026-01-02T03:04:05.12a4Z',
    `2026-01-02T03:04:05.${'1'.repeat(100_000)}Z`,
  ];
  const reader = new TimestampReader();
  for (const text of bad) {
    assert.equal(parseTimestampNs(text), undefined, text.slice(0, 40));
    assert.equal(reader.read(text), false);
  }
});

test('instants that int64 cannot hold are clamped to its ends', () => {
  assert.deepEqual(clampToInt64Ns(1, 2), { seconds: 1, nanos: 2 });
  for (const [seconds, nanos, expected] of [
    [9223372036, 854775808, MAX_TIMESTAMP_NS],
    [253402300800, 0, MAX_TIMESTAMP_NS],
    [-9223372037, 145224191, MIN_TIMESTAMP_NS],
    [-62135596800, 0, MIN_TIMESTAMP_NS],
  ] as const) {
    assert.equal(fitsInt64Ns(seconds, nanos), false);
    const clamped = clampToInt64Ns(seconds, nanos);
    assert.equal(toNs(clamped.seconds, clamped.nanos), expected);
  }
});
