// What the agent follows in the cluster, each kind as narrowly as it can be asked for.
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/logger.ts';
import type { RandomSource } from '../base/random.ts';
import {
  type BackupRepository,
  type BackupStorageLocation,
  type ConfigMap,
  type Kind,
  type KubeClient,
  type KubeObject,
  KINDS,
  type Node,
  type Pod,
  type PodVolumeBackup,
  type PodVolumeRestore,
  Reflector,
  type Selection,
} from '../kube/index.ts';
import { onlyMetadata, slimBackup, slimPod, slimRestore, withoutManagedFields } from './slim-objects.ts';

export interface ClusterViewOptions {
  readonly namespace: string;
  readonly nodeName: string;
  /** Undefined: there is none to follow. */
  readonly configMap: string | undefined;
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly logger: Logger;
}

export class ClusterView {
  readonly backups: Reflector<PodVolumeBackup>;
  readonly restores: Reflector<PodVolumeRestore>;
  readonly locations: Reflector<BackupStorageLocation>;
  readonly repositories: Reflector<BackupRepository>;
  readonly pods: Reflector<Pod>;
  readonly nodes: Reflector<Node>;
  readonly configMaps: Reflector<ConfigMap> | undefined;
  readonly #options: ClusterViewOptions;
  readonly #all: Pick<Reflector<KubeObject>, 'run' | 'whenSynced' | 'isHealthy'>[] = [];

  constructor(options: ClusterViewOptions) {
    this.#options = options;
    const { namespace, nodeName, configMap } = options;
    this.backups = this.#follow(KINDS.podVolumeBackup, { namespace }, slimBackup(nodeName));
    this.restores = this.#follow(KINDS.podVolumeRestore, { namespace }, slimRestore);
    this.locations = this.#follow(KINDS.backupStorageLocation, { namespace }, withoutManagedFields);
    this.repositories = this.#follow(KINDS.backupRepository, { namespace }, withoutManagedFields);
    this.pods = this.#follow(KINDS.pod, { fieldSelector: `spec.nodeName=${nodeName}` }, slimPod);
    this.nodes = this.#follow(KINDS.node, { fieldSelector: `metadata.name=${nodeName}` }, onlyMetadata);
    this.configMaps =
      configMap === undefined
        ? undefined
        : this.#follow(KINDS.configMap, { namespace, fieldSelector: `metadata.name=${configMap}` });
  }

  /** False while the API server does not answer. */
  get isHealthy(): boolean {
    return this.#all.every(({ isHealthy }) => isHealthy);
  }

  async run(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#all.map((reflector) => reflector.run(signal)));
  }

  async whenSynced(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#all.map((reflector) => reflector.whenSynced(signal)));
  }

  #follow<T extends KubeObject>(kind: Kind<T>, selection: Selection, transform?: (object: T) => T): Reflector<T> {
    const { client, clock, random, logger } = this.#options;
    const kept = transform === undefined ? {} : { transform };
    const reflector = new Reflector<T>({ client, kind, ...selection, ...kept, clock, random, logger });
    this.#all.push(reflector);
    return reflector;
  }
}
