// Scenario 3: a bucket that a real Velero filled elsewhere, long ago, is found by a new cluster and restored.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import type { Pod } from '../../kube/api/core.ts';
import type { TreeDescription } from '../harness/describe-tree.ts';
import { goldenEntries, type GoldenEntry } from './golden-bucket.ts';
import { agentUnderTest, useNodeAgent } from './node-agent.ts';
import { sharedCluster } from './shared-cluster.ts';
import { describeVolume } from './trees.ts';
import { VELERO_NAMESPACE } from './velero.ts';
import { freshName, loseNamespace, makeLocalVolume, makeStorageClass, mountedVolume, whenRunning } from './workload.ts';

const cluster = await sharedCluster();
const { kubectl, velero } = cluster;
const RESTORE = freshName('golden');
before(() => useNodeAgent(cluster, agentUnderTest()));

test('the backup is listed, and restored as it was', async () => {
  await kubectl.whenObject('backup.velero.io', ['-n', VELERO_NAMESPACE, 'b1'], () => true);
  await loseNamespace(cluster, 'demo');
  await makeStorageClass(cluster);
  await makeLocalVolume(cluster, 'demo', 'data');
  await velero.createRestore(RESTORE, 'b1');
  const restores = await velero.restoreCompleted(RESTORE);
  assert.deepEqual(restores.map(({ spec }) => spec.volume).sort(), ['cache', 'data']);
  const [pod, ...others] = await kubectl.list<Pod>('pods', '-n', 'demo');
  assert.ok(pod !== undefined && others.length === 0);
  const running = await whenRunning(cluster, 'demo', pod.metadata.name);
  assert.deepEqual(comparable(describeVolume(mountedVolume(cluster, running, 'data'), 'stock')), expected());
  assert.deepEqual(files(describeVolume(mountedVolume(cluster, running, 'cache'), 'stock')), [
    'first.txt',
    'hook-ran.txt',
  ]);
  await loseNamespace(cluster, 'demo');
});

/** Velero stores no special files, and of a name that is no text only what a text can say. */
function expected(): object {
  const kept = goldenEntries().filter(({ type }) => type === 'file' || type === 'dir' || type === 'symlink');
  return Object.fromEntries(kept.map((entry) => [nameOf(entry), essence(entry)]));
}

function comparable(description: TreeDescription): object {
  return Object.fromEntries(Object.entries(description).map(([name, entry]) => [name, essence(entry)]));
}

function nameOf({ path }: GoldenEntry): string {
  return typeof path === 'string' ? path : Buffer.from(path.hex, 'hex').toString('utf8');
}

/** What a restore by any agent brings back. */
function essence({
  type,
  mode,
  uid,
  gid,
  mtimeNs,
  sha256,
  target,
}: Omit<GoldenEntry, 'path' | 'type'> & { readonly type: string }): object {
  const owned = { mode: Number.parseInt(mode, 8), uid, gid };
  if (type === 'symlink') return { target };
  return type === 'file' ? { ...owned, mtimeNs, sha256 } : owned;
}

function files(description: TreeDescription): string[] {
  return Object.keys(description)
    .filter((name) => description[name]?.type === 'file')
    .sort();
}
