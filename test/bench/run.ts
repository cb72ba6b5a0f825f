// `npm run bench [-- OPTIONS]`: makes trees, runs windlass and, where they are on PATH, kopia and restic in turns, measures
// each phase and writes docs/performance.md. See README.md beside this file.
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { removeTree } from '../harness/scratch.ts';
import { benchCluster, CLUSTER_OPTIONS, CLUSTER_USAGE } from './cluster/command.ts';
import { countFiles, folderBytes } from './folders.ts';
import { measure, type Measurement } from './measure.ts';
import { build, CLONE, today, writeReport, writeSection } from './output.ts';
import { renderReport } from './report.ts';
import { PHASES, Results, type Phase } from './results.ts';
import type { Ceiling } from './s3/ceiling.ts';
import { renderStoreSection } from './s3/report.ts';
import { StoreResults } from './s3/results.ts';
import { runStoreBench } from './s3/run.ts';
import { openScratch, WarmMemory, type Scratch } from './scratch-memory.ts';
import { sectionOf } from './section.ts';
import {
  availableTools,
  installPackage,
  openTool,
  toolVersions,
  type Command,
  type Tool,
  type ToolName,
} from './tools.ts';
import { changeOnePercent, makeLargeTree, makeSmallTree, makeSystemTree, type Tree } from './trees.ts';

const NOTES = fileURLToPath(new URL('notes.md', import.meta.url));
const GIB = 2 ** 30;

const USAGE = `npm run bench -- [--tree system,large,small,growth,million] [--phase first,unchanged,changed,restore,restore-one,verify]
  [--tool windlass,windlass-same,kopia,restic] [--runs 3] [--scale 1] [--large-size BYTES] [--system-source /usr/lib]
  [--system-cap BYTES] [--scratch FOLDER] [--results FILE] [--out FILE | --no-out] [--report-only] [--memory-limit SIZE]
  --store s3 [--latency 0,30] [--tree system,small] [--phase first,unchanged,unchanged-cold,restore,maintain,open-cold,open]
  [--tool windlass,kopia,restic] and the others as above
  ${CLUSTER_USAGE}`;

const { values } = parseArgs({
  options: {
    tree: { type: 'string' },
    phase: { type: 'string' },
    tool: { type: 'string' },
    runs: { type: 'string', default: '3' },
    scale: { type: 'string', default: '1' },
    'large-size': { type: 'string' },
    'system-source': { type: 'string', default: '/usr/lib' },
    'system-cap': { type: 'string' },
    scratch: { type: 'string' },
    results: { type: 'string' },
    out: { type: 'string' },
    'no-out': { type: 'boolean', default: false },
    'report-only': { type: 'boolean', default: false },
    'no-build': { type: 'boolean', default: false },
    million: { type: 'boolean', default: false },
    'memory-limit': { type: 'string' },
    store: { type: 'string' },
    latency: { type: 'string', default: '0,30' },
    ...CLUSTER_OPTIONS,
    help: { type: 'boolean', default: false },
  },
});

const scale = Number(values.scale);
const runs = Number(values.runs);
const chosenTrees = values.tree?.split(',') ?? [
  'system',
  'large',
  'small',
  'growth',
  ...(values.million ? ['million'] : []),
];
const chosenPhases = new Set<string>(values.phase?.split(',') ?? PHASES);
const installed = availableTools();
const chosenTools = installed.filter((tool) => values.tool === undefined || values.tool.split(',').includes(tool));
const results = new Results(values.results);

interface Study {
  /** The name the records carry. */
  readonly label: string;
  readonly make: (path: string) => Tree;
  readonly tools: readonly ToolName[];
  readonly phases: ReadonlySet<string>;
  readonly windlassArgs: readonly string[];
}

