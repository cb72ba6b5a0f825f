// What each step writes: merges for the object as it is when they are applied; undefined where nothing is left to write.
import { formatGoDuration } from '../../base/go-duration.ts';
import { ANNOTATION, type BackupRepository, type MaintenanceEntry, type RepositoryPhase } from '../../kube/index.ts';
import { frequencyOf, timeMs, timeText, withEntries } from './maintenance-schedule.ts';
import type { StartedJob } from './policy.ts';

type Merge = object | undefined;

/** The defaults that an unset specification gets at the beginning. */
export function withDefaults(
  { spec }: BackupRepository,
  frequencyMs: number,
  repositoryConfig: Readonly<Record<string, string>> | undefined,
): Merge {
  const changes = {
    ...(frequencyOf(spec.maintenanceFrequency) === undefined
      ? { maintenanceFrequency: formatGoDuration(frequencyMs) }
      : {}),
    ...(repositoryConfig === undefined || JSON.stringify(repositoryConfig) === JSON.stringify(spec.repositoryConfig)
      ? {}
      : { repositoryConfig }),
  };
  return Object.keys(changes).length === 0 ? undefined : { spec: changes };
}

/** A repository that is new counts as maintained. */
export function ready({ status = {} }: BackupRepository, message: string, nowMs: number): Merge {
  const { phase = 'New' } = status;
  if (phase === 'New') {
    return { status: { phase: 'Ready', message: message || null, lastMaintenanceTime: timeText(nowMs) } };
  }
  return withPhase({ phase, message: status.message ?? '' }, 'Ready', message);
}

export function notReady({ status = {} }: BackupRepository, message: string): Merge {
  return withPhase({ phase: status.phase ?? 'New', message: status.message ?? '' }, 'NotReady', message);
}

function withPhase(
  before: { readonly phase: RepositoryPhase; readonly message: string },
  phase: RepositoryPhase,
  message: string,
): Merge {
  if (before.phase === phase && before.message === message) return undefined;
  return { status: { phase, message: message === '' ? null : message } };
}

export function started({ name, startMs }: StartedJob): object {
  return { metadata: { annotations: { [ANNOTATION.maintenanceJob]: `${name} ${timeText(startMs)}` } } };
}

export function parseStarted({ metadata }: BackupRepository): StartedJob | undefined {
  const [name = '', at] = metadata.annotations?.[ANNOTATION.maintenanceJob]?.split(' ') ?? [];
  const startMs = timeMs(at);
  return startMs === undefined ? undefined : { name, startMs };
}

/** Runs that have ended; `names` are those of their Jobs. */
export function recorded(
  repository: BackupRepository,
  entries: readonly MaintenanceEntry[],
  names: readonly string[],
): object {
  const { recentMaintenance = [], lastMaintenanceTime } = repository.status ?? {};
  const starts = new Set(recentMaintenance.map(({ startTimestamp }) => startTimestamp));
  const fresh = entries.filter(({ startTimestamp }) => !starts.has(startTimestamp));
  const succeededMs = fresh.flatMap(({ result, completeTimestamp }) =>
    result === 'Succeeded' ? [timeMs(completeTimestamp) ?? 0] : [],
  );
  const lastMs = Math.max(timeMs(lastMaintenanceTime) ?? 0, ...succeededMs);
  const isOver = names.includes(parseStarted(repository)?.name ?? '');
  return {
    ...(isOver ? { metadata: { annotations: { [ANNOTATION.maintenanceJob]: null } } } : {}),
    status: {
      recentMaintenance: withEntries(recentMaintenance, fresh),
      ...(lastMs > 0 ? { lastMaintenanceTime: timeText(lastMs) } : {}),
    },
  };
}
