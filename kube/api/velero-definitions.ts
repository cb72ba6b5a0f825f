// The kinds of Velero 1.18 that move data, each written once: their types (velero.ts) and their CustomResourceDefinitions come from
// here (node-agent §1). Members and printer columns are Velero's own, so that either side may install them.
import type { Definition, PrinterColumn } from './definition.ts';
import {
  atomic,
  count,
  described,
  flag,
  listOf,
  nullable,
  object,
  oneOf,
  optional,
  text,
  texts,
  time,
  type Schema,
} from './schema.ts';

export const DATA_PHASES = [
  'New',
  'Accepted',
  'Prepared',
  'InProgress',
  'Canceling',
  'Canceled',
  'Completed',
  'Failed',
] as const;
const UPLOADER_TYPES = ['kopia', 'restic', ''] as const;
const NODE_SYSTEMS = ['auto', 'linux', 'windows'] as const;

const columns = {
  status: { name: 'Status', type: 'string', jsonPath: '.status.phase' },
  started: { name: 'Started', type: 'date', jsonPath: '.status.startTimestamp' },
  bytesDone: { name: 'Bytes Done', type: 'integer', format: 'int64', jsonPath: '.status.progress.bytesDone' },
  totalBytes: { name: 'Total Bytes', type: 'integer', format: 'int64', jsonPath: '.status.progress.totalBytes' },
  incrementalBytes: {
    name: 'Incremental Bytes',
    type: 'integer',
    format: 'int64',
    jsonPath: '.status.incrementalBytes',
    priority: 10,
  },
  location: { name: 'Storage Location', type: 'string', jsonPath: '.spec.backupStorageLocation' },
  age: { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
  node: { name: 'Node', type: 'string', jsonPath: '.status.node' },
  uploader: { name: 'Uploader', type: 'string', jsonPath: '.spec.uploaderType' },
  uploaderType: { name: 'Uploader Type', type: 'string', jsonPath: '.spec.uploaderType' },
  repositoryType: { name: 'Repository Type', type: 'string', jsonPath: '.spec.repositoryType' },
} satisfies Readonly<Record<string, PrinterColumn>>;

export const podReference = atomic(
  object({
    apiVersion: optional(text()),
    fieldPath: optional(text()),
    kind: optional(text()),
    name: optional(text()),
    namespace: optional(text()),
    resourceVersion: optional(text()),
    uid: optional(text()),
  }),
);

export const dataProgress = object({ bytesDone: optional(count()), totalBytes: optional(count()) });

const location = described('Name of the BackupStorageLocation.', text());
const cancel = optional(described('Asks whoever works on it to stop.', flag()));
const repoIdentifier = described('Of restic only; empty otherwise.', text());
const uploaderType = optional(oneOf(UPLOADER_TYPES));
const settings = optional(nullable(texts()));
const operationTimeout = described('A duration of Go: 10m0s.', text());
const nodeSystem = optional(oneOf(NODE_SYSTEMS));

const movement = {
  acceptedTimestamp: optional(described('When a node took it on.', time())),
  completionTimestamp: optional(described('When it ended, well or not.', time())),
  message: optional(described('What went wrong, or what is worth knowing.', text())),
  phase: optional(oneOf(DATA_PHASES)),
  progress: optional(dataProgress),
  startTimestamp: optional(described('When data began to move.', time())),
};

const definition = <Spec, Status>(of: Definition<Spec, Status>): Definition<Spec, Status> => of;
const status = <T>(schema: Schema<T>): Schema<T> => described('What has become of it.', schema);

export const POD_VOLUME_BACKUP = definition({
  kind: 'PodVolumeBackup',
  plural: 'podvolumebackups',
  version: 'v1',
  description: 'One volume of a pod, to be backed up on the node that the pod runs on.',
  spec: object({
    backupStorageLocation: location,
    cancel,
    node: described('Where the pod runs.', text()),
    pod: podReference,
    repoIdentifier,
    tags: optional(texts()),
    uploaderSettings: settings,
    uploaderType,
    volume: described('Its name in the pod.', text()),
  }),
  status: status(
    object({
      ...movement,
      incrementalBytes: optional(described('Bytes of files that were new or changed.', count())),
      path: optional(text()),
      snapshotID: optional(described('The snapshot in the repository.', text())),
    }),
  ),
  columns: [
    columns.status,
    columns.started,
    columns.bytesDone,
    columns.totalBytes,
    columns.incrementalBytes,
    columns.location,
    columns.age,
    columns.node,
    columns.uploader,
  ],
});

export const POD_VOLUME_RESTORE = definition({
  kind: 'PodVolumeRestore',
  plural: 'podvolumerestores',
  version: 'v1',
  description: 'One volume of a restored pod, to be filled before the pod starts.',
  spec: object({
    backupStorageLocation: location,
    cancel,
    pod: podReference,
    repoIdentifier,
    snapshotID: described('The snapshot in the repository.', text()),
    snapshotSize: optional(count()),
    sourceNamespace: described('Where the volume was backed up: it chooses the repository.', text()),
    uploaderSettings: settings,
    uploaderType,
    volume: described('Its name in the pod.', text()),
  }),
  status: status(object({ ...movement, node: optional(described('Which node took it on.', text())) })),
  columns: [
    columns.status,
    columns.started,
    columns.bytesDone,
    columns.totalBytes,
    columns.location,
    columns.age,
    columns.node,
    columns.uploaderType,
  ],
});

export const maintenanceEntry = object({
  completeTimestamp: optional(time()),
  message: optional(text()),
  result: optional(oneOf(['Succeeded', 'Failed'])),
  startTimestamp: optional(time()),
});

export const BACKUP_REPOSITORY = definition({
  kind: 'BackupRepository',
  plural: 'backuprepositories',
  version: 'v1',
  description: 'The repository of one namespace in one location.',
  spec: object({
    backupStorageLocation: location,
    maintenanceFrequency: described('A duration of Go: 1h0m0s.', text()),
    repositoryConfig: settings,
    repositoryType: uploaderType,
    resticIdentifier: optional(text()),
    volumeNamespace: described('Whose volumes it holds.', text()),
  }),
  status: status(
    object({
      lastMaintenanceTime: optional(time()),
      message: optional(text()),
      phase: optional(oneOf(['New', 'Ready', 'NotReady'])),
      recentMaintenance: optional(listOf(maintenanceEntry)),
    }),
  ),
  columns: [columns.age, columns.repositoryType],
});

export const DATA_UPLOAD = definition({
  kind: 'DataUpload',
  plural: 'datauploads',
  version: 'v2alpha1',
  description: 'A snapshot of a volume, to be moved into a repository.',
  spec: object({
    backupStorageLocation: location,
    cancel,
    csiSnapshot: optional(
      nullable(
        object({
          driver: optional(text()),
          snapshotClass: optional(text()),
          storageClass: text(),
          volumeSnapshot: text(),
        }),
      ),
    ),
    dataMoverConfig: settings,
    datamover: optional(text()),
    operationTimeout,
    snapshotType: text(),
    sourceNamespace: text(),
    sourcePVC: text(),
  }),
  status: status(
    object({
      ...movement,
      acceptedByNode: optional(text()),
      dataMoverResult: settings,
      incrementalBytes: optional(count()),
      node: optional(text()),
      nodeOS: nodeSystem,
      path: optional(text()),
      snapshotID: optional(text()),
    }),
  ),
  columns: [
    columns.status,
    columns.started,
    columns.bytesDone,
    columns.totalBytes,
    columns.incrementalBytes,
    columns.location,
    columns.age,
    columns.node,
  ],
});

export const DATA_DOWNLOAD = definition({
  kind: 'DataDownload',
  plural: 'datadownloads',
  version: 'v2alpha1',
  description: 'A volume that is to be filled from a repository.',
  spec: object({
    backupStorageLocation: location,
    cancel,
    dataMoverConfig: optional(texts()),
    datamover: optional(text()),
    nodeOS: nodeSystem,
    operationTimeout,
    snapshotID: text(),
    snapshotSize: optional(count()),
    sourceNamespace: text(),
    targetVolume: object({ namespace: text(), pv: text(), pvc: text() }),
  }),
  status: status(object({ ...movement, acceptedByNode: optional(text()), node: optional(text()) })),
  columns: [
    columns.status,
    columns.started,
    columns.bytesDone,
    columns.totalBytes,
    columns.location,
    columns.age,
    columns.node,
  ],
});

export const DEFINITIONS = [
  POD_VOLUME_BACKUP,
  POD_VOLUME_RESTORE,
  BACKUP_REPOSITORY,
  DATA_UPLOAD,
  DATA_DOWNLOAD,
] as const;
