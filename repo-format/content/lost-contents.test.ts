import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BlobId } from '../blob/storage.ts';
import { contentKey, type ContentId } from '../index/content-id.ts';
import type { IndexEntry } from '../index/entry.ts';
import { IndexBuilder } from '../index/index-builder.ts';
import { DELETED, IndexSet, LIVE, type LoadedIndex, NO_WATERMARK } from '../index/index-set.ts';
import { parseIndex } from '../index/parse-index.ts';
import { findDamagedPacks, hideContents, type PackLengths } from './lost-contents.ts';

const { signal } = new AbortController();
const id = (letter: string, number: number): ContentId =>
  `${letter}${number.toString(16).padStart(32, '0')}` as ContentId;
const FILE = id('', 1);
const OTHER = id('', 2);
const DIRECTORY = id('k', 3);
const MANIFEST = id('m', 4);

const entry = (content: ContentId, pack: string, rest: Partial<IndexEntry> = {}): IndexEntry => ({
  id: content,
  packId: pack as BlobId,
  packOffset: 40,
  packedLength: 100,
  originalLength: 72,
  compressionId: 0,
  formatVersion: 3,
  encryptionKeyId: 0,
  timestampSeconds: 1000,
  deleted: false,
  ...rest,
});

function indexSet(version: 1 | 2, ...blobs: (readonly IndexEntry[])[]): IndexSet {
  const indexes = blobs.flatMap((entries, number): LoadedIndex[] => {
    const builder = new IndexBuilder();
    for (const row of entries) builder.addEntry(row);
    return builder.build({ version }).map((bytes) => ({ blobId: `x${number}` as BlobId, parsed: parseIndex(bytes) }));
  });
  return new IndexSet(indexes, NO_WATERMARK);
}

const packsOf = (lengths: Readonly<Record<string, number>>): PackLengths => {
  return async (_wanted, onPack) => {
    for (const [name, length] of Object.entries(lengths)) onPack(name as BlobId, length);
  };
};
const lost = (...names: string[]): Map<BlobId, number> => new Map(names.map((name) => [name as BlobId, 0]));

for (const version of [1, 2] as const) {
  test(`packs of both kinds that are not there are damaged (index version ${version})`, async () => {
    const set = indexSet(version, [entry(FILE, 'p1'), entry(DIRECTORY, 'q1')], [entry(OTHER, 'p2'), entry(FILE, 'p3')]);
    const damaged = await findDamagedPacks(set, packsOf({ p1: 140, p9: 9, q9: 9, xn0: 9 }), signal);
    assert.deepEqual(damaged, lost('p2', 'p3', 'q1'));
    const whole = packsOf({ p1: 140, p2: 140, p3: 140, q1: 140 });
    assert.equal((await findDamagedPacks(set, whole, signal)).size, 0);
  });

  test(`a short pack has lost what is beyond its end (index version ${version})`, async () => {
    const set = indexSet(
      version,
      [entry(FILE, 'p1', { packOffset: 32 }), entry(DIRECTORY, 'q1')],
      [entry(OTHER, 'p1', { packOffset: 132 })],
    );
    const sizes = async (length: number): Promise<Map<BlobId, number>> =>
      findDamagedPacks(set, packsOf({ p1: length, q1: 140 }), signal);
    assert.equal((await sizes(232)).size, 0);
    const short = await sizes(231);
    assert.deepEqual([...short], [['p1', 231]]);
    const hidden = set.with(hideContents(set, short).tombstones);
    assert.equal(hidden.state(contentKey(OTHER)), DELETED);
    assert.equal(hidden.state(contentKey(FILE)), LIVE, 'what is there is not lost');
    assert.equal(hideContents(set, await sizes(0)).lost.contents, 2, 'of an empty one everything is');
  });

  test(`only live rows that win are lost, and their tombstones hide them (index version ${version})`, () => {
    const moved = entry(FILE, 'p2', { timestampSeconds: 1001 });
    const gone = entry(DIRECTORY, 'q1', { deleted: true });
    const set = indexSet(version, [entry(FILE, 'p1'), gone, entry(OTHER, 'p1')], [moved]);
    const { lost: found, tombstones } = hideContents(set, lost('p1', 'q1'));
    assert.deepEqual(
      found,
      { packs: 1, contents: 1, manifests: 0, wereDropped: true },
      'what was moved or deleted is not lost',
    );
    const hidden = set.with(tombstones);
    assert.equal(hidden.state(contentKey(FILE)), LIVE);
    assert.equal(hidden.state(contentKey(OTHER)), DELETED);
    assert.equal(hidden.findContent(OTHER)?.packId, 'p1', 'it can still be found');
    // Asked again, nothing more is lost.
    assert.equal(hideContents(hidden, lost('p1', 'q1')).lost.packs, 0);
  });
}

test('a content stored again wins over its tombstone, even in the next second', () => {
  const set = indexSet(2, [entry(OTHER, 'p1')]);
  const { tombstones } = hideContents(set, lost('p1'));
  const again = indexSet(2, [entry(OTHER, 'p5', { timestampSeconds: 1001 })]);
  for (const order of [
    [...set.indexes, ...tombstones, ...again.indexes],
    [...again.indexes, ...set.indexes, ...tombstones],
  ]) {
    const merged = new IndexSet(order, NO_WATERMARK);
    assert.equal(merged.state(contentKey(OTHER)), LIVE);
    assert.equal(merged.findContent(OTHER)?.packId, 'p5');
  }
});

test('manifests are counted and stay as they are: no backup can store them again', () => {
  const set = indexSet(2, [entry(MANIFEST, 'q1'), entry(DIRECTORY, 'q1')]);
  const { lost: found, tombstones } = hideContents(set, lost('q1'));
  assert.deepEqual(found, { packs: 1, contents: 1, manifests: 1, wereDropped: false });
  assert.equal(set.with(tombstones).state(contentKey(MANIFEST)), LIVE);
});

test('nothing missing, nothing hidden', async () => {
  assert.equal((await findDamagedPacks(indexSet(2), packsOf({}), signal)).size, 0);
  const set = indexSet(2, [entry(FILE, 'p1')]);
  assert.deepEqual(hideContents(set, new Map()), {
    lost: { packs: 0, contents: 0, manifests: 0, wereDropped: false },
    tombstones: [],
  });
});
