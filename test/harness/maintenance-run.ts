// One maintenance cycle's surroundings over an index repository in memory: what tasks on indexes need, and nothing else.
import { silentLogger } from '../../base/logger.ts';
import { systemRandom } from '../../base/random.ts';
import type { BlobStorage } from '../../repo-format/blob/storage.ts';
import { loadEpochSnapshot } from '../../repo-format/epoch/snapshot.ts';
import { DEFAULT_EPOCH_PARAMETERS, type EpochParameters } from '../../repo-format/format/epoch-parameters.ts';
import { NO_RETENTION, type BlobConfig } from '../../repo-format/format/blob-config.ts';
import { IndexSet, NO_WATERMARK } from '../../repo-format/index/index-set.ts';
import { DEFAULT_PARAMETERS, type MaintenanceParameters } from '../../repo-format/maintenance/parameters.ts';
import { SAFETY, type SafetyLevel } from '../../repo-format/maintenance/safety-parameters.ts';
import { EMPTY_SCHEDULE } from '../../repo-format/maintenance/schedule.ts';
import type { MaintenanceRun, Task, TaskPlan } from '../../repo-format/maintenance/task.ts';
import type { IndexRepository } from './index-repository.ts';

export interface FakeRunOptions {
  readonly storage?: BlobStorage;
  readonly epochParameters?: Partial<EpochParameters>;
  readonly indexSet?: IndexSet;
  readonly parameters?: Partial<MaintenanceParameters>;
  readonly blobConfig?: BlobConfig;
  readonly safety?: SafetyLevel;
  readonly indexVersion?: 1 | 2;
}

export function createFakeRun(repository: IndexRepository, options: FakeRunOptions = {}): MaintenanceRun {
  const { clock, cipher, hash } = repository;
  const storage = options.storage ?? repository.storage;
  const epochParameters = {
    ...DEFAULT_EPOCH_PARAMETERS,
    ...repository.config.epochParameters,
    ...options.epochParameters,
  };
  const config = { epochParameters, indexVersion: options.indexVersion ?? 2, maxPackSizeBytes: 20 << 20 };
  const indexSet = options.indexSet ?? new IndexSet([], NO_WATERMARK);
  const format = { config, blobConfig: options.blobConfig ?? NO_RETENTION };
  return {
    // Only what index tasks touch: everything else would be a mistake, and fails at once.
    repository: { storage, format, contents: { indexSet } } as unknown as MaintenanceRun['repository'],
    mode: 'full',
    parameters: { ...DEFAULT_PARAMETERS, ...options.parameters },
    safety: SAFETY[options.safety ?? 'full'],
    schedule: EMPTY_SCHEDULE,
    startTimeMs: clock.nowMs(),
    dryRun: false,
    memoryLimitBytes: undefined,
    cipher,
    hash,
    epochs: (signal) => loadEpochSnapshot({ storage, clock, config }, signal),
    forgetEpochs: () => undefined,
    clock,
    random: systemRandom,
    logger: silentLogger,
    progress: () => undefined,
  };
}

export async function planTask(
  task: Task,
  run: MaintenanceRun,
  signal: AbortSignal,
): Promise<Extract<TaskPlan, { kind: 'run' }>> {
  const plan = await task.plan(run, signal);
  if (plan.kind !== 'run') throw new Error(`${task.name} was skipped: ${plan.reason}`);
  return plan;
}

/** Plans and applies; what was recorded of it. */
export async function runTask(task: Task, run: MaintenanceRun, signal: AbortSignal): Promise<unknown> {
  const plan = await planTask(task, run, signal);
  return (await plan.apply(signal))?.data ?? null;
}
