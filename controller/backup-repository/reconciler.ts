// Gathers what is known of a repository, decides, and takes one step.
import { hash } from 'node:crypto';
import type { Clock } from '../../base/clock.ts';
import { errorCode, hasCode, type SerializedError } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import {
  type BackupRepository,
  type BackupStorageLocation,
  type EventRecorder,
  type Job,
  KINDS,
  type KubeClient,
  LABEL,
  type MaintenanceEntry,
  objectKey,
  type Pod,
  repositoryNameLabel,
  type ReconcileResult,
  type Secret,
  type Store,
  updateObject,
} from '../../kube/index.ts';
import type { Checks } from './checks.ts';
import { maintenanceJobConfig, type MaintenanceJobConfig } from './maintenance-config.ts';
import { entryOf, lostEntry, maintenanceJob, notStartedEntry, viewOfJob } from './maintenance-job.ts';
import { timeMs } from './maintenance-schedule.ts';
import { decide, type Decision, type JobView, KOPIA, type LocationView, type RepositoryView } from './policy.ts';
import { readRepositoryConfig } from './repository-config.ts';
import { notReady, parseStarted, ready, recorded, started, withDefaults } from './transitions.ts';

export interface ReconcilerSettings {
  readonly namespace: string;
  readonly deployment: string;
  readonly maintenanceFrequencyMs: number;
  readonly maintenanceTimeoutMs: number;
  readonly maxMaintenanceJobs: number;
  readonly keptMaintenanceJobs: number;
  readonly maintenanceJobConfigMap: string | undefined;
  readonly repositoryConfigMap: string | undefined;
  /** Of a maintenance Job, and its flags that are the same for all. */
  readonly jobCommand: readonly string[];
  readonly jobArgs: readonly string[];
}

export interface ReconcilerDeps {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly recorder: EventRecorder;
  readonly checks: Checks;
  readonly repositories: Store<BackupRepository>;
  readonly locations: Store<BackupStorageLocation>;
  readonly jobs: Store<Job>;
  /** The one with the passwords of repositories. */
  readonly passwords: Store<Secret>;
  readonly onMaintained?: (repository: BackupRepository, entry: MaintenanceEntry) => void;
}

/** What has been written comes back by a watch; others of a location are done in seconds. */
const SOON_MS = 2_000;
const CONFIG_MS = 60_000;

export class RepositoryReconciler {
  readonly #settings: ReconcilerSettings;
  readonly #deps: ReconcilerDeps;
  #jobConfigs: { readonly readMs: number; readonly data: Readonly<Record<string, string>> } | undefined;

  constructor(settings: ReconcilerSettings, deps: ReconcilerDeps) {
    this.#settings = settings;
    this.#deps = deps;
  }

  async reconcile(key: string, signal: AbortSignal): Promise<ReconcileResult> {
    const repository = this.#deps.repositories.get(key);
    if (repository === undefined) return undefined;
    const config = await this.#jobConfig(repository, signal);
    return await this.#apply(decide(this.#view(repository, config)), repository, config, signal);
  }

