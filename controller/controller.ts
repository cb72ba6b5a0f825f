// Wires the controller: what it follows in the cluster, and that only one of many works.
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Clock } from '../base/clock.ts';
import { hasCode } from '../base/errors.ts';
import { startHttpServer } from '../base/http-server.ts';
import type { Logger } from '../base/logger.ts';
import type { RandomSource } from '../base/random.ts';
import {
  type BackupRepository,
  EventRecorder,
  type Job,
  type Kind,
  type KubeClient,
  type KubeObject,
  KINDS,
  LABEL,
  objectKey,
  Reflector,
  repositoryNameLabel,
  runAsLeader,
  runController,
  Secrets,
  type Selection,
  type Store,
  WorkQueue,
} from '../kube/index.ts';
import { PASSWORD_SECRET } from '../repo-format/velero/index.ts';
import { Checks } from './backup-repository/checks.ts';
import { viewOfJob } from './backup-repository/maintenance-job.ts';
import { RepositoryReconciler } from './backup-repository/reconciler.ts';
import type { ControllerFlags } from './config/flags.ts';
import { type ControllerMetrics, createMetrics } from './metrics.ts';

export interface ControllerDeps {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly logger: Logger;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** A store that does not answer holds up a few of them for minutes; a worker that waits costs nothing. */
const WORKERS = 32;
const RESYNC_MS = 5 * 60_000;
const SERVER_CHECK_MS = 30_000;
/** Velero's name for what this does. */
const OF_SERVER = 'backup-repo';
const maintenanceProgram = fileURLToPath(new URL('./repo-maintenance.ts', import.meta.url));

export class Controller {
  readonly #flags: ControllerFlags;
  readonly #deps: ControllerDeps;
  /** Why nothing is done. */
  #idle: string | undefined;
  #followed: { readonly repositories: Store<BackupRepository>; readonly jobs: Store<Job> } | undefined;
  readonly #metrics: ControllerMetrics;

