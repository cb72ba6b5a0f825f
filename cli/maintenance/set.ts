// `maintenance set`.
import { isRetentionEnabled } from '../../repo-format/format/blob-config.ts';
import type { Repository } from '../../repo-format/index.ts';
import { clientName } from '../../repo-format/maintenance/ownership.ts';
import {
  effectiveLogRetention,
  encodeParameters,
  loadParameters,
  storeParameters,
  type MaintenanceParameters,
} from '../../repo-format/maintenance/parameters.ts';
import { loadSchedule, storeSchedule } from '../../repo-format/maintenance/schedule.ts';
import { usageError } from '../cli-errors.ts';
import type { CliContext } from '../context.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { withRepository } from '../session.ts';
import { requireNotVelero } from './not-velero.ts';

export interface SetOptions {
  readonly owner?: string;
  readonly enableQuick?: boolean;
  readonly enableFull?: boolean;
  readonly quickInterval?: bigint;
  readonly fullInterval?: bigint;
  readonly pauseQuick?: bigint;
  readonly pauseFull?: bigint;
  readonly maxRetainedLogCount?: number;
  readonly maxRetainedLogAge?: bigint;
  readonly maxRetainedLogSize?: number;
  readonly extendObjectLocks?: boolean;
  readonly listParallelism?: number;
  readonly force?: boolean;
}

const DAY_NS = 24n * 3600n * 1_000_000_000n;

export async function setCommand(context: CliContext, options: SetOptions): Promise<ExitCode> {
  const { force = false, ...settings } = options;
  if (Object.keys(settings).length === 0) throw usageError('nothing to set; see windlass help maintenance set');
  const { identity, signal } = context;
  return withRepository(context, { readOnly: false }, async (repository) => {
    if (!force) await requireNotVelero(repository.storage, signal);
    const before = await loadParameters(repository.manifests, signal);
    const self = clientName({ username: identity.userName, hostname: identity.host });
    const after = changed(before, options, self);
    requireLongEnoughLocks(repository, after);
    if (encodeParameters(after) !== encodeParameters(before)) {
      await storeParameters(repository.manifests, after, signal);
      await repository.flush(signal);
    }
    await pause(context, repository, options);
    context.output.documentText(encodeParameters(after));
    context.output.line('maintenance settings changed');
    return EXIT.ok;
  });
}

function changed(before: MaintenanceParameters, options: SetOptions, self: string): MaintenanceParameters {
  const { owner, maxRetainedLogCount, maxRetainedLogAge, maxRetainedLogSize } = options;
  const setsLogs = [maxRetainedLogCount, maxRetainedLogAge, maxRetainedLogSize].some((value) => value !== undefined);
  const logs = setsLogs ? effectiveLogRetention(before) : before.logRetention;
  return {
    ...before,
    owner: owner === 'me' ? self : (owner ?? before.owner),
    quick: {
      enabled: options.enableQuick ?? before.quick.enabled,
      intervalNs: options.quickInterval ?? before.quick.intervalNs,
    },
    full: {
      enabled: options.enableFull ?? before.full.enabled,
      intervalNs: options.fullInterval ?? before.full.intervalNs,
    },
    logRetention: {
      maxCount: maxRetainedLogCount ?? logs.maxCount,
      maxAgeNs: maxRetainedLogAge ?? logs.maxAgeNs,
      maxTotalSizeBytes: maxRetainedLogSize ?? logs.maxTotalSizeBytes,
    },
    extendObjectLocks: options.extendObjectLocks ?? before.extendObjectLocks,
    listParallelism: options.listParallelism ?? before.listParallelism,
  };
}

/** Locks must outlive the wait for the next full cycle, by a day as kopia has it. */
function requireLongEnoughLocks(repository: Repository, { extendObjectLocks, full }: MaintenanceParameters): void {
  const { blobConfig } = repository.format;
  if (!extendObjectLocks || !isRetentionEnabled(blobConfig)) return;
  if (blobConfig.retentionPeriodNs - full.intervalNs >= DAY_NS) return;
  throw usageError('object locks must last at least a day longer than the interval of full cycles');
}

async function pause(context: CliContext, repository: Repository, options: SetOptions): Promise<void> {
  const { pauseQuick, pauseFull } = options;
  if (pauseQuick === undefined && pauseFull === undefined) return;
  const { storage, format } = repository;
  const nowNs = context.clock.nowNs();
  const schedule = await loadSchedule(storage, format, context.signal);
  const paused = {
    ...schedule,
    ...(pauseQuick === undefined ? {} : { nextQuickNs: nowNs + pauseQuick }),
    ...(pauseFull === undefined ? {} : { nextFullNs: nowNs + pauseFull }),
  };
  await storeSchedule(storage, format, paused, context.random, context.signal);
}
