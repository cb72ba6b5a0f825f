// Velero's objects as its node agent and its server use them (node-agent §1). None has a status subresource: a status is written
// with the object.
import type { KubeObject } from './object.ts';

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
/** Absent means New. */
export type DataPhase = (typeof DATA_PHASES)[number];

export interface PodReference {
  readonly kind?: string;
  readonly namespace?: string;
  readonly name?: string;
  readonly uid?: string;
}

export interface DataProgress {
  readonly totalBytes?: number;
  readonly bytesDone?: number;
}

interface DataStatus {
  readonly phase?: DataPhase;
  readonly message?: string;
  readonly acceptedTimestamp?: string | null;
  readonly startTimestamp?: string | null;
  readonly completionTimestamp?: string | null;
  readonly progress?: DataProgress;
}

export interface PodVolumeBackup extends KubeObject {
  readonly spec: {
    readonly node: string;
    readonly pod: PodReference;
    readonly volume: string;
    readonly backupStorageLocation: string;
    readonly repoIdentifier: string;
    readonly uploaderType?: string;
    readonly tags?: Readonly<Record<string, string>>;
    readonly uploaderSettings?: Readonly<Record<string, string>> | null;
    readonly cancel?: boolean;
  };
  readonly status?: DataStatus & {
    readonly path?: string;
    readonly snapshotID?: string;
    readonly incrementalBytes?: number;
  };
}

export interface PodVolumeRestore extends KubeObject {
  readonly spec: {
    readonly pod: PodReference;
    readonly volume: string;
    readonly backupStorageLocation: string;
    readonly repoIdentifier: string;
    readonly snapshotID: string;
    readonly sourceNamespace: string;
    readonly uploaderType?: string;
    readonly uploaderSettings?: Readonly<Record<string, string>> | null;
    readonly cancel?: boolean;
    readonly snapshotSize?: number;
  };
  readonly status?: DataStatus & { readonly node?: string };
}

export interface DataUpload extends KubeObject {
  readonly spec: {
    readonly snapshotType: string;
    readonly csiSnapshot?: {
      readonly volumeSnapshot: string;
      readonly storageClass: string;
      readonly snapshotClass?: string;
      readonly driver?: string;
    } | null;
    readonly sourcePVC: string;
    readonly sourceNamespace: string;
    readonly datamover?: string;
    readonly backupStorageLocation: string;
    readonly dataMoverConfig?: Readonly<Record<string, string>> | null;
    readonly cancel?: boolean;
    readonly operationTimeout: string;
  };
  readonly status?: DataStatus & {
    readonly path?: string;
    readonly snapshotID?: string;
    readonly dataMoverResult?: Readonly<Record<string, string>> | null;
    readonly incrementalBytes?: number;
    readonly node?: string;
    readonly nodeOS?: string;
    readonly acceptedByNode?: string;
  };
}

export interface DataDownload extends KubeObject {
  readonly spec: {
    readonly targetVolume: { readonly pvc: string; readonly pv: string; readonly namespace: string };
    readonly backupStorageLocation: string;
    readonly datamover?: string;
    readonly snapshotID: string;
    readonly sourceNamespace: string;
    readonly dataMoverConfig?: Readonly<Record<string, string>>;
    readonly cancel?: boolean;
    readonly operationTimeout: string;
    readonly nodeOS?: string;
    readonly snapshotSize?: number;
  };
  readonly status?: DataStatus & { readonly node?: string; readonly acceptedByNode?: string };
}

export type RepositoryPhase = 'New' | 'Ready' | 'NotReady';

export interface MaintenanceEntry {
  readonly result?: 'Succeeded' | 'Failed';
  readonly startTimestamp?: string | null;
  readonly completeTimestamp?: string | null;
  readonly message?: string;
}

export interface BackupRepository extends KubeObject {
  readonly spec: {
    readonly volumeNamespace: string;
    readonly backupStorageLocation: string;
    readonly repositoryType?: string;
    readonly resticIdentifier?: string;
    /** A duration of Go: `1h0m0s`. */
    readonly maintenanceFrequency: string;
    readonly repositoryConfig?: Readonly<Record<string, string>> | null;
  };
  readonly status?: {
    readonly phase?: RepositoryPhase;
    readonly message?: string;
    readonly lastMaintenanceTime?: string | null;
    readonly recentMaintenance?: readonly MaintenanceEntry[];
  };
}

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
