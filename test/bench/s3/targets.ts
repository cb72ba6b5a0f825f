// What is wanted of the S3 bench, each against what was seen.
import { seconds } from '../table.ts';
import type { StorePhase, StoreResults, StoreSummary } from './results.ts';

export interface Verdict {
  readonly what: string;
  readonly target: string;
  readonly seen: string;
  readonly isMet: boolean;
}

/** Kopia's wall time divided by ours, at least; at the latencies that have their own, those. */
const SPEEDS: Readonly<Record<StorePhase, (latencyMs: number) => number>> = {
  first: () => 2,
  unchanged: () => 1.3,
  'unchanged-cold': () => 1.3,
  restore: (latencyMs) => (latencyMs === 0 ? 6 : 15),
  maintain: () => 2,
  'open-cold': () => 2,
  open: () => 2,
};

/** Our peak divided by Kopia's, at most. */
const MEMORY: Partial<Record<StorePhase, number>> = { 'open-cold': 0.5, open: 0.5 };

export function speedTarget(phase: StorePhase, latencyMs: number): number {
  return SPEEDS[phase](latencyMs);
}

export function memoryTarget(phase: StorePhase): number | undefined {
  return MEMORY[phase];
}

/** Requests of windlass against those of Kopia, and the GETs of a restore against the packs that hold its data. */
export function requestVerdicts(results: StoreResults, cells: readonly RequestCell[]): Verdict[] {
  return cells.flatMap(({ title, tree, latencyMs, phase }) => {
    const [own, kopia] = (['windlass', 'kopia'] as const).map((tool) =>
      results.summary({ tree, latencyMs, tool, phase }),
    );
    if (own === undefined) return [];
    const verdicts = kopia === undefined ? [] : [noMore('PUT', title, own, kopia), noMore('LIST', title, own, kopia)];
    return phase === 'restore' ? [...verdicts, restoreGets(title, own)] : verdicts;
  });
}

/** A restore is to be faster than restic's, too. */
export function resticVerdicts(results: StoreResults, cells: readonly RequestCell[]): Verdict[] {
  return cells.flatMap(({ title, tree, latencyMs, phase }) => {
    const [own, restic] = (['windlass', 'restic'] as const).map((tool) =>
      results.summary({ tree, latencyMs, tool, phase }),
    );
    if (phase !== 'restore' || own === undefined || restic === undefined) return [];
    const what = `wall time, ${title}, ${latencyMs} ms`;
    const [seen, most] = [own.wallSeconds, restic.wallSeconds];
    return [{ what, target: `< ${seconds(most)}, restic’s`, seen: seconds(seen), isMet: seen < most }];
  });
}

export interface RequestCell {
  readonly title: string;
  readonly tree: string;
  readonly latencyMs: number;
  readonly phase: StorePhase;
}

function noMore(verb: 'PUT' | 'LIST', title: string, own: StoreSummary, kopia: StoreSummary): Verdict {
  const key = verb === 'PUT' ? 'put' : 'list';
  const [seen, most] = [own.traffic.requests[key], kopia.traffic.requests[key]];
  return { what: `${verb}s, ${title}`, target: `≤ ${most}, Kopia’s`, seen: `${seen}`, isMet: seen <= most };
}

function restoreGets(title: string, own: StoreSummary): Verdict {
  const most = Math.floor(1.2 * own.dataPacks + 20);
  const seen = own.traffic.requests.get;
  const target = `≤ ${most}: 1.2 × ${own.dataPacks} packs + 20`;
  return { what: `GETs, ${title}`, target, seen: `${seen}`, isMet: seen <= most };
}