  #view(repository: BackupRepository, config: MaintenanceJobConfig): RepositoryView {
    const { clock, checks, jobs } = this.#deps;
    const { maintenanceTimeoutMs, maintenanceFrequencyMs, maxMaintenanceJobs, keptMaintenanceJobs } = this.#settings;
    const nowMs = clock.nowMs();
    const viewOf = (job: Job): JobView => viewOfJob(job, maintenanceTimeoutMs, nowMs);
    const running = jobs.list().filter((job) => viewOf(job).state === 'running').length;
    return {
      repository,
      location: this.#locationView(repository),
      check: checks.of(repository),
      jobs: this.#jobsOf(repository)
        .map(viewOf)
        .sort((a, b) => a.startMs - b.startMs),
      started: parseStarted(repository),
      hasFreeSlot: running < maxMaintenanceJobs,
      nowMs,
      defaultFrequencyMs: maintenanceFrequencyMs,
      keptJobs: config.keptJobs ?? keptMaintenanceJobs,
    };
  }

  async #apply(
    decision: Decision,
    repository: BackupRepository,
    config: MaintenanceJobConfig,
    signal: AbortSignal,
  ): Promise<ReconcileResult> {
    switch (decision.do) {
      case 'nothing':
        return decision.lookAgainMs === undefined ? undefined : { requeueAfterMs: decision.lookAgainMs };
      case 'refuse':
      case 'invalidate':
        await this.#markNotReady(repository, decision.message, signal);
        return undefined;
      case 'initialise':
        return await this.#check(await this.#initialise(repository, signal), true, signal);
      case 'check':
        return await this.#check(repository, decision.mayCreate, signal);
      case 'record':
        return await this.#record(repository, decision, signal);
      case 'delete-jobs':
        for (const { name } of decision.jobs) await this.#deleteJob(name, signal);
        return { requeueAfterMs: SOON_MS };
      case 'start-job':
        return await this.#startJob(repository, config, signal);
    }
  }

  /** The defaults come first: whoever sees the repository Ready sees them too. */
  async #initialise(repository: BackupRepository, signal: AbortSignal): Promise<BackupRepository> {
    const repositoryConfig = await this.#repositoryConfig(signal);
    const { maintenanceFrequencyMs } = this.#settings;
    const changed = await this.#update(
      repository,
      (now) => withDefaults(now, maintenanceFrequencyMs, repositoryConfig),
      signal,
    );
    return changed ?? repository;
  }

  async #check(repository: BackupRepository, mayCreate: boolean, signal: AbortSignal): Promise<ReconcileResult> {
    const { checks, locations, logger, recorder } = this.#deps;
    const location = locations.get(this.#key(repository.spec.backupStorageLocation));
    const view = this.#locationView(repository);
    if (location === undefined || view === undefined) return undefined;
    const { name } = repository.metadata;
    const result = await checks.run(repository, location, view, mayCreate, signal);
    if (result.is === 'later') return { requeueAfterMs: SOON_MS };
    if (result.is === 'ready') {
      const { outcome, lacks } = result.prepared;
      if (outcome !== 'as-it-was') {
        logger.info(`the repository was ${WORDS[outcome]}`, { repository: name });
        recorder.record(repository, { reason: 'RepositoryChanged', message: `the repository was ${WORDS[outcome]}` });
      }
      const message = lacks === undefined ? '' : LACKS[lacks];
      await this.#update(repository, (now) => ready(now, message, this.#deps.clock.nowMs()), signal);
      return { requeueAfterMs: SOON_MS };
    }
    const { error } = result;
    const message = explain(error);
    logger.warn('the repository cannot be used', { repository: name, error: message });
    const { againMs = 0 } = checks.of(repository) ?? {};
    const retry = { requeueAfterMs: Math.max(SOON_MS, againMs - this.#deps.clock.nowMs()) };
    // A store that is away for a moment must not make backups skip their volumes: they wait for it themselves.
    const isPassing = error.retry !== 'never' && repository.status?.phase === 'Ready';
    if (!isPassing) await this.#markNotReady(repository, message, signal);
    return retry;
  }

  async #markNotReady(repository: BackupRepository, message: string, signal: AbortSignal): Promise<void> {
    const changed = await this.#update(repository, (now) => notReady(now, message), signal);
    if (changed === undefined) return;
    this.#deps.recorder.record(changed, { type: 'Warning', reason: 'NotReady', message });
  }

  async #record(
    repository: BackupRepository,
    { jobs, lost }: Extract<Decision, { do: 'record' }>,
    signal: AbortSignal,
  ): Promise<ReconcileResult> {
    const { clock, onMaintained, logger, recorder } = this.#deps;
    const entries: MaintenanceEntry[] = [];
    for (const view of jobs) {
      const job = this.#deps.jobs.get(this.#key(view.name));
      if (job === undefined) continue;
      const pods = view.state === 'failed' ? await this.#podsOf(view.name, signal) : [];
      entries.push(entryOf(job, view, pods, clock.nowMs()));
    }
    if (lost !== undefined) {
      // The watch may not have told of it yet.
      if (await this.#exists(lost.name, signal)) return { requeueAfterMs: SOON_MS };
      entries.push(lostEntry(lost, clock.nowMs()));
    }
    const names = [...jobs.map(({ name }) => name), ...(lost === undefined ? [] : [lost.name])];
    const changed = await this.#update(repository, (now) => recorded(now, entries, names), signal);
    if (changed === undefined) return undefined;
    for (const entry of entries) {
      onMaintained?.(repository, entry);
      const { result, message } = entry;
      const { name } = repository.metadata;
      if (result === 'Succeeded') {
        logger.info('the repository was maintained', { repository: name, completed: entry.completeTimestamp });
        continue;
      }
      logger.warn('maintenance of the repository has failed', { repository: name, error: message });
      recorder.record(changed, { type: 'Warning', reason: 'MaintenanceFailed', message: message ?? '' });
    }
    return { requeueAfterMs: SOON_MS };
  }

  async #startJob(
    repository: BackupRepository,
    config: MaintenanceJobConfig,
    signal: AbortSignal,
  ): Promise<ReconcileResult> {
    const { client, clock, logger } = this.#deps;
    const { namespace, deployment, jobCommand, jobArgs, maintenanceTimeoutMs } = this.#settings;
    const { name } = repository.metadata;
    // Asked of the server itself: what was started a moment ago, by whoever led then, is not in the store yet.
    const labelSelector = `${LABEL.repoName}=${repositoryNameLabel(name)}`;
    const { items } = await client.list(KINDS.job, { namespace, labelSelector }, signal);
    const nowMs = clock.nowMs();
    if (items.some((job) => viewOfJob(job, maintenanceTimeoutMs, nowMs).state === 'running'))
      return { requeueAfterMs: SOON_MS };
    try {
      const { spec } = await client.get(KINDS.deployment, { name: deployment, namespace }, signal);
      const draft = maintenanceJob({
        repository,
        template: spec.template,
        config,
        command: jobCommand,
        args: jobArgs,
        deadlineMs: maintenanceTimeoutMs,
        nowMs,
      });
      const job = await client.create(KINDS.job, draft, signal);
      logger.info('maintaining the repository', { repository: name, job: job.metadata.name });
      const startMs = timeMs(job.metadata.creationTimestamp) ?? nowMs;
      await this.#update(repository, () => started({ name: job.metadata.name, startMs }), signal);
      return { requeueAfterMs: SOON_MS };
    } catch (error) {
      if (signal.aborted || !isRefused(error)) throw error;
      const entry = notStartedEntry(nowMs, error instanceof Error ? error.message : String(error));
      logger.warn('maintenance of the repository cannot be started', { repository: name, error: entry.message });
      await this.#update(repository, (now) => recorded(now, [entry], []), signal);
      return { requeueAfterMs: SOON_MS };
    }
  }

  async #deleteJob(name: string, signal: AbortSignal): Promise<void> {
    const { client } = this.#deps;
    const { namespace } = this.#settings;
    try {
      await client.delete(KINDS.job, { name, namespace }, { propagationPolicy: 'Background' }, signal);
    } catch (error) {
      if (!hasCode(error, 'KUBE_NOT_FOUND')) throw error;
    }
  }

  async #exists(job: string, signal: AbortSignal): Promise<boolean> {
    try {
      await this.#deps.client.get(KINDS.job, { name: job, namespace: this.#settings.namespace }, signal);
      return true;
    } catch (error) {
      if (hasCode(error, 'KUBE_NOT_FOUND')) return false;
      throw error;
    }
  }

  async #podsOf(job: string, signal: AbortSignal): Promise<readonly Pod[]> {
    const options = { namespace: this.#settings.namespace, labelSelector: `job-name=${job}` };
    return (await this.#deps.client.list(KINDS.pod, options, signal)).items;
  }

  #jobsOf({ metadata }: BackupRepository): readonly Job[] {
    const label = repositoryNameLabel(metadata.name);
    return this.#deps.jobs.list().filter((job) => job.metadata.labels?.[LABEL.repoName] === label);
  }

  #locationView({ spec }: BackupRepository): LocationView | undefined {
    const location = this.#deps.locations.get(this.#key(spec.backupStorageLocation));
    if (location === undefined) return undefined;
    const { objectStorage, config, accessMode } = location.spec;
    const { bucket, prefix, caCert, caCertRef } = objectStorage ?? {};
    const [secret] = this.#deps.passwords.list();
    const { uid, resourceVersion } = secret?.metadata ?? {};
    return {
      place: fingerprint([bucket, prefix, caCert, caCertRef, sorted(config)]),
      access: fingerprint([location.spec, uid, resourceVersion]),
      isReadOnly: accessMode === 'ReadOnly',
    };
  }

  /** A warning is enough where it cannot be read: the defaults serve. */
  async #repositoryConfig(signal: AbortSignal): Promise<Readonly<Record<string, string>> | undefined> {
    const { repositoryConfigMap: name } = this.#settings;
    try {
      return readRepositoryConfig(await this.#configMap(name, signal), KOPIA);
    } catch (error) {
      if (signal.aborted) throw error;
      const reason = error instanceof Error ? error.message : String(error);
      this.#deps.logger.warn('the configuration of repositories is ignored', { configMap: name, error: reason });
      return undefined;
    }
  }

  async #jobConfig({ metadata }: BackupRepository, signal: AbortSignal): Promise<MaintenanceJobConfig> {
    const { maintenanceJobConfigMap: name } = this.#settings;
    if (name === undefined) return {};
    try {
      const nowMs = this.#deps.clock.monotonicMs();
      if (this.#jobConfigs === undefined || nowMs - this.#jobConfigs.readMs > CONFIG_MS)
        this.#jobConfigs = { readMs: nowMs, data: await this.#configMap(name, signal) };
      const { config, remarks } = maintenanceJobConfig(this.#jobConfigs.data, metadata.name);
      for (const remark of remarks) this.#deps.logger.debug(remark, { configMap: name });
      return config;
    } catch (error) {
      if (signal.aborted) throw error;
      this.#deps.logger.warn('the configuration of maintenance is ignored', {
        configMap: name,
        code: errorCode(error),
      });
      return {};
    }
  }

  async #configMap(name: string | undefined, signal: AbortSignal): Promise<Readonly<Record<string, string>>> {
    if (name === undefined) return {};
    const { namespace } = this.#settings;
    return (await this.#deps.client.get(KINDS.configMap, { name, namespace }, signal)).data ?? {};
  }

  #key(name: string): string {
    return objectKey({ name, namespace: this.#settings.namespace });
  }

  #update(
    { metadata: { name, namespace, uid } }: BackupRepository,
    change: (now: BackupRepository) => object | undefined,
    signal: AbortSignal,
  ): Promise<BackupRepository | undefined> {
    // Another one of the same name is somebody else's.
    const ofThis = (now: BackupRepository): object | undefined => (now.metadata.uid === uid ? change(now) : undefined);
    return updateObject(this.#deps.client, KINDS.backupRepository, { name, namespace }, ofThis, signal);
  }
}

