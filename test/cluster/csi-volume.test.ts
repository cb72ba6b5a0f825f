// A volume of a CSI driver (node-agent §3): backed up and restored from its folder `mount`, and from nothing else that lies there.
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import type { PodVolumeBackup, PodVolumeRestore } from '../../kube/api/velero.ts';
import { makeCsiVolume, mountedCsiVolume, startCsiDriver } from './csi-driver.ts';
import { useNodeAgent } from './node-agent.ts';
import { makeRestoredPod } from './restored-pod.ts';
import { sharedCluster } from './shared-cluster.ts';
import { describeVolume, variedTree } from './trees.ts';
import { VELERO_NAMESPACE } from './velero.ts';
import { createVolumeBackup, createVolumeRestore, whenOver } from './volume-objects.ts';
import { freshName, loseNamespace, makeNamespace, makePod, whenRunning } from './workload.ts';

const NAMESPACE = freshName('csi');

const cluster = await sharedCluster();
const { inside, kubectl } = cluster;

before(async () => {
  await useNodeAgent(cluster, 'windlass');
  await makeNamespace(cluster, NAMESPACE);
  await startCsiDriver(cluster);
});
after(() => loseNamespace(cluster, NAMESPACE));

test('a CSI volume is backed up and restored; not mounted yet, it is waited for', async () => {
  for (const claim of ['data', 'copy']) await makeCsiVolume(cluster, NAMESPACE, claim);
  const pod = await makePod(cluster, { namespace: NAMESPACE, name: 'web', claims: ['data'] });
  const source = mountedCsiVolume(cluster, pod, 'data');
  variedTree(NAMESPACE).build(join(source, 'tree'));
  assert.deepEqual(readdirSync(dirname(source)).toSorted(), ['mount', 'vol_data.json']);

  const name = freshName('csi');
  await createVolumeBackup(cluster, { name, pod, volume: 'data' });
  const { status: backedUp } = await whenOver<PodVolumeBackup>(cluster, 'podvolumebackup', name);
  assert.equal(backedUp?.phase, 'Completed', backedUp?.message);

  const restored = await makeRestoredPod(cluster, { namespace: NAMESPACE, name: 'restored', claims: ['copy'] });
  const { snapshotID = '' } = backedUp;
  await createVolumeRestore(cluster, { name, pod: restored, volume: 'copy', snapshotID, sourceNamespace: NAMESPACE });
  const { status } = await whenOver<PodVolumeRestore>(cluster, 'podvolumerestore', name);
  assert.equal(status?.phase, 'Completed', status?.message);
  await whenRunning(cluster, NAMESPACE, 'restored');
  const copy = mountedCsiVolume(cluster, restored, 'copy');
  assert.deepEqual(describeVolume(copy, 'exact'), describeVolume(source, 'exact'));
  assert.ok(!existsSync(join(dirname(copy), 'tree')));

  // As after a reboot of the node, when the agent may run before the driver does.
  const mount = source.replace(inside.path(''), '');
  await inside.ok(['umount', '-l', mount]);
  const early = freshName('early');
  await createVolumeBackup(cluster, { name: early, pod, volume: 'data' });
  const waits = ({ status: { phase, message = '' } = {} }: PodVolumeBackup): boolean =>
    phase === 'InProgress' && /trying again.*\[VOLUME_NOT_MOUNTED\]$/.test(message);
  await kubectl.whenObject<PodVolumeBackup>('podvolumebackup', ['-n', VELERO_NAMESPACE, early], waits);
  await inside.ok(['mount', '--bind', `/srv/pv/${NAMESPACE}-data`, mount]);
  const { status: late } = await whenOver<PodVolumeBackup>(cluster, 'podvolumebackup', early);
  assert.equal(late?.phase, 'Completed', late?.message);
  assert.equal(late?.progress?.totalBytes, backedUp.progress?.totalBytes);
});
