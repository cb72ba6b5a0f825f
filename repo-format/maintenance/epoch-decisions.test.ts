// The decisions of the epoch tasks and of log clean-up, by table.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BlobId, BlobMetadata } from '../blob/storage.ts';
import { DEFAULT_EPOCH_PARAMETERS } from '../format/epoch-parameters.ts';
import { expiredLogs } from './cleanup-logs.ts';
import { isEpochFull } from './epoch-advance.ts';
import { replacedBeforeMs, supersededIndexes, supersededMarkers, supersededWatermarks } from './epoch-cleanup.ts';
import { epochToCompact, rangeToCompact } from './epoch-compaction.ts';
import { legacyBlobsToCompact } from './legacy-compaction.ts';

const HOUR_MS = 3600 * 1000;
const DAY_MS = 24 * HOUR_MS;
const MIB = 2 ** 20;

const blob = (id: string, timestampMs = 0, length = 1): BlobMetadata => ({ id: id as BlobId, timestampMs, length });
const ids = (blobs: readonly BlobMetadata[]): string[] => blobs.map(({ id }) => id);
const range = (min: number, max: number) => ({ min, max, blobs: [blob(`xr${min}_${max}_00`)] });
const singles = (...epochs: number[]) => new Map(epochs.map((epoch) => [epoch, [blob(`xs${epoch}_00`)]]));

test('an epoch ends when its blobs span a day and are many or large, not before', () => {
  const spanning = (count: number, spanMs: number, length: number): BlobMetadata[] =>
    Array.from({ length: count }, (_, i) => blob(`xn0_${i}`, (spanMs * i) / Math.max(count - 1, 1), length));
  const rows: [number, number, number, boolean][] = [
    [0, 0, 1, false],
    [1, 0, 100 * MIB, false],
    [2, DAY_MS, 5 * MIB, true],
    [2, DAY_MS - 1, 5 * MIB, false],
    [2, DAY_MS, 5 * MIB - 1, false],
    [20, DAY_MS, 1, true],
    [19, DAY_MS, 1, false],
    [1000, DAY_MS - 1, 20 * MIB, false],
  ];
  for (const [count, spanMs, length, full] of rows) {
    assert.equal(
      isEpochFull(spanning(count, spanMs, length), DEFAULT_EPOCH_PARAMETERS),
      full,
      `${count} ${spanMs} ${length}`,
    );
  }
});

test('the oldest epoch without a compaction is compacted once it is settled', () => {
  const rows: [number, Parameters<typeof epochToCompact>[0], number | undefined][] = [
    [0, { writeEpoch: 1, rangeChain: [], singleEpochSets: singles() }, undefined],
    [1, { writeEpoch: 2, rangeChain: [], singleEpochSets: singles() }, 0],
    [2, { writeEpoch: 2, rangeChain: [], singleEpochSets: singles(0) }, undefined],
    [3, { writeEpoch: 9, rangeChain: [], singleEpochSets: singles(0, 1, 3, 4) }, 2],
    [4, { writeEpoch: 9, rangeChain: [range(0, 3)], singleEpochSets: singles(0, 4, 5) }, 6],
    [5, { writeEpoch: 9, rangeChain: [range(0, 3), range(4, 7)], singleEpochSets: singles() }, undefined],
    [6, { writeEpoch: 9, rangeChain: [], singleEpochSets: singles(3) }, 0],
  ];
  for (const [row, snapshot, expected] of rows) assert.equal(epochToCompact(snapshot), expected, `row ${row}`);
});

test('a range takes all settled epochs when they are more than enough', () => {
  const of = (writeEpoch: number, ...rangeChain: ReturnType<typeof range>[]) =>
    rangeToCompact({ writeEpoch, rangeChain, singleEpochSets: singles() }, 7);
  assert.equal(of(0), undefined);
  assert.equal(of(8), undefined);
  assert.deepEqual(of(9), { min: 0, max: 7 });
  assert.deepEqual(of(12), { min: 0, max: 10 });
  assert.equal(of(16, range(0, 7)), undefined);
  assert.deepEqual(of(17, range(0, 7)), { min: 8, max: 15 });
});