function studies(): Study[] {
  const count = (n: number): number => Math.max(100, Math.round((n * scale) / 100) * 100);
  const folders = (files: number): number => Math.max(1, Math.round(files / 400));
  const systemCap = Number(values['system-cap'] ?? 4 * GIB * scale);
  const largeSize = Number(values['large-size'] ?? Math.round(2 * GIB * scale));
  const limit = values['memory-limit'];
  const common = {
    tools: chosenTools,
    phases: chosenPhases,
    windlassArgs: limit === undefined ? [] : ['--memory-limit', limit],
  };
  const small = (files: number) => (path: string) => makeSmallTree(path, files, folders(files));
  const ours = chosenTools.filter((tool) => tool === 'windlass');
  const growth = { ...common, label: 'growth', tools: ours };
  const all: Readonly<Record<string, readonly Study[]>> = {
    system: [{ ...common, label: 'system', make: (path) => makeSystemTree(path, values['system-source'], systemCap) }],
    large: [{ ...common, label: 'large', make: (path) => makeLargeTree(path, largeSize, values['system-source']) }],
    small: [{ ...common, label: 'small', make: small(count(200_000)) }],
    growth: [20_000, 200_000].map((files) => ({ ...growth, make: small(count(files)) })),
    million: [
      {
        ...common,
        label: 'million',
        tools: chosenTools.filter((tool) => tool !== 'windlass-same'),
        phases: new Set([...chosenPhases].filter((phase) => phase !== 'changed' && phase !== 'verify')),
        windlassArgs: ['--memory-limit', limit ?? '256MiB'],
        make: (path) => makeSmallTree(path, count(1_000_000), 1000, true),
      },
    ],
  };
  return chosenTrees.flatMap((name) => {
    const found = all[name];
    if (found === undefined) throw new Error(`no tree ${name}; there are ${Object.keys(all).join(', ')}`);
    return found;
  });
}

async function main(): Promise<void> {
  if (values.cluster) return await benchCluster(values);
  const scratch = openScratch(values.scratch);
  // After what still runs was ended: those are prepended.
  process.on('exit', () => scratch.remove());
  process.on('SIGINT', () => process.exit(130)).on('SIGTERM', () => process.exit(130));
  const launcher = installPackage(join(scratch.path, 'package'));
  if (values.store !== undefined) return await benchStore(values.store, scratch, launcher);
  if (!values['report-only']) await runStudies(scratch.path, launcher);
  await report(launcher, scratch.kind);
}

async function benchStore(kind: string, scratch: Scratch, windlass: string): Promise<void> {
  if (kind !== 's3') throw new Error(`no store ${kind} for the bench; there is s3`);
  const stored = new StoreResults(values.results);
  const cap = values['system-cap'];
  const options = {
    latencies: values.latency.split(',').map(Number),
    trees: values.tree?.split(',') ?? ['system', 'small'],
    phases: values.phase?.split(','),
    tools: values.tool?.split(','),
    runs,
    scale,
    systemSource: values['system-source'],
    systemCap: cap === undefined ? undefined : Number(cap),
    windlass,
  };
  let ceilings: readonly Ceiling[] = [];
  if (!values['report-only']) {
    if (!values['no-build']) build();
    ceilings = await runStoreBench(options, stored, scratch);
  }
  const tools = [...new Set(stored.records.map((record) => record.tool))];
  const section = renderStoreSection(stored, {
    versions: await toolVersions(tools, windlass),
    scratchKind: scratch.kind,
    date: today(),
    ceilings,
  });
  const out = outPath(values.latency === '0,30');
  if (out === undefined) return console.log(`\n${section}`);
  writeSection(out, 'object stores', section);
}

async function runStudies(scratch: string, launcher: string): Promise<void> {
  if (!values['no-build']) build();
  for (const study of studies()) await runStudy(study, scratch, launcher);
}

interface OpenedTool {
  readonly tool: Tool;
  readonly folder: string;
}

async function runStudy(study: Study, scratch: string, launcher: string): Promise<void> {
  const path = join(scratch, 'tree');
  console.log(`making the tree of "${study.label}"`);
  const tree = study.make(path);
  console.log(
    `${study.label}: ${tree.files} files, ${(tree.bytes / GIB).toFixed(2)} GiB; ${study.tools.join(', ')} in turns, ${runs} times`,
  );
  const openOne = (tool: ToolName, run: number): OpenedTool => {
    const folder = join(scratch, `${tool}-${run}`);
    return { tool: openTool(tool, { folder, windlass: launcher, windlassArgs: study.windlassArgs }), folder };
  };
  for (let run = 1; run <= runs; run++) {
    for (const tool of study.tools) await runCycle(study, tree, openOne(tool, run), run);
  }
  removeTree(path);
}

