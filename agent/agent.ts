// Wires the agent: what it follows in the cluster, what it moves, and what it tells of itself.
import type { Server } from 'node:http';
import { join } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { startHttpServer } from '../base/http-server.ts';
import { errorCode } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import type { RandomSource } from '../base/random.ts';
import {
  EventRecorder,
  type KubeClient,
  LABEL,
  type PodVolumeBackup,
  type PodVolumeRestore,
  Secrets,
} from '../kube/index.ts';
import { ClusterView } from './cluster-view.ts';
import type { AgentFlags } from './config/flags.ts';
import { watchFolder } from './config/folder-watch.ts';
import { LiveNodeConfig } from './config/live-node-config.ts';
import { concurrencyOf } from './config/node-config.ts';
import { MovementLoop } from './data-movement/loop.ts';
import type { MovementDeps } from './data-movement/reconciler.ts';
import { Runs } from './data-movement/runs.ts';
import { isDeleting, isFinal, type Movement } from './data-movement/subject.ts';
import { Slots } from './datapath/slots.ts';
import { VolumeResolver } from './host/volume-resolver.ts';
import { observeEnding } from './metrics/observe.ts';
import { type AgentMetrics, createMetrics } from './metrics/registry.ts';
import { backupMovement, type MoverSettings } from './pod-volume-backup/movement.ts';
import { restoreMovement } from './pod-volume-restore/movement.ts';
import { whenAlone } from './predecessor.ts';
import { RepositoryDirectory } from './repository/repository-access.ts';
import { checkHostPods } from './start-up-checks.ts';

export interface AgentDeps {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly logger: Logger;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

const REFRESH_MS = 60_000;

export class Agent {
  readonly #flags: AgentFlags;
  readonly #deps: AgentDeps;
  readonly #view: ClusterView;
  readonly #metrics: AgentMetrics;
  readonly #config: LiveNodeConfig;
  readonly #slots: Slots;
  readonly #runs: Runs;
  readonly #secrets: Secrets;
  readonly #repositories: RepositoryDirectory;
  readonly #recorder: EventRecorder;
  readonly #backups: MovementLoop<PodVolumeBackup>;
  readonly #restores: MovementLoop<PodVolumeRestore>;
  #unready: string | undefined = 'the cluster has not been read yet';

