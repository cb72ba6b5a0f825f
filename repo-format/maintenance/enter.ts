// Enters maintenance (snapshots §7.3): who may, what is due, one at a time on this machine, the next time first, then the
// clocks, then the work.
import type { Clock } from '../../base/clock.ts';
import { hasCode, WindlassError } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import type { RandomSource } from '../../base/random.ts';
import type { BlobMetadata } from '../blob/storage.ts';
import { createContentCipher } from '../crypto/content-cipher.ts';
import { loadEpochSnapshot, type EpochSnapshot } from '../epoch/snapshot.ts';
import { cipherSpecOf } from '../format/repository-config.ts';
import { createKeyedHash } from '../hash/keyed-hash.ts';
import { runCycle, type CycleListener, type CycleRun, type TaskResult } from './cycle.ts';
import { freeWithoutWriting } from './delete-packs.ts';
import { isOwner, requireOwner, type Client } from './ownership.ts';
import { loadParameters, type MaintenanceParameters } from './parameters.ts';
import { SAFETY, type SafetyLevel } from './safety-parameters.ts';
import { encodeSchedule, loadSchedule, storeSchedule, type Schedule } from './schedule.ts';
import { loadSessions } from './sessions.ts';
import type { MaintainedRepository, MaintenanceMode, TaskProgress } from './task.ts';
import { tasksOf } from './tasks.ts';

export interface MaintenanceOptions {
  /** `auto`: whatever the schedule says is due. */
  readonly mode: MaintenanceMode | 'auto';
  readonly safety: SafetyLevel;
  /** Says what would be done; writes nothing at all. */
  readonly dryRun: boolean;
  /** Also by someone who is not the owner, and with safety `none` also beside live sessions. */
  readonly force: boolean;
  readonly client: Client;
  /** What the whole process is meant to stay below; undefined for no particular limit. */
  readonly memoryLimitBytes?: number | undefined;
}

export interface MaintenanceDeps {
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly logger: Logger;
  /**
   * Keeps other processes of this machine out; undefined when one is at it already. Absent where there is no place for a
   * lock: then only the owner's name keeps maintainers apart.
   */
  readonly lock?: () => Promise<AsyncDisposable | undefined>;
  readonly listener?: CycleListener & { onProgress?(progress: TaskProgress): void };
}

export type MaintenanceReport =
  | { readonly outcome: 'not-due' | 'already-running' }
  | {
      readonly outcome: 'done' | 'planned';
      readonly mode: MaintenanceMode;
      readonly startTimeMs: number;
      readonly tasks: readonly TaskResult[];
    };

/** How far this machine's clock and the store's may be apart. Kopia's limit. */
export const MAX_CLOCK_SKEW_MS = 5 * 60 * 1000;

/**
 * Runs one cycle. `REPOSITORY_READ_ONLY`, `MAINTENANCE_NOT_OWNER`, `MAINTENANCE_SESSION_LIVE`, `MAINTENANCE_CLOCK_SKEW`, or
 * the error of the task that failed.
 */
export async function runMaintenance(
  repository: MaintainedRepository,
  options: MaintenanceOptions,
  deps: MaintenanceDeps,
  signal: AbortSignal,
): Promise<MaintenanceReport> {
  if (repository.readOnly && !options.dryRun) {
    throw new WindlassError('the repository is open for reading only', { code: 'REPOSITORY_READ_ONLY' });
  }
  const parameters = await loadParameters(repository.manifests, signal);
  if (!options.force && !options.dryRun) requireOwner(parameters, options.client);
  const schedule = await loadSchedule(repository.storage, repository.format, signal);
  const mode =
    options.mode === 'auto' ? dueMode(parameters, schedule, options.client, deps.clock.nowNs()) : options.mode;
  if (mode === undefined) return { outcome: 'not-due' };
  if (options.safety === 'none' && !options.force) await requireNoSessions(repository, signal);
  await using lock = options.dryRun || deps.lock === undefined ? NO_LOCK : await deps.lock();
  if (lock === undefined) return { outcome: 'already-running' };
  const run = await enter(repository, mode, parameters, options, deps, signal);
  await repository.refresh(signal);
  const tasks = await runCycle(tasksOf(mode, repository.format.config), run, deps.listener ?? {}, signal);
  return { outcome: options.dryRun ? 'planned' : 'done', mode, startTimeMs: run.startTimeMs, tasks };
}

const NO_LOCK: AsyncDisposable = { [Symbol.asyncDispose]: async () => undefined };

/** What is due, the full cycle first because it does more; undefined for nothing, or when this is not the owner. */
export function dueMode(
  parameters: MaintenanceParameters,
  schedule: Schedule,
  client: Client,
  nowNs: bigint,
): MaintenanceMode | undefined {
  if (!isOwner(parameters, client)) return undefined;
  if (parameters.full.enabled && nowNs >= schedule.nextFullNs) return 'full';
  if (parameters.quick.enabled && nowNs >= schedule.nextQuickNs) return 'quick';
  return undefined;
}

