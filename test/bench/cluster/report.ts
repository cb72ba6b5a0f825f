// The section of docs/performance.md on node agents, from what the cluster bench measured.
import { machine } from '../report.ts';
import { mib, seconds, table } from '../table.ts';
import type { ClusterPhase, ClusterResults, SetupName, StepRecord } from './results.ts';

export interface ClusterReportOptions {
  readonly date: string;
  readonly versions: readonly string[];
}

const TITLES: Readonly<Record<SetupName, string>> = {
  velero: 'Velero',
  windlass: 'Windlass',
  'windlass-4': 'Windlass, 4 at a time',
  'velero-4': 'Velero, 4 at a time',
};

interface Row {
  readonly title: string;
  readonly phase: ClusterPhase;
  readonly value: (step: StepRecord) => number;
  /** How many times as fast as Velero we mean to be, or the seconds we mean to need. */
  readonly wanted?: { readonly ratio: number } | { readonly seconds: number };
}

const wall = ({ wallSeconds }: StepRecord): number => wallSeconds;
const ofVolume = ({ volumeSeconds }: StepRecord): number => volumeSeconds;

const ROWS: readonly Row[] = [
  {
    title: 'tiny volume, first: object created → Completed',
    phase: 'tiny-first',
    value: ofVolume,
    wanted: { seconds: 1 },
  },
  { title: 'tiny volume, again', phase: 'tiny-again', value: ofVolume, wanted: { seconds: 1 } },
  { title: '… its backup as a whole', phase: 'tiny-again', value: wall },
  { title: 'tiny volume, restore: object created → Completed', phase: 'tiny-restore', value: ofVolume },
  { title: 'many volumes, backup', phase: 'many-backup', value: wall, wanted: { ratio: 10 } },
  { title: 'many volumes, restore', phase: 'many-restore', value: wall, wanted: { ratio: 10 } },
  { title: '… until all pods run', phase: 'many-restore', value: (step) => step.runningSeconds ?? Number.NaN },
  { title: 'large volume, backup', phase: 'large-backup', value: wall, wanted: { ratio: 2 } },
  { title: '… the volume alone', phase: 'large-backup', value: ofVolume },
  { title: '… moving its data', phase: 'large-backup', value: ({ movingSeconds }) => movingSeconds },
  { title: 'large volume, restore', phase: 'large-restore', value: wall, wanted: { ratio: 2 } },
  { title: '… moving its data', phase: 'large-restore', value: ({ movingSeconds }) => movingSeconds },
];

const PHASE_TITLES: Readonly<Record<ClusterPhase, string>> = {
  'tiny-first': 'tiny volume, first',
  'tiny-again': 'tiny volume, again',
  'tiny-restore': 'tiny volume, restore',
  'many-backup': 'many volumes, backup',
  'many-restore': 'many volumes, restore',
  'large-backup': 'large volume, backup',
  'large-restore': 'large volume, restore',
};

export function renderClusterSection(results: ClusterResults, { date, versions }: ClusterReportOptions): string {
  const setups = results.setups;
  return [
    '## Node agents in a cluster',
    `Written by \`npm run bench -- --cluster\`. Machine: ${machine()}: etcd, Kubernetes, one node, an S3 server (versitygw) and Velero’s server share it. ${versions.join(', ')}. ${date}.`,
    `One after the other on one cluster under one unmodified Velero server: ${setups.map((setup) => TITLES[setup]).join('; ')}. Volumes are emptyDirs with one file of random bytes. ${sizesText(results)}`,
    'Each cell is the median of its runs; the ratio is Velero’s figure divided by ours, in brackets what we aim at, ✗ where it is missed.',
    table(
      ['Time', ...setups.map((setup) => TITLES[setup]), ...ours(setups).map((setup) => `${TITLES[setup]} ×`)],
      timeRows(results),
    ),
    'How it ended: volumes Completed, pods running after a restore, what the server says.',
    table(['Step', ...setups.map((setup) => TITLES[setup])], outcomeRows(results)),
    'Peak of the resident memory of the agent, its children and the pods that it starts, added up (in brackets with shared pages counted once), and their greatest number of processes; idle: the agent alone.',
    table(['Memory', ...setups.map((setup) => TITLES[setup])], memoryRows(results)),
    'API requests a volume, of the agent with the pods that it starts / of everybody but the bench (server, kubelet, scheduler, controllers), from the audit log of the API server.',
    table(
      ['Requests', ...setups.map((setup) => TITLES[setup]), ...ours(setups).map((setup) => `${TITLES[setup]} ×`)],
      requestRows(results),
    ),
  ].join('\n\n');
}

function ours(setups: readonly SetupName[]): readonly SetupName[] {
  return setups.filter((setup) => setup !== 'velero');
}

function phasesOf(results: ClusterResults): ClusterPhase[] {
  const phases = results.records.flatMap((record) => (record.kind === 'step' ? [record.phase] : []));
  return (Object.keys(PHASE_TITLES) as ClusterPhase[]).filter((phase) => phases.includes(phase));
}

