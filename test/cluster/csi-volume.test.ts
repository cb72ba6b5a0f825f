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
import { createVolumeBackup, createVolumeRestore, whenOver } from './volume-objects.ts';
import { freshName, loseNamespace, makeNamespace, makePod, whenRunning } from './workload.ts';

const NAMESPACE = freshName('csi');

const cluster = await sharedCluster();
const { inside } = cluster;

before(async () => {
  await useNodeAgent(cluster, 'windlass');
  await makeNamespace(cluster, NAMESPACE);
  await startCsiDriver(cluster);
});
after(() => loseNamespace(cluster, NAMESPACE));

test('a CSI volume is backed up and restored; unmounted, its empty folder is no backup', async () => {
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

  await inside.ok(['umount', '-l', source.replace(inside.path(''), '')]);
  const unmounted = freshName('unmounted');
  await createVolumeBackup(cluster, { name: unmounted, pod, volume: 'data' });
  const { status: failed } = await whenOver<PodVolumeBackup>(cluster, 'podvolumebackup', unmounted);
  assert.equal(failed?.phase, 'Failed');
  assert.match(failed?.message ?? '', /\[VOLUME_\w+\]$/);
});
