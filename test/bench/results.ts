// What the bench measured: one record a run, kept as JSON lines so that a long bench can be done in pieces, and medians over them.
import { appendFileSync, existsSync, readFileSync } from 'node:fs';

import type { ToolName } from './tools.ts';

export const PHASES = ['first', 'unchanged', 'changed', 'restore', 'restore-one', 'verify'] as const;
export type Phase = (typeof PHASES)[number];

export interface RunRecord {
  /** Which comparison: a tree's name, or `growth` and `million` for the studies of windlass alone. */
  readonly tree: string;
  readonly files: number;
  readonly bytes: number;
  readonly tool: ToolName;
  readonly phase: Phase;
  readonly run: number;
  readonly wallSeconds: number;
  readonly cpuSeconds: number;
  readonly peakBytes: number;
  /** After the phase. */
  readonly repositoryBytes: number;
}

export interface Summary {
  readonly runs: number;
  readonly wallSeconds: number;
  readonly cpuSeconds: number;
  readonly peakBytes: number;
  readonly repositoryBytes: number;
}

export class Results {
  readonly #path: string | undefined;
  readonly records: RunRecord[] = [];

  /** Keeps records in the file at `path`, after those already there. */
  constructor(path: string | undefined) {
    this.#path = path;
    if (path !== undefined && existsSync(path)) {
      for (const line of readFileSync(path, 'utf8').split('\n')) {
        if (line !== '') this.records.push(JSON.parse(line) as RunRecord);
      }
    }
  }

  add(record: RunRecord): void {
    this.records.push(record);
    if (this.#path !== undefined) appendFileSync(this.#path, `${JSON.stringify(record)}\n`);
  }

  /** Medians of all runs of one cell; undefined when it was not run. */
  summary(tree: string, tool: ToolName, phase: Phase, files?: number): Summary | undefined {
    const runs = this.records.filter(
      (r) => r.tree === tree && r.tool === tool && r.phase === phase && (files === undefined || r.files === files),
    );
    if (runs.length === 0) return undefined;
    return {
      runs: runs.length,
      wallSeconds: median(runs.map((r) => r.wallSeconds)),
      cpuSeconds: median(runs.map((r) => r.cpuSeconds)),
      peakBytes: median(runs.map((r) => r.peakBytes)),
      repositoryBytes: median(runs.map((r) => r.repositoryBytes)),
    };
  }

  /** The tree's size as last measured. */
  sizeOf(tree: string): { files: number; bytes: number } | undefined {
    return this.records.findLast((r) => r.tree === tree);
  }

  fileCounts(tree: string): number[] {
    return [...new Set(this.records.filter((r) => r.tree === tree).map((r) => r.files))].sort((a, b) => a - b);
  }
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const high = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? high : (high + (sorted[middle - 1] ?? Number.NaN)) / 2;
}
