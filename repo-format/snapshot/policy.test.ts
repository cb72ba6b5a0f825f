import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasCode } from '../../base/errors.ts';
import { systemRandom } from '../../base/random.ts';
import { SharedManifestBackend, SharedManifestContents } from '../../test/harness/manifest-contents.ts';
import { createTestClock } from '../../test/harness/test-clock.ts';
import { ManifestStore } from '../manifest/manifest-store.ts';
import { compressorForFile, metadataCompressor } from './compression-choice.ts';
import {
  GLOBAL_POLICY_TARGET,
  listPolicies,
  loadEffectivePolicy,
  loadPolicy,
  policyLabels,
  policyTargets,
  removePolicy,
  setPolicy,
} from './effective-policy.ts';
import { DEFAULT_POLICY, encodePolicy, parsePolicy } from './policy.ts';
import { loadPolicyTree } from './policy-tree.ts';
import { formatSource } from './source.ts';

const { signal } = new AbortController();
const SOURCE = { host: 'host', userName: 'user', path: '/a/b' };

function openStore(): ManifestStore {
  const backend = new SharedManifestBackend(new SharedManifestContents());
  return new ManifestStore(backend, { clock: createTestClock(), random: systemRandom });
}

// As Velero writes it before each backup (snapshots §9.6), with the number its older versions wrote.
const VELERO_POLICY =
  '{"retention":{"keepLatest":2147483647,"keepHourly":2147483647,"keepDaily":2147483647,"keepWeekly":2147483647,' +
  '"keepMonthly":2147483647,"keepAnnual":2147483647},"files":{},"errorHandling":{"ignoreUnknownTypes":true},' +
  '"scheduling":{"manual":true},"compression":{"compressorName":"none"},"metadataCompression":{},"splitter":{},"actions":{},' +
  '"osSnapshots":{"volumeShadowCopy":{}},"logging":{"directories":{},"entries":{}},' +
  '"upload":{"maxParallelFileReads":4,"parallelUploadAboveSize":9223372036854775807}}';

test("Velero's policy comes out as it went in, with every digit", () => {
  const policy = parsePolicy(VELERO_POLICY);
  assert.equal(policy.upload?.parallelUploadAboveSize, 9223372036854775807n);
  assert.equal(encodePolicy(policy), VELERO_POLICY);
});

test("the defaults are the global policy of kopia's new repositories", () => {
  assert.equal(
    encodePolicy(DEFAULT_POLICY),
    '{"retention":{"keepLatest":10,"keepHourly":48,"keepDaily":7,"keepWeekly":4,"keepMonthly":24,"keepAnnual":3,"ignoreIdenticalSnapshots":false},"files":{"ignoreDotFiles":[".kopiaignore"]},"errorHandling":{"ignoreFileErrors":false,"ignoreDirectoryErrors":false,"ignoreUnknownTypes":true},"scheduling":{"runMissed":true},"compression":{"compressorName":"none"},"metadataCompression":{"compressorName":"zstd-fastest"},"splitter":{},"actions":{},"osSnapshots":{"volumeShadowCopy":{"enable":0}},"logging":{"directories":{"snapshotted":5,"ignored":5},"entries":{"snapshotted":0,"ignored":5,"cacheHit":0,"cacheMiss":0}},"upload":{"maxParallelSnapshots":1,"parallelUploadAboveSize":2147483648}}',
  );
});

test('what says nothing is left out, what other versions say stays', () => {
  const json =
    '{"files":{"ignore":[],"maxFileSize":0,"noParentIgnore":false,"later":[1]},"noParent":true,"newer":{"x":1}}';
  assert.equal(
    encodePolicy(parsePolicy(json)),
    '{"retention":{},"files":{"later":[1]},"errorHandling":{},"scheduling":{},"compression":{},"metadataCompression":{},' +
      '"splitter":{},"actions":{},"osSnapshots":{"volumeShadowCopy":{}},"logging":{"directories":{},"entries":{}},"upload":{},' +
      '"noParent":true,"newer":{"x":1}}',
  );
});

