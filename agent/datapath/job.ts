// What the agent asks of a data mover, and what that answers: plain JSON, one line a message (docs/design/0008). The job comes on
// standard input, for it holds the repository's password; messages go to standard output, logs to standard error.
import type { SerializedError } from '../../base/errors.ts';
import type { BackupStorageLocation } from '../../repo-format/velero/index.ts';

/** A volume as this process sees it, by names that are walked one by one and never through a link. */
export interface VolumePlace {
  /** Where the kubelet's pods are mounted. */
  readonly root: string;
  /** Below it: the pod's UID, `volumes`, the plugin, the volume, perhaps `mount`. */
  readonly names: readonly string[];
  /** False for kinds that are plain folders of the node. */
  readonly isMount: boolean;
}

export interface RepositoryAccess {
  readonly location: BackupStorageLocation;
  readonly volumeNamespace: string;
  readonly credentialsFile?: string | undefined;
  readonly caCertPem?: string | undefined;
  readonly password: string;
  /** The one before, while the password is being changed. */
  readonly previousPassword?: string | undefined;
  /** What another data mover has derived from the password: the slow step of opening a repository. */
  readonly derivedKey?: DerivedKey | undefined;
  readonly cacheRoot: string;
  readonly cacheBytes?: number | undefined;
}

/** As good as the password that it comes from: kept in memory, never written. */
export interface DerivedKey {
  readonly algorithm: string;
  readonly password: string;
  /** In base64. */
  readonly salt: string;
  readonly key: string;
}

interface CommonJob {
  /** Names of the custom resource, for logs. */
  readonly subject: Readonly<Record<string, string>>;
  readonly volume: VolumePlace;
  readonly memoryLimitBytes?: number | undefined;
}

export interface BackupJob extends CommonJob {
  readonly kind: 'backup';
  readonly repository: RepositoryAccess;
  /** `snapshot-pod-volume/kopia/NAMESPACE/POD/VOLUME`. */
  readonly sourcePath: string;
  /** Identifies the run: a snapshot that has it is this run's, finished before. */
  readonly runId: string;
  readonly claim?: ClaimIdentity | undefined;
  /** Files at a time; the node's processors when undefined. */
  readonly parallel?: number | undefined;
  readonly onUnreadable: 'report' | 'fail';
}

/** Of the claim behind the volume, under whatever name its pod goes. */
export interface ClaimIdentity {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

export interface RestoreJob extends CommonJob {
  readonly kind: 'restore';
  readonly repository: RepositoryAccess;
  readonly snapshotId: string;
  /** Of the object: names the receipt, and signs the marker. */
  readonly runId: string;
  readonly receiptFolder: string;
  readonly restoreUid: string;
  readonly parallel?: number | undefined;
  readonly isSparse: boolean;
  /** False when the pod's init container has seen all markers: its containers run, and nothing may be restored any more. */
  readonly isAwaited: boolean;
  readonly onNotEmpty: 'overwrite' | 'keep' | 'fail';
  /** When the init container gives up; its own default when undefined. */
  readonly helperDeadlineSeconds?: number | undefined;
}

/** Tells the init container how its restore ended, or that it is over. */
export interface MarkJob extends CommonJob {
  readonly kind: 'mark';
  readonly restoreUid: string;
  readonly mark: Mark;
}

export type Mark =
  | {
      readonly outcome: 'failed';
      readonly code: string;
      readonly message: string;
      readonly name: string;
      /** Of the object that has failed: a volume that another one restores, or has restored, is left alone. */
      readonly uid: string;
    }
  /** The helper has ended: the volume gets back what was changed for it. */
  | { readonly outcome: 'over'; readonly rootMode: number }
  /** The helper runs again: it has to see its marker through the root once more. */
  | { readonly outcome: 'seen-again' };

export type Job = BackupJob | RestoreJob | MarkJob;

export interface UnreadablePath {
  readonly path: string;
  readonly code: string;
}

export interface BackupOutcome {
  readonly snapshotId: string;
  readonly totalBytes: number;
  /** Of files that were read because they were new or had changed. */
  readonly incrementalBytes: number;
  readonly uploadedBytes: number;
  readonly files: number;
  readonly unreadable: { readonly count: number; readonly first: readonly UnreadablePath[] };
  readonly changedWhileRead: number;
  readonly parentId?: string | undefined;
  readonly resumedPacks: number;
  /** The snapshot had been stored by an earlier attempt. */
  readonly wasFinished: boolean;
}

export interface RestoreOutcome {
  readonly totalBytes: number;
  readonly files: number;
  readonly unchanged: number;
  readonly kept: number;
  /** Names at the snapshot's root that were not to be restored. */
  readonly leftOut: readonly string[];
  readonly refusedAttributes: readonly { readonly attribute: string; readonly errno: string; readonly count: number }[];
  /** The root's real permission bits where it had to be opened for the init container. */
  readonly closedRootMode?: number | undefined;
  /**
   * Nothing was restored by this attempt, and no sign of an earlier one is this object's own: there was a marker that nobody has
   * signed, or the init container had ended well.
   */
  readonly foundOver?: 'marker' | 'helper' | undefined;
}

export type Message =
  | { readonly type: 'started' }
  | { readonly type: 'derived'; readonly derivedKey: DerivedKey }
  /** Everything is read: is the pod still there? Answered by one line, {@link Answer}. */
  | { readonly type: 'confirm' }
  /** The store answers, though no byte of the volume may be moved meanwhile. */
  | { readonly type: 'alive' }
  | { readonly type: 'progress'; readonly bytesDone: number; readonly totalBytes: number; readonly files: number }
  | { readonly type: 'backed-up'; readonly outcome: BackupOutcome; readonly maxRssBytes: number }
  | { readonly type: 'restored'; readonly outcome: RestoreOutcome; readonly maxRssBytes: number }
  | { readonly type: 'marked'; readonly closedRootMode: number | undefined }
  | { readonly type: 'failed'; readonly error: SerializedError; readonly maxRssBytes: number };

/** What the agent writes to a mover's standard input after the job. */
export interface Answer {
  /** Why what was read cannot be trusted; undefined: it can. */
  readonly problem?: string;
  /** Nobody could tell: another try may find out. */
  readonly mayPass?: boolean;
}
