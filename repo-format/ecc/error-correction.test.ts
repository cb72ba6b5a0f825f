import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { hasCode } from '../../base/errors.ts';
import { createErrorCorrection, type ErrorCorrection } from './error-correction.ts';
import { CRC_BYTES, layoutForData, shardParameters } from './shard-layout.ts';

const ALGORITHM = 'REED-SOLOMON-CRC32';
const UNRECOVERABLE = { code: 'ECC_UNRECOVERABLE' };

const correction = (overheadPercent: number): ErrorCorrection =>
  createErrorCorrection({ algorithm: ALGORITHM, overheadPercent });

const sampleData = (length: number) => Uint8Array.from({ length }, (_, i) => i * 7 + (i >> 8) * 13 + (i >> 16) * 3);

test('shards follow from the percentage as kopia computes them', () => {
  const expected = {
    1: [254, 2], 2: [164, 2], 3: [139, 2], 4: [228, 2], 5: [128, 2], 6: [128, 3], 7: [254, 2], 8: [128, 2],
    10: [128, 4], 15: [128, 11], 20: [128, 17], 30: [128, 30], 50: [128, 56], 100: [128, 120],
  }; // prettier-ignore
  for (const [percent, shards] of Object.entries(expected)) {
    const { dataShards, parityShards } = shardParameters(Number(percent));
    assert.deepEqual([dataShards, parityShards], shards, `${percent}%`);
  }
});

test('what kopia encodes is encoded to the same bytes, and read', () => {
  const golden = readFileSync(new URL('../../test/golden/ecc/encoded.txt', import.meta.url), 'utf8');
  const corrections = new Map<number, ErrorCorrection>();
  for (const line of golden.trim().split('\n')) {
    const [percentText, lengthText, storedText, digest] = line.split(' ');
    const [percent, length] = [Number(percentText), Number(lengthText)];
    const subject = corrections.get(percent) ?? correction(percent);
    corrections.set(percent, subject);
    const data = sampleData(length);
    const stored = subject.encode(data);
    assert.equal(stored.length, Number(storedText), line);
    assert.equal(subject.encodedBytes(length), stored.length, line);
    assert.equal(hash('sha256', stored).slice(0, 16), digest, line);
    assert.deepEqual(subject.decode(stored), { data, repairedShards: 0 }, line);
  }
  assert.equal(corrections.size, 17);
});

test('algorithms and percentages that do not exist are refused', () => {
  for (const spec of [
    { algorithm: 'REED-SOLOMON', overheadPercent: 5 },
    { algorithm: ALGORITHM, overheadPercent: 0 },
    { algorithm: ALGORITHM, overheadPercent: 1.5 },
    { algorithm: ALGORITHM, overheadPercent: Number.NaN },
  ]) {
    assert.throws(() => createErrorCorrection(spec), { code: 'FORMAT_UNSUPPORTED' });
  }
});

/** Where the shards of one block begin in the stored bytes, data shards first. */
function shardOffsets(percent: number, dataLength: number, block: number): { data: number[]; parity: number[] } {
  const { blocks, dataShards, parityShards, shardBytes } = layoutForData(shardParameters(percent), dataLength);
  const record = CRC_BYTES + shardBytes;
  const dataStart = blocks * parityShards * record;
  return {
    data: Array.from({ length: dataShards }, (_, i) => dataStart + (block * dataShards + i) * record),
    parity: Array.from({ length: parityShards }, (_, i) => (block * parityShards + i) * record),
  };
}

function damage(stored: Uint8Array, offsets: readonly number[]): Uint8Array {
  const damaged = Uint8Array.from(stored);
  // In the checksum or in the bytes: either way the shard is lost.
  offsets.forEach((offset, i) => (damaged[offset + (i % 5)] = (damaged[offset + (i % 5)] ?? 0) ^ (1 + i)));
  return damaged;
}