function sizesText(results: ClusterResults): string {
  const found = results.records.flatMap((record) => (record.kind === 'step' ? [record] : []));
  const size = (prefix: string): StepRecord | undefined => found.findLast(({ phase }) => phase.startsWith(prefix));
  const [tiny, many, large] = [size('tiny'), size('many'), size('large')];
  const loads = found.map(({ load }) => load);
  return [
    ...(tiny === undefined ? [] : [`Tiny: ${tiny.volumeBytes} bytes.`]),
    ...(many === undefined
      ? []
      : [`Many: ${many.pods} pods × ${many.volumes} volumes of ${(many.volumeBytes / 1e6).toFixed(1)} MB.`]),
    ...(large === undefined ? [] : [`Large: ${mib(large.volumeBytes)}.`]),
    `Load average of the machine when a step began: ${Math.min(...loads).toFixed(1)} to ${Math.max(...loads).toFixed(1)}.`,
  ].join(' ');
}

function timeRows(results: ClusterResults): string[][] {
  return ROWS.filter(({ phase }) => phasesOf(results).includes(phase)).map(({ title, phase, value, wanted }) => {
    const figures = results.setups.map((setup) => results.figure(setup, phase, value));
    const base = results.figure('velero', phase, value);
    const ratios = ours(results.setups).map((setup) => ratioText(base, results.figure(setup, phase, value), wanted));
    return [title, ...figures.map((figure) => (figure === undefined ? '–' : seconds(figure))), ...ratios];
  });
}

function ratioText(base: number | undefined, own: number | undefined, wanted: Row['wanted']): string {
  if (own === undefined) return '–';
  const ratio = base === undefined ? '–' : `${(base / own).toFixed(1)} ×`;
  if (wanted === undefined) return ratio;
  if ('seconds' in wanted) return `**${ratio}** (≤ ${wanted.seconds} s${own > wanted.seconds ? ' ✗' : ''})`;
  const isMissed = base !== undefined && base / own < wanted.ratio;
  return `**${ratio}** (≥ ${wanted.ratio}${isMissed ? ' ✗' : ''})`;
}

function outcomeRows(results: ClusterResults): string[][] {
  return phasesOf(results).map((phase) => [
    PHASE_TITLES[phase],
    ...results.setups.map((setup) => outcomeText(results.steps(setup, phase))),
  ]);
}

function outcomeText(steps: readonly StepRecord[]): string {
  if (steps.length === 0) return '–';
  const total = (value: (step: StepRecord) => number): number => steps.reduce((sum, step) => sum + value(step), 0);
  const volumes = `${total(({ completed }) => completed)} of ${total((step) => step.pods * step.volumes)}`;
  const hasPods = steps.some(({ podsRunning }) => podsRunning !== undefined);
  const pods = `${total(({ podsRunning = 0 }) => podsRunning)} of ${total((step) => step.pods)} pods`;
  return [volumes, ...(hasPods ? [pods] : []), ...new Set(steps.map(({ outcome }) => outcome))].join(', ');
}

function memoryRows(results: ClusterResults): string[][] {
  const idle = ([false, true] as const).map((isAfterWork) => [
    isAfterWork ? 'idle, after work' : 'idle, after its start (ours ≤ 110 MiB)',
    ...results.setups.map((setup) => {
      const bytes = results.idleBytes(setup, isAfterWork);
      return bytes === undefined ? '–' : mib(bytes);
    }),
  ]);
  const peaks = phasesOf(results).map((phase) => [
    `${PHASE_TITLES[phase]}${phase.startsWith('many') ? ' (ours ≤ 400 MiB)' : ''}`,
    ...results.setups.map((setup) => {
      const figure = (value: (step: StepRecord) => number): number => results.figure(setup, phase, value) ?? Number.NaN;
      if (results.steps(setup, phase).length === 0) return '–';
      const processes = figure((step) => step.peakProcesses);
      return `${mib(figure((step) => step.peakRssBytes))} (${mib(figure((step) => step.peakPssBytes))}), ${processes}`;
    }),
  ]);
  return [...idle, ...peaks];
}

function requestRows(results: ClusterResults): string[][] {
  const each = (value: (step: StepRecord) => number) => (step: StepRecord) => value(step) / (step.pods * step.volumes);
  const byAgent = each(({ requests }) => requests.agent);
  const byAll = each(({ requests }) => requests.agent + requests.server + requests.others);
  return phasesOf(results).map((phase) => {
    const base = results.figure('velero', phase, byAgent);
    return [
      `${PHASE_TITLES[phase]}${phase.startsWith('many') ? ' (agent’s ≥ 2 × fewer)' : ''}`,
      ...results.setups.map((setup) => {
        const own = results.figure(setup, phase, byAgent);
        return own === undefined ? '–' : `${own.toFixed(1)} / ${results.figure(setup, phase, byAll)?.toFixed(1)}`;
      }),
      ...ours(results.setups).map((setup) => ratioText(base, results.figure(setup, phase, byAgent), undefined)),
    ];
  });
}
