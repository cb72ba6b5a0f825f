// The cluster that test files share: the suite's, or one that was brought up by hand (WINDLASS_TEST_CLUSTER), else the file's own.
import { after } from 'node:test';
import { Cluster } from './cluster.ts';
import { offerGoldenBucket } from './golden-bucket.ts';
import { agentUnderTest } from './node-agent.ts';

export const CLUSTER_VARIABLE = 'WINDLASS_TEST_CLUSTER';

/** Call it once in a file, outside of its tests. */
export async function sharedCluster(): Promise<Cluster> {
  const folder = process.env[CLUSTER_VARIABLE];
  if (folder !== undefined) return Cluster.attach(folder);
  const cluster = await startForTests();
  after(() => cluster.stop());
  return cluster;
}

/** With all that scenarios need: a Velero server without an agent, and the images of both agents. */
export async function startForTests(): Promise<Cluster> {
  const cluster = await Cluster.start({
    velero: 'server',
    images: agentUnderTest() === 'windlass' ? ['agent', 'restore-helper'] : [],
    log: (line) => console.log(`cluster: ${line}`),
  });
  await offerGoldenBucket(cluster);
  return cluster;
}