test('policies that kopia could not read are POLICY_INVALID', () => {
  const bad = [
    '',
    '[]',
    '{"retention":1}',
    '{"retention":{"keepLatest":"1"}}',
    '{"retention":{"keepLatest":1.5}}',
    '{"files":{"ignore":"x"}}',
    '{"files":{"ignore":[1]}}',
    '{"scheduling":{"timeOfDay":[{"hour":"1","min":2}]}}',
    '{"actions":{"beforeFolder":{"path":1}}}',
    '{"logging":{"entries":{"ignored":true}}}',
    '{"noParent":"yes"}',
  ];
  for (const json of bad)
    assert.throws(
      () => parsePolicy(json),
      (error) => hasCode(error, 'POLICY_INVALID'),
      json,
    );
});

test('policies apply from the path itself up to everything', () => {
  const targets = policyTargets(SOURCE).map(formatSource);
  assert.deepEqual(targets, ['user@host:/a/b', 'user@host:/a', 'user@host:/', 'user@host', '@host', '(global)']);
  const narrow = [{ ...SOURCE, path: '' }, { host: 'host', userName: '', path: '' }, GLOBAL_POLICY_TARGET];
  assert.deepEqual(
    narrow.map((target) => policyTargets(target).map(formatSource)),
    [['user@host', '@host', '(global)'], ['@host', '(global)'], ['(global)']],
    'each target once',
  );
  const windows = policyTargets({ ...SOURCE, path: 'C:\\a\\b' }).map(({ path }) => path);
  assert.deepEqual(windows.slice(0, 3), ['C:\\a\\b', 'C:\\a', 'C:\\']);
  const velero = policyTargets({ ...SOURCE, path: 'snapshot-pod-volume/kopia/ns' }).map(({ path }) => path);
  assert.deepEqual(velero.slice(0, 4), [
    'snapshot-pod-volume/kopia/ns',
    'snapshot-pod-volume/kopia',
    'snapshot-pod-volume',
    '',
  ]);
});

test('the nearest policy that says something decides; lists replace or join', async () => {
  const store = openStore();
  await setPolicy(
    store,
    SOURCE,
    parsePolicy(
      '{"retention":{"keepLatest":0},"files":{"ignore":["*.o"]},"compression":{"neverCompress":[".zip"]},"scheduling":{"timeOfDay":[{"hour":10,"min":5}]},"actions":{"beforeFolder":{"path":"own"}}}',
    ),
    signal,
  );
  await setPolicy(
    store,
    { ...SOURCE, path: '/a' },
    parsePolicy(
      '{"retention":{"keepLatest":7,"keepDaily":1},"files":{"ignore":["*.tmp"]},"compression":{"compressorName":"zstd","neverCompress":[".gz",".zip"],"noParentNeverCompress":true},"scheduling":{"timeOfDay":[{"hour":9,"min":0},{"hour":10,"min":5}]},"actions":{"beforeFolder":{"path":"not inherited"},"afterSnapshotRoot":{"path":"inherited"}}}',
    ),
    signal,
  );
  await setPolicy(
    store,
    GLOBAL_POLICY_TARGET,
    parsePolicy('{"compression":{"neverCompress":[".bz2"]},"upload":{"maxParallelFileReads":3}}'),
    signal,
  );
  const { policy, stored, sources } = await loadEffectivePolicy(store, SOURCE, signal);
  assert.deepEqual(
    sources.map(({ target }) => target.path),
    ['/a/b', '/a', ''],
  );
  assert.equal(policy.retention?.keepLatest, 0);
  assert.equal(policy.retention?.keepDaily, 1);
  assert.equal(policy.retention?.keepAnnual, 3);
  assert.equal(stored.retention?.keepAnnual, undefined);
  assert.deepEqual(policy.files?.ignore, ['*.o']);
  assert.deepEqual(policy.files?.ignoreDotFiles, ['.kopiaignore']);
  assert.equal(stored.files?.ignoreDotFiles, undefined);
  assert.deepEqual(policy.compression?.neverCompress, ['.gz', '.zip']);
  assert.equal(policy.compression?.compressorName, 'zstd');
  assert.deepEqual(policy.scheduling?.timeOfDay, [
    { hour: 9, min: 0 },
    { hour: 10, min: 5 },
  ]);
  assert.deepEqual(policy.actions, { beforeFolder: { path: 'own' }, afterSnapshotRoot: { path: 'inherited' } });
  assert.equal(policy.upload?.maxParallelFileReads, 3);
});

