// When the maintenance of a repository is due (node-agent §6.4), from its status alone: whoever leads next knows it as well.
import { parseGoDurationMs } from '../../base/go-duration.ts';
import type { BackupRepository, MaintenanceEntry } from '../../kube/index.ts';

/** As often as Velero looks. */
const MIN_RETRY_MS = 5 * 60_000;
const MAX_RETRY_MS = 6 * 3600_000;
/** As many as Velero keeps. */
const KEPT_ENTRIES = 3;

/** Unix time; after failures later each time: it waits as long again as maintenance has been overdue. */
export function maintenanceDueMs({ metadata, spec, status }: BackupRepository, defaultFrequencyMs: number): number {
  const frequencyMs = frequencyOf(spec.maintenanceFrequency) ?? defaultFrequencyMs;
  const lastMs = timeMs(status?.lastMaintenanceTime);
  const dueMs = lastMs === undefined ? (timeMs(metadata.creationTimestamp) ?? 0) : lastMs + frequencyMs;
  const failedMs = (status?.recentMaintenance ?? [])
    .filter(({ result, startTimestamp }) => result === 'Failed' && (timeMs(startTimestamp) ?? 0) > (lastMs ?? 0))
    .map(({ startTimestamp, completeTimestamp }) => timeMs(completeTimestamp) ?? timeMs(startTimestamp) ?? 0);
  if (failedMs.length === 0) return dueMs;
  const latestMs = Math.max(...failedMs);
  const mostMs = Math.min(MAX_RETRY_MS, Math.max(MIN_RETRY_MS, frequencyMs));
  return latestMs + Math.min(mostMs, Math.max(MIN_RETRY_MS, latestMs - dueMs));
}

/** Undefined for none, and for what is no duration. */
export function frequencyOf(text: string | undefined): number | undefined {
  const ms = parseGoDurationMs(text ?? '');
  return ms !== undefined && ms > 0 ? ms : undefined;
}

/** The latest three by their start. */
export function withEntries(
  recent: readonly MaintenanceEntry[],
  more: readonly MaintenanceEntry[],
): readonly MaintenanceEntry[] {
  return [...recent, ...more]
    .sort((a, b) => (timeMs(a.startTimestamp) ?? 0) - (timeMs(b.startTimestamp) ?? 0))
    .slice(-KEPT_ENTRIES);
}

/** Whether a run that began then has its entry, or had one that newer ones have pushed out. */
export function isRecorded(recent: readonly MaintenanceEntry[], startMs: number): boolean {
  const starts = recent.map(({ startTimestamp }) => timeMs(startTimestamp) ?? 0);
  return starts.includes(startMs) || (starts.length >= KEPT_ENTRIES && startMs < Math.min(...starts));
}

export function timeMs(text: string | null | undefined): number | undefined {
  const ms = Date.parse(text ?? '');
  return Number.isNaN(ms) ? undefined : ms;
}

/** RFC 3339 in whole seconds, as Kubernetes has it. */
export function timeText(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
}
