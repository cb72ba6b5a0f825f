// `npm run bench -- --store s3`: the same tools against a real S3 server on loopback, at no latency and at some.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { removeTree } from '../../harness/scratch.ts';
import type { Scratch } from '../scratch-memory.ts';
import { makeSmallTree, makeSystemSample, type Tree } from '../trees.ts';
import { makeAged, runMaintenanceCycle } from './aged.ts';
import { measureCeiling, type Ceiling } from './ceiling.ts';
import { makeIndexed, runOpeningCycle } from './opening.ts';
import { runTreeCycle, type Bench, type Cycle } from './phases.ts';
import { STORE_PHASES, type StorePhase, type StoreResults } from './results.ts';
import { BenchStore } from './store.ts';
import { availableStoreTools, type StoreToolName } from './tools.ts';

export interface StoreBenchOptions {
  readonly latencies: readonly number[];
  readonly trees: readonly string[];
  readonly phases: readonly string[] | undefined;
  readonly tools: readonly string[] | undefined;
  readonly runs: number;
  readonly scale: number;
  readonly systemSource: string;
  readonly systemCap: number | undefined;
  readonly windlass: string;
}

/** A quarter of the tree that the local bench copies with this cap. */
const SYSTEM_CAP_BYTES = 2 * 2 ** 30;
const SYSTEM_SHARE = 1 / 4;
const SMALL_FILES = 3000;

export async function runStoreBench(
  options: StoreBenchOptions,
  results: StoreResults,
  scratch: Scratch,
): Promise<Ceiling[]> {
  const phases = new Set(STORE_PHASES.filter((phase) => options.phases?.includes(phase) ?? true));
  const tools = availableStoreTools().filter((tool) => options.tools?.includes(tool) ?? true);
  const ceilings: Ceiling[] = [];
  for (const latencyMs of options.latencies.filter((each) => each > 0)) ceilings.push(await measureCeiling(latencyMs));
  const store = await BenchStore.start(scratch.path);
  try {
    const folder = join(scratch.path, 'cycles');
    mkdirSync(folder);
    const bench: Bench = { store, results, scratch: folder, windlass: options.windlass, phases };
    for (const name of options.trees) await runTree(bench, name, options, tools);
    // What restic calls the same is not: it is left out.
    const alike = tools.filter((tool) => tool !== 'restic');
    await runMaintenance(bench, options, alike);
    await runOpening(bench, options, alike);
  } finally {
    await store.stop();
  }
  return ceilings;
}

const TREE_PHASES: readonly StorePhase[] = ['first', 'unchanged', 'unchanged-cold', 'restore'];

async function runTree(
  bench: Bench,
  name: string,
  options: StoreBenchOptions,
  tools: readonly StoreToolName[],
): Promise<void> {
  if (!TREE_PHASES.some((phase) => bench.phases.has(phase))) return;
  const path = join(bench.scratch, 'tree');
  const tree = makeTree(name, path, options);
  console.log(`${name}: ${tree.files} files, ${(tree.bytes / 2 ** 20).toFixed(0)} MiB; ${tools.join(', ')} in turns`);
  const size = { name, files: tree.files, bytes: tree.bytes };
  await inTurns(size, options, tools, (cycle) => runTreeCycle(bench, cycle, tree));
  removeTree(path);
}

async function runMaintenance(
  bench: Bench,
  options: StoreBenchOptions,
  tools: readonly StoreToolName[],
): Promise<void> {
  if (!bench.phases.has('maintain')) return;
  console.log('making a repository to maintain');
  const aged = await makeAged(bench, availableStoreTools().includes('kopia') ? 'kopia' : 'windlass', options.scale);
  await inTurns(aged, options, tools, (cycle) => runMaintenanceCycle(bench, cycle));
}

async function runOpening(bench: Bench, options: StoreBenchOptions, tools: readonly StoreToolName[]): Promise<void> {
  if (!bench.phases.has('open-cold') && !bench.phases.has('open')) return;
  console.log('making a repository of many indexes');
  const indexed = await makeIndexed(bench, options.scale);
  await inTurns(indexed, options, tools, (cycle) => runOpeningCycle(bench, cycle));
}

/** Whatever changes on the machine with time, all tools meet alike. */
async function inTurns(
  tree: Cycle['tree'],
  { runs, latencies }: StoreBenchOptions,
  tools: readonly StoreToolName[],
  runCycle: (cycle: Cycle) => Promise<void>,
): Promise<void> {
  for (let run = 0; run <= runs; run++) {
    for (const latencyMs of latencies) {
      // What is counted once is what connects directly afterwards.
      if (run === 0 && latencyMs > 0) continue;
      for (const tool of tools) await runCycle({ tree, latencyMs, tool, run });
    }
  }
}

function makeTree(name: string, path: string, { scale, systemSource, systemCap }: StoreBenchOptions): Tree {
  if (name === 'system')
    return makeSystemSample(path, systemSource, systemCap ?? SYSTEM_CAP_BYTES, SYSTEM_SHARE * scale);
  if (name === 'small') {
    const files = Math.max(100, Math.round((SMALL_FILES * scale) / 100) * 100);
    return makeSmallTree(path, files, Math.max(1, Math.round(files / 400)));
  }
  throw new Error(`no tree ${name} for a store; there are system and small`);
}
