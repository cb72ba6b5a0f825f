import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { gunzipSync, gzipSync } from 'node:zlib';
import type { Clock } from '../../base/clock.ts';
import { hasCode } from '../../base/errors.ts';
import type { RandomSource } from '../../base/random.ts';
import type { ContentId } from '../index/content-id.ts';
import { encodeManifestContent, parseManifestContent } from './manifest-content.ts';
import { type ManifestEntry, type ManifestId, parseManifestEntry, pickLatest } from './manifest-entry.ts';
import { SharedManifestContents, SharedManifestBackend } from '../../test/harness/manifest-contents.ts';
import { ManifestStore } from './manifest-store.ts';

const { signal } = new AbortController();

class TestTime {
  nowNs = 1_700_000_000_000_000_000n;

  readonly clock: Clock = {
    nowMs: () => Number(this.nowNs / 1_000_000n),
    nowNs: () => this.nowNs,
    monotonicMs: () => 0,
    sleep: () => Promise.resolve(),
  };
}

function countingRandom(seed: number): RandomSource {
  let next = 0;
  return {
    bytes: (length) => new Uint8Array(createHash('sha256').update(`${seed}/${next++}`).digest()).subarray(0, length),
  };
}

let seeds = 0;

function openStore(
  shared: SharedManifestContents,
  time: TestTime,
  options = {},
): { store: ManifestStore; backend: SharedManifestBackend } {
  const backend = new SharedManifestBackend(shared);
  return {
    store: new ManifestStore(backend, { clock: time.clock, random: countingRandom(seeds++) }, options),
    backend,
  };
}

async function commit(store: ManifestStore, backend: SharedManifestBackend): Promise<void> {
  await store.flush(signal);
  await backend.flush();
}

const LABELS = { type: 'snapshot', path: '/data' };

test('a document is found by id and by any of its labels, before and after a flush', async () => {
  const shared = new SharedManifestContents();
  const { store, backend } = openStore(shared, new TestTime());
  const id = store.put(LABELS, '{"a":1.50}');
  assert.match(id, /^[0-9a-f]{32}$/);
  for (let round = 0; round < 2; round++) {
    assert.equal((await store.get(id, signal)).dataJson, '{"a":1.50}');
    assert.equal((await store.find({ type: 'snapshot' }, signal)).length, 1);
    assert.equal((await store.find({ type: 'snapshot', path: '/other' }, signal)).length, 0);
    assert.equal((await store.find({}, signal)).length, 1);
    await commit(store, backend);
  }
  const other = openStore(shared, new TestTime()).store;
  assert.equal((await other.get(id, signal)).dataJson, '{"a":1.50}');
  assert.deepEqual((await other.get(id, signal)).labels, LABELS);
});

test('a document without a type is refused', () => {
  const { store } = openStore(new SharedManifestContents(), new TestTime());
  assert.throws(
    () => store.put({ path: '/' }, '{}'),
    (error) => hasCode(error, 'MANIFEST_INVALID'),
  );
});

test('all changes of a flush are one content', async () => {
  const shared = new SharedManifestContents();
  const { store, backend } = openStore(shared, new TestTime());
  store.put(LABELS, '1');
  store.put(LABELS, '2');
  assert.equal(store.hasPending, true);
  await commit(store, backend);
  assert.equal(store.hasPending, false);
  await commit(store, backend);
  assert.equal(shared.live.size, 1);
});

test('a deleted document is gone, for us at once and for others after the flush', async () => {
  const shared = new SharedManifestContents();
  const { store, backend } = openStore(shared, new TestTime());
  const id = store.put(LABELS, '1');
  await commit(store, backend);
  await store.delete(id, signal);
  await store.delete('00' as ManifestId, signal);
  await assert.rejects(store.get(id, signal), (error) => hasCode(error, 'MANIFEST_NOT_FOUND'));
  assert.deepEqual(await store.find(LABELS, signal), []);
  await commit(store, backend);
  await assert.rejects(openStore(shared, new TestTime()).store.get(id, signal), (error) =>
    hasCode(error, 'MANIFEST_NOT_FOUND'),
  );
});

