// When a task may run, from what was recorded of earlier runs (snapshots §7.5). Pure: the tables in the test are the rules.
import type { SafetyParameters } from './safety-parameters.ts';
import { lastSuccessEndNs, type RunInfo, type Schedule } from './schedule.ts';

const NS_PER_MS = 1_000_000n;

/**
 * Whether contents of short packs may be moved: what the last rewrite left behind must have been deleted first, or deleting
 * would never get its turn. A full rewrite looks at full ones only, so that it may follow a quick one.
 */
export function isRewriteAllowed(kind: 'full' | 'quick', schedule: Schedule, safety: SafetyParameters): boolean {
  const rewrite =
    kind === 'full'
      ? lastSuccessEndNs(schedule, 'full-rewrite-contents')
      : lastSuccessEndNs(schedule, 'full-rewrite-contents', 'quick-rewrite-contents');
  if (rewrite === undefined || safety.minRewriteToOrphanDeletionDelayMs === 0) return true;
  return (lastDeleteEndNs(schedule) ?? -1n) >= rewrite;
}

/** Unix nanoseconds from which on unreferenced packs may be deleted: readers must have seen where the contents went. */
export function deleteAllowedFromNs(schedule: Schedule, safety: SafetyParameters): bigint | undefined {
  const rewrite = lastSuccessEndNs(schedule, 'full-rewrite-contents', 'quick-rewrite-contents');
  if (rewrite === undefined) return undefined;
  return rewrite + BigInt(safety.minRewriteToOrphanDeletionDelayMs) * NS_PER_MS;
}

export function isDeleteAllowed(schedule: Schedule, safety: SafetyParameters, nowNs: bigint): boolean {
  return nowNs >= (deleteAllowedFromNs(schedule, safety) ?? nowNs);
}

/** True when the packs that the last rewrite emptied are of all kinds, so that a quick deletion would not find them. */
export function wasLastRewriteFull(schedule: Schedule): boolean {
  const full = lastSuccessEndNs(schedule, 'full-rewrite-contents') ?? -1n;
  return full >= (lastSuccessEndNs(schedule, 'quick-rewrite-contents') ?? -1n);
}

/**
 * Deletions up to this Unix nanosecond are final; undefined when none are. A collection may mark what a snapshot that is
 * just being made uses; the next one, long enough after, has brought that back. So what was marked before the earlier of
 * two such collections began is unused for good.
 */
export function safeDropTimeNs(schedule: Schedule, safety: SafetyParameters, nowNs: bigint): bigint | undefined {
  if (!safety.requireTwoGcCycles) return nowNs;
  const runs = (schedule.runs.get('snapshot-gc') ?? []).filter(({ success }) => success).toSorted(latestStartFirst);
  const [latest, ...earlier] = runs;
  if (latest === undefined) return undefined;
  const marginNs = BigInt(safety.marginBetweenSnapshotGcMs) * NS_PER_MS;
  const confirmed = earlier.find(({ endNs }) => latest.startNs - endNs > marginNs);
  if (confirmed === undefined) return undefined;
  return confirmed.startNs - BigInt(safety.dropContentExtraMarginMs) * NS_PER_MS;
}

function latestStartFirst(a: RunInfo, b: RunInfo): number {
  if (a.startNs === b.startNs) return 0;
  return a.startNs > b.startNs ? -1 : 1;
}

function lastDeleteEndNs(schedule: Schedule): bigint | undefined {
  return lastSuccessEndNs(schedule, 'full-delete-blobs', 'quick-delete-blobs');
}
