import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasCode } from '../../base/errors.ts';
import { systemRandom } from '../../base/random.ts';
import { SharedManifestBackend, SharedManifestContents } from '../../test/harness/manifest-contents.ts';
import { createTestClock } from '../../test/harness/test-clock.ts';
import type { ManifestId } from '../manifest/manifest-entry.ts';
import { ManifestStore } from '../manifest/manifest-store.ts';
import { parseObjectId } from '../object/object-id.ts';
import {
  EMPTY_STATS,
  type NewSnapshot,
  changePins,
  encodeSnapshotManifest,
  parseSnapshotManifest,
  rewriteSnapshotManifest,
  userTagKey,
  userTags,
} from './snapshot-manifest.ts';
import {
  deleteSnapshot,
  findPrevious,
  listSnapshots,
  listSources,
  loadSnapshot,
  saveSnapshot,
  updateSnapshot,
} from './snapshots.ts';

const { signal } = new AbortController();
const SOURCE = { host: 'host', userName: 'user', path: '/data' };
const ID = '64821d0ef2052e807a940ef5a8c7d13d' as ManifestId;

function openStore(): ManifestStore {
  const backend = new SharedManifestBackend(new SharedManifestContents());
  return new ManifestStore(backend, { clock: createTestClock(), random: systemRandom });
}

function snapshotAt(startSeconds: number, change: Partial<NewSnapshot> = {}): NewSnapshot {
  const startTimeNs = BigInt(startSeconds) * 1_000_000_000n;
  return {
    source: SOURCE,
    description: '',
    startTimeNs,
    endTimeNs: startTimeNs + 1n,
    stats: EMPTY_STATS,
    rootEntry: {
      name: 'data',
      type: 'd',
      mode: 0o755,
      mtimeSeconds: startSeconds,
      mtimeNanos: 0,
      uid: 0,
      gid: 0,
      objectId: parseObjectId('k00112233445566778899aabbccddeeff'),
      summary: { size: 0, files: 0, symlinks: 0, dirs: 1, maxTimeNs: 0n, numFailed: 0 },
    },
    ...change,
  };
}

test('a snapshot is saved with the labels of its source and its tags', async () => {
  const store = openStore();
  const tags = { [userTagKey('env')]: 'prod', 'snapshot-uploader': 'kopia' };
  const id = saveSnapshot(store, snapshotAt(1, { tags, pins: ['velero-pin'] }));
  const { labels } = await store.get(id, signal);
  assert.deepEqual(labels, {
    type: 'snapshot',
    hostname: 'host',
    username: 'user',
    path: '/data',
    'tag:env': 'prod',
    'snapshot-uploader': 'kopia',
  });
  const loaded = await loadSnapshot(store, id, signal);
  assert.equal(loaded.id, id);
  assert.deepEqual(loaded.tags, tags);
  assert.deepEqual(userTags(loaded.tags), { env: 'prod' });
  assert.deepEqual(await listSources(store, signal), [SOURCE]);
  const found = await listSnapshots(store, { tags: { 'tag:env': 'prod' } }, signal);
  assert.equal(found.length, 1);
});

test('a snapshot without a whole source, or with a reserved tag, is refused', () => {
  const store = openStore();
  for (const change of [
    { source: { ...SOURCE, host: '' } },
    { source: { ...SOURCE, userName: '' } },
    { source: { ...SOURCE, path: '' } },
    { tags: { path: 'x' } },
    { tags: { type: 'x' } },
  ]) {
    assert.throws(
      () => saveSnapshot(store, snapshotAt(1, change)),
      (error) => hasCode(error, 'SNAPSHOT_INVALID'),
    );
  }
});

test('the previous snapshots are the last complete one and the incomplete ones after it', async () => {
  const store = openStore();
  const other = { source: { ...SOURCE, path: '/other' } };
  const incomplete = { incomplete: 'checkpoint' };
  saveSnapshot(store, snapshotAt(9, other));
  const first = saveSnapshot(store, snapshotAt(1, incomplete));
  assert.deepEqual(
    (await findPrevious(store, SOURCE, signal)).map(({ id }) => id),
    [first],
  );
  const complete = saveSnapshot(store, snapshotAt(3));
  saveSnapshot(store, snapshotAt(2));
  const later = saveSnapshot(store, snapshotAt(5, incomplete));
  const soon = saveSnapshot(store, snapshotAt(4, incomplete));
  store.put({ type: 'snapshot', hostname: 'host', username: 'user', path: '/data' }, '{"source":1}');
  assert.deepEqual(
    (await findPrevious(store, SOURCE, signal)).map(({ id }) => id),
    [complete, soon, later],
  );
});

