import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseHex, toHex } from '../../base/hex.ts';
import { anEntry, randomEntries } from '../../test/harness/index-entries.ts';
import { SeededRandom } from '../../test/harness/seeded-random.ts';
import type { BlobId } from '../blob/storage.ts';
import { contentIdFromHash, contentKey, type ContentId } from './content-id.ts';
import type { IndexEntry } from './entry.ts';
import { IndexBuilder } from './index-builder.ts';
import { parseIndex } from './parse-index.ts';
import type { ParsedIndex } from './parsed-index.ts';

// The two entries of repository format §11.1, and their bytes by kopia.
const A = anEntry();
const B = anEntry({
  id: 'kff112233445566778899aabbccddeeff' as ContentId,
  packId: 'q4567' as BlobId,
  timestampSeconds: 1_700_000_001,
  originalLength: 1000,
  packedLength: 200,
  packOffset: 160,
  compressionId: 0x1101,
  deleted: true,
});
const V1 =
  '01110014000000020000112233445566778899aabbccddeeff00006553f10003050000005200000020000000806bff112233445566778899aabb' +
  'ccddeeff00006553f101030500000057800000a0000000c870303132337134353637';
const V2 =
  '02110011000000020000000202000000000000112233445566778899aabbccddeeff6553f100000000200000640000800000006bff1122334455' +
  '66778899aabbccddeeff6553f101800000a00003e80000c8000101050000006b05000000700000000003000000110103007030313233713435' +
  '3637';

function build(entries: readonly IndexEntry[], version: 1 | 2, maxShardEntries?: number): Uint8Array[] {
  const builder = new IndexBuilder();
  for (const entry of entries) builder.addEntry(entry);
  return builder.build({ version, ...(maxShardEntries === undefined ? {} : { maxShardEntries }) });
}

function one(shards: readonly Uint8Array[]): Uint8Array {
  const [bytes] = shards;
  assert.ok(bytes !== undefined && shards.length === 1);
  return bytes;
}

const bytesOf = (hex: string): Uint8Array => parseHex(hex) ?? assert.fail('not hex');
const entrySizeOf = (bytes: Uint8Array): number => (bytes[2] ?? 0) * 256 + (bytes[3] ?? 0);

test("both versions have kopia's bytes, in whatever order entries come", () => {
  const uncompressed = { ...B, compressionId: 0 };
  assert.equal(toHex(one(build([A, uncompressed], 1))), V1);
  assert.equal(toHex(one(build([uncompressed, A], 1))), V1);
  assert.equal(toHex(one(build([A, B], 2))), V2);
  assert.equal(toHex(one(build([B, A], 2))), V2);
});

test('both versions are read back, also out of a larger buffer and with bytes behind', () => {
  // Version 1 tells no original length: it is the packed length less the cipher's overhead.
  const inV1 = [A, { ...B, compressionId: 0, originalLength: 172 }];
  for (const [hex, entries] of [
    [V1, inV1],
    [V2, [A, B]],
  ] as const) {
    const padded = Buffer.concat([Buffer.alloc(3, 1), bytesOf(hex), Buffer.alloc(32, 7)]).subarray(3);
    for (const bytes of [bytesOf(hex), padded]) {
      const parsed = parseIndex(bytes);
      assert.deepEqual([...parsed.iterate()], entries);
      assert.equal(parsed.find(contentKey(A.id)), 0);
      assert.equal(parsed.find(contentKey(B.id)), 1);
      assert.equal(parsed.find(contentKey('00112233445566778899aabbccddeefe' as ContentId)), -1);
      assert.equal(parsed.find(contentKey('z0112233445566778899aabbccddeeff' as ContentId)), -1);
      assert.equal(parsed.find(contentKey('0011' as ContentId)), -1);
      assert.equal(parsed.timestampAt(1), B.timestampSeconds);
      assert.equal(parsed.isDeletedAt(1), true);
      assert.equal(parsed.packIdAt(1), B.packId);
      assert.throws(() => parsed.entryAt(2), RangeError);
    }
  }
});

test('an empty index of version 1 holds nothing', () => {
  const parsed = parseIndex(bytesOf('01ff001400000000'));
  assert.deepEqual([...parsed.iterate()], []);
  assert.equal(parsed.find(contentKey(A.id)), -1);
});

test('rows of version 2 grow with what they must hold', () => {
  const other = anEntry({ id: B.id });
  const cases: [number, readonly IndexEntry[]][] = [
    [16, [A, other]],
    [17, [A, { ...other, compressionId: 0x1101 }]],
    [19, [A, { ...other, originalLength: 2 ** 24 }]],
    [19, [A, { ...other, packedLength: 2 ** 28 - 1, originalLength: 2 ** 28 - 1, packOffset: 2 ** 30 - 1 }]],
  ];
  for (const [size, entries] of cases) {
    const bytes = one(build(entries, 2));
    assert.equal(entrySizeOf(bytes), size);
    assert.deepEqual([...parseIndex(bytes).iterate()], entries);
  }
});

test('more than 65,536 packs need a third byte', () => {
  const random = new SeededRandom(1);
  const entries = Array.from({ length: 65_537 }, (_, pack) =>
    anEntry({ id: contentIdFromHash('', random.bytes(16)), packId: `p${pack}` as BlobId }),
  ).sort((a, b) => (a.id < b.id ? -1 : 1));
  assert.equal(entrySizeOf(one(build(entries.slice(1), 2))), 16);
  const bytes = one(build(entries, 2));
  assert.equal(entrySizeOf(bytes), 18);
  const parsed = parseIndex(bytes);
  for (const number of [0, 1, 65_535, 65_536]) assert.deepEqual(parsed.entryAt(number), entries[number]);
});

