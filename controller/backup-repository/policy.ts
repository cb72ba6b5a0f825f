// What is next for one repository (node-agent §6.2): a pure decision from the object, its location, what this process has found out
// and the Jobs that there are. Whatever was missed, the same state leads to the same step.
//
//   New ── initialise ──► Ready ◄── check ok ── NotReady
//    │                     │                       ▲
//    └───── failed ────────┴─ check failed, location changed
import type { BackupRepository } from '../../kube/index.ts';
import { isRecorded, maintenanceDueMs, timeMs } from './maintenance-schedule.ts';

export interface RepositoryView {
  readonly repository: BackupRepository;
  /** Undefined: there is no such location. */
  readonly location: LocationView | undefined;
  /** What this process found when it last looked at the repository itself. */
  readonly check: CheckView | undefined;
  /** Of this repository, oldest first. */
  readonly jobs: readonly JobView[];
  /** The Job that was started last, as the repository's annotation has it. */
  readonly started: StartedJob | undefined;
  /** More Jobs may run, of whichever repository. */
  readonly hasFreeSlot: boolean;
  readonly nowMs: number;
  readonly defaultFrequencyMs: number;
  readonly keptJobs: number;
}

export interface LocationView {
  /** Where its repositories are. Another one: what was known of them counts no more. */
  readonly place: string;
  /** All that a check depends on, passwords included. */
  readonly access: string;
  readonly isReadOnly: boolean;
}

export interface CheckView {
  readonly place: string;
  readonly access: string;
  readonly isOk: boolean;
  /** When to look again while nothing changes. */
  readonly againMs: number;
}

export interface JobView {
  readonly name: string;
  readonly startMs: number;
  /** `overdue`: runs on past its deadline. */
  readonly state: 'running' | 'overdue' | 'succeeded' | 'failed';
}

export interface StartedJob {
  readonly name: string;
  readonly startMs: number;
}

export type Decision =
  | { readonly do: 'nothing'; readonly lookAgainMs?: number }
  /** Not ours to keep. */
  | { readonly do: 'refuse'; readonly message: string }
  | { readonly do: 'initialise' }
  | { readonly do: 'invalidate'; readonly message: string }
  /** Looks at the repository itself; makes it where there is none only if `mayCreate`. */
  | { readonly do: 'check'; readonly mayCreate: boolean }
  | { readonly do: 'record'; readonly jobs: readonly JobView[]; readonly lost: StartedJob | undefined }
  | { readonly do: 'delete-jobs'; readonly jobs: readonly JobView[] }
  | { readonly do: 'start-job' };

export const KOPIA = 'kopia';
const SLOT_CHECK_MS = 15_000;
/** Velero's words. */
const LOCATION_CHANGED = 're-establish on BSL change, create or delete';

export function decide(view: RepositoryView): Decision {
  const { repository, location, check } = view;
  const { phase = 'New' } = repository.status ?? {};
  if (repository.metadata.deletionTimestamp !== undefined) return { do: 'nothing' };
  if (repository.spec.repositoryType !== KOPIA) return decideForeign(repository, phase);
  const unrecorded = decideRecord(view);
  if (unrecorded !== undefined) return unrecorded;
  switch (phase) {
    case 'New':
      return location === undefined ? { do: 'nothing' } : (waiting(view) ?? { do: 'initialise' });
    case 'NotReady':
      return location === undefined ? { do: 'nothing' } : (waiting(view) ?? { do: 'check', mayCreate: true });
    case 'Ready':
      if (location === undefined || (check !== undefined && check.place !== location.place))
        return { do: 'invalidate', message: LOCATION_CHANGED };
      return decideReady(view, location);
    default:
      return { do: 'nothing' }; // a phase of a later version
  }
}

function decideForeign({ spec }: BackupRepository, phase: string): Decision {
  if (phase !== 'New') return { do: 'nothing' };
  const type = spec.repositoryType || 'restic';
  return { do: 'refuse', message: `repositories of type ${type} are not kept here: only ${KOPIA} is` };
}

/** After a failure nothing is tried again before its time, unless something has changed that it may have been due to. */
function waiting({ location, check, nowMs }: RepositoryView): Decision | undefined {
  if (check === undefined || check.isOk || check.access !== location?.access || nowMs >= check.againMs)
    return undefined;
  return { do: 'nothing', lookAgainMs: check.againMs - nowMs };
}

function decideReady(view: RepositoryView, location: LocationView): Decision {
  const { check, nowMs } = view;
  const isFresh = check !== undefined && check.access === location.access && nowMs < check.againMs;
  if (!isFresh) return { do: 'check', mayCreate: false };
  const checkInMs = check.againMs - nowMs;
  const stale = decideDelete(view);
  if (stale !== undefined) return stale;
  const isQuiet = !check.isOk || location.isReadOnly || view.jobs.some(({ state }) => state === 'running');
  if (isQuiet) return { do: 'nothing', lookAgainMs: checkInMs };
  const dueInMs = maintenanceDueMs(view.repository, view.defaultFrequencyMs) - nowMs;
  if (dueInMs > 0) return { do: 'nothing', lookAgainMs: Math.min(dueInMs, checkInMs) };
  return view.hasFreeSlot ? { do: 'start-job' } : { do: 'nothing', lookAgainMs: SLOT_CHECK_MS };
}

/** Jobs that have ended, or should have, and the one that somebody has deleted. */
function decideRecord({ repository, jobs, started }: RepositoryView): Decision | undefined {
  const recent = repository.status?.recentMaintenance ?? [];
  // What is older maintained another repository, of the same name.
  const sinceMs = timeMs(repository.metadata.creationTimestamp) ?? 0;
  const ended = jobs.filter(({ state, startMs }) => {
    return state !== 'running' && startMs >= sinceMs && !isRecorded(recent, startMs);
  });
  const isKnown = started === undefined || jobs.some(({ name }) => name === started.name);
  const lost = isKnown || isRecorded(recent, started.startMs) ? undefined : started;
  return ended.length === 0 && lost === undefined ? undefined : { do: 'record', jobs: ended, lost };
}

/** All but the latest; one that goes on past its deadline in any case. */
function decideDelete({ jobs, keptJobs }: RepositoryView): Decision | undefined {
  const over = jobs.filter(({ state }) => state !== 'running');
  const kept = new Set(over.filter(({ state }) => state !== 'overdue').slice(-keptJobs));
  const stale = over.filter((job) => !kept.has(job));
  return stale.length === 0 ? undefined : { do: 'delete-jobs', jobs: stale };
}
