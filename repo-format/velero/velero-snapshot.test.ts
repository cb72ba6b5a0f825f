import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodePolicy } from '../snapshot/policy.ts';
import { EMPTY_STATS, type ManifestId, type SnapshotManifest } from '../index.ts';
import { parseSource } from '../snapshot/source.ts';
import { isVeleroPath, veleroIdentity } from './velero-identity.ts';
import { encodeVeleroBlob } from './velero-repository.ts';
import { chooseVeleroParent, isVeleroSource, veleroPolicy, veleroTags } from './velero-snapshot.ts';

const POD = 'snapshot-pod-volume/kopia/demo/web-0/data';
const MOVED = 'snapshot-data-upload-download/kopia/shop/stock';

test("a source is one of Velero's, and stays as it is", () => {
  const identity = veleroIdentity('/here');
  for (const path of [POD, MOVED, 'pod-volume-backup-restore/kopia/demo/web-0/data']) {
    const expected = { host: 'default', userName: 'default', path };
    for (const given of [path, `default@default:${path}`]) {
      const { host, userName, path: named } = parseSource(given, identity);
      assert.deepEqual({ host, userName, path: named }, expected);
      assert.ok(isVeleroSource({ host, userName, path: named }));
    }
  }
  const bad = ['data', '/data', `${POD}/more`, `${MOVED}/more`, 'x/kopia/a/b', 'snapshot-pod-volume/restic/a/b/c'];
  for (const path of [...bad, 'snapshot-pod-volume/kopia/a//c', `me@host:${POD}`]) {
    assert.equal(isVeleroPath(path), false);
    assert.equal(isVeleroSource(parseSource(path, identity)), false, path);
  }
});

test('tags are those that Velero looks for', () => {
  assert.deepEqual(veleroTags(POD), { 'snapshot-requester': 'snapshot-pod-volume', 'snapshot-uploader': 'kopia' });
  assert.deepEqual(veleroTags(MOVED), {
    'snapshot-requester': 'snapshot-data-upload-download',
    'snapshot-uploader': 'kopia',
    'velero.io/async-operation-id': '',
  });
});

test('the parent is the latest complete snapshot with both tags', () => {
  const snapshot = (id: string, startTimeNs: bigint, more: Partial<SnapshotManifest> = {}): SnapshotManifest => ({
    id: id as ManifestId,
    source: { host: 'default', userName: 'default', path: POD },
    description: '',
    startTimeNs,
    endTimeNs: startTimeNs,
    stats: EMPTY_STATS,
    rootEntry: null,
    tags: veleroTags(POD),
    pins: [],
    ...more,
  });
  assert.equal(chooseVeleroParent([], POD), undefined);
  const all = [
    snapshot('a', 1n),
    snapshot('b', 3n),
    snapshot('c', 2n),
    snapshot('checkpoint', 9n, { tags: {}, incomplete: 'checkpoint' }),
    snapshot('canceled', 8n, { incomplete: 'canceled' }),
    snapshot('by-hand', 7n, { tags: { 'tag:x': 'y' } }),
    snapshot('by-another', 6n, { tags: { ...veleroTags(POD), 'snapshot-uploader': 'restic' } }),
  ];
  assert.equal(chooseVeleroParent(all, POD), 'b');
});

test('the policy of a source is, letter by letter, what Velero stores', () => {
  assert.equal(
    encodePolicy(veleroPolicy(4)),
    '{"retention":{"keepLatest":2147483647,"keepHourly":2147483647,"keepDaily":2147483647,"keepWeekly":2147483647,' +
      '"keepMonthly":2147483647,"keepAnnual":2147483647},"files":{},"errorHandling":{"ignoreUnknownTypes":true},' +
      '"scheduling":{"manual":true},"compression":{"compressorName":"none"},"metadataCompression":{},"splitter":{},' +
      '"actions":{},"osSnapshots":{"volumeShadowCopy":{}},"logging":{"directories":{},"entries":{}},' +
      '"upload":{"maxParallelFileReads":4,"parallelUploadAboveSize":2147483648}}',
  );
});

test("Velero's blob names the repository", () => {
  assert.equal(Buffer.from(encodeVeleroBlob(new Uint8Array([1, 2, 3]))).toString(), '{"uniqueID":"AQID"}');
});
