// The section of docs/performance.md on object stores, from what the S3 bench measured.
import { machine } from '../report.ts';
import { mib, seconds, table } from '../table.ts';
import type { Ceiling } from './ceiling.ts';
import { STORE_PHASES, type StorePhase, type StoreRecord, type StoreResults, type StoreSummary } from './results.ts';
import { memoryTarget, requestVerdicts, resticVerdicts, speedTarget, type RequestCell } from './targets.ts';
import { STORE_TOOLS, type StoreToolName } from './tools.ts';

export interface StoreReportOptions {
  readonly versions: readonly string[];
  readonly date: string;
  readonly scratchKind: string;
  readonly ceilings: readonly Ceiling[];
}

const PHASE_TITLES: Readonly<Record<StorePhase, string>> = {
  first: 'first backup',
  unchanged: 'again, unchanged',
  'unchanged-cold': 'again, unchanged, cache empty',
  restore: 'restore, cache empty',
  maintain: 'full maintenance, cache empty',
  'open-cold': 'list snapshots, cache empty',
  open: 'list snapshots',
};

const TREE_TITLES: Readonly<Record<string, (files: string, bytes: string) => string>> = {
  system: (files, bytes) => `Part of a system tree: ${files} files, ${bytes}`,
  small: (files, bytes) => `Small files: ${files} files, ${bytes}`,
  aged: (files, bytes) => `Maintenance: eight snapshots of ${files} files, ${bytes}, four of them deleted`,
  'many-indexes': (contents) => `Opening: 5,000 index blobs, ${contents} contents`,
};

export function renderStoreSection(results: StoreResults, options: StoreReportOptions): string {
  const trees = Object.entries(TREE_TITLES).flatMap(([tree, title]) => treePart(results, tree, title));
  return [
    '## Object stores: S3',
    `Written by \`npm run bench -- --store s3\`. Machine: ${machine()}. The store is versitygw on the same two cores, everything in ${options.scratchKind}. ${options.versions.join(', ')}. ${options.date}.`,
    'At no latency the tools are connected to the server itself; requests and bytes are those of one more run through the relay, which is not timed. ' +
      'Else a relay in a process of its own is between tool and store, which delays all bytes by half the latency each way, a new connection by a whole one, and counts. ' +
      ceilingText(results, options.ceilings),
    'Windlass and restic run with their defaults (restic: compression off), Kopia with its own, too: BLAKE2B-256-128, no compression, no maintenance beside; its list cache of 30 s has run out before each backup, as hours later. ' +
      'Cells: wall time / CPU time / peak memory of the whole process tree, medians. “Speed” is Kopia’s wall time divided by ours, “memory” our peak divided by Kopia’s; in brackets what we aim at, ✗ where it is missed.',
    ...trees,
    '### Against bounds',
    verdictTable(results),
  ].join('\n\n');
}

function ceilingText(results: StoreResults, ceilings: readonly Ceiling[]): string {
  const passed = results.records.filter((r) => r.run > 0);
  const most = (value: (record: StoreRecord) => number): number => Math.max(0, ...passed.map(value));
  const busiest = most((r) => ((r.traffic?.bytesUp ?? 0) + (r.traffic?.bytesDown ?? 0)) / r.wallSeconds);
  const share = most((r) => r.relayCpuSeconds / r.wallSeconds);
  const each = ceilings.map(
    ({ latencyMs, up, down, directUp, directDown, turnMs }) =>
      `at ${latencyMs} ms ${mib(up)}/s up and ${mib(down)}/s down (its two ends without it: ${mib(directUp)}/s and ${mib(directDown)}/s; a small request takes ${turnMs.toFixed(1)} ms)`,
  );
  if (each.length === 0) return '';
  return `It passes ${each.join(', ')}; the busiest run moved ${mib(busiest)}/s and the relay never took more than ${(share * 100).toFixed(0)} % of one core.`;
}

