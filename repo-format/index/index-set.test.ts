import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { anEntry, collidingEntries, randomEntries } from '../../test/harness/index-entries.ts';
import { SeededRandom } from '../../test/harness/seeded-random.ts';
import type { BlobId } from '../blob/storage.ts';
import { contentKey, contentPrefix, type ContentId } from './content-id.ts';
import { compareEntries, type IndexEntry } from './entry.ts';
import { IndexBuilder } from './index-builder.ts';
import { ABSENT, DELETED, IndexSet, inSharedMemory, LIVE, NO_WATERMARK, type LoadedIndex } from './index-set.ts';
import { parseIndex } from './parse-index.ts';

function loaded(entries: readonly IndexEntry[], name: string, version: 1 | 2 = 2): LoadedIndex {
  const builder = new IndexBuilder();
  for (const entry of entries) builder.addEntry(entry);
  const [bytes] = builder.build({ version });
  assert.ok(bytes !== undefined);
  return { blobId: name as BlobId, parsed: parseIndex(inSharedMemory(bytes)) };
}

const setOf = (groups: readonly (readonly IndexEntry[])[], watermark = NO_WATERMARK): IndexSet =>
  new IndexSet(
    groups.filter((entries) => entries.length > 0).map((entries, number) => loaded(entries, `xn0_${number}`)),
    watermark,
  );

/** Slow and plain: the winner of all entries, then the watermark. */
function expectedOf(entries: readonly IndexEntry[], watermark: number): Map<ContentId, IndexEntry> {
  const winners = new Map<ContentId, IndexEntry>();
  for (const entry of entries) {
    const known = winners.get(entry.id);
    if (known === undefined || compareEntries(entry, known) > 0) winners.set(entry.id, entry);
  }
  for (const [id, entry] of winners) if (entry.deleted && entry.timestampSeconds <= watermark) winners.delete(id);
  return winners;
}

const rank = (entry: IndexEntry | undefined): unknown =>
  entry && [entry.id, entry.timestampSeconds, entry.deleted, entry.packId];

