// What is a PodVolumeBackup's own: whose it is, under which name its snapshot goes, and what its status says when it is stored.
import { ANNOTATION, KINDS, type PodVolumeBackup } from '../../kube/index.ts';
import { podVolumePath } from '../../repo-format/velero/index.ts';
import type { BackupJob, BackupOutcome } from '../datapath/job.ts';
import type { ResolvedVolume } from '../host/volume-resolver.ts';
import type { Completion, MovementKind } from '../data-movement/movement-kind.ts';
import type { RepositoryDirectory, RepositoryName } from '../repository/repository-access.ts';

export interface BackupMovementOptions {
  readonly nodeName: string;
  readonly repositories: RepositoryDirectory;
  /** Asked for each volume: configuration may change. */
  readonly settings: () => MoverSettings;
  readonly onUnreadable: 'report' | 'fail';
  readonly onOutcome?: (outcome: BackupOutcome) => void;
}

export interface MoverSettings {
  readonly memoryLimitBytes: number;
  /** Files at a time where the object says nothing. */
  readonly parallel: number | undefined;
}

const SHOWN = 3;

/** `PVB`: as in Velero's messages. */
export function backupMovement(options: BackupMovementOptions): MovementKind<PodVolumeBackup> {
  return {
    label: 'PVB',
    kind: KINDS.podVolumeBackup,
    isOurs: ({ spec }) => spec.node === options.nodeName,
    isReady: ({ spec }) => isKopia(spec.uploaderType),
    repositoryOf,
    acceptedStatus: () => ({}),
    job: (backup, volume, signal) => jobOf(options, backup, volume, signal),
    completed(backup, result) {
      if (result.type !== 'backed-up') throw new TypeError(`a backup ended as ${result.type}`);
      options.onOutcome?.(result.outcome);
      return completionOf(backup, result.outcome);
    },
  };
}

/** Nothing said means kopia, as everything that this Velero makes. */
export function isKopia(uploaderType: string | undefined): boolean {
  return uploaderType === undefined || uploaderType === '' || uploaderType === 'kopia';
}

/** The repository is that of the pod's namespace. */
function repositoryOf({ spec }: PodVolumeBackup): RepositoryName {
  return { volumeNamespace: spec.pod.namespace ?? '', location: spec.backupStorageLocation };
}

async function jobOf(
  { repositories, settings, onUnreadable }: BackupMovementOptions,
  backup: PodVolumeBackup,
  { place, claim }: ResolvedVolume,
  signal: AbortSignal,
): Promise<BackupJob> {
  const { metadata, spec } = backup;
  const { namespace = '', name = '' } = spec.pod;
  const { memoryLimitBytes, parallel } = settings();
  // The server's own note of the claim comes first, as in Velero.
  const volumeName = metadata.annotations?.[ANNOTATION.pvcName] ?? claim?.name ?? spec.volume;
  return {
    kind: 'backup',
    subject: {
      podVolumeBackup: `${metadata.namespace}/${metadata.name}`,
      pod: `${namespace}/${name}`,
      volume: spec.volume,
    },
    volume: place,
    repository: await repositories.access(repositoryOf(backup), signal),
    sourcePath: podVolumePath(namespace, name, volumeName),
    runId: metadata.uid,
    claim,
    parallel: positive(spec.uploaderSettings?.['ParallelFilesUpload']) ?? parallel,
    memoryLimitBytes,
    onUnreadable,
  };
}

/** More files at a time help nobody. */
const MAX_PARALLEL = 256;

/** Of a setting: 0 and what is no number mean the default. */
export function positive(text: string | undefined): number | undefined {
  const value = Number(text);
  return text !== undefined && Number.isInteger(value) && value > 0 ? Math.min(value, MAX_PARALLEL) : undefined;
}

/** `status.path` is what Velero's hosting pod would have read from. */
function completionOf({ metadata }: PodVolumeBackup, outcome: BackupOutcome): Completion {
  const { snapshotId, totalBytes, incrementalBytes, unreadable, changedWhileRead } = outcome;
  const notes = [unreadableNote(unreadable), changedNote(changedWhileRead)].filter((note) => note !== undefined);
  const warning = unreadable.count > 0 ? notes[0] : undefined;
  return {
    status: {
      path: `/${metadata.uid}`,
      snapshotID: snapshotId,
      incrementalBytes,
      progress: { totalBytes, bytesDone: totalBytes },
    },
    ...(notes.length === 0 ? {} : { message: notes.join('; ') }),
    ...(warning === undefined ? {} : { warning }),
  };
}

function unreadableNote({ count, first }: BackupOutcome['unreadable']): string | undefined {
  if (count === 0) return undefined;
  const shown = first.slice(0, SHOWN).map(({ path, code }) => `${path} (${code})`);
  const more = count > shown.length ? [`and ${count - shown.length} more`] : [];
  // Of a snapshot that an earlier attempt has stored only their number is known here.
  const which = shown.length === 0 ? '' : `: ${[...shown, ...more].join(', ')}`;
  return `${count} files could not be read and are not in the backup${which}`;
}

function changedNote(count: number): string | undefined {
  return count === 0 ? undefined : `${count} files changed or vanished while they were read`;
}
