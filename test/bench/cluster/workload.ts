// Pods whose volumes hold random bytes: nothing is known to a repository before, and nothing compresses.
import { randomFillSync } from 'node:crypto';
import { closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Pod } from '../../../kube/api/core.ts';
import type { Cluster } from '../../cluster/cluster.ts';
import { makeNamespace, makePod, mountedVolume } from '../../cluster/workload.ts';

export interface Workload {
  readonly namespace: string;
  readonly pods: number;
  /** Of each pod: emptyDirs with one file each. */
  readonly volumes: number;
  readonly volumeBytes: number;
}

const WRITE_BYTES = 8 << 20;
/** Pods that are made at a time: kubectl is a program a question. */
const AT_A_TIME = 5;

export async function makeWorkload(
  cluster: Cluster,
  { namespace, pods, volumes, volumeBytes }: Workload,
): Promise<void> {
  await makeNamespace(cluster, namespace);
  const emptyDirs = Array.from({ length: volumes }, (_, index) => `v${index + 1}`);
  const names = Array.from({ length: pods }, (_, index) => `p${index + 1}`);
  while (names.length > 0) {
    const batch = names.splice(0, AT_A_TIME);
    const made = await Promise.all(batch.map((name) => makePod(cluster, { namespace, name, emptyDirs })));
    for (const pod of made) fill(cluster, pod, emptyDirs, volumeBytes);
  }
}

/** How many of the pods run; waits for all of them, but not for ever. */
export async function whenPodsRun(
  { kubectl }: Cluster,
  { namespace, pods }: Workload,
  limitMs: number,
): Promise<number> {
  const seconds = Math.ceil(limitMs / 1000);
  const waiting = ['-n', namespace, 'wait', 'pods', '--all', '--for=condition=Ready', `--timeout=${seconds}s`];
  const waited = await kubectl.run(waiting, { timeoutMs: limitMs + 30_000 });
  if (waited.code === 0) return pods;
  const found = await kubectl.list<Pod>('pods', '-n', namespace);
  return found.filter(({ status }) => status?.containerStatuses?.[0]?.state?.running !== undefined).length;
}

function fill(cluster: Cluster, pod: Pod, volumes: readonly string[], bytes: number): void {
  const buffer = Buffer.alloc(Math.min(bytes, WRITE_BYTES));
  for (const volume of volumes) {
    const file = openSync(join(mountedVolume(cluster, pod, volume), 'data'), 'w');
    for (let left = bytes; left > 0; left -= buffer.length)
      writeSync(file, randomFillSync(buffer), 0, Math.min(left, buffer.length));
    closeSync(file);
  }
}
