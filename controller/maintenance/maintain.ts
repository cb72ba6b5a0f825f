// Finds a repository by what a maintenance Job is told, and maintains it.
import { join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { WindlassError } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import { processOwners } from '../../base/process-owner.ts';
import type { RandomSource } from '../../base/random.ts';
import { type BackupRepository, KINDS, type KubeClient, repositoryLabels, Secrets } from '../../kube/index.ts';
import { newStorageStats } from '../../repo-format/index.ts';
import {
  cacheLimitBytes,
  locationStore,
  maintainVeleroRepository,
  type MaintenanceReport,
  openVeleroRepository,
  readLocation,
  readLocationSecrets,
  readRepositoryPasswords,
} from '../../repo-format/velero/index.ts';

export interface MaintainOptions {
  readonly namespace: string;
  readonly volumeNamespace: string;
  readonly repositoryType: string;
  readonly location: string;
  readonly cacheFolder: string;
  readonly scratchFolder: string;
  readonly perNamespacePasswords: boolean;
  readonly memoryLimitBytes: number | undefined;
}

export interface MaintainDeps {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly logger: Logger;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

const FIND_TRIES = 10;
const FIND_EVERY_MS = 1000;

/** `REPOSITORY_NOT_READY`, what keeps the repository from being opened, or what its maintenance fails with. */
export async function maintainRepository(
  options: MaintainOptions,
  deps: MaintainDeps,
  signal: AbortSignal,
): Promise<MaintenanceReport> {
  const { client, clock, random, logger, environment } = deps;
  const { namespace, volumeNamespace, cacheFolder, scratchFolder, memoryLimitBytes } = options;
  const { perNamespacePasswords: perNamespace } = options;
  const { spec } = await readyRepository(options, deps, signal);
  const object = await client.get(KINDS.backupStorageLocation, { name: options.location, namespace }, signal);
  const location = readLocation(object as unknown as Readonly<Record<string, unknown>>);
  const secrets = new Secrets({ client, clock, namespace, folder: join(scratchFolder, 'credentials') });
  const access = await readLocationSecrets(location, secrets, environment, signal);
  const passwords = await readRepositoryPasswords(secrets, { volumeNamespace, perNamespace }, signal);
  const rollbacks: string[] = [];
  const { repository } = await openVeleroRepository(
    locationStore(location, { volumeNamespace, ...access }),
    {
      ...passwords,
      readOnly: false,
      cacheRoot: cacheFolder,
      cacheBytes: cacheLimitBytes(spec.repositoryConfig),
      memoryLimitBytes,
      onRollback: (what) => rollbacks.push(what),
    },
    { clock, random, logger, environment, storageStats: newStorageStats(), processes: processOwners() },
    signal,
  );
  try {
    requireNothingLost(rollbacks);
    const listener = {
      onResult: (result: { readonly task: string; readonly outcome: string }) => {
        logger.info(
          `${result.task}: ${result.outcome}`,
          'summary' in result ? { summary: String(result.summary) } : {},
        );
      },
    };
    return await maintainVeleroRepository(
      repository,
      { memoryLimitBytes },
      { clock, random, logger, listener },
      signal,
    );
  } finally {
    await repository.close();
  }
}

/** One line of what was done. */
export function summaryOf(report: MaintenanceReport): string {
  if (!('tasks' in report)) return `nothing was done: ${report.outcome}`;
  const done = report.tasks.filter(({ outcome }) => outcome === 'done');
  return `${report.mode} maintenance: ${done.length} of ${report.tasks.length} tasks had something to do`;
}

/** A Job that has just been started may know of the repository before the server does. */
async function readyRepository(
  { namespace, volumeNamespace, location, repositoryType }: MaintainOptions,
  { client, clock }: MaintainDeps,
  signal: AbortSignal,
): Promise<BackupRepository> {
  const labels = Object.entries(repositoryLabels(volumeNamespace, location, repositoryType));
  const labelSelector = labels.map(([name, value]) => `${name}=${value}`).join();
  let last = 'there is none';
  for (let tries = 0; tries < FIND_TRIES; tries++) {
    if (tries > 0) await clock.sleep(FIND_EVERY_MS, signal);
    const { items } = await client.list(KINDS.backupRepository, { namespace, labelSelector }, signal);
    const [found] = items;
    if (items.length === 1 && found?.status?.phase === 'Ready') return found;
    const { phase = 'New', message = '' } = found?.status ?? {};
    if (found !== undefined) last = items.length > 1 ? `there are ${items.length}` : `it is ${phase} ${message}`.trim();
  }
  throw new WindlassError(`no BackupRepository that is Ready: ${last}`, {
    code: 'REPOSITORY_NOT_READY',
    context: { volumeNamespace, location },
  });
}

/** Packs that lost index blobs named look like garbage: what a repair would bring back would be deleted for good. */
function requireNothingLost(rollbacks: readonly string[]): void {
  if (rollbacks.length === 0) return;
  throw new WindlassError('maintenance would delete for good what a repair of the repository may bring back', {
    code: 'REPOSITORY_ROLLED_BACK',
    context: { rollbacks: rollbacks.join() },
  });
}
