// Scenario 6: a hundred volumes on one node, four at a time: all end well, within the memory that was promised, and the API server is
// asked no more than it must be.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { dataMovers, whenNothingMoves } from './agent-control.ts';
import { apiRequests } from './control-plane.ts';
import { memoryBytes } from './host-processes.ts';
import { agentProcesses, setConcurrency, useNodeAgent } from './node-agent.ts';
import { sharedCluster } from './shared-cluster.ts';
import { describeVolume, noise } from './trees.ts';
import { freshName, loseNamespace, makeNamespace, makePod, mountedVolume, whenRunning } from './workload.ts';

const NAMESPACE = freshName('hundred');
const PODS = Array.from({ length: 10 }, (_, at) => `pod-${at}`);
const VOLUMES = Array.from({ length: 10 }, (_, at) => `volume-${at}`);
const COUNT = PODS.length * VOLUMES.length;
const FILE_BYTES = 1 << 20;
const CONCURRENCY = 4;
/**
 * Of the agent and its data movers, all together; pages that they share count once. Between 300 and 404 MiB were seen: the first four
 * of a repository may all derive its key at the same time, 64 MiB each.
 */
const MEMORY_BUDGET_BYTES = 512 << 20;
/** Of the agent, of any kind. The figure itself is printed. */
const REQUESTS_PER_VOLUME = 30;
const LONG = { timeoutMs: 900_000 };

const cluster = await sharedCluster();
const { velero, inside } = cluster;

before(async () => {
  await useNodeAgent(cluster, 'windlass');
  await setConcurrency(cluster, CONCURRENCY);
  await makeNamespace(cluster, NAMESPACE);
});
after(async () => {
  await loseNamespace(cluster, NAMESPACE);
  await setConcurrency(cluster, undefined);
});

test('a hundred volumes are backed up and restored', async (t) => {
  const plans = PODS.map((name) => ({ namespace: NAMESPACE, name, emptyDirs: VOLUMES }));
  const pods = await Promise.all(plans.map((plan) => makePod(cluster, plan)));
  for (const pod of pods) {
    for (const volume of VOLUMES) {
      const path = join(mountedVolume(cluster, pod, volume), 'file');
      writeFileSync(path, noise(`${NAMESPACE}${pod.metadata.name}${volume}`, FILE_BYTES));
    }
  }
  const source = describeVolume(mountedVolume(cluster, pods[9] ?? assert.fail(), 'volume-9'), 'exact');

  const backup = await watched(async () => {
    await velero.createBackup(NAMESPACE, [NAMESPACE]);
    const backups = await velero.backupCompleted(NAMESPACE, LONG);
    assert.equal(backups.filter(({ status }) => status?.phase === 'Completed').length, COUNT);
  });
  t.diagnostic(`backup: ${JSON.stringify(backup)}`);

  await loseNamespace(cluster, NAMESPACE);
  const restore = await watched(async () => {
    await velero.createRestore(NAMESPACE, NAMESPACE);
    const restores = await velero.restoreCompleted(NAMESPACE, LONG);
    assert.equal(restores.filter(({ status }) => status?.phase === 'Completed').length, COUNT);
  });
  t.diagnostic(`restore: ${JSON.stringify(restore)}`);
  const restored = await Promise.all(PODS.map((name) => whenRunning(cluster, NAMESPACE, name)));
  assert.deepEqual(describeVolume(mountedVolume(cluster, restored[9] ?? assert.fail(), 'volume-9'), 'exact'), source);
  await whenNothingMoves(cluster);

  for (const [name, seen] of Object.entries({ backup, restore })) {
    assert.ok(seen.movers <= CONCURRENCY, `${name}: ${seen.movers} data movers`);
    assert.ok(seen.peakBytes <= MEMORY_BUDGET_BYTES, `${name}: ${seen.peakBytes >> 20} MiB`);
    assert.ok(seen.requestsPerVolume <= REQUESTS_PER_VOLUME, `${name}: ${seen.requestsPerVolume} requests a volume`);
  }
});

interface Watched {
  readonly seconds: number;
  readonly peakBytes: number;
  readonly movers: number;
  readonly requestsPerVolume: number;
}

/** What the agent takes while the work is done. */
async function watched(work: () => Promise<void>): Promise<Watched> {
  const [begun, before] = [performance.now(), ourRequests()];
  let isOver = false;
  let [peakBytes, movers] = [0, 0];
  const look = async (): Promise<void> => {
    while (!isOver) {
      const pids = await agentProcesses(cluster);
      peakBytes = Math.max(
        peakBytes,
        pids.map(memoryBytes).reduce((sum, bytes) => sum + bytes, 0),
      );
      movers = Math.max(movers, (await dataMovers(cluster)).length);
      await setTimeout(200);
    }
  };
  const looking = look();
  try {
    await work();
  } finally {
    isOver = true;
    await looking;
  }
  const requests = ourRequests() - before;
  const seconds = Math.round((performance.now() - begun) / 1000);
  return { seconds, peakBytes, movers, requestsPerVolume: requests / COUNT };
}

function ourRequests(): number {
  return apiRequests(inside.folder).filter(({ userAgent = '' }) => userAgent.startsWith('windlass')).length;
}
