// Wires the agent: what it follows in the cluster, what it moves, and what it tells of itself.
import { join } from 'node:path';
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/logger.ts';
import type { RandomSource } from '../base/random.ts';
import {
  EventRecorder,
  type Kind,
  type KubeClient,
  type KubeObject,
  KINDS,
  LABEL,
  objectKey,
  type Pod,
  type PodVolumeBackup,
  Reflector,
  runController,
  type Selection,
  WorkQueue,
} from '../kube/index.ts';
import type { AgentFlags } from './config/flags.ts';
import { watchFolder } from './config/folder-watch.ts';
import { LiveNodeConfig } from './config/live-node-config.ts';
import { concurrencyOf } from './config/node-config.ts';
import { MovementReconciler, type MovementDeps } from './data-movement/reconciler.ts';
import { Runs } from './data-movement/runs.ts';
import { isFinal, type Movement, phaseOf, podName, timeMs } from './data-movement/subject.ts';
import { Slots } from './datapath/slots.ts';
import { VolumeResolver } from './host/volume-resolver.ts';
import { startHttpServer } from './http-server.ts';
import { createMetrics } from './metrics/registry.ts';
import { backupMovement, isKopia, type MoverSettings } from './pod-volume-backup/movement.ts';
import { restoreMovement } from './pod-volume-restore/movement.ts';
import { RepositoryDirectory } from './repository/repository-access.ts';
import { Secrets } from './repository/secrets.ts';
import { checkHostPods } from './start-up-checks.ts';

export interface AgentDeps {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly logger: Logger;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** Looks at objects: each is short, and one that waits for the API keeps no other from its step. */
const WORKERS = 4;
const RESYNC_MS = 60_000;

export class Agent {
  readonly #flags: AgentFlags;
  readonly #deps: AgentDeps;
  readonly #reflectors: Reflector<KubeObject>[] = [];

  constructor(flags: AgentFlags, deps: AgentDeps) {
    this.#flags = flags;
    this.#deps = deps;
  }

