// One backup or restore by the server, with all that is seen of it from outside while it runs.
import { loadavg } from 'node:os';
import type { Cluster } from '../../cluster/cluster.ts';
import { median } from '../results.ts';
import { AgentMemory } from './agent-memory.ts';
import { Follower, type Followed } from './follower.ts';
import { countRequests } from './requests.ts';
import type { ClusterPhase, ClusterResults, SetupName, StepRecord } from './results.ts';
import { whenPodsRun, type Workload } from './workload.ts';

export interface Step {
  readonly setup: SetupName;
  readonly phase: ClusterPhase;
  readonly workload: Workload;
  readonly backup: string;
  /** Undefined: the backup itself is the step. */
  readonly restore?: string;
}

const ENDINGS = ['Completed', 'PartiallyFailed', 'Failed', 'FailedValidation'];
const RUNNING_LIMIT_MS = 90_000;

export async function runStep(cluster: Cluster, step: Step, results: ClusterResults): Promise<void> {
  const { setup, phase, workload } = step;
  const load = loadavg()[0] ?? 0;
  const runs = await Follower.start(cluster, step.restore === undefined ? 'backups.velero.io' : 'restores.velero.io');
  const volumes = await Follower.start(cluster, step.restore === undefined ? 'podvolumebackups' : 'podvolumerestores');
  const memory = new AgentMemory(cluster);
  const sinceMs = Date.now();
  memory.start();
  try {
    const run = await create(cluster, step, runs);
    const running = step.restore === undefined ? {} : await podsRunning(cluster, workload, run.firstMs);
    const requests = countRequests(cluster, sinceMs, Date.now());
    const { rssBytes, pssBytes, processes } = memory.stop();
    const { pods, volumes: volumesEach, volumeBytes } = workload;
    const record: StepRecord = {
      kind: 'step',
      setup,
      phase,
      pods,
      volumes: volumesEach,
      volumeBytes,
      ...timesOf(run, volumes.of(`${run.name}-`)),
      ...running,
      peakRssBytes: rssBytes,
      peakPssBytes: pssBytes,
      peakProcesses: processes,
      requests,
      load,
    };
    results.add(record);
    console.log(describe(record));
  } finally {
    memory.stop();
    runs.stop();
    volumes.stop();
  }
}

async function create({ velero }: Cluster, { backup, restore, workload }: Step, runs: Follower): Promise<Followed> {
  if (restore === undefined) await velero.createBackup(backup, [workload.namespace]);
  else await velero.createRestore(restore, backup);
  return runs.whenIn(restore ?? backup, ENDINGS);
}

async function podsRunning(
  cluster: Cluster,
  workload: Workload,
  sinceMs: number,
): Promise<Pick<StepRecord, 'podsRunning' | 'runningSeconds'>> {
  const running = await whenPodsRun(cluster, workload, RUNNING_LIMIT_MS);
  return { podsRunning: running, runningSeconds: (performance.now() - sinceMs) / 1000 };
}

function timesOf(
  { firstMs, phases }: Followed,
  volumes: readonly Followed[],
): Pick<StepRecord, 'wallSeconds' | 'outcome' | 'completed' | 'volumeSeconds' | 'movingSeconds'> {
  const outcome = ENDINGS.find((phase) => phases.has(phase)) ?? '';
  const completed = volumes.flatMap((volume) => {
    const doneMs = volume.phases.get('Completed');
    return doneMs === undefined ? [] : [{ ...volume, doneMs }];
  });
  return {
    outcome,
    wallSeconds: ((phases.get(outcome) ?? Number.NaN) - firstMs) / 1000,
    completed: completed.length,
    volumeSeconds: median(completed.map((volume) => (volume.doneMs - volume.firstMs) / 1000)),
    movingSeconds: median(
      completed.map(({ doneMs, phases: seen }) => (doneMs - (seen.get('InProgress') ?? doneMs)) / 1000),
    ),
  };
}

function describe(record: StepRecord): string {
  const { setup, phase, wallSeconds, volumeSeconds, movingSeconds, completed, pods, volumes, requests } = record;
  const figures = [
    `${wallSeconds.toFixed(2)} s (${record.outcome})`,
    `${completed} of ${pods * volumes} volumes, each ${volumeSeconds.toFixed(2)} s, moving ${movingSeconds.toFixed(2)} s`,
    ...(record.podsRunning === undefined
      ? []
      : [`${record.podsRunning} of ${pods} pods run after ${record.runningSeconds?.toFixed(1)} s`]),
    `${(record.peakRssBytes / 2 ** 20).toFixed(0)} MiB (shared pages once: ${(record.peakPssBytes / 2 ** 20).toFixed(0)}) in ${record.peakProcesses} processes`,
    `requests: agent ${requests.agent}, server ${requests.server}, others ${requests.others}`,
    `load ${record.load.toFixed(1)}`,
  ];
  return `  ${setup} ${phase}: ${figures.join('; ')}`;
}
