// Velero's objects as its node agent and its server use them (node-agent §1). None has a status subresource: a status is written
// with the object. Types of what is defined in velero-definitions.ts; the location is Velero's alone.
import type { ObjectOf } from './definition.ts';
import type { KubeObject } from './object.ts';
import type { ValueOf } from './schema.ts';
import type {
  BACKUP_REPOSITORY,
  DATA_DOWNLOAD,
  DATA_PHASES,
  DATA_UPLOAD,
  dataProgress,
  maintenanceEntry,
  POD_VOLUME_BACKUP,
  POD_VOLUME_RESTORE,
  podReference,
} from './velero-definitions.ts';

export { DATA_PHASES } from './velero-definitions.ts';
/** Absent means New. */
export type DataPhase = (typeof DATA_PHASES)[number];
export type PodReference = ValueOf<typeof podReference>;
export type DataProgress = ValueOf<typeof dataProgress>;
export type MaintenanceEntry = ValueOf<typeof maintenanceEntry>;

export type PodVolumeBackup = ObjectOf<typeof POD_VOLUME_BACKUP>;
export type PodVolumeRestore = ObjectOf<typeof POD_VOLUME_RESTORE>;
export type BackupRepository = ObjectOf<typeof BACKUP_REPOSITORY>;
export type DataUpload = ObjectOf<typeof DATA_UPLOAD>;
export type DataDownload = ObjectOf<typeof DATA_DOWNLOAD>;
export type RepositoryPhase = NonNullable<NonNullable<BackupRepository['status']>['phase']>;

export interface SecretKeyReference {
  readonly name?: string;
  readonly key: string;
}

export interface BackupStorageLocation extends KubeObject {
  readonly spec: {
    readonly provider: string;
    readonly config?: Readonly<Record<string, string>>;
    readonly credential?: SecretKeyReference;
    readonly objectStorage?: {
      readonly bucket: string;
      readonly prefix?: string;
      readonly caCert?: string;
      readonly caCertRef?: SecretKeyReference;
    };
    readonly default?: boolean;
    readonly accessMode?: 'ReadOnly' | 'ReadWrite';
    readonly backupSyncPeriod?: string | null;
  };
  readonly status?: { readonly phase?: 'Available' | 'Unavailable'; readonly message?: string };
}
