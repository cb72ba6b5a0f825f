// What the bench of node agents measured: one record a step, kept as JSON lines, and medians over them.
import { appendFileSync, existsSync, readFileSync } from 'node:fs';

import { median } from '../results.ts';

/** Whose agent, and how many volumes at a time where the node agents' ConfigMap says so. */
export const SETUPS = ['velero', 'windlass', 'windlass-4', 'velero-4'] as const;
export type SetupName = (typeof SETUPS)[number];

export const CLUSTER_PHASES = [
  'tiny-first',
  'tiny-again',
  'tiny-restore',
  'many-backup',
  'many-restore',
  'large-backup',
  'large-restore',
] as const;
export type ClusterPhase = (typeof CLUSTER_PHASES)[number];

/** Requests that the API server answered during a step. */
export interface RequestCounts {
  /** The node agent and the pods that it starts. */
  readonly agent: number;
  readonly server: number;
  /** Everybody else but the bench: what pods cost the kubelet, the scheduler and the controllers. */
  readonly others: number;
}

export interface StepRecord {
  readonly kind: 'step';
  readonly setup: SetupName;
  readonly phase: ClusterPhase;
  readonly pods: number;
  /** Of each pod. */
  readonly volumes: number;
  readonly volumeBytes: number;
  /** From the backup or restore created to its end, as its server sees it. */
  readonly wallSeconds: number;
  /** Restores: until all pods ran, or until that was given up. */
  readonly runningSeconds?: number | undefined;
  readonly podsRunning?: number | undefined;
  /** Medians over the volumes: from the object created to Completed, and from InProgress. */
  readonly volumeSeconds: number;
  readonly movingSeconds: number;
  readonly completed: number;
  /** What the server calls it. */
  readonly outcome: string;
  /** Sums over the agent's processes, those of its pods included. */
  readonly peakRssBytes: number;
  readonly peakPssBytes: number;
  readonly peakProcesses: number;
  readonly requests: RequestCounts;
  /** Of the machine, when the step began. */
  readonly load: number;
}

export interface IdleRecord {
  readonly kind: 'idle';
  readonly setup: SetupName;
  /** After all steps rather than after the start. */
  readonly isAfterWork: boolean;
  readonly rssBytes: number;
  readonly pssBytes: number;
}

export type ClusterRecord = StepRecord | IdleRecord;

export class ClusterResults {
  readonly #path: string | undefined;
  readonly records: ClusterRecord[] = [];

  /** Keeps records in the file at `path`, after those already there. */
  constructor(path: string | undefined) {
    this.#path = path;
    if (path === undefined || !existsSync(path)) return;
    const lines = readFileSync(path, 'utf8').split('\n');
    for (const line of lines) if (line !== '') this.records.push(JSON.parse(line) as ClusterRecord);
  }

  add(record: ClusterRecord): void {
    this.records.push(record);
    if (this.#path !== undefined) appendFileSync(this.#path, `${JSON.stringify(record)}\n`);
  }

  get setups(): readonly SetupName[] {
    return SETUPS.filter((setup) => this.records.some((record) => record.setup === setup));
  }

  steps(setup: SetupName, phase: ClusterPhase): readonly StepRecord[] {
    return this.records.filter(
      (record): record is StepRecord => record.kind === 'step' && record.setup === setup && record.phase === phase,
    );
  }

  /** The median of one figure over a step's runs; undefined when it was not run. */
  figure(setup: SetupName, phase: ClusterPhase, value: (record: StepRecord) => number): number | undefined {
    const steps = this.steps(setup, phase);
    return steps.length === 0 ? undefined : median(steps.map(value));
  }

  idleBytes(setup: SetupName, isAfterWork: boolean): number | undefined {
    const found = this.records.flatMap((record) =>
      record.kind === 'idle' && record.setup === setup && record.isAfterWork === isAfterWork ? [record.rssBytes] : [],
    );
    return found.length === 0 ? undefined : median(found);
  }
}