test('a tombstone by a slow clock still deletes', async () => {
  const shared = new SharedManifestContents();
  const time = new TestTime();
  const { store, backend } = openStore(shared, time);
  const id = store.put(LABELS, '1');
  await commit(store, backend);
  time.nowNs -= 3600_000_000_000n;
  await store.delete(id, signal);
  await commit(store, backend);
  assert.deepEqual(await openStore(shared, time).store.find({}, signal), []);
});

test('replacing leaves one document, later than those it replaces', async () => {
  const shared = new SharedManifestContents();
  const time = new TestTime();
  const { store, backend } = openStore(shared, time);
  store.put(LABELS, '1');
  store.put({ ...LABELS, extra: 'x' }, '2');
  await commit(store, backend);
  time.nowNs -= 5n;
  const id = await store.replace(LABELS, '3', signal);
  await commit(store, backend);
  const found = await openStore(shared, time).store.find({}, signal);
  assert.deepEqual(
    found.map(({ id: foundId, dataJson, modifiedNs }) => [foundId, dataJson, modifiedNs > time.nowNs + 5n]),
    [[id, '3', true]],
  );
});

test('the sixteenth content makes one of all, together with the deletions, and no byte of a document changes', async () => {
  const shared = new SharedManifestContents();
  const time = new TestTime();
  const data = new Map<ManifestId, string>();
  for (let i = 0; i < 16; i++) {
    const { store, backend } = openStore(shared, time, { compactionThreshold: 100 });
    const json = `{"n":9223372036854775${i},"f":1.0${i}0,"s":"\\u003c${i}"}`;
    data.set(store.put(LABELS, json), json);
    if (i === 7) {
      const [first] = data.keys();
      assert.ok(first);
      data.delete(first);
      await store.delete(first, signal);
    }
    await commit(store, backend);
  }
  assert.equal(shared.live.size, 16);
  const readOnly = openStore(shared, time, { readOnly: true }).store;
  assert.equal((await readOnly.find({}, signal)).length, 15);
  assert.equal(shared.live.size, 16);
  const flushes = shared.flushes;
  const found = await openStore(shared, time).store.find({}, signal);
  assert.deepEqual(new Map(found.map(({ id, dataJson }) => [id, dataJson])), data);
  assert.equal(shared.live.size, 1);
  assert.equal(shared.flushes, flushes + 1);
  const again = await openStore(shared, time).store.find({}, signal);
  assert.equal(again.length, 15);
});

test('contents that disappear because another client compacts are looked up anew', async () => {
  const shared = new SharedManifestContents();
  const time = new TestTime();
  const first = openStore(shared, time);
  const ids = [first.store.put(LABELS, '1')];
  await commit(first.store, first.backend);
  ids.push(first.store.put(LABELS, '2'));
  await commit(first.store, first.backend);
  const late = openStore(shared, time);
  await first.store.compact(signal);
  assert.equal(shared.live.size, 1);
  const found = await late.store.find({}, signal);
  assert.deepEqual(new Set(found.map(({ id }) => id)), new Set(ids));
});

test('an index that keeps naming a missing content ends in its error', async () => {
  const backend = new SharedManifestBackend(new SharedManifestContents());
  backend.listManifestContents = () => Promise.resolve(['m00' as ContentId]);
  const store = new ManifestStore(backend, { clock: new TestTime().clock, random: countingRandom(0) });
  await assert.rejects(store.find({}, signal), (error) => hasCode(error, 'CONTENT_NOT_FOUND'));
});

test('a content is read once, whatever the revision does', async () => {
  const shared = new SharedManifestContents();
  const { store, backend } = openStore(shared, new TestTime());
  store.put(LABELS, '1');
  await commit(store, backend);
  const late = openStore(shared, new TestTime());
  await late.store.find({}, signal);
  await late.backend.refresh();
  await late.store.find({}, signal);
  assert.equal(late.backend.reads, 1);
});

