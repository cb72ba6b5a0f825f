// What is a PodVolumeRestore's own: which pod is ready for it, and how the pod's init container is told how it went.
import { errorCode, WindlassError } from '../../base/errors.ts';
import { ANNOTATION, KINDS, type Pod, type PodVolumeRestore, type Store } from '../../kube/index.ts';
import type { MarkJob, RestoreJob, RestoreOutcome } from '../datapath/job.ts';
import { type MoverOptions, type MoverProcess, type MoverResult, startMover } from '../datapath/mover-process.ts';
import type { ResolvedVolume, VolumeResolver } from '../host/volume-resolver.ts';
import type { Completion, MovementKind } from '../data-movement/movement-kind.ts';
import { isDeleting, podName, podOf } from '../data-movement/subject.ts';
import { isKopia, type MoverSettings, positive } from '../pod-volume-backup/movement.ts';
import type { RepositoryDirectory, RepositoryName } from '../repository/repository-access.ts';
import { helperState } from './helper-state.ts';

/** It becomes the name of a file. */
const UID = /^[A-Za-z0-9][-A-Za-z0-9]{0,127}$/;

const FOUND_OVER = {
  marker: 'nothing was restored now: the volume had its marker, from another agent or made by hand',
  helper: 'nothing was restored now: the init container had ended well',
};

/** For a file or two: a volume that takes longer does not answer at all. */
const MARK_MS = 60_000;

export interface RestoreMovementOptions {
  readonly nodeName: string;
  readonly pods: Store<Pod>;
  readonly repositories: RepositoryDirectory;
  readonly volumes: VolumeResolver;
  readonly settings: () => MoverSettings;
  readonly onNotEmpty: 'overwrite' | 'keep' | 'fail';
  readonly receiptFolder: string;
  readonly helperDeadlineSeconds?: number | undefined;
  readonly mover: Omit<MoverOptions, 'onMessage'>;
  readonly onOutcome?: (outcome: RestoreOutcome) => void;
}

export function restoreMovement(options: RestoreMovementOptions): MovementKind<PodVolumeRestore> {
  return {
    label: 'PVR',
    kind: KINDS.podVolumeRestore,
    isOurs: (restore) => isOurs(options, restore),
    isReady: (restore) => isReady(options, restore),
    isTooLate: (restore) => hasStarted(options, restore),
    repositoryOf,
    acceptedStatus: () => ({ node: options.nodeName }),
    job: (restore, volume, signal) => jobOf(options, restore, volume, signal),
    completed(_restore, result) {
      if (result.type !== 'restored') throw new TypeError(`a restore ended as ${result.type}`);
      options.onOutcome?.(result.outcome);
      return completionOf(result.outcome);
    },
    beforeFailure: (restore, failure) => markFailed(options, restore, failure),
    afterwards: (restore) => closeRootAgain(options, restore),
    isAwaitedAgain: (restore) => isAwaitedBehindClosedRoot(options, restore),
    tellAgain: async (restore) => {
      await mark(options, restore, { outcome: 'seen-again' });
    },
  };
}

/** The pod's volumes are mounted when its init container runs. */
function isReady({ pods }: RestoreMovementOptions, { spec }: PodVolumeRestore): boolean {
  if (!isKopia(spec.uploaderType)) return false;
  const pod = podOf(pods, spec.pod);
  return pod !== undefined && helperState(pod) === 'waits';
}

/** Its init container has seen all markers, by whomever: the pod's own containers write to the volume. */
function hasStarted({ pods }: RestoreMovementOptions, { spec }: PodVolumeRestore): boolean {
  const pod = podOf(pods, spec.pod);
  return pod !== undefined && helperState(pod) === 'over';
}

/** Before a node has accepted it, it is that of its pod. */
function isOurs({ nodeName, pods }: RestoreMovementOptions, { spec, status }: PodVolumeRestore): boolean {
  const { node = '' } = status ?? {};
  return node === '' ? podOf(pods, spec.pod) !== undefined : node === nodeName;
}

/** The repository is that of the namespace at backup time. */
function repositoryOf({ spec }: PodVolumeRestore): RepositoryName {
  return { volumeNamespace: spec.sourceNamespace, location: spec.backupStorageLocation };
}

/** As Velero: the first owner is the Restore, whose UID the init container was given. */
function restoreUidOf({ metadata }: PodVolumeRestore): string | undefined {
  const uid = metadata.ownerReferences?.[0]?.uid ?? '';
  return UID.test(uid) ? uid : undefined;
}

async function jobOf(
  { repositories, settings, onNotEmpty, receiptFolder, helperDeadlineSeconds, pods }: RestoreMovementOptions,
  restore: PodVolumeRestore,
  { place }: ResolvedVolume,
  signal: AbortSignal,
): Promise<RestoreJob> {
  const { spec } = restore;
  const restoreUid = restoreUidOf(restore);
  if (restoreUid === undefined) {
    throw new WindlassError('the PodVolumeRestore has no Restore as its owner: nobody could be told of its end', {
      code: 'RESTORE_OWNER_MISSING',
    });
  }
  const { memoryLimitBytes, parallel } = settings();
  const pod = podOf(pods, spec.pod);
  return {
    kind: 'restore',
    subject: subjectOf(restore),
    volume: place,
    repository: await repositories.access(repositoryOf(restore), signal),
    snapshotId: spec.snapshotID,
    runId: restore.metadata.uid,
    receiptFolder,
    restoreUid,
    parallel: positive(spec.uploaderSettings?.['ParallelFilesDownload']) ?? parallel,
    isSparse: spec.uploaderSettings?.['WriteSparseFiles'] === 'true',
    isAwaited: pod === undefined || helperState(pod) !== 'over',
    memoryLimitBytes,
    onNotEmpty,
    ...(helperDeadlineSeconds === undefined ? {} : { helperDeadlineSeconds }),
  };
}

