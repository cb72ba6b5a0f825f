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
import type { Kind, KubeObject } from './object.ts';
import type {
  BackupRepository,
  BackupStorageLocation,
  DataDownload,
  DataUpload,
  PodVolumeBackup,
  PodVolumeRestore,
} from './velero.ts';

function velero<T extends KubeObject>(kind: string, plural: string, version = 'v1'): Kind<T> {
  return { group: 'velero.io', version, plural, kind, namespaced: true };
}

function core<T extends KubeObject>(kind: string, plural: string, namespaced = true): Kind<T> {
  return { group: '', version: 'v1', plural, kind, namespaced };
}

function inGroup<T extends KubeObject>(group: string, kind: string, plural: string, namespaced = true): Kind<T> {
  return { group, version: 'v1', plural, kind, namespaced };
}

export const KINDS = {
  podVolumeBackup: velero<PodVolumeBackup>('PodVolumeBackup', 'podvolumebackups'),
  podVolumeRestore: velero<PodVolumeRestore>('PodVolumeRestore', 'podvolumerestores'),
  backupRepository: velero<BackupRepository>('BackupRepository', 'backuprepositories'),
  backupStorageLocation: velero<BackupStorageLocation>('BackupStorageLocation', 'backupstoragelocations'),
  backup: velero<KubeObject>('Backup', 'backups'),
  restore: velero<KubeObject>('Restore', 'restores'),
  dataUpload: velero<DataUpload>('DataUpload', 'datauploads', 'v2alpha1'),
  dataDownload: velero<DataDownload>('DataDownload', 'datadownloads', 'v2alpha1'),
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