test('operations called together do not see each other half done', async () => {
  const shared = new SharedManifestContents();
  const { store, backend } = openStore(shared, new TestTime());
  await Promise.all([
    store.replace(LABELS, '1', signal),
    store.replace(LABELS, '2', signal),
    store.flush(signal),
    store.replace(LABELS, '3', signal),
  ]);
  await commit(store, backend);
  const found = await openStore(shared, new TestTime()).store.find({}, signal);
  assert.deepEqual(
    found.map(({ dataJson }) => dataJson),
    ['3'],
  );
});

test('of several singletons the latest counts, the greatest id among equals', () => {
  const of = (id: string, modifiedNs: bigint): { id: ManifestId; modifiedNs: bigint } => ({
    id: id as ManifestId,
    modifiedNs,
  });
  assert.equal(pickLatest([of('a', 1n), of('b', 2n), of('c', 1n)])?.id, 'b');
  assert.equal(pickLatest([of('a', 1n), of('c', 1n), of('b', 1n)])?.id, 'c');
  assert.equal(pickLatest([]), undefined);
});

const ENTRY: ManifestEntry = {
  id: '64821d0ef2052e807a940ef5a8c7d13d' as ManifestId,
  labels: { type: 'policy' },
  modifiedNs: 1n,
  deleted: false,
  dataJson: '{"x":[1,2,{"y":"z"}]}',
};

function gzip(text: string): Uint8Array {
  return gzipSync(Buffer.from(text));
}

test('contents that kopia would refuse are MANIFEST_CORRUPT', () => {
  const bad = [
    '',
    'null',
    '[]',
    '{"entries":null}',
    '{"entries":{}}',
    '{"entries":[],"entries":[]}',
    '{"entries":[],"more":1}',
    '{"entries":[1]}',
    '{"entries":[{"id":1,"labels":null,"modified":"2026-11-20T09:07:13Z","data":null}]}',
    '{"entries":[{"id":"1","labels":{"type":1},"modified":"2026-11-20T09:07:13Z","data":null}]}',
    '{"entries":[{"id":"1","labels":[],"modified":"2026-11-20T09:07:13Z","data":null}]}',
    '{"entries":[{"id":"1","labels":null,"modified":"yesterday","data":null}]}',
  ];
  for (const text of bad) {
    assert.throws(
      () => parseManifestContent(gzip(text)),
      (error) => hasCode(error, 'MANIFEST_CORRUPT'),
      text,
    );
  }
  assert.throws(
    () => parseManifestContent(Buffer.from('{"entries":[]}')),
    (error) => hasCode(error, 'MANIFEST_CORRUPT'),
  );
  assert.deepEqual(parseManifestContent(gzip('{"Entries":[]}')), []);
});

test('a gzip bomb is refused before it fills the memory', () => {
  // Members of a gzip file add up.
  const member = gzip('0'.repeat(10 << 20));
  const bomb = Buffer.concat(Array.from({ length: 14 }, () => member));
  assert.ok(bomb.length < 200_000);
  assert.throws(
    () => parseManifestContent(bomb),
    (error) => hasCode(error, 'MANIFEST_CORRUPT'),
  );
});

test('every truncation and flip of a content is a typed error or a valid list', () => {
  const valid = encodeManifestContent([ENTRY]);
  assert.equal(gunzipSync(valid).toString().at(-1), '\n');
  assert.deepEqual(parseManifestContent(valid), [ENTRY]);
  for (let i = 0; i < valid.length; i++) {
    assert.throws(
      () => parseManifestContent(valid.subarray(0, i)),
      (error) => hasCode(error, 'MANIFEST_CORRUPT'),
    );
    for (let bit = 0; bit < 8; bit++) {
      const flipped = Uint8Array.from(valid);
      flipped[i] = (flipped[i] ?? 0) ^ (1 << bit);
      try {
        parseManifestContent(flipped);
      } catch (error) {
        assert.ok(hasCode(error, 'MANIFEST_CORRUPT'), String(error));
      }
    }
  }
});

test('member names match in any case, as in Go', () => {
  const entry = parseManifestEntry('{"ID":"a","Labels":{"type":"x"},"Modified":"1970-01-01T00:00:00Z","Data":{"b":1}}');
  assert.deepEqual(entry, { id: 'a', labels: { type: 'x' }, modifiedNs: 0n, deleted: false, dataJson: '{"b":1}' });
});