  constructor(flags: ControllerFlags, deps: ControllerDeps) {
    this.#flags = flags;
    this.#deps = deps;
    this.#metrics = createMetrics({
      repositories: () => this.#followed?.repositories.list() ?? [],
      runningJobs: () => this.#runningJobs(),
      isLeading: () => this.#followed !== undefined,
    });
  }

  /** Until the signal aborts; rejects with `KUBE_LEASE_LOST` when another one leads. */
  async run(signal: AbortSignal): Promise<void> {
    const { client, clock, logger } = this.#deps;
    const { namespace, lease, identity, metricsAddress } = this.#flags;
    const server = await startHttpServer(metricsAddress, {
      metrics: () => this.#metrics.text(),
      unhealthy: () => undefined,
      unready: () => this.#idle,
    });
    try {
      const options = { client, lease: { name: lease, namespace }, identity, clock, logger };
      await runAsLeader(options, (leading) => this.#lead(leading), signal);
    } finally {
      server.close();
    }
  }

  async #lead(signal: AbortSignal): Promise<void> {
    await this.#untilServerLeavesThem(signal);
    const { client, clock, random, logger, environment } = this.#deps;
    const { namespace, scratchFolder } = this.#flags;
    const { rekeyAfterMs, perNamespacePasswords } = this.#flags;
    const inVelero = { namespace };
    const repositories = this.#reflector(KINDS.backupRepository, { ...inVelero, resyncMs: RESYNC_MS });
    const locations = this.#reflector(KINDS.backupStorageLocation, inVelero);
    const jobs = this.#reflector(KINDS.job, { ...inVelero, labelSelector: LABEL.repoName });
    const passwords = this.#reflector(KINDS.secret, { ...inVelero, fieldSelector: `metadata.name=${PASSWORD_SECRET}` });
    const secrets = new Secrets({ client, clock, namespace, folder: join(scratchFolder, 'credentials') });
    this.#followed = { repositories: repositories.store, jobs: jobs.store };
    const onChecked = (result: 'ready' | 'failed', seconds: number): void => this.#metrics.checked(result, seconds);
    const checkDeps = { secrets, clock, random, logger, environment, rekeyAfterMs, perNamespacePasswords, onChecked };
    const checks = new Checks(checkDeps);
    const recorder = new EventRecorder({ client, clock, logger });
    const reconciler = new RepositoryReconciler(
      { ...this.#flags, jobCommand: [process.execPath, maintenanceProgram], jobArgs: this.#jobArgs() },
      {
        client,
        clock,
        logger,
        recorder,
        checks,
        repositories: repositories.store,
        locations: locations.store,
        jobs: jobs.store,
        passwords: passwords.store,
        onMaintained: ({ metadata }, entry) => this.#metrics.maintained(metadata.name, entry),
      },
    );
    const queue = new WorkQueue({ clock, random });
    const addThose = (isMeant: (repository: BackupRepository) => boolean): void => {
      for (const repository of repositories.store.list())
        if (isMeant(repository)) queue.add(objectKey(repository.metadata));
    };
    repositories.onChange((key, now, before) => {
      if (now === undefined && before !== undefined) checks.forget(before.metadata.uid);
      else queue.add(key);
    });
    locations.onChange((_key, now, before) => {
      // A server writes into its status every minute that it is there.
      if (JSON.stringify(now?.spec) === JSON.stringify(before?.spec)) return;
      const { name } = (now ?? before)?.metadata ?? {};
      secrets.forget();
      addThose(({ spec }) => spec.backupStorageLocation === name);
    });
    jobs.onChange((_key, now, before) => {
      const label = (now ?? before)?.metadata.labels?.[LABEL.repoName];
      addThose(({ metadata }) => repositoryNameLabel(metadata.name) === label);
    });
    passwords.onChange(() => {
      checks.onPasswords();
      addThose(() => true);
    });
    const reflectors = [repositories, locations, jobs, passwords];
    const ended = new AbortController();
    const following = reflectors.map((reflector) => reflector.run(AbortSignal.any([signal, ended.signal])));
    try {
      await Promise.all(reflectors.map((reflector) => reflector.whenSynced(signal)));
      logger.info('keeping repositories', { repositories: repositories.store.size, locations: locations.store.size });
      const reconcile = (key: string, end: AbortSignal) => reconciler.reconcile(key, end);
      await runController({ name: OF_SERVER, queue, workers: WORKERS, reconcile, clock, logger }, signal);
    } finally {
      this.#followed = undefined;
      ended.abort();
      await Promise.allSettled(following);
      await recorder.flush();
    }
  }

  /** Two who keep repositories would maintain them twice at a time. */
  async #untilServerLeavesThem(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#deps;
    while (await this.#serverKeepsThem(signal)) {
      if (this.#idle === undefined) {
        this.#idle = `the Velero server keeps the repositories itself: start it with --disable-controllers=${OF_SERVER}`;
        logger.error(this.#idle);
      }
      await clock.sleep(SERVER_CHECK_MS, signal);
    }
    this.#idle = undefined;
  }

  async #serverKeepsThem(signal: AbortSignal): Promise<boolean> {
    const { serverDeployment: name, namespace } = this.#flags;
    try {
      const { spec } = await this.#deps.client.get(KINDS.deployment, { name, namespace }, signal);
      return !spec.template.spec.containers.some(({ args = [] }) => disablesIt(args));
    } catch (error) {
      if (hasCode(error, 'KUBE_NOT_FOUND')) return false;
      throw error;
    }
  }

  #runningJobs(): number {
    const { maintenanceTimeoutMs } = this.#flags;
    const nowMs = this.#deps.clock.nowMs();
    const jobs = this.#followed?.jobs.list() ?? [];
    return jobs.filter((job) => viewOfJob(job, maintenanceTimeoutMs, nowMs).state === 'running').length;
  }

  #jobArgs(): string[] {
    const { namespace, logLevel, cacheFolder, scratchFolder, perNamespacePasswords } = this.#flags;
    return [
      `--log-level=${logLevel}`,
      '--log-format=json',
      `--namespace=${namespace}`,
      `--cache-folder=${cacheFolder}`,
      `--scratch-folder=${scratchFolder}`,
      ...(perNamespacePasswords ? ['--per-namespace-repository-passwords'] : []),
    ];
  }

  #reflector<T extends KubeObject>(kind: Kind<T>, options: Selection & { readonly resyncMs?: number }): Reflector<T> {
    const { client, clock, random, logger } = this.#deps;
    return new Reflector<T>({ client, kind, ...options, clock, random, logger });
  }
}

/** `--disable-controllers=a,b`, `--disable-controllers a,b`, with one dash or two. */
export function disablesIt(args: readonly string[]): boolean {
  return args.some((arg, at) => {
    const match = /^--?disable-controllers(?:=(.*))?$/.exec(arg);
    if (match === null) return false;
    return (match[1] ?? args[at + 1] ?? '').split(',').includes(OF_SERVER);
  });
}
