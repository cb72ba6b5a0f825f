// What the S3 bench measured: one record a run, as JSON lines, and medians over them.
import { appendFileSync, existsSync, readFileSync } from 'node:fs';

import { median } from '../results.ts';
import type { Traffic } from './request-counter.ts';
import type { StoreToolName } from './tools.ts';

export const STORE_PHASES = [
  'first',
  'unchanged',
  'unchanged-cold',
  'restore',
  'maintain',
  'open-cold',
  'open',
] as const;
export type StorePhase = (typeof STORE_PHASES)[number];

export interface StoreRecord {
  readonly store: 's3';
  /** A tree's name, or that of a made repository: `aged`, `many-indexes`. */
  readonly tree: string;
  readonly files: number;
  readonly bytes: number;
  readonly latencyMs: number;
  readonly tool: StoreToolName;
  readonly phase: StorePhase;
  /** 0: only counted, through the relay, where the others connect directly. */
  readonly run: number;
  readonly wallSeconds: number;
  readonly cpuSeconds: number;
  readonly peakBytes: number;
  /** Not known where the tool was connected directly. */
  readonly traffic?: Traffic;
  readonly serverCpuSeconds: number;
  readonly relayCpuSeconds: number;
  /** In the bucket, after the phase. */
  readonly storedBytes: number;
  /** Packs of file data in the bucket, after the phase. */
  readonly dataPacks: number;
}

export interface StoreSummary extends Omit<StoreRecord, 'run'> {
  readonly runs: number;
  readonly traffic: Traffic;
}

export interface Cell {
  readonly tree: string;
  readonly latencyMs: number;
  readonly tool: StoreToolName;
  readonly phase: StorePhase;
}

export class StoreResults {
  readonly #path: string | undefined;
  readonly records: StoreRecord[] = [];

  /** Keeps records in the file at `path`, after those already there. */
  constructor(path: string | undefined) {
    this.#path = path;
    if (path === undefined || !existsSync(path)) return;
    for (const line of readFileSync(path, 'utf8').split('\n')) {
      if (line === '') continue;
      const record = JSON.parse(line) as StoreRecord;
      // Records of the bench on local folders may lie in the same file.
      if ((record as Partial<StoreRecord>).store === 's3') this.records.push(record);
    }
  }

  add(record: StoreRecord): void {
    this.records.push(record);
    if (this.#path !== undefined) appendFileSync(this.#path, `${JSON.stringify(record)}\n`);
  }

  /** Medians of one cell, times of those runs that are timed, counts of those that are counted; undefined when it was not run. */
  summary({ tree, latencyMs, tool, phase }: Cell): StoreSummary | undefined {
    const all = this.records.filter(
      (r) => r.tree === tree && r.latencyMs === latencyMs && r.tool === tool && r.phase === phase,
    );
    const timed = all.filter((r) => r.run > 0);
    const runs = timed.length > 0 ? timed : all;
    const [last] = runs.slice(-1);
    if (last === undefined) return undefined;
    const middle = (value: (record: StoreRecord) => number): number => median(runs.map(value));
    return {
      ...last,
      runs: timed.length,
      wallSeconds: middle((r) => r.wallSeconds),
      cpuSeconds: middle((r) => r.cpuSeconds),
      peakBytes: middle((r) => r.peakBytes),
      serverCpuSeconds: middle((r) => r.serverCpuSeconds),
      relayCpuSeconds: middle((r) => r.relayCpuSeconds),
      storedBytes: middle((r) => r.storedBytes),
      dataPacks: middle((r) => r.dataPacks),
      traffic: middleTraffic(all.flatMap((r) => r.traffic ?? [])),
    };
  }

  latencies(): number[] {
    return [...new Set(this.records.map((r) => r.latencyMs))].sort((a, b) => a - b);
  }

  /** The tree's size as last measured. */
  sizeOf(tree: string): { readonly files: number; readonly bytes: number } | undefined {
    return this.records.findLast((r) => r.tree === tree);
  }
}

function middleTraffic(all: readonly Traffic[]): Traffic {
  const middle = (value: (traffic: Traffic) => number): number => Math.round(median(all.map(value)));
  const kinds = [...new Set(all.flatMap((t) => Object.keys(t.getsByKind)))].sort();
  const verb = (name: keyof Traffic['requests']): number => middle((t) => t.requests[name]);
  return {
    requests: {
      get: verb('get'),
      head: verb('head'),
      put: verb('put'),
      list: verb('list'),
      delete: verb('delete'),
      other: verb('other'),
    },
    getsByKind: Object.fromEntries(kinds.map((kind) => [kind, middle((t) => t.getsByKind[kind] ?? 0)])),
    connections: middle((t) => t.connections),
    bytesUp: middle((t) => t.bytesUp),
    bytesDown: middle((t) => t.bytesDown),
  };
}
