// `npm run bench -- --store s3`: the same tools against a real S3 server on loopback, at no latency and at some.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { removeTree } from '../../harness/scratch.ts';
import type { Scratch } from '../scratch-memory.ts';
import { makeSmallTree, makeSystemTree, type Tree } from '../trees.ts';
import { runTreeCycle, type Bench } from './phases.ts';
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

const SYSTEM_CAP_BYTES = 512 << 20;
const SMALL_FILES = 5000;

export async function runStoreBench(
  options: StoreBenchOptions,
  results: StoreResults,
  scratch: Scratch,
): Promise<void> {
  const phases = new Set(STORE_PHASES.filter((phase) => options.phases?.includes(phase) ?? true));
  const tools = availableStoreTools().filter((tool) => options.tools?.includes(tool) ?? true);
  const store = await BenchStore.start(scratch.path);
  try {
    const folder = join(scratch.path, 'cycles');
    mkdirSync(folder);
    const bench: Bench = { store, results, scratch: folder, windlass: options.windlass, phases };
    for (const name of options.trees) await runTree(bench, name, options, tools);
  } finally {
    await store.stop();
  }
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
  for (let run = 1; run <= options.runs; run++) {
    for (const latencyMs of options.latencies) {
      for (const tool of tools) await runTreeCycle(bench, { tree: size, latencyMs, tool, run }, tree);
    }
  }
  removeTree(path);
}

function makeTree(name: string, path: string, { scale, systemSource, systemCap }: StoreBenchOptions): Tree {
  if (name === 'system') return makeSystemTree(path, systemSource, systemCap ?? SYSTEM_CAP_BYTES * scale);
  if (name === 'small') {
    const files = Math.max(100, Math.round((SMALL_FILES * scale) / 100) * 100);
    return makeSmallTree(path, files, Math.max(1, Math.round(files / 400)));
  }
  throw new Error(`no tree ${name} for a store; there are system and small`);
}