/** The schedule as of the start of a cycle: a run that dies does not begin again at once. */
export function withNextTimes(
  schedule: Schedule,
  mode: MaintenanceMode,
  parameters: MaintenanceParameters,
  nowNs: bigint,
): Schedule {
  const nextQuickNs = nowNs + parameters.quick.intervalNs;
  if (mode === 'quick') return { ...schedule, nextQuickNs };
  return { ...schedule, nextQuickNs, nextFullNs: nowNs + parameters.full.intervalNs };
}

async function enter(
  repository: MaintainedRepository,
  mode: MaintenanceMode,
  parameters: MaintenanceParameters,
  options: MaintenanceOptions,
  deps: MaintenanceDeps,
  signal: AbortSignal,
): Promise<CycleRun> {
  const { storage, format } = repository;
  const { clock, random, logger } = deps;
  let schedule = await loadSchedule(storage, format, signal);
  let startTimeMs = clock.nowMs();
  if (!options.dryRun) {
    const next = withNextTimes(schedule, mode, parameters, clock.nowNs());
    const store = (): Promise<BlobMetadata> => storeSchedule(storage, format, next, random, signal);
    const free = (): Promise<number> => {
      const cipher = createContentCipher(cipherSpecOf(format.config));
      const safety = SAFETY[options.safety];
      return freeWithoutWriting({ repository, cipher, safety, parameters, schedule }, signal);
    };
    startTimeMs = (await storeOrFree(store, free, encodeSchedule(next).length)).timestampMs;
    schedule = next;
    requireSameTime(startTimeMs, clock.nowMs());
  }
  const epochs = epochView(repository, clock);
  return {
    repository,
    mode,
    parameters,
    safety: SAFETY[options.safety],
    get schedule() {
      return schedule;
    },
    setSchedule(changed) {
      schedule = changed;
    },
    startTimeMs,
    dryRun: options.dryRun,
    memoryLimitBytes: options.memoryLimitBytes,
    cipher: createContentCipher(cipherSpecOf(format.config)),
    hash: createKeyedHash(format.config.hash, format.config.secret),
    ...epochs,
    clock,
    random,
    logger,
    progress: (progress) => deps.listener?.onProgress?.(progress),
  };
}

/**
 * The first write of a cycle. Where the store is full, what is garbage already is deleted first, which needs no byte.
 * `MAINTENANCE_STORE_FULL` says how many are needed when that was not enough.
 */
async function storeOrFree(
  store: () => Promise<BlobMetadata>,
  free: () => Promise<number>,
  neededBytes: number,
): Promise<BlobMetadata> {
  const unlessFull = (error: unknown): unknown => {
    if (hasCode(error, 'BLOB_STORE_FULL')) return error;
    throw error;
  };
  let full: unknown;
  const stored = await store().catch((error: unknown) => void (full = unlessFull(error)));
  if (stored !== undefined) return stored;
  const freedBytes = await free();
  const again = await store().catch((error: unknown) => void (full = unlessFull(error)));
  if (again !== undefined) return again;
  throw new WindlassError(
    `the store is full: ${freedBytes} bytes could be freed without writing, and to go on ${neededBytes} are needed at least`,
    { code: 'MAINTENANCE_STORE_FULL', context: { freedBytes, neededBytes }, cause: full },
  );
}

/** One listing of the epochs serves several tasks, for half of the time that it is valid. */
function epochView({ storage, format }: MaintainedRepository, clock: Clock): Pick<CycleRun, 'epochs' | 'forgetEpochs'> {
  let known: EpochSnapshot | undefined;
  return {
    async epochs(signal) {
      const nowMs = clock.nowMs();
      const isFresh =
        known !== undefined && nowMs >= known.startedAtMs && nowMs - known.startedAtMs < validForMs(known) / 2;
      if (known === undefined || !isFresh) {
        known = await loadEpochSnapshot({ storage, clock, config: format.config }, signal);
      }
      return known;
    },
    forgetEpochs() {
      known = undefined;
    },
  };
}

function validForMs({ startedAtMs, validUntilMs }: EpochSnapshot): number {
  return validUntilMs - startedAtMs;
}

function requireSameTime(storeMs: number, localMs: number): void {
  const skewMs = storeMs - localMs;
  if (Math.abs(skewMs) <= MAX_CLOCK_SKEW_MS) return;
  throw new WindlassError(
    `this machine's clock and the store's are ${Math.round(Math.abs(skewMs) / 1000)} s apart: ages cannot be told`,
    { code: 'MAINTENANCE_CLOCK_SKEW', context: { storeMs, localMs, skewMs } },
  );
}

/** `MAINTENANCE_SESSION_LIVE` when somebody seems to be writing. */
async function requireNoSessions(repository: MaintainedRepository, signal: AbortSignal): Promise<void> {
  const cipher = createContentCipher(cipherSpecOf(repository.format.config));
  const [session] = (await loadSessions({ storage: repository.storage, cipher }, signal)).values();
  if (session === undefined) return;
  const { id, username, hostname, checkpointTimeMs } = session;
  throw new WindlassError(
    `${username}@${hostname} has a session open since ${new Date(checkpointTimeMs).toISOString()}: without safety its data could be lost`,
    { code: 'MAINTENANCE_SESSION_LIVE', context: { sessionId: id, username, hostname } },
  );
}