test('a snapshot that cannot be read stops a list unless someone is told of it', async () => {
  const store = openStore();
  const id = store.put({ type: 'snapshot' }, '[]');
  await assert.rejects(listSnapshots(store, {}, signal), (error) => hasCode(error, 'SNAPSHOT_CORRUPT'));
  const told: ManifestId[] = [];
  assert.deepEqual(await listSnapshots(store, { onCorrupt: (corrupt) => told.push(corrupt) }, signal), []);
  assert.deepEqual(told, [id]);
});

test('pinning saves a new manifest with everything else as it was, and drops the old one', async () => {
  const store = openStore();
  const json = encodeSnapshotManifest(snapshotAt(1)).replace(
    '"description":""',
    '"description":"","later":{"n":9223372036854775807,"f":1.50,"s":"\\u003c"}',
  );
  const labels = { type: 'snapshot', hostname: 'host', username: 'user', path: '/data', 'tag:a': 'b' };
  const old = store.put(labels, json);
  const id = await updateSnapshot(store, old, { pins: ['keep'] }, signal);
  const saved = await store.get(id, signal);
  assert.equal(saved.dataJson, json.replace(/\}$/, ',"pins":["keep"]}'));
  assert.deepEqual(saved.labels, labels);
  await assert.rejects(loadSnapshot(store, old, signal), (error) => hasCode(error, 'SNAPSHOT_NOT_FOUND'));
  const unpinned = await updateSnapshot(store, id, { pins: [], description: 'x<' }, signal);
  assert.equal(
    (await store.get(unpinned, signal)).dataJson,
    json.replace('"description":""', '"description":"x\\u003c"'),
  );
});

test('a manifest with another id inside is written with an empty one', () => {
  const json = encodeSnapshotManifest(snapshotAt(1)).replace('"id":""', '"id":"abc"');
  assert.ok(rewriteSnapshotManifest(json, {}).startsWith('{"id":"",'));
});

test('pins are sorted and there once', () => {
  assert.deepEqual(changePins(['b', 'a'], ['c', 'a'], ['b', 'x']), ['a', 'c']);
});

test('deleting forgets the snapshot and nothing else', async () => {
  const store = openStore();
  const id = saveSnapshot(store, snapshotAt(1));
  const policy = store.put({ type: 'policy' }, '{}');
  await deleteSnapshot(store, id, signal);
  await assert.rejects(deleteSnapshot(store, id, signal), (error) => hasCode(error, 'SNAPSHOT_NOT_FOUND'));
  await assert.rejects(deleteSnapshot(store, policy, signal), (error) => hasCode(error, 'SNAPSHOT_NOT_FOUND'));
  assert.ok(await store.get(policy, signal));
});

test('members are where kopia puts them', () => {
  const json = encodeSnapshotManifest(
    snapshotAt(1, { rootEntry: null, incomplete: 'canceled', tags: { b: '1', a: '2' }, pins: ['p'] }),
  );
  assert.equal(
    json,
    '{"id":"","source":{"host":"host","userName":"user","path":"/data"},"description":"","startTime":"1970-01-01T00:00:01Z",' +
      '"endTime":"1970-01-01T00:00:01.000000001Z","stats":{"totalSize":0,"excludedTotalSize":0,"fileCount":0,"cachedFiles":0,' +
      '"nonCachedFiles":0,"dirCount":0,"excludedFileCount":0,"excludedDirCount":0,"ignoredErrorCount":0,"errorCount":0},' +
      '"incomplete":"canceled","rootEntry":null,"tags":{"a":"2","b":"1"},"pins":["p"]}',
  );
  assert.equal(parseSnapshotManifest(ID, json).rootEntry, null);
});

test('every truncation and flip of a manifest is a typed error or a valid manifest', () => {
  const valid = Buffer.from(encodeSnapshotManifest(snapshotAt(1, { tags: { a: 'b' }, pins: ['p'] })));
  for (let i = 0; i < valid.length; i++) {
    const cut = valid.subarray(0, i).toString();
    assert.throws(
      () => parseSnapshotManifest(ID, cut),
      (error) => hasCode(error, 'SNAPSHOT_CORRUPT'),
    );
    for (let bit = 0; bit < 8; bit++) {
      const flipped = Buffer.from(valid);
      flipped[i] = (flipped[i] ?? 0) ^ (1 << bit);
      try {
        parseSnapshotManifest(ID, flipped.toString());
      } catch (error) {
        assert.ok(hasCode(error, 'SNAPSHOT_CORRUPT'), String(error));
      }
    }
  }
});