test('a policy without parents stands alone, without defaults', async () => {
  const store = openStore();
  await setPolicy(store, SOURCE, { retention: { keepLatest: 2 }, noParent: true }, signal);
  await setPolicy(store, GLOBAL_POLICY_TARGET, { retention: { keepDaily: 5 } }, signal);
  const { policy } = await loadEffectivePolicy(store, SOURCE, signal);
  assert.deepEqual(policy.retention, { keepLatest: 2 });
});

test('setting replaces, removing removes', async () => {
  const store = openStore();
  await setPolicy(store, SOURCE, { retention: { keepLatest: 1 } }, signal);
  await setPolicy(store, SOURCE, { retention: { keepLatest: 2 } }, signal);
  assert.equal((await listPolicies(store, signal)).length, 1);
  assert.deepEqual((await loadPolicy(store, SOURCE, signal))?.policy.retention, { keepLatest: 2 });
  assert.deepEqual((await listPolicies(store, signal))[0]?.target, SOURCE);
  await removePolicy(store, SOURCE, signal);
  assert.equal(await loadPolicy(store, SOURCE, signal), undefined);
});

test('policies of hosts, users and paths have labels of their own', () => {
  assert.deepEqual(policyLabels(GLOBAL_POLICY_TARGET), { type: 'policy', policyType: 'global' });
  assert.deepEqual(policyLabels({ ...SOURCE, userName: '', path: '' }), {
    type: 'policy',
    policyType: 'host',
    hostname: 'host',
  });
  assert.equal(policyLabels({ ...SOURCE, path: '' })['policyType'], 'user');
  assert.equal(policyLabels(SOURCE)['policyType'], 'path');
});

test('targets and limits that make no sense are refused', async () => {
  const store = openStore();
  const set = (path: string, policy = {}): Promise<unknown> => setPolicy(store, { ...SOURCE, path }, policy, signal);
  await assert.rejects(set('/a/'), (error) => hasCode(error, 'POLICY_INVALID'));
  await assert.rejects(set('/a', { upload: { maxParallelSnapshots: 2 } }), (error) => hasCode(error, 'POLICY_INVALID'));
  await set('/');
  await set('C:\\');
});

test('policies below the source apply to their sub-trees as stored', async () => {
  const store = openStore();
  await setPolicy(store, SOURCE, { compression: { compressorName: 'zstd' } }, signal);
  await setPolicy(store, { ...SOURCE, path: '/a/b/c/d' }, { files: { ignore: ['x'] } }, signal);
  await setPolicy(store, { ...SOURCE, path: '/a/b/c' }, { files: { ignore: ['y'] } }, signal);
  await setPolicy(store, { ...SOURCE, path: '/a/bc' }, { files: { ignore: ['not here'] } }, signal);
  const { root, effective } = await loadPolicyTree(store, SOURCE, signal);
  assert.equal(root.policy, effective.policy);
  assert.equal(root.child('other').policy, root.policy);
  assert.equal(root.child('other').child('c').policy, root.policy);
  assert.deepEqual(root.child('c').policy.files, { ignore: ['y'] });
  assert.deepEqual(root.child('c').child('d').policy.files, { ignore: ['x'] });
  assert.deepEqual(root.child('c').child('d').child('e').policy.files, { ignore: ['x'] });
  assert.deepEqual(root.child('c').child('e').policy.files, { ignore: ['y'] });
});

test('the compressor depends on size and extension', () => {
  const policy = {
    compressorName: 'zstd',
    minSize: 10,
    maxSize: 100,
    neverCompress: ['.gz', '.zip'],
    onlyCompress: ['.zip'],
  };
  assert.equal(compressorForFile(policy, 'a.txt', 50), 'zstd');
  assert.equal(compressorForFile(policy, 'a.txt', 9), 'none');
  assert.equal(compressorForFile(policy, 'a.txt', 101), 'none');
  assert.equal(compressorForFile(policy, 'a.tar.gz', 50), 'none');
  assert.equal(compressorForFile(policy, 'a.zip', 50), 'zstd');
  assert.equal(compressorForFile({ compressorName: 'none' }, 'a', 1), 'none');
  assert.equal(compressorForFile({}, 'a', 1), 'none');
  assert.equal(metadataCompressor(DEFAULT_POLICY), 'zstd-fastest');
  assert.equal(metadataCompressor({}), 'none');
});
