// Scenario 2: what one agent has written the other restores, and each continues the other's chain of backups.
import assert from 'node:assert/strict';
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { agentUnderTest, useNodeAgent, type NodeAgentName } from './node-agent.ts';
import { sharedCluster } from './shared-cluster.ts';
import { describeVolume, variedTree } from './trees.ts';
import { freshName, loseNamespace, makeLocalVolume, makeNamespace, makePod, whenRunning } from './workload.ts';

const NAMESPACE = freshName('both-agents');
/** What changes between two backups is far less; what the volume holds is far more. */
const SMALL_BYTES = 1 << 20;

const cluster = await sharedCluster();
const { velero } = cluster;
let folder = '';

before(async () => {
  await makeNamespace(cluster, NAMESPACE);
  folder = await makeLocalVolume(cluster, NAMESPACE, 'data');
  variedTree('both').build(folder);
  await makePod(cluster, { namespace: NAMESPACE, name: 'web', claims: ['data'] });
});

/** Answers the bytes that were not known from the backup before. */
async function backUp(agent: NodeAgentName, name: string): Promise<number> {
  await useNodeAgent(cluster, agent);
  await velero.createBackup(`${NAMESPACE}-${name}`, [NAMESPACE]);
  const [volume, ...others] = await velero.backupCompleted(`${NAMESPACE}-${name}`);
  assert.equal(others.length, 0);
  assert.equal(volume?.status?.phase, 'Completed');
  return volume?.status?.incrementalBytes ?? 0;
}

async function loseAndRestore(agent: NodeAgentName, backup: string): Promise<void> {
  await useNodeAgent(cluster, agent);
  await loseNamespace(cluster, NAMESPACE);
  folder = await makeLocalVolume(cluster, NAMESPACE, 'data');
  await velero.createRestore(`${NAMESPACE}-${backup}`, `${NAMESPACE}-${backup}`);
  await velero.restoreCompleted(`${NAMESPACE}-${backup}`);
  await whenRunning(cluster, NAMESPACE, 'web');
}

test('a chain of backups by both agents, each restored by the other', async () => {
  const ours = agentUnderTest();
  const source = () => describeVolume(folder, 'stock');

  assert.ok((await backUp(ours, '1')) > SMALL_BYTES, 'the first backup reads everything');
  appendFileSync(join(folder, 'hello.txt'), 'and more\n');
  const second = source();
  assert.ok((await backUp('velero', '2')) < SMALL_BYTES, "Velero's agent continues our chain");
  appendFileSync(join(folder, 'hello.txt'), 'and yet more\n');
  const third = source();
  assert.ok((await backUp(ours, '3')) < SMALL_BYTES, "our agent continues Velero's chain");

  await loseAndRestore(ours, '2');
  assert.deepEqual(source(), second, "Velero's backup, restored by ours");
  await loseAndRestore('velero', '3');
  assert.deepEqual(source(), third, "our backup, restored by Velero's agent");
  await loseNamespace(cluster, NAMESPACE);
});
