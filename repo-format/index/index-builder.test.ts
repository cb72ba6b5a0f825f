import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { collidingEntries, randomEntries } from '../../test/harness/index-entries.ts';
import { SeededRandom } from '../../test/harness/seeded-random.ts';
import type { BlobId } from '../blob/storage.ts';
import { contentIdFromHash, contentKey, type ContentId } from './content-id.ts';
import { compareEntries, nextTimestampSeconds, type IndexEntry } from './entry.ts';
import { IndexBuilder, rowSize } from './index-builder.ts';
import { parseIndex } from './parse-index.ts';

function buildOne(builder: IndexBuilder): Uint8Array {
  const [bytes, ...more] = builder.build({ version: 2 });
  assert.ok(bytes !== undefined && more.length === 0);
  return bytes;
}

/** One winner a key, in key order: slow and plain. */
function merged(entries: readonly IndexEntry[]): IndexEntry[] {
  const winners = new Map<ContentId, IndexEntry>();
  for (const entry of entries) {
    const known = winners.get(entry.id);
    if (known === undefined || compareEntries(entry, known) > 0) winners.set(entry.id, entry);
  }
  return [...winners.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
}

test('of entries for one key the greatest is kept, as a plain merge would', () => {
  fc.assert(
    fc.property(fc.array(collidingEntries, { minLength: 1, maxLength: 40 }), (entries) => {
      const builder = new IndexBuilder();
      for (const entry of entries) builder.addEntry(entry);
      assert.equal(builder.rowCount, entries.length);
      assert.deepEqual([...parseIndex(buildOne(builder)).iterate()], merged(entries));
    }),
  );
});

test('many entries of all prefixes come out sorted, over several segments and with repeated keys', () => {
  for (const [count, keyspace] of [
    [66_000, Infinity],
    [5_000, 2_000],
  ] as const) {
    const entries = randomEntries(new SeededRandom(3), count, 50, keyspace);
    const builder = new IndexBuilder();
    for (const entry of entries) builder.addEntry(entry);
    const parsed = parseIndex(buildOne(builder));
    const expected = merged(entries);
    assert.equal(parsed.entryCount, expected.length);
    for (let number = 0; number < expected.length; number += 97)
      assert.deepEqual(parsed.entryAt(number), expected[number]);
    for (const [number, entry] of expected.entries()) assert.equal(parsed.find(contentKey(entry.id)), number);
  }
});

test('keys that agree in their first bytes, and the shortest keys, are sorted as well', () => {
  const random = new SeededRandom(5);
  const hashes = [
    ...Array.from({ length: 300 }, () => Buffer.concat([Buffer.alloc(12, 9), random.bytes(4)])),
    ...Array.from({ length: 300 }, () => random.bytes(16).fill(0xff, 0, 4)),
  ];
  for (const sized of [hashes, Array.from({ length: 256 }, (_, byte) => Buffer.from([byte])).reverse()]) {
    const builder = new IndexBuilder();
    const pack = builder.addPack('p1' as BlobId);
    for (const hash of sized) builder.add(contentKey(contentIdFromHash('k', hash)), pack, 0, 0, 0, 0, 3, 1, false);
    const ids = [...parseIndex(buildOne(builder)).iterate()].map((entry) => entry.id);
    assert.deepEqual(ids, [...new Set(sized.map((hash) => contentIdFromHash('k', hash)))].sort());
  }
});

test('rows handed over packed are what single additions give', () => {
  const entries = randomEntries(new SeededRandom(11), 200, 1);
  const single = new IndexBuilder();
  for (const entry of entries) single.addEntry(entry);
  const bulk = new IndexBuilder(17);
  for (const packId of new Set(entries.map((entry) => entry.packId))) {
    const ofPack = entries.filter((entry) => entry.packId === packId);
    const rows = Buffer.concat([Buffer.alloc(5), ...ofPack.map(packedRow)]).subarray(5);
    bulk.addRows(rows, bulk.addPack(packId), 3);
  }
  assert.equal(bulk.rowCount, 200);
  assert.deepEqual(buildOne(bulk), buildOne(single));
});

/** Written out by hand: the layout is a promise to other threads. */
function packedRow(entry: IndexEntry): Uint8Array {
  const row = Buffer.alloc(17 + 21);
  row.set(contentKey(entry.id));
  row.writeUInt32LE(entry.packOffset, 17);
  row.writeUInt32LE(entry.packedLength, 21);
  row.writeUInt32LE(entry.originalLength, 25);
  row.writeUInt32LE(entry.compressionId, 29);
  row.writeUInt32LE(entry.timestampSeconds, 33);
  row[37] = entry.deleted ? 1 : 0;
  return row;
}

test('packed rows are taken all or none', () => {
  const builder = new IndexBuilder(17);
  const pack = builder.addPack('p1' as BlobId);
  assert.equal(builder.addPack('p1' as BlobId), pack);
  assert.equal(rowSize(17), 38);
  const good = new Uint8Array(38);
  const badPrefix = new Uint8Array(38).fill(1, 0, 1);
  const badOffset = new Uint8Array(38).fill(0xff, 17, 21);
  for (const rows of [new Uint8Array(37), Buffer.concat([good, badPrefix]), Buffer.concat([good, badOffset])]) {
    assert.throws(() => builder.addRows(rows, pack, 3), { code: 'INDEX_ENTRY_INVALID' });
  }
  assert.throws(() => builder.addRows(good, pack + 1, 3), { code: 'INDEX_ENTRY_INVALID' });
  assert.throws(() => new IndexBuilder().addRows(good, 0, 3), { code: 'INDEX_ENTRY_INVALID' });
  assert.throws(() => new IndexBuilder(1), { code: 'INDEX_ENTRY_INVALID' });
  assert.throws(() => new IndexBuilder(34), { code: 'INDEX_ENTRY_INVALID' });
  assert.equal(builder.rowCount, 0);
  assert.deepEqual(builder.build({ version: 2 }), []);
});

test('a tail is appended and does not disturb; a builder can go on after building', () => {
  const builder = new IndexBuilder();
  const [first, second] = randomEntries(new SeededRandom(13), 2, 1);
  assert.ok(first !== undefined && second !== undefined);
  builder.addEntry(first);
  const plain = buildOne(builder);
  const [tailed] = builder.build({ version: 2, tail: new Uint8Array(32).fill(5) });
  assert.deepEqual(tailed, Uint8Array.from([...plain, ...new Uint8Array(32).fill(5)]));
  builder.addEntry(second);
  assert.equal(parseIndex(buildOne(builder)).entryCount, 2);
});

test('a new timestamp is later than the one it replaces', () => {
  assert.equal(nextTimestampSeconds(100, undefined), 100);
  assert.equal(nextTimestampSeconds(100, 50), 100);
  assert.equal(nextTimestampSeconds(100, 100), 101);
  assert.equal(nextTimestampSeconds(100, 200), 201);
});

test('tells what a row was added as', () => {
  const builder = new IndexBuilder();
  const entry: IndexEntry = {
    id: `k${'ab'.repeat(16)}` as ContentId,
    packId: 'q00112233445566778899aabbccddeeff' as BlobId,
    packOffset: 0x7fff_ffff,
    packedLength: 7,
    originalLength: 9,
    compressionId: 0x1100,
    formatVersion: 3,
    encryptionKeyId: 0,
    timestampSeconds: 0xffff_fffe,
    deleted: true,
  };
  const live = { ...entry, packOffset: 3, deleted: false };
  const rows = [entry, live].map((added) => builder.addEntry(added));
  assert.deepEqual(
    rows.map((row) => builder.entryOf(row)),
    [entry, live],
  );
  assert.throws(() => builder.entryOf(2), RangeError);
});
