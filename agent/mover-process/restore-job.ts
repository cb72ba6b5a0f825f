// Restores one volume and says only then that it is done when everything wanted is on the disk. Who waits for it is told by the
// marker, the last thing that is written.
import { fstatSync, readdirSync } from 'node:fs';
import { WindlassError } from '../../base/errors.ts';
import { type RestoreProgress, type RestoreReceipt, restoreSnapshot } from '../../mover/index.ts';
import { loadSnapshot, type ManifestId, type SnapshotManifest } from '../../repo-format/index.ts';
import type { RestoreJob, RestoreOutcome } from '../datapath/job.ts';
import {
  type HelperOptions,
  MARKER_FOLDER,
  openClosedRoot,
  prepareMarkers,
  readBegunMarker,
  readDoneMarker,
  SEARCH_BITS,
  type RestoredBy,
  writeDoneMarker,
} from '../host/markers.ts';
import { openVolume, pathOf, type VolumeRoot } from '../host/volume-root.ts';
import type { MoverContext } from './context.ts';
import { openRepository } from './open-repository.ts';
import { keepReceiptOrLog } from './receipts.ts';

/** What a new volume has in it. */
const OF_THE_VOLUME = new Set(['lost+found', MARKER_FOLDER]);

export async function runRestoreJob(job: RestoreJob, context: MoverContext): Promise<RestoreOutcome> {
  const volume = openVolume(job.volume);
  try {
    const over = overBefore(job, volume);
    if (over === undefined) {
      requireRoom(job, volume);
      prepareMarkers(volume, job.restoreUid, signatureOf(job), helperOptions(job));
    }
    const { memoryLimitBytes } = job;
    const { repository: opened } = await openRepository(job.repository, { readOnly: true, memoryLimitBytes }, context);
    await using repository = opened;
    const { clock, logger, signal } = context;
    const manifest = await loadSnapshot(repository.manifests, job.snapshotId as ManifestId, signal);
    if (over !== undefined) return outcomeOfFinished(manifest, { job, volume, over });
    context.send({ type: 'started' });
    const receipt = await restoreSnapshot(
      repository,
      {
        manifest,
        // By descriptor: a volume that is mounted over it meanwhile is another one.
        target: `/proc/self/fd/${volume.fd}`,
        // What a restore before the backup has left there: it is this restore's now. Velero restores it, and removes it at the end.
        leaveOut: [MARKER_FOLDER],
        overwrite: job.onNotEmpty === 'keep' ? 'never' : 'if-different',
        sparse: job.isSparse ? 'always' : 'as-stored',
        ...(job.parallel === undefined ? {} : { parallel: job.parallel }),
        ...(memoryLimitBytes === undefined ? {} : { memoryLimitBytes }),
      },
      { clock, logger, progress: (progress) => report(progress, context) },
      signal,
    ).catch((error: unknown) => {
      throw withVolumePath(error, volume, job);
    });
    const told = { ...receipt, target: pathOf(job.volume) };
    const kept = await keepReceiptOrLog(job.receiptFolder, job.runId, told, logger);
    logger.info('restored', {
      receipt: kept,
      status: receipt.status,
      failed: receipt.failed.count,
      leftOut: receipt.leftOut.paths,
    });
    requireWhole(receipt);
    volume.requireSame();
    const closedRootMode = openClosedRoot(volume);
    writeDoneMarker(volume, job.restoreUid, signatureOf(job));
    return outcomeOf(receipt, closedRootMode);
  } finally {
    volume.close();
  }
}

/**
 * Once the pod's containers may run, what they write is not to be replaced by what was backed up. Then either this restore has come to
 * its end before, or another one has, which is `VOLUME_RESTORED_BEFORE`; a marker that nobody has signed is taken for this one's,
 * unless a restore of ours had begun and not ended: then somebody has let the pod start on half of its data (`POD_STARTED`).
 */
function overBefore(job: RestoreJob, volume: VolumeRoot): RestoreOutcome['foundOver'] | 'ours' {
  const marker = readDoneMarker(volume, job.restoreUid);
  if (marker === undefined && job.isAwaited) return undefined;
  if (marker?.by === undefined) {
    requireNoneBegun(job, volume);
    return marker === undefined ? 'helper' : 'marker';
  }
  if (marker.by.uid === job.runId) return 'ours';
  const { podVolumeRestore } = marker.by;
  throw new WindlassError(`the volume at ${pathOf(job.volume)} was restored before, by ${podVolumeRestore}`, {
    code: 'VOLUME_RESTORED_BEFORE',
    context: { path: pathOf(job.volume), podVolumeRestore },
  });
}

