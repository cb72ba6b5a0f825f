// Scenario 1: the real server asks for a backup, the agent under test makes it; the namespace is lost and restored, and everything is
// as it was.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { writeFileSync } from 'node:fs';
import { agentUnderTest, useNodeAgent } from './node-agent.ts';
import { sharedCluster } from './shared-cluster.ts';
import { describeVolume, variedTree } from './trees.ts';
import {
  freshName,
  loseNamespace,
  makeLocalVolume,
  makeNamespace,
  makePod,
  mountedVolume,
  whenRunning,
} from './workload.ts';

const NAMESPACE = freshName('round-trip');
const agent = agentUnderTest();
const comparison = agent === 'windlass' ? 'exact' : 'stock';

const cluster = await sharedCluster();
before(() => useNodeAgent(cluster, agent));

test('a namespace is backed up, lost and restored, volumes included', async () => {
  await makeNamespace(cluster, NAMESPACE);
  variedTree('round').build(await makeLocalVolume(cluster, NAMESPACE, 'data'));
  const pod = await makePod(cluster, { namespace: NAMESPACE, name: 'web', claims: ['data'], emptyDirs: ['cache'] });
  writeFileSync(join(mountedVolume(cluster, pod, 'cache'), 'first.txt'), 'of the pod itself');
  const source = ['data', 'cache'].map((volume) => describeVolume(mountedVolume(cluster, pod, volume), comparison));

  await cluster.velero.createBackup(NAMESPACE, [NAMESPACE]);
  const backups = await cluster.velero.backupCompleted(NAMESPACE);
  assert.deepEqual(backups.map(({ spec }) => spec.volume).sort(), ['cache', 'data']);
  for (const { spec, status } of backups) {
    assert.equal(status?.phase, 'Completed', spec.volume);
    assert.match(status?.snapshotID ?? '', /^[0-9a-f]{32}$/);
    assert.ok(status?.startTimestamp && status.completionTimestamp && status.acceptedTimestamp);
    assert.equal(status?.progress?.bytesDone, status?.progress?.totalBytes);
  }

  await loseNamespace(cluster, NAMESPACE);
  await makeLocalVolume(cluster, NAMESPACE, 'data');
  await cluster.velero.createRestore(NAMESPACE, NAMESPACE);
  const restores = await cluster.velero.restoreCompleted(NAMESPACE);
  assert.deepEqual(
    restores.map(({ status }) => status?.phase),
    ['Completed', 'Completed'],
  );
  const restored = await whenRunning(cluster, NAMESPACE, 'web');
  assert.equal(restored.spec.initContainers?.[0]?.name, 'restore-wait');
  ['data', 'cache'].forEach((volume, at) => {
    assert.deepEqual(describeVolume(mountedVolume(cluster, restored, volume), comparison), source[at], volume);
  });
  await loseNamespace(cluster, NAMESPACE);
});