test('finding, states and walking agree with a plain merge, with and without a watermark', () => {
  const groups = fc.array(fc.array(collidingEntries, { minLength: 1, maxLength: 10 }), { maxLength: 5 });
  fc.assert(
    fc.property(groups, fc.integer({ min: -1, max: 13 }), (entries, watermark) => {
      const set = setOf(entries, watermark);
      const expected = expectedOf(entries.flat(), watermark);
      for (const { id } of entries.flat()) {
        const winner = expected.get(id);
        assert.deepEqual(rank(set.find(contentKey(id))), rank(winner));
        assert.equal(set.state(contentKey(id)), winner === undefined ? ABSENT : winner.deleted ? DELETED : LIVE);
      }
      const sorted = [...expected.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
      assert.deepEqual([...set.iterate()].map(rank), sorted.map(rank));
      for (const prefix of ['', 'k', 'm']) {
        const ofPrefix = sorted.filter((entry) => contentPrefix(entry.id) === prefix);
        assert.deepEqual([...set.iterate(prefix)].map(rank), ofPrefix.map(rank));
      }
    }),
  );
});

test('the merge table: later, then not deleted, then the larger pack; the watermark only hides', () => {
  const times = [10, 11];
  const states = times.flatMap((timestampSeconds) =>
    [false, true].flatMap((deleted) =>
      ['pxx', 'pzz'].map((packId) => anEntry({ timestampSeconds, deleted, packId: packId as BlobId })),
    ),
  );
  const key = contentKey(anEntry().id);
  for (const a of states) {
    for (const b of states) {
      const winner =
        a.timestampSeconds !== b.timestampSeconds
          ? [a, b].find((entry) => entry.timestampSeconds === 11)
          : a.deleted !== b.deleted
            ? [a, b].find((entry) => !entry.deleted)
            : ([a, b].find((entry) => entry.packId === 'pzz') ?? a);
      assert.ok(winner !== undefined);
      for (const watermark of [NO_WATERMARK, 9, 10, 11]) {
        const set = setOf([[a], [b]], watermark);
        const hidden: boolean = winner.deleted && winner.timestampSeconds <= watermark;
        assert.deepEqual(set.find(key), hidden ? undefined : winner);
        assert.equal(set.state(key), hidden ? ABSENT : winner.deleted ? DELETED : LIVE);
        assert.equal(set.winnerTimestamp(key), winner.timestampSeconds, 'also when hidden');
      }
    }
  }
});

test('an older live entry does not come back when the watermark hides the deletion', () => {
  const live = anEntry({ timestampSeconds: 5 });
  const deleted = anEntry({ timestampSeconds: 10, deleted: true });
  const set = setOf([[live], [deleted]], 10);
  assert.equal(set.find(contentKey(live.id)), undefined);
  assert.deepEqual([...set.iterate()], []);
  assert.deepEqual(setOf([[live], [deleted]], 9).find(contentKey(live.id)), deleted);
});

test('nothing is in an empty set, and keys of another size are nowhere', () => {
  const empty = new IndexSet([], NO_WATERMARK);
  const key = contentKey(anEntry().id);
  assert.equal(empty.state(key), ABSENT);
  assert.equal(empty.find(key), undefined);
  assert.equal(empty.winnerTimestamp(key), -1);
  assert.deepEqual([...empty.iterate()], []);
  const set = setOf([[anEntry()]]);
  assert.equal(set.state(key.subarray(0, 16)), ABSENT);
  assert.equal(set.state(new Uint8Array(0)), ABSENT);
});

test('many indexes answer the same before and after their directory is made, and on another thread', () => {
  const random = new SeededRandom(17);
  for (const indexCount of [3, 40]) {
    const groups = Array.from({ length: indexCount }, () => randomEntries(random, 60, 3, 4_000));
    const set = setOf(groups, 1_700_000_001);
    const expected = expectedOf(groups.flat(), 1_700_000_001);
    const keys = [...groups.flat(), ...randomEntries(random, 3_000, 3, 4_000), ...randomEntries(random, 500, 3)];
    for (let round = 0; round < 2; round++) {
      for (const { id } of keys) assert.deepEqual(rank(set.find(contentKey(id))), rank(expected.get(id)));
      set.forgetDirectory();
    }
    if (indexCount === 3) assert.equal(set.transferable().directory, undefined, 'forgotten');
    for (const { id } of keys) assert.deepEqual(rank(set.find(contentKey(id))), rank(expected.get(id)));
    const data = structuredClone(set.transferable());
    assert.ok(data.directory?.slots.buffer instanceof SharedArrayBuffer);
    const elsewhere = IndexSet.fromTransferable(data);
    const fresh = setOf(groups, 1_700_000_001);
    for (const { id } of keys.slice(0, 500)) {
      const key = contentKey(id);
      assert.deepEqual(rank(elsewhere.find(key)), rank(expected.get(id)));
      // Within the first few searches there is no directory.
      assert.equal(set.rowOf(key), elsewhere.rowOf(key));
      assert.equal(set.rowOf(key), fresh.rowOf(key));
      assert.equal(set.winnerTimestamp(key), fresh.winnerTimestamp(key));
    }
  }
});

test('indexes of both versions and key sizes live together', () => {
  const short = anEntry({ id: 'k0011' as ContentId });
  const set = new IndexSet(
    [
      loaded([anEntry({ packedLength: 128, timestampSeconds: 1 })], 'n1', 1),
      loaded([short], 'n2'),
      loaded([anEntry()], 'n3'),
    ],
    NO_WATERMARK,
  );
  assert.deepEqual(set.find(contentKey(anEntry().id)), anEntry());
  assert.deepEqual(set.findContent(short.id), short);
  assert.deepEqual([...set.iterate()], [anEntry(), short]);
});

test('a set keeps growing by the indexes of flushes', () => {
  const set = setOf([[anEntry({ timestampSeconds: 1 })]]);
  const more = set.with([loaded([anEntry({ timestampSeconds: 2 })], 'xn0_new')]);
  assert.equal(set.winnerTimestamp(contentKey(anEntry().id)), 1);
  assert.equal(more.winnerTimestamp(contentKey(anEntry().id)), 2);
  assert.ok(more.indexes.every(({ parsed }) => parsed.bytes.buffer instanceof SharedArrayBuffer));
});

test('another thread searches the same memory', async (t) => {
  const set = setOf([[anEntry()], [anEntry({ timestampSeconds: 1 })]], 7);
  const data = set.transferable();
  assert.equal(data.indexes[0]?.bytes.buffer, set.indexes[0]?.parsed.bytes.buffer, 'shared, not copied');
  const source = `
    const { parentPort, workerData } = require('node:worker_threads');
    import(workerData.module).then(({ IndexSet }) => {
      const set = IndexSet.fromTransferable(workerData.data);
      parentPort.postMessage([set.find(workerData.key), set.watermarkSeconds]);
    });`;
  const module = new URL('./index-set.ts', import.meta.url).href;
  const worker = new Worker(source, { eval: true, workerData: { module, data, key: contentKey(anEntry().id) } });
  t.after(() => worker.terminate());
  const answer = await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
  assert.deepEqual(answer, [anEntry(), 7]);
});

test('an index whose keys are out of order is not walked silently', () => {
  const entries = ['00', '11', '22'].map((digits) => anEntry({ id: digits.repeat(16) as ContentId }));
  const { parsed, blobId } = loaded(entries, 'xn0_bad');
  const bytes = parsed.bytes.slice();
  bytes.set(parsed.keyAt(2), parsed.keyOffset(0));
  const set = new IndexSet([{ blobId, parsed: parseIndex(bytes) }], NO_WATERMARK);
  assert.throws(() => [...set.iterate()], { code: 'INDEX_CORRUPT' });
});

test('keys that are not uniform are found all the same', () => {
  const entries = Array.from({ length: 3_000 }, (_, number) =>
    anEntry({ id: `k${(number * number).toString(16).padStart(8, '0')}${'0'.repeat(24)}` as ContentId }),
  );
  const set = setOf([entries]);
  for (const entry of entries) {
    assert.equal(set.state(contentKey(entry.id)), LIVE);
    const absent = contentKey(entry.id);
    absent[16] = 1;
    assert.equal(set.state(absent), ABSENT);
  }
});

test('walking in place tells for each content the row that looking it up tells', () => {
  const random = new SeededRandom(23);
  const groups = Array.from({ length: 6 }, () => randomEntries(random, 200, 3, 1_000));
  for (const watermark of [undefined, 1_700_000_001]) {
    const set = setOf(groups, watermark);
    const walked = Array.from(set.iterateRows(), ({ index, entry, row, winnerRow }) => {
      assert.deepEqual(set.entryOfRow(winnerRow), index.entryAt(entry));
      return { ...index.entryAt(entry), row };
    });
    assert.deepEqual(
      walked.map(({ row: _, ...entry }) => entry),
      [...set.iterate()],
    );
    assert.equal(new Set(walked.map(({ row }) => row)).size, walked.length);
    for (const { row, ...entry } of walked) {
      assert.equal(set.rowOf(contentKey(entry.id)), row);
      assert.deepEqual(Buffer.from(set.keyOfRow(row)), Buffer.from(contentKey(entry.id)));
      assert.deepEqual(rank(set.find(set.keyOfRow(row))), rank(entry));
    }
  }
});
