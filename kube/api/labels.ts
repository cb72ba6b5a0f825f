// Labels, annotations and finalizers of Velero's objects (node-agent §1.7), and ours beside them.
import { hash } from 'node:crypto';

export const LABEL = {
  backupName: 'velero.io/backup-name',
  backupUid: 'velero.io/backup-uid',
  restoreName: 'velero.io/restore-name',
  restoreUid: 'velero.io/restore-uid',
  podUid: 'velero.io/pod-uid',
  pvcUid: 'velero.io/pvc-uid',
  asyncOperationId: 'velero.io/async-operation-id',
  exposeOnGoing: 'velero.io/expose-on-going',
  podVolumeBackup: 'velero.io/pod-volume-backup',
  podVolumeRestore: 'velero.io/pod-volume-restore',
  volumeNamespace: 'velero.io/volume-namespace',
  storageLocation: 'velero.io/storage-location',
  repositoryType: 'velero.io/repository-type',
  repoName: 'velero.io/repo-name',
} as const;

export const ANNOTATION = {
  pvcName: 'velero.io/pvc-name',
  /** Octal permission bits that a restored volume's root gets back when its init container has ended. */
  closedRootMode: 'windlass.io/volume-root-mode',
  /** The maintenance Job of a repository that was started last: known even if somebody deletes it. */
  maintenanceJob: 'windlass.io/maintenance-job',
} as const;

export const FINALIZER = {
  podVolume: 'velero.io/pod-volume-finalizer',
  dataMovement: 'velero.io/data-upload-download-finalizer',
} as const;

const MAX_LABEL_LENGTH = 63;
const KEPT = 57;

/** Velero's rule for values that are too long for a label. */
export function labelValue(text: string): string {
  if (text.length <= MAX_LABEL_LENGTH) return text;
  return text.slice(0, KEPT) + hash('sha256', text).slice(0, MAX_LABEL_LENGTH - KEPT);
}

/** How the BackupRepository of a namespace in a location is found: never by its name (node-agent §6.1). */
export function repositoryLabels(volumeNamespace: string, location: string, type: string): Record<string, string> {
  return {
    [LABEL.volumeNamespace]: labelValue(volumeNamespace),
    [LABEL.storageLocation]: labelValue(location),
    [LABEL.repositoryType]: type,
  };
}

/** What Jobs of a BackupRepository carry as `velero.io/repo-name`: its name, or a hash of one that is too long. */
export function repositoryNameLabel(name: string): string {
  return name.length <= MAX_LABEL_LENGTH ? name : hash('sha3-224', name);
}
