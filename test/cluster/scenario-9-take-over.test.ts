// Scenario 9: the commands of docs/migration.md, with a backup before, between and after: over from Velero's agent, upgraded, and back;
// and over once more in place.
import assert from 'node:assert/strict';
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { buildGoProgram } from '../harness/go-program.ts';
import { CHART } from '../harness/helm.ts';
import { AGENT_IMAGE } from './images.ts';
import { agentPod, chartValues, useNodeAgent } from './node-agent.ts';
import { sharedCluster } from './shared-cluster.ts';
import { describeVolume, variedTree } from './trees.ts';
import { VELERO_NAMESPACE } from './velero.ts';
import { freshName, loseNamespace, makeLocalVolume, makeNamespace, makePod, whenRunning } from './workload.ts';

const NAMESPACE = freshName('take-over');
const RELEASE = ['windlass', CHART, '-n', VELERO_NAMESPACE, chartValues()];
/** What changes between two backups is far less; what the volume holds is far more. */
const SMALL_BYTES = 1 << 20;

const cluster = await sharedCluster();
const { inside, kubectl, velero } = cluster;
let folder = '';

before(async () => {
  await useNodeAgent(cluster, 'velero');
  await makeNamespace(cluster, NAMESPACE);
  folder = await makeLocalVolume(cluster, NAMESPACE, 'data');
  variedTree('take-over').build(folder);
  await makePod(cluster, { namespace: NAMESPACE, name: 'web', claims: ['data'] });
});

async function helm(...args: readonly string[]): Promise<void> {
  const program = buildGoProgram('helm');
  if ('missing' in program) throw new Error(program.missing);
  await inside.ok([program.path, ...args]);
}

async function requireAgent(whose: 'velero' | 'windlass'): Promise<void> {
  await velero.whenAgentReady();
  const { spec } = await agentPod(cluster);
  assert.equal(spec.containers?.[0]?.image === AGENT_IMAGE, whose === 'windlass');
}

/** Answers what the volume was. */
async function backUp(name: string, isFirst = false): Promise<unknown> {
  appendFileSync(join(folder, 'hello.txt'), `${name}\n`);
  const content = describeVolume(folder, 'stock');
  await velero.createBackup(`${NAMESPACE}-${name}`, [NAMESPACE]);
  const [volume] = await velero.backupCompleted(`${NAMESPACE}-${name}`);
  assert.equal((volume?.status?.incrementalBytes ?? 0) > SMALL_BYTES, isFirst, name);
  return content;
}

async function loseAndRestore(name: string, content: unknown): Promise<void> {
  await loseNamespace(cluster, NAMESPACE);
  folder = await makeLocalVolume(cluster, NAMESPACE, 'data');
  await velero.createRestore(`${NAMESPACE}-${name}`, `${NAMESPACE}-${name}`);
  await velero.restoreCompleted(`${NAMESPACE}-${name}`);
  await whenRunning(cluster, NAMESPACE, 'web');
  assert.deepEqual(describeVolume(folder, 'stock'), content, name);
}

test("over from Velero's agent, upgraded, and back, with a backup in each state", async () => {
  const before = await backUp('before', true);

  await kubectl.ok(['-n', VELERO_NAMESPACE, 'delete', 'daemonset', 'node-agent']);
  await kubectl.whenGone('pods', ['-n', VELERO_NAMESPACE, '-l', 'name=node-agent']);
  await helm('install', ...RELEASE);
  await requireAgent('windlass');
  await loseAndRestore('before', before);
  await backUp('between');

  await helm('upgrade', ...RELEASE, '--set=agent.moverMemoryMiB=300');
  await requireAgent('windlass');
  const between = await backUp('upgraded');

  await helm('uninstall', 'windlass', '-n', VELERO_NAMESPACE);
  await kubectl.whenGone('pods', ['-n', VELERO_NAMESPACE, '-l', 'name=node-agent']);
  await velero.install({ nodeAgent: true });
  await requireAgent('velero');
  await loseAndRestore('upgraded', between);
  await backUp('after');
});

test("in place of Velero's DaemonSet, and back", async () => {
  await helm('install', ...RELEASE, '--take-ownership', '--force-conflicts');
  await requireAgent('windlass');
  const content = await backUp('in-place');
  await helm('uninstall', 'windlass', '-n', VELERO_NAMESPACE);
  await kubectl.whenGone('pods', ['-n', VELERO_NAMESPACE, '-l', 'name=node-agent']);
  await velero.install({ nodeAgent: true });
  await requireAgent('velero');
  await loseAndRestore('in-place', content);
  await loseNamespace(cluster, NAMESPACE);
});