  /** Until the signal aborts. What runs then is stopped; the next agent goes on with it. */
  async run(signal: AbortSignal): Promise<void> {
    const { client, clock, random, logger, environment } = this.#deps;
    const { namespace, nodeName, hostPods } = this.#flags;
    const inVelero = { namespace };
    const backups = this.#reflect(KINDS.podVolumeBackup, inVelero, (object) => slimBackup(object, nodeName));
    const restores = this.#reflect(KINDS.podVolumeRestore, inVelero);
    const locations = this.#reflect(KINDS.backupStorageLocation, inVelero);
    const repositories = this.#reflect(KINDS.backupRepository, inVelero);
    const pods = this.#reflect(KINDS.pod, { fieldSelector: `spec.nodeName=${nodeName}` }, slimPod);
    const nodes = this.#reflect(KINDS.node, { fieldSelector: `metadata.name=${nodeName}` }, slimNode);

    const backupQueue = new WorkQueue({ clock, random });
    const restoreQueue = new WorkQueue({ clock, random });
    const wake = (uid: string): void => {
      backupReconciler.wake(uid);
      restoreReconciler.wake(uid);
    };
    const slots = new Slots(1, wake);
    const config = new LiveNodeConfig({
      logger,
      onChange: () => setLimit(),
      onCurrent: (isCurrent) => metrics.configuration(isCurrent),
    });
    const memoryLimitBytes = (): number => config.config.memoryLimitBytes ?? this.#flags.memoryLimitBytes;
    const metrics = createMetrics(nodeName, memoryLimitBytes);
    const setLimit = (): void => {
      const labels = nodes.store.get(nodeName)?.metadata.labels ?? {};
      slots.setLimit(concurrencyOf(config.config, labels));
    };
    nodes.onChange(setLimit);
    const settings = (): MoverSettings => {
      const { cpuLimit } = config.config;
      const parallel = cpuLimit === undefined ? undefined : Math.max(1, Math.ceil(cpuLimit));
      return { memoryLimitBytes: memoryLimitBytes(), parallel };
    };
    const mover = { environment, compileCache: join(this.#flags.scratchFolder, 'compile') };
    const runs = new Runs({
      clock,
      logger,
      mover,
      onDerivedKey: (job, key) => {
        if (job.kind !== 'mark') directory.keepKey(job.repository, key);
      },
      onChange(uid, change) {
        if (change !== 'started') return wake(uid);
        backupReconciler.onStarted(uid);
        restoreReconciler.onStarted(uid);
      },
      onEnded: ({ kind, outcome, durationMs, maxRssBytes }) => {
        metrics.moverEnded(outcome, maxRssBytes);
        if (kind !== 'mark') metrics.stage(kind, 'move', durationMs / 1000);
      },
    });
    const secrets = new Secrets({ client, clock, namespace, folder: join(this.#flags.scratchFolder, 'credentials') });
    const directory = new RepositoryDirectory({
      client,
      clock,
      secrets,
      namespace,
      locations: locations.store,
      repositories: repositories.store,
      cacheRoot: this.#flags.cacheFolder,
      cacheBytes: () => undefined,
      environment,
    });
    const volumes = new VolumeResolver({ client, hostPods });
    const recorder = new EventRecorder({ client, host: nodeName, clock, logger });
    const isQueueFull = (): boolean => {
      const { prepareQueueLength } = config.config;
      if (prepareQueueLength === 0) return false;
      const all: readonly Movement[] = [...backups.store.list(), ...restores.store.list()];
      return (
        all.filter(({ metadata }) => metadata.labels?.[LABEL.exposeOnGoing] === 'true').length >= prepareQueueLength
      );
    };
    const movementDeps: MovementDeps = {
      client,
      clock,
      logger,
      recorder,
      pods: pods.store,
      runs,
      slots,
      volumes,
      repositories: directory,
      namespace,
      isQueueFull,
      prepareTimeoutMs: this.#flags.prepareTimeoutMs,
      resourceTimeoutMs: this.#flags.resourceTimeoutMs,
      operationTimeoutMs: this.#flags.operationTimeoutMs,
      onEnded(movement, phase) {
        const kind = movement.kind === 'PodVolumeBackup' ? 'backup' : 'restore';
        metrics.ended(kind, phase);
        metrics.stage(
          kind,
          'wait',
          secondsBetween(movement.metadata.creationTimestamp, movement.status?.startTimestamp),
        );
        if (kind === 'backup' && phase === 'Completed')
          metrics.backupCompleted(namesOf(movement as PodVolumeBackup), secondsSince(movement, clock.nowMs()));
      },
    };
    const backupReconciler = new MovementReconciler(
      backupMovement({
        nodeName,
        repositories: directory,
        settings,
        onUnreadable: this.#flags.unreadableFiles,
        onOutcome: ({ totalBytes, files, uploadedBytes }) => metrics.moved('backup', totalBytes, files, uploadedBytes),
      }),
      backups.store,
      backupQueue,
      movementDeps,
    );
    const restoreReconciler = new MovementReconciler(
      restoreMovement({
        nodeName,
        pods: pods.store,
        repositories: directory,
        volumes,
        settings,
        onNotEmpty: this.#flags.restoreNotEmpty,
        mover: { ...mover, logger },
        onOutcome: ({ totalBytes, files }) => metrics.moved('restore', totalBytes, files, 0),
      }),
      restores.store,
      restoreQueue,
      movementDeps,
    );

    backups.onChange((key, now, before) => {
      if (concerns(now ?? before, nodeName)) backupQueue.add(key);
    });
    restores.onChange((key) => restoreQueue.add(key));
    // What a pod's volumes wait for shows in the pod.
    pods.onChange((_key, now, before) => {
      const { uid } = (now ?? before)?.metadata ?? {};
      for (const [queue, store] of [
        [backupQueue, backups.store],
        [restoreQueue, restores.store],
      ] as const) {
        for (const movement of store.list()) {
          if (movement.spec.pod.uid === uid) queue.add(objectKey(movement.metadata));
        }
      }
    });
    const resync = setInterval(() => {
      for (const movement of backups.store.list()) {
        if (concerns(movement, nodeName)) backupQueue.add(objectKey(movement.metadata));
      }
      for (const movement of restores.store.list()) restoreQueue.add(objectKey(movement.metadata));
      metrics.queue(slots);
    }, RESYNC_MS);

    let unready: string | undefined = 'the cluster has not been read yet';
    const server = await startHttpServer(this.#flags.metricsAddress, {
      metrics: () => {
        metrics.queue(slots);
        return metrics.text();
      },
      unhealthy: () => undefined,
      unready: () => unready,
    });
    const watching = this.#reflectors.map((reflector) => reflector.run(signal));
    const configMap = this.#followConfigMap(config, signal);
    const credentials = watchFolder(this.#flags.credentialsFolder, () => secrets.forget(), logger);
    try {
      await Promise.all([...this.#reflectors.map((reflector) => reflector.whenSynced(signal)), configMap.ready]);
      await checkHostPods(hostPods, pods.store.list(), logger);
      setLimit();
      unready = undefined;
      logger.info('following pod volumes', {
        slots: slots.limit,
        backups: backups.store.size,
        restores: restores.store.size,
      });
      const controller = { workers: WORKERS, clock, logger };
      await Promise.all([
        runController(
          {
            ...controller,
            name: 'pod-volume-backup',
            queue: backupQueue,
            reconcile: (key, end) => backupReconciler.reconcile(key, end),
          },
          signal,
        ),
        runController(
          {
            ...controller,
            name: 'pod-volume-restore',
            queue: restoreQueue,
            reconcile: (key, end) => restoreReconciler.reconcile(key, end),
          },
          signal,
        ),
      ]);
    } finally {
      clearInterval(resync);
      server.close();
      await credentials.close();
      await runs.stopAll();
      await Promise.allSettled([...watching, configMap.done]);
      await recorder.flush();
    }
  }

  #reflect<T extends KubeObject>(kind: Kind<T>, selection: Selection, transform?: (object: T) => T): Reflector<T> {
    const { client, clock, random, logger } = this.#deps;
    const reflector = new Reflector<T>({
      client,
      kind,
      ...selection,
      ...(transform === undefined ? {} : { transform }),
      clock,
      random,
      logger,
    });
    this.#reflectors.push(reflector as unknown as Reflector<KubeObject>);
    return reflector;
  }

  #followConfigMap(
    config: LiveNodeConfig,
    signal: AbortSignal,
  ): { readonly ready: Promise<void>; readonly done: Promise<void> } {
    const { nodeAgentConfigMap: name, namespace } = this.#flags;
    if (name === undefined) return { ready: Promise.resolve(), done: Promise.resolve() };
    const { client, clock, random, logger } = this.#deps;
    const fieldSelector = `metadata.name=${name}`;
    const reflector = new Reflector({ client, kind: KINDS.configMap, namespace, fieldSelector, clock, random, logger });
    reflector.onChange((_key, now) => config.take(now));
    const done = reflector.run(signal);
    const ready = reflector.whenSynced(signal).then(() => {
      if (reflector.store.size === 0) logger.error(`there is no ConfigMap ${name}; the defaults are in force`);
    });
    return { ready, done };
  }
}

/** Objects of other nodes are looked at only when somebody wants them cancelled. */
function concerns(backup: PodVolumeBackup | undefined, nodeName: string): boolean {
  if (backup === undefined) return false;
  return backup.spec.node === nodeName || (backup.spec.cancel === true && !isFinal(backup));
}

/** Thousands of objects of other nodes: of those only what decisions look at. */
function slimBackup(backup: PodVolumeBackup, nodeName: string): PodVolumeBackup {
  const { apiVersion, kind, metadata, spec } = backup;
  const { name, namespace, uid, resourceVersion, creationTimestamp, deletionTimestamp, labels } = metadata;
  if (spec.node === nodeName) return withoutManagedFields(backup);
  const onGoing = labels?.[LABEL.exposeOnGoing];
  return {
    apiVersion,
    kind,
    metadata: {
      name,
      ...(namespace === undefined ? {} : { namespace }),
      uid,
      resourceVersion,
      creationTimestamp,
      ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
      ...(onGoing === undefined ? {} : { labels: { [LABEL.exposeOnGoing]: onGoing } }),
    },
    spec: {
      node: spec.node,
      pod: {},
      volume: '',
      backupStorageLocation: '',
      repoIdentifier: '',
      ...(spec.cancel === true ? { cancel: true } : {}),
    },
    status: { phase: phaseOf(backup) },
  };
}

/** Without what no decision looks at: environments and statuses of containers can be large. */
function slimPod(pod: Pod): Pod {
  const { apiVersion, kind, spec, status } = pod;
  const { phase, initContainerStatuses } = status ?? {};
  return {
    apiVersion,
    kind,
    metadata: withoutManagedFields(pod).metadata,
    spec: {
      ...(spec.nodeName === undefined ? {} : { nodeName: spec.nodeName }),
      ...(spec.volumes === undefined ? {} : { volumes: spec.volumes }),
    },
    status: {
      ...(phase === undefined ? {} : { phase }),
      ...(initContainerStatuses === undefined ? {} : { initContainerStatuses }),
    },
  };
}

function slimNode<T extends KubeObject>(node: T): T {
  const { apiVersion, kind, metadata } = node;
  return { apiVersion, kind, metadata } as T;
}

function withoutManagedFields<T extends KubeObject>(object: T): T {
  const { managedFields: _, ...metadata } = object.metadata as T['metadata'] & { managedFields?: unknown };
  return { ...object, metadata };
}

function namesOf({ metadata, spec }: PodVolumeBackup) {
  const { name, namespace, labels, ownerReferences } = metadata;
  const uploader = isKopia(spec.uploaderType) ? 'kopia' : (spec.uploaderType ?? '');
  const backup = ownerReferences?.[0]?.name ?? labels?.[LABEL.backupName] ?? '';
  return {
    operation: `${name}-${spec.backupStorageLocation}-${podName(spec.pod).split('/')[0]}-${uploader}-backup`,
    backupName: `${namespace}/${backup}`,
    podVolumeBackup: name,
  };
}

function secondsSince({ status, metadata }: Movement, nowMs: number): number {
  return (nowMs - (timeMs(status?.startTimestamp) ?? timeMs(metadata.creationTimestamp) ?? nowMs)) / 1000;
}

function secondsBetween(from: string, to: string | null | undefined): number {
  return Math.max(0, ((timeMs(to) ?? timeMs(from) ?? 0) - (timeMs(from) ?? 0)) / 1000);
}
