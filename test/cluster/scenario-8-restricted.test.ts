// Scenario 8: a workload that may do next to nothing, in a namespace that enforces it, with volumes that belong to its group and one
// that it may only read.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { writeFileSync } from 'node:fs';
import { before, test } from 'node:test';
import { file, tree } from '../harness/tree.ts';
import { agentUnderTest, useNodeAgent } from './node-agent.ts';
import { sharedCluster } from './shared-cluster.ts';
import { describeVolume } from './trees.ts';
import {
  freshName,
  loseNamespace,
  makeLocalVolume,
  makeNamespace,
  makePod,
  mountedVolume,
  whenRunning,
} from './workload.ts';

const NAMESPACE = freshName('restricted');
const USER = 2000;
const GROUP = 3000;
const VOLUMES = ['data', 'library', 'cache'];

const cluster = await sharedCluster();
const { kubectl, velero } = cluster;
before(() => useNodeAgent(cluster, agentUnderTest()));

test('a restricted workload is backed up, lost and restored, and can use its files', async () => {
  await makeNamespace(cluster, NAMESPACE, { 'pod-security.kubernetes.io/enforce': 'restricted' });
  tree({
    'own/secret': file('only its user may read this', { uid: USER, gid: GROUP, mode: 0o600 }),
    'shared/of-group': file('its group may', { uid: 0, gid: GROUP, mode: 0o640 }),
  }).build(await makeLocalVolume(cluster, NAMESPACE, 'data'));
  tree({ 'books/1': file('only read') }).build(await makeLocalVolume(cluster, NAMESPACE, 'library'));
  const pod = await makePod(cluster, {
    namespace: NAMESPACE,
    name: 'web',
    claims: ['data', 'library'],
    emptyDirs: ['cache'],
    podSpec: {
      securityContext: {
        runAsUser: USER,
        runAsNonRoot: true,
        fsGroup: GROUP,
        seccompProfile: { type: 'RuntimeDefault' },
      },
    },
    containerSpec: {
      securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
      volumeMounts: [
        { name: 'data', mountPath: '/data' },
        { name: 'library', mountPath: '/library', readOnly: true },
        { name: 'cache', mountPath: '/cache' },
      ],
    },
  });
  writeFileSync(join(mountedVolume(cluster, pod, 'cache'), 'first'), 'in the cache');
  const source = VOLUMES.map((volume) => describeVolume(mountedVolume(cluster, pod, volume), 'stock'));

  await velero.createBackup(NAMESPACE, [NAMESPACE]);
  assert.equal((await velero.backupCompleted(NAMESPACE)).length, VOLUMES.length);
  await loseNamespace(cluster, NAMESPACE);
  for (const claim of ['data', 'library']) await makeLocalVolume(cluster, NAMESPACE, claim);
  await velero.createRestore(NAMESPACE, NAMESPACE);
  await velero.restoreCompleted(NAMESPACE);

  const restored = await whenRunning(cluster, NAMESPACE, 'web');
  VOLUMES.forEach((volume, at) => {
    assert.deepEqual(describeVolume(mountedVolume(cluster, restored, volume), 'stock'), source[at], volume);
  });
  const script = 'cat /data/own/secret /data/shared/of-group /library/books/1 && echo more >> /data/own/secret';
  const said = await kubectl.ok(['-n', NAMESPACE, 'exec', 'web', '--', 'sh', '-c', script]);
  assert.equal(said, 'only its user may read thisits group mayonly read');
  await loseNamespace(cluster, NAMESPACE);
});