/** One tool, all phases, on a fresh repository. */
async function runCycle(study: Study, tree: Tree, { tool, folder }: OpenedTool, run: number): Promise<void> {
  const cycle = new Cycle(study, tree, tool, run, folder);
  await tool.create();
  await cycle.backup('first', true);
  await cycle.backup('unchanged', false);
  if (study.phases.has('changed')) {
    changeOnePercent(tree, run * 10 + study.tools.indexOf(tool.name));
    await cycle.backup('changed', false);
  }
  if (tree.largeFile !== undefined) await cycle.restore('restore-one', tree.largeFile);
  await cycle.restore('restore', undefined);
  if (study.phases.has('verify')) await cycle.time('verify', tool.verify());
  removeTree(folder);
}

/** How much of the tree's size a phase writes, about. */
const WRITES: Partial<Record<Phase, number>> = { first: 1.1, restore: 1.1, 'restore-one': 0.6 };

class Cycle {
  readonly #study: Study;
  readonly #tree: Tree;
  readonly #tool: Tool;
  readonly #run: number;
  readonly #folder: string;

  constructor(study: Study, tree: Tree, tool: Tool, run: number, folder: string) {
    this.#study = study;
    this.#tree = tree;
    this.#tool = tool;
    this.#run = run;
    this.#folder = folder;
  }

  /** The first backup is always made: the later phases stand on it. */
  async backup(phase: Phase, always: boolean): Promise<void> {
    if (!always && !this.#study.phases.has(phase)) return;
    this.#tool.noteBackup(await this.time(phase, this.#tool.backup(this.#tree.path)));
  }

  async restore(phase: Phase, file: string | undefined): Promise<void> {
    if (!this.#study.phases.has(phase)) return;
    await this.#tool.dropCaches();
    const target = join(this.#folder, 'restored');
    const single = join(target, file ?? '');
    if (file !== undefined) mkdirSync(target, { recursive: true });
    const named = file !== undefined && this.#tool.name !== 'restic' ? single : target;
    await this.time(phase, file === undefined ? this.#tool.restore(target) : this.#tool.restoreFile(file, named));
    const expected = file === undefined ? this.#tree.files : 1;
    const found = countFiles(target);
    if (found !== expected) throw new Error(`${this.#tool.name} ${phase}: ${found} files of ${expected} restored`);
    removeTree(target);
  }

  async time(phase: Phase, command: Command): Promise<string> {
    const measured = await this.#measure(phase, command);
    const { wallSeconds, cpuSeconds, peakBytes } = measured;
    const { files, bytes } = this.#tree;
    const where = { tree: this.#study.label, files, bytes, tool: this.#tool.name, phase, run: this.#run };
    results.add({ ...where, wallSeconds, cpuSeconds, peakBytes, repositoryBytes: folderBytes(this.#tool.repository) });
    const memory = `${(peakBytes / 2 ** 20).toFixed(0)} MiB`;
    console.log(
      `  ${this.#run} ${this.#tool.name} ${phase}: ${wallSeconds.toFixed(2)} s, CPU ${cpuSeconds.toFixed(2)} s, ${memory}`,
    );
    return measured.stdout;
  }

  async #measure(phase: Phase, { argv, env }: Command): Promise<Measurement> {
    const warm = new WarmMemory(
      join(this.#folder, 'warm'),
      (this.#tree.bytes + this.#tree.files * 4096) * (WRITES[phase] ?? 0),
    );
    try {
      const logPath = join(this.#folder, 'log');
      return await measure(argv, { env, cwd: this.#folder, logPath, onSample: () => warm.sample() });
    } finally {
      warm.close();
    }
  }
}

async function report(launcher: string, scratchKind: string): Promise<void> {
  const tools = [...new Set(results.records.map((record) => record.tool))];
  const notes = existsSync(NOTES) ? readFileSync(NOTES, 'utf8') : '';
  const out = outPath(true);
  const old = out !== undefined && existsSync(out) ? readFileSync(out, 'utf8') : '';
  const text = renderReport(results, {
    versions: await toolVersions(tools, launcher),
    notes,
    sections: [sectionOf(old, 'object stores'), sectionOf(old, 'node agents')],
    scratchKind,
    date: today(),
  });
  if (out === undefined) return console.log(`\n${text}`);
  writeReport(out, text);
}

/** A subset replaces nothing in the committed report unless asked to by name. */
function outPath(isWhole: boolean): string | undefined {
  if (values['no-out']) return undefined;
  const isAll = values.tree === undefined && values.phase === undefined && values.tool === undefined && scale === 1;
  return values.out ?? (isAll && isWhole ? join(CLONE, 'docs/performance.md') : undefined);
}

if (values.help) console.log(USAGE);
else await main();
