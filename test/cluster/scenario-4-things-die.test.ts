// Scenario 4: whatever a volume's transfer depends on dies in the middle of it and comes back. The transfer goes on, or says truly why not.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import type { Pod } from '../../kube/api/core.ts';
import type { PodVolumeBackup, PodVolumeRestore } from '../../kube/api/velero.ts';
import { killAgent, whenNothingMoves } from './agent-control.ts';
import { whenApiServerReady } from './control-plane.ts';
import { runCommand } from '../harness/run-command.ts';
import { agentPod, agentProcesses, useNodeAgent } from './node-agent.ts';
import { credentialsText } from './object-store.ts';
import { rebootNode } from './reboot.ts';
import { cutRelay, mendRelay, RELAY_URL, setPace, SLOW_LOCATION, startRelay } from './relay.ts';
import { makeRestoredPod } from './restored-pod.ts';
import { sharedCluster } from './shared-cluster.ts';
import { changeStoreSecret, createStoreUser } from './store-users.ts';
import { describeVolume, noise, variedTree } from './trees.ts';
import { VELERO_NAMESPACE } from './velero.ts';
import { createVolumeBackup, createVolumeRestore, whenMoving, whenOver } from './volume-objects.ts';
import {
  freshName,
  loseNamespace,
  makeLocalVolume,
  makeNamespace,
  makePod,
  mountedVolume,
  whenRunning,
} from './workload.ts';

const NAMESPACE = freshName('dying');
const LARGE_BYTES = 24 << 20;
const SLOW = 1 << 20;
const FAST = 200 << 20;
const AWAY_MS = 60_000;

const cluster = await sharedCluster();
const { kubectl, inside, programs, velero } = cluster;
let pod: Pod;

before(async () => {
  await useNodeAgent(cluster, 'windlass');
  await startRelay(cluster, SLOW);
  await makeNamespace(cluster, NAMESPACE);
  pod = await makePod(cluster, { namespace: NAMESPACE, name: 'web', emptyDirs: ['data'] });
  variedTree(NAMESPACE).build(join(mountedVolume(cluster, pod, 'data'), 'tree'));
});
after(async () => {
  await loseNamespace(cluster, NAMESPACE);
  await cutRelay(cluster);
});

async function beginBackup(name: string, location: string, of = pod): Promise<string> {
  const fresh = freshName(name);
  writeFileSync(join(mountedVolume(cluster, of, 'data'), 'large'), noise(fresh, LARGE_BYTES));
  await createVolumeBackup(cluster, { name: fresh, pod: of, volume: 'data', location });
  return fresh;
}

/** Begins a backup that takes its time. */
async function slowBackup(name: string, location = SLOW_LOCATION, of = pod): Promise<string> {
  await setPace(cluster, SLOW);
  const fresh = await beginBackup(name, location, of);
  await whenMoving(cluster, 'podvolumebackup', fresh);
  // So that there is something on its way.
  await setTimeout(3000);
  return fresh;
}

/** Ends well, and what is stored is the volume: restored into a pod of its own it is the same. */
async function completed(name: string, location = SLOW_LOCATION, of = pod): Promise<string> {
  const { status } = await whenOver<PodVolumeBackup>(cluster, 'podvolumebackup', name);
  assert.equal(status?.phase, 'Completed', status?.message);
  const restoredName = freshName('restored');
  const restored = await makeRestoredPod(cluster, { namespace: NAMESPACE, name: restoredName, emptyDirs: ['data'] });
  const restore = await restoreInto(restored, status?.snapshotID ?? '', location);
  await restoreCompleted(restore, restored, of);
  return status?.snapshotID ?? '';
}

async function restoreInto(into: Pod, snapshotID: string, location = SLOW_LOCATION, volume = 'data'): Promise<string> {
  const name = freshName('restore');
  const plan = { name, pod: into, volume, location, snapshotID, sourceNamespace: NAMESPACE };
  await createVolumeRestore(cluster, plan);
  return name;
}

async function restoreCompleted(name: string, into: Pod, of = pod): Promise<void> {
  const { status } = await whenOver<PodVolumeRestore>(cluster, 'podvolumerestore', name);
  assert.equal(status?.phase, 'Completed', status?.message);
  await whenRunning(cluster, NAMESPACE, into.metadata.name);
  const [source, copy] = [of, into].map((each) => describeVolume(mountedVolume(cluster, each, 'data'), 'exact'));
  assert.deepEqual(copy, source);
  await kubectl.ok(['-n', NAMESPACE, 'delete', 'pod', into.metadata.name, '--force', '--grace-period=0']);
}

describe('the agent', () => {
  let snapshotID = '';

  test('killed in mid-backup', async () => {
    const name = await slowBackup('killed');
    await killAgent(cluster);
    await setPace(cluster, FAST);
    snapshotID = await completed(name);
  });

  test('killed in mid-restore', async () => {
    await setPace(cluster, SLOW);
    const restored = await makeRestoredPod(cluster, { namespace: NAMESPACE, name: 'killed', emptyDirs: ['data'] });
    const name = await restoreInto(restored, snapshotID);
    await whenMoving(cluster, 'podvolumerestore', name);
    await setTimeout(3000);
    await killAgent(cluster);
    await setPace(cluster, FAST);
    await restoreCompleted(name, restored);
  });
});

test('the kubelet is started again in mid-backup', async () => {
  const name = await slowBackup('kubelet');
  await inside.restart('kubelet');
  await setPace(cluster, FAST);
  await completed(name);
});

