// Every kind that is asked for by name.
import type {
  ConfigMap,
  CoreEvent,
  CsiDriver,
  DaemonSet,
  Deployment,
  Job,
  Lease,
  Node,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  Secret,
} from './core.ts';
import { kindOf } from './definition.ts';
import type { Kind, KubeObject } from './object.ts';
import type {
  BackupRepository,
  BackupStorageLocation,
  DataDownload,
  DataUpload,
  PodVolumeBackup,
  PodVolumeRestore,
} from './velero.ts';
import {
  BACKUP_REPOSITORY,
  DATA_DOWNLOAD,
  DATA_UPLOAD,
  POD_VOLUME_BACKUP,
  POD_VOLUME_RESTORE,
} from './velero-definitions.ts';

function velero<T extends KubeObject>(kind: string, plural: string): Kind<T> {
  return kindOf({ kind, plural, version: 'v1' });
}

function core<T extends KubeObject>(kind: string, plural: string, namespaced = true): Kind<T> {
  return { group: '', version: 'v1', plural, kind, namespaced };
}

function inGroup<T extends KubeObject>(group: string, kind: string, plural: string, namespaced = true): Kind<T> {
  return { group, version: 'v1', plural, kind, namespaced };
}

export const KINDS = {
  podVolumeBackup: kindOf<PodVolumeBackup>(POD_VOLUME_BACKUP),
  podVolumeRestore: kindOf<PodVolumeRestore>(POD_VOLUME_RESTORE),
  backupRepository: kindOf<BackupRepository>(BACKUP_REPOSITORY),
  backupStorageLocation: velero<BackupStorageLocation>('BackupStorageLocation', 'backupstoragelocations'),
  backup: velero<KubeObject>('Backup', 'backups'),
  restore: velero<KubeObject>('Restore', 'restores'),
  dataUpload: kindOf<DataUpload>(DATA_UPLOAD),
  dataDownload: kindOf<DataDownload>(DATA_DOWNLOAD),
  pod: core<Pod>('Pod', 'pods'),
  node: core<Node>('Node', 'nodes', false),
  namespace: core<KubeObject>('Namespace', 'namespaces', false),
  persistentVolumeClaim: core<PersistentVolumeClaim>('PersistentVolumeClaim', 'persistentvolumeclaims'),
  persistentVolume: core<PersistentVolume>('PersistentVolume', 'persistentvolumes', false),
  secret: core<Secret>('Secret', 'secrets'),
  configMap: core<ConfigMap>('ConfigMap', 'configmaps'),
  event: core<CoreEvent>('Event', 'events'),
  daemonSet: inGroup<DaemonSet>('apps', 'DaemonSet', 'daemonsets'),
  deployment: inGroup<Deployment>('apps', 'Deployment', 'deployments'),
  job: inGroup<Job>('batch', 'Job', 'jobs'),
  lease: inGroup<Lease>('coordination.k8s.io', 'Lease', 'leases'),
  csiDriver: inGroup<CsiDriver>('storage.k8s.io', 'CSIDriver', 'csidrivers', false),
} as const;