function requireNoneBegun({ restoreUid, volume: place }: RestoreJob, volume: VolumeRoot): void {
  if (readBegunMarker(volume, restoreUid) === undefined) return;
  throw new WindlassError(
    `the pod was let start while the volume at ${pathOf(place)} was restored in part: nothing more is written to it`,
    { code: 'POD_STARTED', context: { path: pathOf(place) } },
  );
}

function helperOptions({ helperDeadlineSeconds: deadlineSeconds }: RestoreJob): HelperOptions | undefined {
  return deadlineSeconds === undefined ? undefined : { deadlineSeconds };
}

function signatureOf({ subject, runId }: RestoreJob): RestoredBy {
  return { podVolumeRestore: subject['podVolumeRestore'] ?? '', uid: runId };
}

/** What an interrupted attempt has left there is no reason to refuse. */
function requireRoom({ onNotEmpty, volume: place, restoreUid, runId }: RestoreJob, volume: VolumeRoot): void {
  if (onNotEmpty !== 'fail') return;
  if (readBegunMarker(volume, restoreUid)?.by?.uid === runId) return;
  const found = readdirSync(`/proc/self/fd/${volume.fd}`).find((name) => !OF_THE_VOLUME.has(name));
  if (found === undefined) return;
  throw new WindlassError(`the volume at ${pathOf(place)} is not empty: it has ${found}`, {
    code: 'VOLUME_NOT_EMPTY',
    context: { path: pathOf(place), name: found },
  });
}

/** Attributes that the file system does not take are no reason to keep a pod from starting, missing files are. */
function requireWhole({ failed }: RestoreReceipt): void {
  const [first] = failed.entries;
  if (failed.count === 0) return;
  const example = first === undefined ? '' : `, for example ${first.path}: ${first.message} [${first.code}]`;
  throw new WindlassError(`${failed.count} entries could not be restored${example}`, {
    code: 'RESTORE_INCOMPLETE',
    context: { failed: failed.count, path: first?.path, reason: first?.code },
  });
}

/** The restore knows the volume by its descriptor, which tells nothing to whoever reads the message. */
function withVolumePath(error: unknown, { fd }: VolumeRoot, { volume: place }: RestoreJob): unknown {
  if (error instanceof WindlassError) error.message = error.message.replaceAll(`/proc/self/fd/${fd}`, pathOf(place));
  return error;
}

function report({ bytes, expectedBytes, entries }: RestoreProgress, context: MoverContext): void {
  context.send({ type: 'progress', bytesDone: bytes, totalBytes: expectedBytes, files: entries });
}

interface FoundOver {
  readonly job: RestoreJob;
  readonly volume: VolumeRoot;
  readonly over: NonNullable<ReturnType<typeof overBefore>>;
}

/** An earlier attempt came to its end without being able to say so. */
function outcomeOfFinished({ rootEntry }: SnapshotManifest, { job, volume, over }: FoundOver): RestoreOutcome {
  const { summary, mode = 0o777 } = rootEntry ?? {};
  // Whoever wrote the marker may not have seen to it that the init container can look for it.
  const closedNow = job.isAwaited ? openClosedRoot(volume) : undefined;
  const now = fstatSync(volume.fd).mode & 0o7777;
  const wasOpened = (mode & SEARCH_BITS) !== SEARCH_BITS && now === (mode | SEARCH_BITS);
  return {
    totalBytes: summary?.size ?? 0,
    files: summary?.files ?? 0,
    unchanged: 0,
    kept: 0,
    leftOut: [],
    refusedAttributes: [],
    closedRootMode: closedNow ?? (wasOpened ? mode : undefined),
    ...(over === 'ours' ? {} : { foundOver: over }),
  };
}

function outcomeOf(receipt: RestoreReceipt, closedRootMode: number | undefined): RestoreOutcome {
  const { expected, restored, unchanged, kept, leftOut, attributes } = receipt;
  return {
    totalBytes: expected.bytes,
    files: restored.files,
    unchanged: unchanged.files,
    kept: kept.count,
    leftOut: leftOut.paths,
    refusedAttributes: attributes.map(({ attribute, errno, count }) => ({ attribute, errno, count })),
    closedRootMode,
  };
}