test('the node is drained: the agent is evicted in mid-backup', async () => {
  const name = await slowBackup('drained');
  const { metadata } = await agentPod(cluster);
  const path = `/api/v1/namespaces/${VELERO_NAMESPACE}/pods/${metadata.name}/eviction`;
  const eviction = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name: metadata.name } };
  await kubectl.ok(['create', '--raw', path, '-f', '-'], { input: JSON.stringify(eviction) });
  await kubectl.whenGone('pod', ['-n', VELERO_NAMESPACE, metadata.name]);
  await setPace(cluster, FAST);
  await completed(name);
});

test('the S3 server is away for a minute, and so is the API server half a minute later', async () => {
  const name = await slowBackup('away');
  await cutRelay(cluster);
  await setTimeout(AWAY_MS / 2);
  await inside.kill('kube-apiserver');
  await setTimeout(AWAY_MS / 2);
  await mendRelay(cluster);
  await setTimeout(AWAY_MS / 2);
  await inside.restart('kube-apiserver');
  await whenApiServerReady(inside, programs.kubernetes);
  await setPace(cluster, FAST);
  await completed(name);
});

test('the keys of the store are replaced in mid-backup', async () => {
  const location = freshName('rotating');
  const keys = (secretAccessKey: string) => ({
    accessKeyId: location,
    secretAccessKey: `${secretAccessKey}-0123456789`,
  });
  const secret = (secretAccessKey: string) => ({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: location, namespace: VELERO_NAMESPACE },
    stringData: { cloud: credentialsText(keys(secretAccessKey)) },
  });
  await createStoreUser(cluster, keys('first'));
  await kubectl.apply(secret('first'));
  await velero.createLocation(location, SLOW_LOCATION, RELAY_URL, location);
  const name = await slowBackup('rotated', location);
  await kubectl.apply(secret('second'));
  await changeStoreSecret(cluster, keys('second'));
  await setPace(cluster, FAST);
  await completed(name, location);
});

test('the disk of the agent itself is full', async () => {
  await setPace(cluster, FAST);
  const [agent = 0] = await agentProcesses(cluster);
  const folders = ['/cache', '/scratch'];
  const inAgent = (...argv: readonly string[]) => runCommand(['nsenter', '-t', String(agent), '-m', ...argv]);
  const fails = async (name: string): Promise<void> => {
    const backup = await beginBackup(name, SLOW_LOCATION);
    const { status } = await whenOver<PodVolumeBackup>(cluster, 'podvolumebackup', backup);
    assert.equal(status?.phase, 'Failed', name);
    assert.match(status?.message ?? '', /no space left on this machine.*\[LOCAL_DISK_FULL\]$/, name);
    assert.equal(status?.snapshotID, undefined);
  };
  try {
    for (const path of folders) {
      // Less than one pack.
      const { code, stderr } = await inAgent('mount', '-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', path);
      assert.equal(code, 0, stderr);
    }
    await fails('filled');
    for (const path of folders) {
      const filler = `/proc/${agent}/root${path}/filler`;
      assert.throws(() => writeFileSync(filler, noise('filler', 8 << 20)), /ENOSPC/);
    }
    await fails('full');
  } finally {
    for (const path of folders) await inAgent('umount', '-l', path);
  }
  await completed(await beginBackup('room', SLOW_LOCATION));
});

test('the disk of the restored volume is full', async () => {
  await setPace(cluster, FAST);
  const backup = freshName('whole');
  await createVolumeBackup(cluster, { name: backup, pod, volume: 'data' });
  const { status: backedUp } = await whenOver<PodVolumeBackup>(cluster, 'podvolumebackup', backup);
  await makeLocalVolume(cluster, NAMESPACE, 'tiny');
  const path = `/srv/pv/${NAMESPACE}-tiny`;
  await inside.ok(['mount', '-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', path]);
  const tiny = await makeRestoredPod(cluster, { namespace: NAMESPACE, name: 'tiny', claims: ['tiny'] });
  const name = await restoreInto(tiny, backedUp?.snapshotID ?? '', 'default', 'tiny');
  const { status } = await whenOver<PodVolumeRestore>(cluster, 'podvolumerestore', name);
  assert.equal(status?.phase, 'Failed');
  assert.match(status?.message ?? '', /space|ENOSPC|full/i);
  await whenNothingMoves(cluster);
  await kubectl.ok(['-n', NAMESPACE, 'delete', 'pod', 'tiny', '--force', '--grace-period=0']);
  await inside.run(['umount', '-l', path]);
});

describe('the node', () => {
  let mounted: Pod;
  let snapshotID = '';
  before(async () => {
    await makeLocalVolume(cluster, NAMESPACE, 'data');
    mounted = await makePod(cluster, { namespace: NAMESPACE, name: 'mounted', claims: ['data'] });
  });

  test('rebooted in mid-backup of a volume that is mounted', async () => {
    const { metadata } = await agentPod(cluster);
    const name = await slowBackup('rebooted', SLOW_LOCATION, mounted);
    await rebootNode(cluster);
    await setPace(cluster, FAST);
    snapshotID = await completed(name, SLOW_LOCATION, mounted);
    assert.equal((await agentPod(cluster)).metadata.uid, metadata.uid);
  });

  test('rebooted in mid-restore', async () => {
    await setPace(cluster, SLOW);
    const restored = await makeRestoredPod(cluster, { namespace: NAMESPACE, name: 'rebooted', emptyDirs: ['data'] });
    const name = await restoreInto(restored, snapshotID);
    await whenMoving(cluster, 'podvolumerestore', name);
    await setTimeout(3000);
    await rebootNode(cluster);
    await setPace(cluster, FAST);
    await restoreCompleted(name, restored, mounted);
    await velero.whenReady();
  });
});