// Short input, one block, several blocks (the last with padding that is not stored), and many parity shards.
const CASES = [
  { percent: 5, length: 900, block: 0 },
  { percent: 5, length: 9000, block: 0 },
  { percent: 5, length: 40_000, block: 1 },
  { percent: 20, length: 20_000, block: 2 },
  { percent: 100, length: 5000, block: 0 },
];

for (const { percent, length, block } of CASES) {
  const subject = correction(percent);
  const data = sampleData(length);
  const stored = subject.encode(data);
  const { data: dataOffsets, parity: parityOffsets } = shardOffsets(percent, length, block);
  const parityShards = parityOffsets.length;
  const what = `${percent}% over ${length} bytes`;

  test(`${what}: as many lost data shards as there are parity shards come back`, () => {
    const { data: repaired, repairedShards } = subject.decode(damage(stored, dataOffsets.slice(0, parityShards)));
    assert.deepEqual(repaired, data);
    assert.equal(repairedShards, Math.min(parityShards, dataOffsets.length));
  });

  test(`${what}: lost data and lost parity together come back`, () => {
    const half = Math.floor(parityShards / 2);
    const lost = [...dataOffsets.slice(1, 1 + parityShards - half), ...parityOffsets.slice(0, half)];
    const result = subject.decode(damage(stored, lost));
    assert.deepEqual(result, { data, repairedShards: parityShards - half });
  });

  test(`${what}: lost parity alone does not matter`, () => {
    assert.deepEqual(subject.decode(damage(stored, parityOffsets)), { data, repairedShards: 0 });
  });

  test(`${what}: one shard more than that is an error, not wrong data`, () => {
    const lost = [...parityOffsets, dataOffsets[0] ?? 0];
    assert.throws(() => subject.decode(damage(stored, lost)), UNRECOVERABLE);
    if (dataOffsets.length > parityShards) {
      assert.throws(() => subject.decode(damage(stored, dataOffsets.slice(0, parityShards + 1))), UNRECOVERABLE);
    }
  });
}

test('any single changed byte is repaired', () => {
  for (const { percent, length } of [
    { percent: 2, length: 1 },
    { percent: 2, length: 130 },
    { percent: 10, length: 1500 },
  ]) {
    const subject = correction(percent);
    const data = sampleData(length);
    const stored = subject.encode(data);
    for (let i = 0; i < stored.length; i++) {
      const damaged = Uint8Array.from(stored);
      damaged[i] = (damaged[i] ?? 0) ^ 0x10;
      assert.deepEqual(subject.decode(damaged).data, data, `byte ${i}`);
    }
  }
});

test('every truncation is an error', () => {
  const subject = correction(5);
  for (const length of [0, 3, 700, 1200, 17_000]) {
    const stored = subject.encode(sampleData(length));
    const step = Math.ceil(stored.length / 300);
    for (let end = 0; end < stored.length; end += step) {
      assert.throws(() => subject.decode(stored.subarray(0, end)), UNRECOVERABLE, `${end} of ${stored.length}`);
    }
    assert.throws(() => subject.decode(stored.subarray(0, stored.length - 1)), UNRECOVERABLE);
    assert.throws(() => subject.decode(Buffer.concat([stored, Buffer.from([0])])), UNRECOVERABLE);
  }
});

test('random bytes give the typed error', () => {
  const subject = correction(10);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 3000 }), (bytes) => {
      try {
        subject.decode(bytes);
      } catch (error) {
        if (!hasCode(error, UNRECOVERABLE.code)) throw error;
      }
    }),
    { numRuns: 100 },
  );
});

test('what is encoded decodes to itself, at every percentage and length', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 120 }),
      fc.uint8Array({ maxLength: 30_000, size: 'max' }),
      (percent, data) => {
        const subject = correction(percent);
        const stored = subject.encode(data);
        assert.equal(stored.length, subject.encodedBytes(data.length));
        assert.deepEqual(Buffer.from(subject.decode(stored).data), Buffer.from(data));
      },
    ),
    { numRuns: 25 },
  );
});
