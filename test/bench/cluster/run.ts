// `npm run bench -- --cluster`: the real node agent of Velero, then ours in its place, under one real Velero server on one cluster.
import { setTimeout } from 'node:timers/promises';
import { Cluster } from '../../cluster/cluster.ts';
import { freshName, loseNamespace } from '../../cluster/workload.ts';
import { AgentMemory } from './agent-memory.ts';
import { SETUPS, type ClusterPhase, type ClusterResults, type SetupName } from './results.ts';
import { useSetup } from './setups.ts';
import { runStep, type Step } from './steps.ts';
import { makeWorkload, type Workload } from './workload.ts';

export interface ClusterBenchOptions {
  readonly setups: readonly string[];
  readonly parts: readonly string[];
  readonly pods: number;
  readonly volumes: number;
  readonly volumeBytes: number;
  readonly largeBytes: number;
  /** How often the tiny volume is backed up again. */
  readonly repeat: number;
}

export const CLUSTER_PARTS = ['tiny', 'many', 'large'] as const;

const TINY_BYTES = 1000;
/** What an agent still does after its start or after work is over by then. */
const SETTLE_MS = 10_000;

interface Bench {
  readonly cluster: Cluster;
  readonly results: ClusterResults;
  readonly setup: SetupName;
}

export async function runClusterBench(options: ClusterBenchOptions, results: ClusterResults): Promise<void> {
  const setups = options.setups.map(setupOf);
  const cluster = await Cluster.start({
    velero: 'with-node-agent',
    images: ['agent', 'restore-helper'],
    log: (line) => console.log(`cluster: ${line}`),
  });
  try {
    for (const setup of setups) await runSetup({ cluster, results, setup }, options);
  } finally {
    await cluster.stop();
  }
}

function setupOf(name: string): SetupName {
  const found = SETUPS.find((setup) => setup === name);
  if (found === undefined) throw new Error(`no setup ${name}; there are ${SETUPS.join(', ')}`);
  return found;
}

async function runSetup(bench: Bench, options: ClusterBenchOptions): Promise<void> {
  const { parts, pods, volumes, volumeBytes, largeBytes, repeat } = options;
  console.log(`${bench.setup}:`);
  await useSetup(bench.cluster, bench.setup);
  await idle(bench, false);
  if (parts.includes('tiny')) await tiny(bench, repeat);
  if (parts.includes('many')) await roundTrip(bench, 'many', { pods, volumes, volumeBytes });
  // One volume is moved at a time whatever the setup says.
  const isRepetition = bench.setup.endsWith('-4') && options.setups.length > 1;
  if (parts.includes('large') && !isRepetition) {
    await roundTrip(bench, 'large', { pods: 1, volumes: 1, volumeBytes: largeBytes });
  }
  await idle(bench, true);
}

async function tiny(bench: Bench, repeat: number): Promise<void> {
  const workload = await begin(bench, 'tiny', { pods: 1, volumes: 1, volumeBytes: TINY_BYTES });
  const name = workload.namespace;
  await step(bench, { phase: 'tiny-first', workload, backup: `${name}-0` });
  for (let run = 1; run <= repeat; run++)
    await step(bench, { phase: 'tiny-again', workload, backup: `${name}-${run}` });
  await restore(bench, 'tiny-restore', workload, `${name}-${repeat}`);
}

async function roundTrip(bench: Bench, part: 'many' | 'large', size: Omit<Workload, 'namespace'>): Promise<void> {
  const workload = await begin(bench, part, size);
  const backup = `${workload.namespace}-0`;
  await step(bench, { phase: `${part}-backup`, workload, backup });
  await restore(bench, `${part}-restore`, workload, backup);
}

/** A namespace of its own has a repository of its own: no setup finds what another has stored. */
async function begin({ cluster, setup }: Bench, part: string, size: Omit<Workload, 'namespace'>): Promise<Workload> {
  const workload = { namespace: freshName(`bench-${part}-${setup}`), ...size };
  await makeWorkload(cluster, workload);
  return workload;
}

async function restore(bench: Bench, phase: ClusterPhase, workload: Workload, backup: string): Promise<void> {
  await loseNamespace(bench.cluster, workload.namespace);
  await step(bench, { phase, workload, backup, restore: `${workload.namespace}-r` });
  await loseNamespace(bench.cluster, workload.namespace);
}

function step({ cluster, results, setup }: Bench, what: Omit<Step, 'setup'>): Promise<void> {
  return runStep(cluster, { setup, ...what }, results);
}

async function idle({ cluster, results, setup }: Bench, isAfterWork: boolean): Promise<void> {
  await setTimeout(SETTLE_MS);
  const { rssBytes, pssBytes, processes } = new AgentMemory(cluster).now();
  results.add({ kind: 'idle', setup, isAfterWork, rssBytes, pssBytes });
  const when = isAfterWork ? 'after work' : 'after its start';
  console.log(`  ${setup} idle ${when}: ${(rssBytes / 2 ** 20).toFixed(0)} MiB in ${processes} process(es)`);
}
