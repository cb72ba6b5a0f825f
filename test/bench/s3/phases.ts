// The phases of the S3 bench on a tree: one tool, one latency, a fresh bucket.
import { join } from 'node:path';

import { removeTree } from '../../harness/scratch.ts';
import { countFiles } from '../folders.ts';
import { measure } from '../measure.ts';
import { WarmMemory } from '../scratch-memory.ts';
import type { Command } from '../tools.ts';
import type { Tree } from '../trees.ts';
import type { StorePhase, StoreResults } from './results.ts';
import { emptyFolder, type BenchStore, type StoreCost, type Way } from './store.ts';
import { openStoreTool, type StoreTool, type StoreToolName } from './tools.ts';

/** What all cycles share. */
export interface Bench {
  readonly store: BenchStore;
  readonly results: StoreResults;
  /** A folder for what a cycle leaves behind, in the bench's own memory. */
  readonly scratch: string;
  readonly windlass: string;
  readonly phases: ReadonlySet<StorePhase>;
}

export interface Cycle {
  readonly tree: { readonly name: string; readonly files: number; readonly bytes: number };
  readonly latencyMs: number;
  readonly tool: StoreToolName;
  /** From 1; 0 is only counted. */
  readonly run: number;
}

/** At no latency the relay would only take from the two cores what the tools want: it is used for one run, to count. */
export function wayOf({ latencyMs, run }: Cycle): Way {
  return latencyMs === 0 && run > 0 ? 'direct' : latencyMs;
}

/** How much of the tree's size a phase writes to memory, about. */
const WRITES: Partial<Record<StorePhase, number>> = { first: 1.2, restore: 1.2 };

export async function runTreeCycle(bench: Bench, cycle: Cycle, tree: Tree): Promise<void> {
  const { store, phases } = bench;
  const bucket = `${cycle.tool}-${tree.name}`;
  const folder = emptyFolder(join(bench.scratch, bucket));
  const place = await store.makePlace(bucket, wayOf(cycle));
  const tool = openStoreTool(cycle.tool, { folder, place, windlass: bench.windlass });
  const time = (phase: StorePhase, command: Command): Promise<string> =>
    timePhase(bench, { ...cycle, bucket }, phase, command);
  const backup = async (phase: StorePhase): Promise<void> => {
    tool.noteBackup(await time(phase, tool.backup(tree.path)));
  };
  await tool.create();
  tool.ageCache();
  // Always: the others stand on it.
  await backup('first');
  tool.ageCache();
  if (phases.has('unchanged')) await backup('unchanged');
  if (phases.has('unchanged-cold')) {
    tool.dropCache();
    await backup('unchanged-cold');
  }
  if (phases.has('restore')) {
    tool.dropCache();
    await restore(tool, tree, join(folder, 'restored'), (command) => time('restore', command));
  }
  removeTree(folder);
  store.removeBucket(bucket);
}

async function restore(
  tool: StoreTool,
  tree: Tree,
  target: string,
  time: (command: Command) => Promise<string>,
): Promise<void> {
  await time(tool.restore(target));
  const found = countFiles(target);
  if (found !== tree.files) throw new Error(`${tool.name}: ${found} files of ${tree.files} restored`);
}

/** Measures one command and keeps the record. */
export async function timePhase(
  bench: Bench,
  cycle: Cycle & { readonly bucket: string },
  phase: StorePhase,
  command: Command,
): Promise<string> {
  const { store, results, scratch } = bench;
  const { tree, latencyMs, tool, run } = cycle;
  const warm = new WarmMemory(join(scratch, 'warm'), (tree.bytes + tree.files * 4096) * (WRITES[phase] ?? 0));
  try {
    const { result, cost } = await store.watch(wayOf(cycle), () =>
      measure(command.argv, {
        env: command.env,
        cwd: scratch,
        logPath: join(scratch, 'log'),
        onSample: () => warm.sample(),
      }),
    );
    const { wallSeconds, cpuSeconds, peakBytes, stdout } = result;
    const { kinds, bytes } = store.contents(cycle.bucket);
    const what = {
      store: 's3',
      tree: tree.name,
      files: tree.files,
      bytes: tree.bytes,
      latencyMs,
      tool,
      phase,
    } as const;
    const figures = { wallSeconds, cpuSeconds, peakBytes, ...cost };
    results.add({ ...what, run, ...figures, storedBytes: bytes, dataPacks: kinds['p'] ?? 0 });
    console.log(
      `  ${run} ${tool} ${tree.name} ${latencyMs} ms ${phase}: ${wallSeconds.toFixed(2)} s, CPU ${cpuSeconds.toFixed(2)} s, ` +
        `${(peakBytes / 2 ** 20).toFixed(0)} MiB; CPU of the store ${cost.serverCpuSeconds.toFixed(2)} s${trafficText(cost)}`,
    );
    return stdout;
  } finally {
    warm.close();
  }
}

function trafficText({ traffic, relayCpuSeconds }: StoreCost): string {
  if (traffic === undefined) return '';
  const { requests, getsByKind } = traffic;
  const counts = Object.entries(requests).flatMap(([verb, count]) => (count > 0 ? [`${count} ${verb}`] : []));
  return `, of the relay ${relayCpuSeconds.toFixed(2)} s; ${counts.join(', ')}; GETs ${JSON.stringify(getsByKind)}`;
}