  constructor(flags: AgentFlags, deps: AgentDeps) {
    const { client, clock, logger, environment } = deps;
    const { namespace, nodeName, nodeAgentConfigMap, scratchFolder, cacheFolder } = flags;
    this.#flags = flags;
    this.#deps = deps;
    this.#view = new ClusterView({ ...deps, namespace, nodeName, configMap: nodeAgentConfigMap });
    this.#metrics = createMetrics(nodeName, () => this.#memoryLimitBytes());
    this.#config = new LiveNodeConfig({
      logger,
      onChange: () => this.#setLimit(),
      onCurrent: (isCurrent) => this.#metrics.configuration(isCurrent),
    });
    this.#slots = new Slots(1, (uid) => this.#wake(uid));
    this.#secrets = new Secrets({ client, clock, namespace, folder: join(scratchFolder, 'credentials') });
    this.#repositories = new RepositoryDirectory({
      client,
      clock,
      secrets: this.#secrets,
      namespace,
      locations: this.#view.locations.store,
      repositories: this.#view.repositories.store,
      cacheRoot: cacheFolder,
      perNamespacePasswords: flags.perNamespacePasswords,
      environment,
    });
    this.#runs = this.#createRuns();
    this.#recorder = new EventRecorder({ client, host: nodeName, clock, logger });
    const volumes = new VolumeResolver({ client, clock, hostPods: flags.hostPods });
    const movementDeps = this.#movementDeps(volumes);
    this.#backups = this.#backupLoop(movementDeps);
    this.#restores = this.#restoreLoop(movementDeps, volumes);
    this.#view.nodes.onChange(() => this.#setLimit());
    this.#view.configMaps?.onChange((_key, now) => this.#config.take(now));
  }

  /** Until the signal aborts. What is being moved then is stopped; the next agent goes on with it. */
  async run(signal: AbortSignal): Promise<void> {
    const { logger } = this.#deps;
    const { credentialsFolder, hostPods, nodeAgentConfigMap, withoutEffect } = this.#flags;
    if (withoutEffect.length > 0)
      logger.warn('flags of Velero that have no effect here', { flags: withoutEffect.join(' ') });
    const server = await this.#serve();
    const ended = new AbortController();
    const watching = this.#view.run(AbortSignal.any([signal, ended.signal]));
    const refreshing = setInterval(() => void this.#refreshCredentials(signal), REFRESH_MS);
    const credentials = watchFolder(credentialsFolder, () => this.#secrets.forget(), logger);
    try {
      await this.#view.whenSynced(signal);
      if (this.#view.configMaps?.store.size === 0)
        logger.error(`there is no ConfigMap ${nodeAgentConfigMap}; the defaults are in force`);
      await checkHostPods(hostPods, this.#view.pods.store.list(), logger);
      this.#setLimit();
      this.#unready = undefined;
      const { backups, restores } = this.#view;
      const counts = { slots: this.#slots.limit, backups: backups.store.size, restores: restores.store.size };
      // Ready all the same: an update with `maxSurge` ends the other one only then.
      const { namespace } = this.#flags;
      const podName = this.#deps.environment['HOSTNAME'];
      await whenAlone({ pods: this.#view.pods.store, namespace, podName }, this.#deps, signal);
      logger.info('following pod volumes', counts);
      await Promise.all([this.#backups.run(signal), this.#restores.run(signal)]);
    } finally {
      this.#unready = 'ending';
      clearInterval(refreshing);
      server.close();
      await credentials.close();
      await this.#runs.stopAll();
      ended.abort();
      await watching;
      await this.#recorder.flush();
    }
  }

  /** Of locations whose volumes are being moved. */
  async #refreshCredentials(signal: AbortSignal): Promise<void> {
    if (this.#runs.running === 0) return;
    try {
      await this.#secrets.refreshFiles(signal);
    } catch (error) {
      // The values from before stay; the next look may find the API there.
      this.#deps.logger.warn('credentials could not be read again', { code: errorCode(error) });
    }
  }

  #serve(): Promise<Server> {
    return startHttpServer(this.#flags.metricsAddress, {
      metrics: () => {
        this.#metrics.queue(this.#slots);
        return this.#metrics.text();
      },
      unhealthy: () => undefined,
      unready: () => this.#unready ?? (this.#view.isHealthy ? undefined : 'the API server does not answer'),
    });
  }

  #createRuns(): Runs {
    const { clock, logger } = this.#deps;
    return new Runs({
      clock,
      logger,
      mover: this.#moverOptions(),
      stallMs: this.#flags.stallTimeoutMs,
      onDerivedKey: (job, key) => {
        if (job.kind !== 'mark') this.#repositories.keepKey(job.repository, key);
      },
      podProblem: (uid) => this.#backups.podProblem(uid),
      onChange: (uid, change) => {
        if (change !== 'started') return this.#wake(uid);
        this.#backups.onStarted(uid);
        this.#restores.onStarted(uid);
      },
      onEnded: ({ kind, outcome, durationMs, maxRssBytes }) => {
        this.#metrics.moverEnded(outcome, maxRssBytes);
        // It may have had keys or a password that are not in force any more.
        if (outcome === 'failed') this.#secrets.forget();
        if (kind !== 'mark') this.#metrics.stage(kind, 'move', durationMs / 1000);
      },
    });
  }

  #moverOptions() {
    return { environment: this.#deps.environment, compileCache: join(this.#flags.scratchFolder, 'compile') };
  }

  #movementDeps(volumes: VolumeResolver): MovementDeps {
    const { client, clock, logger } = this.#deps;
    const { namespace, prepareTimeoutMs, resourceTimeoutMs, operationTimeoutMs } = this.#flags;
    return {
      client,
      clock,
      logger,
      recorder: this.#recorder,
      pods: this.#view.pods.store,
      runs: this.#runs,
      slots: this.#slots,
      volumes,
      repositories: this.#repositories,
      namespace,
      isQueueFull: () => this.#isQueueFull(),
      prepareTimeoutMs,
      resourceTimeoutMs,
      operationTimeoutMs,
      onBegun: ({ kind }) => this.#metrics.begun(kind === 'PodVolumeBackup' ? 'backup' : 'restore'),
      onEnded: (movement, phase) => observeEnding(this.#metrics, movement, phase, clock.nowMs()),
    };
  }

  #backupLoop(deps: MovementDeps): MovementLoop<PodVolumeBackup> {
    const { nodeName, unreadableFiles } = this.#flags;
    const kind = backupMovement({
      nodeName,
      repositories: this.#repositories,
      settings: () => this.#settings(),
      onUnreadable: unreadableFiles,
      onOutcome: ({ totalBytes, files, uploadedBytes }) =>
        this.#metrics.moved('backup', totalBytes, files, uploadedBytes),
    });
    // Of other nodes only those that somebody wants cancelled or deleted: their own agents may be gone.
    const concerns = (backup: PodVolumeBackup): boolean =>
      backup.spec.node === nodeName || isDeleting(backup) || (backup.spec.cancel === true && !isFinal(backup));
    const { backups: objects, pods } = this.#view;
    return new MovementLoop({ ...this.#loopOptions('pod-volume-backup'), kind, objects, pods, concerns }, deps);
  }

  #restoreLoop(deps: MovementDeps, volumes: VolumeResolver): MovementLoop<PodVolumeRestore> {
    const { restores: objects, pods } = this.#view;
    const kind = restoreMovement({
      nodeName: this.#flags.nodeName,
      pods: pods.store,
      repositories: this.#repositories,
      volumes,
      settings: () => this.#settings(),
      onNotEmpty: this.#flags.restoreNotEmpty,
      receiptFolder: join(this.#flags.cacheFolder, 'receipts'),
      helperDeadlineSeconds: this.#flags.restoreHelperDeadlineSeconds,
      mover: { ...this.#moverOptions(), logger: this.#deps.logger },
      onOutcome: ({ totalBytes, files }) => this.#metrics.moved('restore', totalBytes, files, 0),
    });
    const concerns = (): boolean => true;
    return new MovementLoop({ ...this.#loopOptions('pod-volume-restore'), kind, objects, pods, concerns }, deps);
  }

  #loopOptions(name: string) {
    const { clock, random, logger } = this.#deps;
    const onReconciled = (loop: string, seconds: number, failed: boolean): void =>
      this.#metrics.reconciled(loop, seconds, failed);
    return { name, clock, random, logger, onReconciled };
  }

  #wake(uid: string): void {
    this.#backups.wake(uid);
    this.#restores.wake(uid);
  }

  #settings(): MoverSettings {
    const { cpuLimit } = this.#config.config;
    const parallel = cpuLimit === undefined ? undefined : Math.max(1, Math.ceil(cpuLimit));
    return { memoryLimitBytes: this.#memoryLimitBytes(), parallel };
  }

  #memoryLimitBytes(): number {
    return this.#config.config.memoryLimitBytes ?? this.#flags.memoryLimitBytes;
  }

  #setLimit(): void {
    const node = this.#view.nodes.store.get(this.#flags.nodeName);
    this.#slots.setLimit(concurrencyOf(this.#config.config, node?.metadata.labels ?? {}));
  }

  /** As many objects are on their way in the whole cluster as the configuration allows. */
  #isQueueFull(): boolean {
    const { prepareQueueLength } = this.#config.config;
    if (prepareQueueLength === 0) return false;
    const all: readonly Movement[] = [...this.#view.backups.store.list(), ...this.#view.restores.store.list()];
    const onTheirWay = all.filter(
      (movement) => movement.metadata.labels?.[LABEL.exposeOnGoing] === 'true' && !isFinal(movement),
    );
    return onTheirWay.length >= prepareQueueLength;
  }
}