function subjectOf({ metadata, spec }: PodVolumeRestore): Readonly<Record<string, string>> {
  return { podVolumeRestore: `${metadata.namespace}/${metadata.name}`, pod: podName(spec.pod), volume: spec.volume };
}

function completionOf(outcome: RestoreOutcome): Completion {
  const { totalBytes, files, unchanged, kept, leftOut, refusedAttributes, closedRootMode, foundOver } = outcome;
  const refused = refusedAttributes.map(({ attribute, errno, count }) => `${attribute} of ${count} (${errno})`);
  const notes = [
    ...(foundOver === undefined ? [] : [FOUND_OVER[foundOver]]),
    ...(unchanged === 0 ? [] : [`${files} files restored, ${unchanged} were there already`]),
    ...(kept === 0 ? [] : [`${kept} that were there were left as they are`]),
    ...(leftOut.length === 0 ? [] : [`${leftOut.join(', ')} of an earlier restore was left out`]),
    ...(refused.length === 0 ? [] : [`the volume did not take ${refused.join(', ')}`]),
  ];
  return {
    status: { progress: { totalBytes, bytesDone: totalBytes } },
    ...(notes.length === 0 ? {} : { message: notes.join('; ') }),
    ...(refused.length === 0 ? {} : { warning: `the volume did not take ${refused.join(', ')}` }),
    ...(closedRootMode === undefined ? {} : { annotations: rootModeNote(closedRootMode), keepFinalizer: true }),
  };
}

/** The init container ends with the reason instead of waiting for ever; that of Velero waits on. */
async function markFailed(
  options: RestoreMovementOptions,
  restore: PodVolumeRestore,
  { code, message }: { readonly code: string; readonly message: string },
): Promise<Readonly<Record<string, string>> | undefined> {
  // Nobody waits; and when the init container is run again after a reboot, the failure must not keep a pod that ran from running.
  if (hasStarted(options, restore)) return undefined;
  const closedRootMode = await mark(options, restore, {
    outcome: 'failed',
    code,
    message,
    name: restore.metadata.name,
    uid: restore.metadata.uid,
  });
  return closedRootMode === undefined ? undefined : rootModeNote(closedRootMode);
}

/** Noted at the object, so that the root gets its mode back whoever comes after. */
function rootModeNote(mode: number): Readonly<Record<string, string>> {
  return { [ANNOTATION.closedRootMode]: mode.toString(8) };
}

/** True as long as the init container may still look for its marker through a root that was opened for it, and nobody minds. */
async function closeRootAgain(options: RestoreMovementOptions, restore: PodVolumeRestore): Promise<boolean> {
  const mode = restore.metadata.annotations?.[ANNOTATION.closedRootMode];
  if (mode === undefined) return false;
  const pod = podOf(options.pods, restore.spec.pod);
  if (pod === undefined) return false;
  if (helperState(pod) !== 'over' && !isDeleting(restore)) return true;
  try {
    await mark(options, restore, { outcome: 'over', rootMode: Number.parseInt(mode, 8) });
  } catch (error) {
    // The pod has ended and its volume with it: nobody can put back anything, and nobody must wait for that.
    if (errorCode(error)?.startsWith('VOLUME_') !== true) throw error;
  }
  return false;
}

/** After a reboot its init container runs again, and looks for the markers; only behind a root that is closed it needs us for that. */
function isAwaitedBehindClosedRoot({ pods }: RestoreMovementOptions, { metadata, spec }: PodVolumeRestore): boolean {
  if (metadata.annotations?.[ANNOTATION.closedRootMode] === undefined) return false;
  const pod = podOf(pods, spec.pod);
  return pod !== undefined && helperState(pod) === 'waits';
}

async function mark(
  { pods, volumes, mover }: RestoreMovementOptions,
  restore: PodVolumeRestore,
  marked: MarkJob['mark'],
): Promise<number | undefined> {
  const pod = podOf(pods, restore.spec.pod);
  const restoreUid = restoreUidOf(restore);
  if (pod === undefined || restoreUid === undefined) return undefined;
  const { place } = await volumes.resolve(pod, restore.spec.volume, AbortSignal.timeout(30_000));
  const job: MarkJob = {
    kind: 'mark',
    subject: subjectOf(restore),
    volume: place,
    restoreUid,
    mark: marked,
  };
  const process = startMover(job, { ...mover, onMessage: () => undefined });
  const result = await within(MARK_MS, process);
  return result.type === 'marked' ? result.closedRootMode : undefined;
}

/** A process that waits for a file system that is gone cannot even be killed: it is left behind. */
async function within(limitMs: number, mover: MoverProcess): Promise<MoverResult> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      mover.stop();
      reject(new WindlassError('the volume does not answer', { code: 'VOLUME_MARKER' }));
    }, limitMs);
  });
  try {
    return await Promise.race([mover.result, late]);
  } finally {
    clearTimeout(timer);
  }
}