test('the newest blob of the open epochs tells the time', () => {
  assert.equal(replacedBeforeMs({ uncompacted: new Map([[3, []]]) }, 5), undefined);
  const uncompacted = new Map([
    [3, [blob('a', 10), blob('b', 70)]],
    [4, [blob('c', 60)]],
  ]);
  assert.equal(replacedBeforeMs({ uncompacted }, 5), 65);
});

test('markers before the last two go, and watermarks that are old and not the greatest', () => {
  assert.deepEqual(
    ids(
      supersededMarkers(
        ['xe1', 'xe4', 'xe5', 'xe3', 'xeodd'].map((id) => blob(id)),
        5,
      ),
    ),
    ['xe1', 'xe3'],
  );
  const watermarks = [blob('xw5', 10), blob('xw9', 10), blob('xw7', 99), blob('xwodd', 1)];
  assert.deepEqual(ids(supersededWatermarks(watermarks, 9, 50)), ['xw5']);
});

test('index blobs go when the compaction of their settled epoch is old, all of it', () => {
  const uncompacted = ['xn0_a', 'xn1_a', 'xn2_a', 'xn3_a', 'xn4_a', 'xnodd'].map((id) => blob(id));
  const singleEpochSets = new Map([
    [0, [blob('xs0_a', 10), blob('xs0_b', 20)]],
    [1, [blob('xs1_a', 10), blob('xs1_b', 60)]],
    [3, [blob('xs3_a', 10)]],
  ]);
  assert.deepEqual(ids(supersededIndexes(uncompacted, { writeEpoch: 5, singleEpochSets }, 50)), ['xn0_a', 'xn3_a']);
  // Readers do not use the compaction of an epoch that is not settled, so its blobs are needed.
  assert.deepEqual(ids(supersededIndexes(uncompacted, { writeEpoch: 4, singleEpochSets }, 50)), ['xn0_a']);
});

test('logs beyond a limit go, the newest stay', () => {
  const logs = [3, 1, 5, 2, 4].map((age) => blob(`_log_${age}`, 100_000 - age * 1000, 10));
  const kept = (limits: { size?: number; count?: number; ageMs?: number }): string[] => {
    const { size = 0, count = 0, ageMs = 0 } = limits;
    const retention = { maxTotalSizeBytes: size, maxCount: count, maxAgeNs: BigInt(ageMs) * 1_000_000n };
    const result = expiredLogs(logs, retention, 100_000);
    assert.equal(result.kept.length + result.expired.length, logs.length);
    return ids(result.kept);
  };
  assert.equal(kept({}).length, 5);
  assert.deepEqual(kept({ count: 2 }), ['_log_1', '_log_2']);
  assert.deepEqual(kept({ size: 30 }), ['_log_1', '_log_2', '_log_3']);
  assert.deepEqual(kept({ size: 29 }), ['_log_1', '_log_2']);
  assert.deepEqual(kept({ ageMs: 2000 }), ['_log_1', '_log_2']);
  assert.deepEqual(kept({ ageMs: 1, count: 3 }), []);
});

test('legacy index blobs are merged when there are enough of them, small ones alone when most are small', () => {
  const blobs = (...lengths: number[]): BlobMetadata[] => lengths.map((length, i) => blob(`n${i}`, 0, length));
  const merged = (all: boolean, ...lengths: number[]): number[] =>
    legacyBlobsToCompact(blobs(...lengths), { all, maxPackSizeBytes: 1000, maxSmallBlobs: 4 }).map(
      ({ length }) => length,
    );
  assert.deepEqual(merged(false, 1, 2, 3), []);
  assert.deepEqual(merged(false, 1, 2, 3, 4), [1, 2, 3, 4]);
  assert.deepEqual(merged(false, 1, 2, 3, 4, 500), [1, 2, 3, 4]);
  assert.deepEqual(merged(false, 1, 2, 500, 600), [1, 2, 500, 600]);
  assert.deepEqual(merged(false, 1, 2, 3, 2000), []);
  assert.deepEqual(merged(true, 1, 2, 600, 2000), [1, 2, 600, 2000]);
});
