// Objects of a cluster for tests of what is decided about them: plain, complete, each part replaceable.
import type { DataPhase, Pod, PodVolumeBackup, PodVolumeRestore, Store } from '../../kube/index.ts';

type Metadata = PodVolumeBackup['metadata'];

export interface ObjectOptions {
  readonly phase?: DataPhase;
  readonly metadata?: Partial<Metadata>;
  readonly spec?: object;
  readonly status?: object;
}

const CREATED = '2026-11-20T12:00:00Z';

export function aPodVolumeBackup({ phase, metadata, spec, status }: ObjectOptions = {}): PodVolumeBackup {
  return {
    apiVersion: 'velero.io/v1',
    kind: 'PodVolumeBackup',
    metadata: metadataOf('daily-1', 'pvb-uid', metadata),
    spec: {
      node: 'node-1',
      pod: { kind: 'Pod', namespace: 'shop', name: 'db-0', uid: 'pod-uid' },
      volume: 'data',
      backupStorageLocation: 'default',
      repoIdentifier: '',
      uploaderType: 'kopia',
      ...spec,
    },
    ...statusOf(phase, status),
  };
}

export function aPodVolumeRestore({ phase, metadata, spec, status }: ObjectOptions = {}): PodVolumeRestore {
  const owner = { apiVersion: 'velero.io/v1', kind: 'Restore', name: 'again', uid: 'restore-uid', controller: true };
  return {
    apiVersion: 'velero.io/v1',
    kind: 'PodVolumeRestore',
    metadata: { ...metadataOf('again-1', 'pvr-uid', metadata), ownerReferences: [owner], ...metadata },
    spec: {
      pod: { kind: 'Pod', namespace: 'shop', name: 'db-0', uid: 'pod-uid' },
      volume: 'data',
      backupStorageLocation: 'default',
      repoIdentifier: '',
      snapshotID: 'snapshot-id',
      sourceNamespace: 'shop',
      uploaderType: 'kopia',
      ...spec,
    },
    ...statusOf(phase, status),
  };
}

export function aPod({ metadata, spec, status }: Omit<ObjectOptions, 'phase'> = {}): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { ...metadataOf('db-0', 'pod-uid', undefined), namespace: 'shop', ...metadata },
    spec: { nodeName: 'node-1', volumes: [{ name: 'data', emptyDir: {} }], ...spec },
    status: { phase: 'Running', ...status },
  };
}

/** A store with these in it, by their keys. */
export function storeOf<T extends { readonly metadata: Metadata }>(...objects: readonly T[]): Store<T> {
  const byKey = new Map(objects.map((object) => [`${object.metadata.namespace}/${object.metadata.name}`, object]));
  return { get: (key) => byKey.get(key), list: () => [...byKey.values()], size: byKey.size };
}

function metadataOf(name: string, uid: string, more: Partial<Metadata> | undefined): Metadata {
  return { name, namespace: 'velero', uid, resourceVersion: '100', creationTimestamp: CREATED, ...more };
}

function statusOf(phase: DataPhase | undefined, more: object | undefined): { readonly status?: object } {
  return phase === undefined && more === undefined ? {} : { status: { ...(phase && { phase }), ...more } };
}