const WORDS = {
  created: 'created',
  'set-up': 'set up',
  're-keyed': 'given the present password in the place of the one before',
} as const;

const LACKS = {
  'set-up': 'the repository is not set up, and its location is read-only',
  'present-password':
    'the repository still has the password before: it gets the present one in a minute, or when its location may be written to',
} as const;

const PASSWORD_ADVICE =
  'nothing was changed; after a change of the password on purpose, put the one before it into the same Secret as repository-password-previous';

/** One line for people, with the code that docs/errors.md explains. */
function explain({ message, code, cause }: SerializedError): string {
  const because = cause === undefined || cause.message === message ? '' : `: ${cause.message}`;
  const advice = code === 'PASSWORD_WRONG' ? `; ${PASSWORD_ADVICE}` : '';
  return `${message}${because}${advice} [${code}]`;
}

/** Trying again at once would be refused again. */
function isRefused(error: unknown): boolean {
  return ['KUBE_NOT_FOUND', 'KUBE_FORBIDDEN', 'KUBE_INVALID'].some((code) => hasCode(error, code));
}

function fingerprint(facts: readonly unknown[]): string {
  return hash('sha256', JSON.stringify(facts));
}

function sorted(config: Readonly<Record<string, string>> = {}): readonly (readonly [string, string])[] {
  return Object.entries(config).sort(([a], [b]) => (a < b ? -1 : 1));
}
