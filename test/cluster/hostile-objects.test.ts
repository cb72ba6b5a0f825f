// Objects that no Velero server makes, and a configuration with a typing error, before the running agent: each object comes to its end
// with one clear line or is left alone, and what comes after is served as if nothing had been.
import assert from 'node:assert/strict';
import { readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { ConfigMap, Pod } from '../../kube/api/core.ts';
import type { PodVolumeBackup, PodVolumeRestore } from '../../kube/api/velero.ts';
import { dataMovers, whenNothingMoves } from './agent-control.ts';
import { NODE_NAME } from './certificates.ts';
import { agentLog, agentPod, setConcurrency, useNodeAgent } from './node-agent.ts';
import { cutRelay, SLOW_LOCATION, startRelay } from './relay.ts';
import { makeRestoredPod } from './restored-pod.ts';
import { sharedCluster } from './shared-cluster.ts';
import { describeVolume, noise } from './trees.ts';
import { VELERO_NAMESPACE } from './velero.ts';
import {
  change,
  createVolumeBackup,
  createVolumeRestore,
  type VolumeObject,
  whenMoving,
  whenOver,
} from './volume-objects.ts';
import { waitFor } from './wait.ts';
import { freshName, loseNamespace, makeNamespace, makePod, mountedVolume, whenRunning } from './workload.ts';

const NAMESPACE = freshName('hostile');
const VOLUME = 'small';
const BYTES_PER_SECOND = 1 << 20;
const LARGE_BYTES = 24 << 20;
const ODD_KEYS = JSON.parse(
  '{"": "x", "../..": "y", "__proto__": "z", "a b\\n": "", "velero.io/volume": "other", "windlass.io/run": "mine"}',
) as object;

/** `alone`: nobody has touched it. A pattern: Failed, and this is said of it. */
type End = 'alone' | 'Completed' | RegExp;

interface Hostile {
  readonly name: string;
  readonly end: End;
  readonly metadata?: object;
  /** Undefined: none at all. */
  readonly spec: object | undefined;
  readonly status?: object;
}

const cluster = await sharedCluster();
const { kubectl } = cluster;
let pod: Pod;

before(async () => {
  await useNodeAgent(cluster, 'windlass');
  await startRelay(cluster, BYTES_PER_SECOND);
  await makeNamespace(cluster, NAMESPACE);
  pod = await makePod(cluster, { namespace: NAMESPACE, name: 'web', emptyDirs: [VOLUME, 'large', 'larger'] });
  fill(VOLUME, 1000);
});
after(async () => {
  await loseNamespace(cluster, NAMESPACE);
  await cutRelay(cluster);
  await setConcurrency(cluster, undefined);
});

function fill(volume: string, bytes: number): void {
  writeFileSync(join(mountedVolume(cluster, pod, volume), 'file'), noise(freshName(volume), bytes));
}

/** One as any server makes it; answers its snapshot. */
async function goodBackup(): Promise<string> {
  const name = freshName('good');
  await createVolumeBackup(cluster, { name, pod, volume: VOLUME });
  const { status } = await whenOver<PodVolumeBackup>(cluster, 'podvolumebackup', name);
  assert.equal(status?.phase, 'Completed', status?.message);
  return status?.snapshotID ?? '';
}

function reference({ metadata: { name, namespace, uid } }: Pod): object {
  return { kind: 'Pod', name, namespace, uid };
}

function hostileBackups(): Hostile[] {
  const good = {
    node: NODE_NAME,
    pod: reference(pod),
    volume: VOLUME,
    backupStorageLocation: 'default',
    repoIdentifier: '',
    uploaderType: 'kopia',
  };
  const ends = (name: string, end: End, spec: object = {}, more: Partial<Hostile> = {}): Hostile => ({
    name,
    end,
    spec: { ...good, ...spec },
    ...more,
  });
  const gone = /^pod \S* is gone, or not on this node \[POD_GONE\]$|^pod \S* is gone, or going.*\[POD_GONE\]$/;
  const unknown = /has no volume .*\[VOLUME_UNKNOWN\]$/;
  return [
    { name: 'no-spec', end: 'alone', spec: undefined },
    ends('restic', 'alone', { uploaderType: 'restic' }),
    ends('other-node', 'alone', { node: '../node-1' }),
    ends('over-already', 'alone', {}, { status: { phase: 'Completed', snapshotID: '../../x' } }),
    ends(`${'long.'.repeat(46)}${freshName('name')}`.padEnd(253, 'x'), 'Completed'),
    ends('nothing-said', 'Completed', { uploaderType: '' }),
    ends('repository-of-another', 'Completed', { repoIdentifier: 's3:http://elsewhere/bucket/kopia/kube-system' }),
    ends('odd-tags', 'Completed', { tags: ODD_KEYS }),
    ends('odd-settings', 'Completed', { uploaderSettings: { ParallelFilesUpload: '1e99', ...ODD_KEYS } }),
    ends('claim-outside', 'Completed', {}, { metadata: { annotations: { 'velero.io/pvc-name': '../../../etc' } } }),
    ends('volume-outside', unknown, { volume: '../../../../../etc' }),
    ends('volume-of-two-lines', unknown, { volume: `${VOLUME}\nCompleted` }),
    ends('volume-without-name', unknown, { volume: '' }),
    ends('volume-without-end', /VOLUME_UNKNOWN|…$/, { volume: 'x'.repeat(100_000) }),
    ends('no-such-pod', gone, { pod: { ...reference(pod), name: 'nobody', uid: 'none' } }),
    ends('pod-of-another-uid', gone, { pod: { ...reference(pod), uid: '../..' } }),
    ends('pod-of-nothing', gone, { pod: {} }),
  ];
}

function hostileRestores(restored: Pod, snapshotID: string): Hostile[] {
  const good = {
    pod: reference(restored),
    volume: VOLUME,
    backupStorageLocation: 'default',
    repoIdentifier: '',
    sourceNamespace: NAMESPACE,
    uploaderType: 'kopia',
    snapshotID,
  };
  // Of a kind that nobody knows, which no garbage collector takes for gone.
  const ownedBy = (uid: string): object => ({
    ownerReferences: [{ apiVersion: 'windlass.test/v1', kind: 'Nothing', name: 'nothing', uid }],
  });
  const ends = (name: string, end: End, spec: object = {}, metadata = ownedBy('a-restore')): Hostile => ({
    name,
    end,
    metadata,
    spec: { ...good, ...spec },
  });
  return [
    { name: 'no-spec', end: 'alone', spec: undefined },
    ends('restic', 'alone', { uploaderType: 'restic' }),
    ends('no-such-pod', 'alone', { pod: { ...reference(restored), name: 'nobody', uid: 'none' } }),
    ends('no-such-snapshot', /snapshot.*\[\w+\]$/i, { snapshotID: '0123456789abcdef0123456789abcdef' }),
    ends('snapshot-without-name', /\[\w+\]$/, { snapshotID: '' }),
    ends('snapshot-outside', /\[\w+\]$/, { snapshotID: '../../kopia.repository' }),
    ends('volume-outside', /has no volume .*\[VOLUME_UNKNOWN\]$/, { volume: '../' }),
    ends('namespace-outside', /\[\w+\]$/, { sourceNamespace: '../..' }),
    ends('without-owner', /\[RESTORE_OWNER_MISSING\]$/, {}, {}),
    ends('owner-outside', /\[RESTORE_OWNER_MISSING\]$/, {}, ownedBy('../../../../escaped')),
  ];
}

/** All at once. Answers when each has come to its end. */
async function tryAll(kind: 'PodVolumeBackup' | 'PodVolumeRestore', all: readonly Hostile[]): Promise<void> {
  const nameOf = ({ name }: Hostile): string => (name.length > 200 ? name : freshName(name));
  const made = all.map((hostile) => ({ ...hostile, name: nameOf(hostile) }));
  const documents = made.map(({ name, metadata, spec, status }) => {
    const place = { ...metadata, name, namespace: VELERO_NAMESPACE };
    return JSON.stringify({ apiVersion: 'velero.io/v1', kind, metadata: place, spec, status });
  });
  await kubectl.ok(['create', '-f', '-'], { input: documents.join('\n---\n') });
  const resource = kind === 'PodVolumeBackup' ? 'podvolumebackup' : 'podvolumerestore';
  try {
    for (const { name, end } of made) {
      if (end === 'alone') continue;
      const { status: { phase, message = '' } = {} } = await whenOver<VolumeObject>(cluster, resource, name);
      if (end === 'Completed') assert.equal(phase, end, `${name}: ${message}`);
      else {
        assert.equal(phase, 'Failed', `${name}: ${message}`);
        assert.match(message, end, name);
        assert.doesNotMatch(message, /\n/, name);
      }
    }
    for (const { name, status } of made.filter(({ end }) => end === 'alone')) {
      const { metadata, ...left } =
        (await kubectl.get<VolumeObject>(resource, '-n', VELERO_NAMESPACE, name)) ?? assert.fail();
      assert.deepEqual(left.status, status, name);
      assert.equal(metadata.finalizers, undefined, name);
    }
  } finally {
    await kubectl.run(['-n', VELERO_NAMESPACE, 'delete', resource, ...made.map(({ name }) => name), '--wait=false']);
  }
}

test('a volume that one object has restored is not restored by a second one while its pod waits', async () => {
  // Whoever restored the source once has left this there.
  symlinkSync('/etc', join(mountedVolume(cluster, pod, VOLUME), '.velero'));
  const snapshotID = await goodBackup();
  rmSync(join(mountedVolume(cluster, pod, VOLUME), '.velero'));
  const name = freshName('twice');
  const twice = await makeRestoredPod(cluster, { namespace: NAMESPACE, name, emptyDirs: [VOLUME, 'other'] });
  const restore = async (object: string, volume: string): Promise<PodVolumeRestore['status']> => {
    await createVolumeRestore(cluster, { name: object, pod: twice, volume, snapshotID, sourceNamespace: NAMESPACE });
    return (await whenOver<PodVolumeRestore>(cluster, 'podvolumerestore', object)).status;
  };
  const first = freshName('first');
  assert.equal((await restore(first, VOLUME))?.phase, 'Completed');
  writeFileSync(join(mountedVolume(cluster, twice, VOLUME), 'file'), 'changed since');
  const second = await restore(freshName('second'), VOLUME);
  assert.equal(second?.phase, 'Failed');
  assert.match(
    second?.message ?? '',
    new RegExp(`was restored before, by velero/${first} \\[VOLUME_RESTORED_BEFORE\\]$`),
  );
  assert.equal(readFileSync(join(mountedVolume(cluster, twice, VOLUME), 'file'), 'utf8'), 'changed since');
  assert.equal((await restore(freshName('third'), 'other'))?.phase, 'Completed');
  await whenRunning(cluster, NAMESPACE, name);
});

test('objects that no server makes end with one line or are left alone', async () => {
  const before = await agentPod(cluster);
  await tryAll('PodVolumeBackup', hostileBackups());
  const snapshotID = await goodBackup();
  const target = await makeRestoredPod(cluster, { namespace: NAMESPACE, name: 'target', emptyDirs: [VOLUME] });
  await tryAll('PodVolumeRestore', hostileRestores(target, snapshotID));

  const restored = await makeRestoredPod(cluster, { namespace: NAMESPACE, name: 'restored', emptyDirs: [VOLUME] });
  const plan = { name: freshName('good'), pod: restored, volume: VOLUME, snapshotID, sourceNamespace: NAMESPACE };
  await createVolumeRestore(cluster, plan);
  await whenRunning(cluster, NAMESPACE, 'restored');
  const [source, copy] = [pod, restored].map((of) => describeVolume(mountedVolume(cluster, of, VOLUME), 'exact'));
  assert.deepEqual(copy, source);
  const agent = await agentPod(cluster);
  assert.equal(agent.metadata.uid, before.metadata.uid);
  assert.equal(agent.status?.containerStatuses?.[0]?.restartCount, before.status?.containerStatuses?.[0]?.restartCount);
});

test('a typing error in the configuration leaves the one before in force', async () => {
  await setConcurrency(cluster, 2);
  const maps = await kubectl.list<ConfigMap>('configmaps', '-n', VELERO_NAMESPACE);
  const map = maps.find(({ data = {} }) => Object.values(data).some((text) => text.includes('loadConcurrency')));
  assert.ok(map !== undefined);
  const [key = ''] = Object.keys(map.data ?? {});
  const place = ['-n', VELERO_NAMESPACE, map.metadata.name];
  const put = (text: string): Promise<string> =>
    kubectl.ok(['patch', 'configmap', ...place, '--type=merge', '-p', JSON.stringify({ data: { [key]: text } })]);
  await put('{"loadConcurrency": {"globalConfig": 1}');
  await waitFor('the word of the agent', async () =>
    /NODE_CONFIG_INVALID/.test(await agentLog(cluster)) ? true : undefined,
  );
  const names: string[] = [];
  for (const volume of ['large', 'larger']) {
    const name = freshName(volume);
    names.push(name);
    fill(volume, LARGE_BYTES);
    await createVolumeBackup(cluster, { name, pod, volume, location: SLOW_LOCATION });
  }
  for (const name of names) await whenMoving(cluster, 'podvolumebackup', name);
  await waitFor('as many data movers as the configuration before says', async () =>
    (await dataMovers(cluster)).length === 2 ? true : undefined,
  );
  for (const name of names) {
    await change(cluster, 'podvolumebackup', name, { spec: { cancel: true } });
    await whenOver(cluster, 'podvolumebackup', name);
  }
  await whenNothingMoves(cluster);
  await goodBackup();
});