test('a base timestamp is added to every row', () => {
  const bytes = bytesOf(V2);
  new DataView(bytes.buffer).setUint32(13, 100_000);
  assert.deepEqual(
    [...parseIndex(bytes).iterate()].map((entry) => entry.timestampSeconds),
    [1_700_100_000, 1_700_100_001],
  );
});

test('what does not fit is refused', () => {
  const tooMuch: [1 | 2, Partial<IndexEntry>][] = [
    [2, { originalLength: 2 ** 28 }],
    [2, { packedLength: 2 ** 28 }],
    [2, { packOffset: 2 ** 30 }],
    [2, { packOffset: 2 ** 31 }],
    [2, { packOffset: -1 }],
    [2, { packOffset: 1.5 }],
    [2, { timestampSeconds: 2 ** 32 }],
    [2, { timestampSeconds: Number.NaN }],
    [2, { formatVersion: 256 }],
    [1, { compressionId: 1 }],
    [1, { encryptionKeyId: 1 }],
  ];
  for (const [version, fields] of tooMuch) {
    assert.throws(() => build([anEntry(fields)], version), { code: 'INDEX_ENTRY_INVALID' }, JSON.stringify(fields));
  }
  assert.throws(() => build([A, anEntry({ id: '0011' as ContentId })], 2), { code: 'INDEX_ENTRY_INVALID' });
  assert.throws(() => build([anEntry({ packId: 'a/b' as BlobId })], 2), { code: 'BLOB_NAME_INVALID' });
  const formats = (count: number): IndexEntry[] =>
    Array.from({ length: count }, (_, index) =>
      anEntry({ id: contentIdFromHash('', new Uint8Array([index >> 8, index])), compressionId: index }),
    );
  assert.equal(parseIndex(one(build(formats(255), 2))).entryAt(254).compressionId, 254);
  assert.throws(() => build(formats(256), 2), { code: 'INDEX_ENTRY_INVALID' });
  assert.deepEqual(build([], 2), []);
  assert.deepEqual(build([], 1), []);
});

test('shards are chosen by the hash of the text and together hold everything once', () => {
  const entries = randomEntries(new SeededRandom(7), 500, 5);
  const shards = build(entries, 2, 120).map((bytes) => [...parseIndex(bytes).iterate()]);
  assert.equal(shards.length, 5);
  assert.deepEqual(
    shards
      .flat()
      .map((entry) => entry.id)
      .sort(),
    entries.map((entry) => entry.id).sort(),
  );
  shards.forEach((shard, number) => {
    for (const { id } of shard) assert.equal(fnv1a(id) % 5, number);
    assert.deepEqual(
      shard.map((entry) => entry.id),
      shard.map((entry) => entry.id).sort(),
    );
  });
  assert.equal(fnv1a(A.id), 0x2088a6a9);
  assert.equal(fnv1a(B.id), 0x89f51196);
});

/** As in its definition, on the text. */
function fnv1a(text: string): number {
  let hash = 0x811c9dc5n;
  for (const byte of Buffer.from(text)) hash = ((hash ^ BigInt(byte)) * 0x01000193n) & 0xffff_ffffn;
  return Number(hash);
}

test('hostile bytes give INDEX_CORRUPT or entries, at bounded cost', () => {
  for (const hex of [V1, V2]) {
    const valid = bytesOf(hex);
    for (let length = 0; length < valid.length; length++) readAll(valid.slice(0, length));
    for (let at = 0; at < valid.length; at++) {
      for (const flip of [1, 0x80, 0xff]) {
        const bytes = valid.slice();
        bytes[at] = (bytes[at] ?? 0) ^ flip;
        readAll(bytes);
      }
    }
  }
  for (const huge of [
    '0111001400ffffffff',
    '0211001300ffffffff00ffffffff00000000',
    `02110010ffffffffffffffffff00000000${'00'.repeat(64)}`,
  ]) {
    assert.throws(() => parseIndex(bytesOf(huge.slice(0, huge.length & ~1))), { code: 'INDEX_CORRUPT' });
  }
  for (const bad of [
    '',
    '00',
    '03110014000000000000',
    '0101001400000000',
    '0111001300000000',
    '0211000f0000000000000000000000000000',
    '02ff00100000000000000000000000000000',
  ]) {
    assert.throws(() => parseIndex(bytesOf(bad)), { code: 'INDEX_CORRUPT' }, bad);
  }
});

function readAll(bytes: Uint8Array): void {
  let parsed: ParsedIndex;
  try {
    parsed = parseIndex(bytes);
  } catch (error) {
    assert.equal((error as { code?: string }).code, 'INDEX_CORRUPT');
    return;
  }
  assert.ok(parsed.entryCount * parsed.keySize <= bytes.length);
  parsed.find(contentKey(A.id));
  for (let entry = 0; entry < parsed.entryCount; entry++) {
    try {
      parsed.entryAt(entry);
    } catch (error) {
      assert.equal((error as { code?: string }).code, 'INDEX_CORRUPT');
    }
  }
}
