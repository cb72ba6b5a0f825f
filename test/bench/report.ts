// Turns results into docs/performance.md: the tables come from the run, the text on what limits it from notes.md beside this file.
import { cpus, release } from 'node:os';

import { memoryOfMachineBytes } from './measure.ts';
import { PHASES, type Phase, type Results, type Summary } from './results.ts';
import { gib, mib, seconds, table } from './table.ts';
import type { ToolName } from './tools.ts';

const TREE_TITLES: Readonly<Record<string, string>> = {
  system: 'System tree',
  large: 'Two large files',
  small: 'Small files',
};

const PHASE_TITLES: Readonly<Record<Phase, string>> = {
  first: 'first backup',
  unchanged: 'again, unchanged',
  changed: 'again, 1 % changed',
  restore: 'restore',
  'restore-one': 'restore of one large file',
  verify: 'verify, every byte',
};

/** Wanted at least: speed against kopia, and at most: memory against kopia. */
interface Target {
  readonly speed?: number;
  readonly memory?: number;
  /** Seconds that windlass may be slower at most, where a ratio says little. */
  readonly withinSeconds?: number;
}

const DEFAULT_TARGETS: Readonly<Record<string, Partial<Record<Phase, Target>>>> = {
  system: { first: { speed: 3, memory: 0.6 }, unchanged: { speed: 1.5 }, restore: { speed: 5, memory: 0.6 } },
  large: { first: { speed: 3, memory: 0.8 }, unchanged: { withinSeconds: 0.2 }, restore: { speed: 7, memory: 0.8 } },
  small: { first: { speed: 2.5, memory: 0.6 }, unchanged: { speed: 1.5 }, restore: { speed: 3, memory: 0.6 } },
};

const SAME_TARGETS: Partial<Record<Phase, Target>> = { first: { speed: 1.8 }, restore: { speed: 3.5 } };

export interface ReportOptions {
  readonly versions: readonly string[];
  readonly notes: string;
  /** The sections of other benches as they were. */
  readonly sections: readonly string[];
  readonly date: string;
  /** Where trees and repositories were. */
  readonly scratchKind: string;
}

export function renderReport(results: Results, options: ReportOptions): string {
  const parts = [
    '# Performance',
    'Written by `npm run bench` from a real run; what follows the tables is from `test/bench/notes.md`.',
    `Machine: ${machine()}. Everything is in ${options.scratchKind}, page cache warm. ${options.versions.join(', ')}. ${options.date}.`,
    'Absolute figures move from machine to machine and from hour to hour; the tools ran in turns, so the **ratios** count. ' +
      'Each cell is the median of its runs: wall time / CPU time / peak resident memory of the whole process tree. ' +
      '“Speed” is kopia’s wall time divided by ours, “memory” our peak divided by kopia’s; in brackets what we aim at.',
    '## Our defaults against Kopia under Velero’s settings',
    'Windlass: what `repository create` makes by default (BLAKE3-256-128, AES256-GCM-HMAC-SHA256, DYNAMIC-4M-BUZHASH, no compression). ' +
      'Kopia: BLAKE2B-256-128, otherwise the same, one file at a time per core, caches empty before each restore, no maintenance. restic: compression off.',
    ...treeTables(results, 'windlass', DEFAULT_TARGETS),
    '## Identical settings on both sides',
    'The same with BLAKE2B-256-128 on both sides.',
    ...treeTables(results, 'windlass-same', { system: SAME_TARGETS, large: SAME_TARGETS, small: SAME_TARGETS }),
    ...growthPart(results),
    ...millionPart(results),
    ...options.sections.filter((section) => section !== ''),
    options.notes.trim(),
  ];
  return `${parts.join('\n\n')}\n`;
}

export function machine(): string {
  const list = cpus();
  const model = (list[0]?.model ?? 'unknown processor').replace(/\s+/g, ' ').trim();
  return `${list.length} × ${model}, ${gib(memoryOfMachineBytes())} of memory, Linux ${release().split('-')[0]}`;
}