function treePart(results: StoreResults, tree: string, title: (files: string, bytes: string) => string): string[] {
  const size = results.sizeOf(tree);
  if (size === undefined) return [];
  const tools = STORE_TOOLS.filter((tool) => results.records.some((r) => r.tree === tree && r.tool === tool));
  const cells = STORE_PHASES.flatMap((phase) => results.latencies().map((latencyMs) => ({ tree, latencyMs, phase })));
  const summaries = cells.flatMap((cell) => {
    const by = new Map(tools.map((tool) => [tool, results.summary({ ...cell, tool })]));
    return [...by.values()].some((summary) => summary !== undefined) ? [{ ...cell, by }] : [];
  });
  return [
    `### ${title(size.files.toLocaleString('en-US'), mib(size.bytes))}`,
    table(
      ['Phase', 'latency', ...tools, 'speed', 'memory', 'runs'],
      summaries.map(({ phase, latencyMs, by }) => timeRow(phase, latencyMs, tools, by)),
    ),
    'Requests, bytes up and down, CPU of the store:',
    table(
      ['Phase', 'latency', ...tools],
      summaries.map(({ phase, latencyMs, by }) => [
        PHASE_TITLES[phase],
        `${latencyMs} ms`,
        ...tools.map((tool) => trafficCell(by.get(tool))),
      ]),
    ),
  ];
}

type ByTool = ReadonlyMap<StoreToolName, StoreSummary | undefined>;

function timeRow(phase: StorePhase, latencyMs: number, tools: readonly StoreToolName[], by: ByTool): string[] {
  const [own, kopia] = [by.get('windlass'), by.get('kopia')];
  const cells = tools.map((tool) => timeCell(by.get(tool)));
  const runs = `${Math.min(...[...by.values()].map((summary) => summary?.runs ?? Infinity))}`;
  if (own === undefined || kopia === undefined) {
    return [PHASE_TITLES[phase], `${latencyMs} ms`, ...cells, '–', '–', runs];
  }
  const ratio = kopia.wallSeconds / own.wallSeconds;
  const wanted = speedTarget(phase, latencyMs);
  const memory = own.peakBytes / kopia.peakBytes;
  const memoryWanted = memoryTarget(phase);
  return [
    PHASE_TITLES[phase],
    `${latencyMs} ms`,
    ...cells,
    `**${ratio.toFixed(2)} ×** (≥ ${wanted}${ratio < wanted ? ' ✗' : ''})`,
    memoryWanted === undefined
      ? `${memory.toFixed(2)} ×`
      : `**${memory.toFixed(2)} ×** (≤ ${memoryWanted}${memory > memoryWanted ? ' ✗' : ''})`,
    runs,
  ];
}

function timeCell(summary: StoreSummary | undefined): string {
  if (summary === undefined) return '–';
  return `${seconds(summary.wallSeconds)} / ${seconds(summary.cpuSeconds)} / ${mib(summary.peakBytes)}`;
}

function trafficCell(summary: StoreSummary | undefined): string {
  if (summary === undefined) return '–';
  const { requests, bytesUp, bytesDown } = summary.traffic;
  const counts = (['put', 'get', 'head', 'list', 'delete', 'other'] as const)
    .filter((verb) => requests[verb] > 0)
    .map((verb) => `${requests[verb].toLocaleString('en-US')} ${verb === 'other' ? 'other' : verb.toUpperCase()}`);
  return `${counts.join(', ')}; ↑ ${megabytes(bytesUp)} ↓ ${megabytes(bytesDown)}; ${seconds(summary.serverCpuSeconds)}`;
}

function megabytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(bytes < 100 << 20 ? 1 : 0)} MiB`;
}

/** Counts do not follow the latency: those of the greatest one measured, which hides no retry. */
function verdictTable(results: StoreResults): string {
  const latencies = results.latencies();
  const cellsAt = (latencyMs: number): RequestCell[] =>
    Object.keys(TREE_TITLES).flatMap((tree) =>
      STORE_PHASES.map((phase) => ({ title: `${tree}, ${PHASE_TITLES[phase]}`, tree, latencyMs, phase })),
    );
  const verdicts = [
    ...resticVerdicts(results, latencies.flatMap(cellsAt)),
    ...requestVerdicts(results, cellsAt(latencies.at(-1) ?? 0)),
  ];
  const rows = verdicts.map(({ what, target, seen, isMet }) => [what, target, isMet ? seen : `**${seen}** ✗`]);
  return table(['What', 'bound', 'seen'], rows);
}