function treeTables(
  results: Results,
  ours: ToolName,
  targets: Readonly<Record<string, Partial<Record<Phase, Target>>>>,
): string[] {
  const parts: string[] = [];
  for (const [tree, title] of Object.entries(TREE_TITLES)) {
    const size = results.sizeOf(tree);
    if (size === undefined || results.summary(tree, ours, 'first') === undefined) continue;
    const rivals = (['kopia', 'restic'] as const).filter((tool) => results.summary(tree, tool, 'first') !== undefined);
    const rows = PHASES.flatMap((phase) => row(results, tree, phase, ours, rivals, targets[tree]?.[phase]));
    const sizes = ([ours, ...rivals] as const).map((tool) =>
      gib(results.summary(tree, tool, 'first')?.repositoryBytes ?? 0),
    );
    parts.push(
      `### ${title}: ${size.files.toLocaleString('en-US')} files, ${gib(size.bytes)}`,
      table(
        ['Phase', 'windlass', ...rivals, 'speed', 'memory', 'runs'],
        [...rows, ['repository after the first backup', ...sizes, '', '', '']],
      ),
    );
  }
  return parts.length > 0 ? parts : ['Not run.'];
}

function row(
  results: Results,
  tree: string,
  phase: Phase,
  ours: ToolName,
  rivals: readonly ToolName[],
  target: Target | undefined,
): string[][] {
  const own = results.summary(tree, ours, phase);
  if (own === undefined) return [];
  const kopia = results.summary(tree, 'kopia', phase);
  const cells = rivals.map((tool) => cell(results.summary(tree, tool, phase)));
  return [
    [
      PHASE_TITLES[phase],
      cell(own),
      ...cells,
      speedText(own, kopia, target),
      memoryText(own, kopia, target),
      `${own.runs}`,
    ],
  ];
}

function cell(summary: Summary | undefined): string {
  if (summary === undefined) return '–';
  return `${seconds(summary.wallSeconds)} / ${seconds(summary.cpuSeconds)} / ${mib(summary.peakBytes)}`;
}

function speedText(own: Summary, kopia: Summary | undefined, target: Target | undefined): string {
  if (kopia === undefined) return '–';
  const ratio = `${(kopia.wallSeconds / own.wallSeconds).toFixed(2)} ×`;
  if (target?.withinSeconds !== undefined) {
    return `${(own.wallSeconds - kopia.wallSeconds).toFixed(2)} s slower (≤ ${target.withinSeconds} s)`;
  }
  return target?.speed === undefined ? ratio : `**${ratio}** (≥ ${target.speed})`;
}

function memoryText(own: Summary, kopia: Summary | undefined, target: Target | undefined): string {
  if (kopia === undefined) return '–';
  const ratio = `${(own.peakBytes / kopia.peakBytes).toFixed(2)} ×`;
  return target?.memory === undefined ? ratio : `**${ratio}** (≤ ${target.memory})`;
}

/** Windlass alone on two trees, one with ten times the files of the other. */
function growthPart(results: Results): string[] {
  const counts = results.fileCounts('growth');
  const [few, many] = [counts[0], counts.at(-1)];
  if (few === undefined || many === undefined || few === many) return [];
  const rows = PHASES.flatMap((phase) => {
    const [a, b] = [
      results.summary('growth', 'windlass', phase, few),
      results.summary('growth', 'windlass', phase, many),
    ];
    if (a === undefined || b === undefined) return [];
    const time = `${(b.wallSeconds / a.wallSeconds).toFixed(1)} ×`;
    return [
      [PHASE_TITLES[phase], cell(a), cell(b), `${time} (≤ 11)`, `${(b.peakBytes / a.peakBytes).toFixed(2)} × (≤ 1.10)`],
    ];
  });
  const heads = [
    'Phase',
    `${few.toLocaleString('en-US')} files`,
    `${many.toLocaleString('en-US')} files`,
    'time',
    'memory',
  ];
  return ['## Growth', 'Small files again, ten times as many of them.', table(heads, rows)];
}

function millionPart(results: Results): string[] {
  const tools = (['windlass', 'kopia', 'restic'] as const).filter(
    (tool) => results.summary('million', tool, 'first') !== undefined,
  );
  const size = results.sizeOf('million');
  if (tools.length === 0 || size === undefined) return [];
  const rows = PHASES.filter((phase) => results.summary('million', 'windlass', phase) !== undefined).map((phase) => [
    PHASE_TITLES[phase],
    ...tools.map((tool) => cell(results.summary('million', tool, phase))),
  ]);
  const heads = ['Phase', 'windlass --memory-limit 256MiB', ...tools.slice(1)];
  return [
    '## A million files',
    `${size.files.toLocaleString('en-US')} files of a few dozen bytes in 1,000 folders, windlass with \`--memory-limit 256MiB\`: the limit holds for the whole process tree.`,
    table(heads, rows),
  ];
}
