// Backs up one volume as Velero would name the snapshot, and says only then that it is done when the volume was what it should be
// and the store has what was written.
import { availableParallelism } from 'node:os';
import { WindlassError } from '../../base/errors.ts';
import { type BackupProgress, type BackupResult, backupTree, type ReadTree } from '../../mover/index.ts';
import {
  deleteSnapshot,
  listSnapshots,
  type ManifestId,
  type Repository,
  type SnapshotManifest,
} from '../../repo-format/index.ts';
import {
  CLAIM_TAG,
  findVeleroParent,
  type OpenedRepository,
  RUN_TAG,
  storeVeleroPolicy,
  VELERO_DESCRIPTION,
  VELERO_HOST,
  VELERO_PIN,
  VELERO_USER,
  veleroTags,
} from '../../repo-format/velero/index.ts';
import type { BackupJob, BackupOutcome } from '../datapath/job.ts';
import { openVolume, type VolumeRoot } from '../host/volume-root.ts';
import type { MoverContext } from './context.ts';
import { openRepository } from './open-repository.ts';
import { requireReadable } from './unreadable.ts';

const LISTED = 20;
/** Well below the time after which maintenance takes what no snapshot names. */
const CHECKPOINT_MS = 5 * 60_000;

export async function runBackupJob(job: BackupJob, context: MoverContext): Promise<BackupOutcome> {
  // First the volume: a repository that cannot be reached must not keep the pod's volume from being seen as gone.
  const volume = openVolume(job.volume);
  try {
    const { memoryLimitBytes } = job;
    const opened = await openRepository(job.repository, { readOnly: false, memoryLimitBytes }, context);
    await using repository = opened.repository;
    const finished = await finishedSnapshot(repository, job, context.signal);
    if (finished !== undefined) {
      // Whoever stored it was ended before it could ask the store for what it had written.
      const { packs } = await repository.contents.hideLostContents(context.signal);
      if (packs === 0) return outcomeOfFinished(finished);
      await deleteSnapshot(repository.manifests, finished.id, context.signal);
    }
    return await backUp(job, { ...opened, volume }, context);
  } finally {
    volume.close();
  }
}

interface Opened extends OpenedRepository {
  readonly volume: VolumeRoot;
}

async function backUp(
  job: BackupJob,
  { volume, repository, localFolder, lostWrites }: Opened,
  context: MoverContext,
): Promise<BackupOutcome> {
  const { clock, random, logger, signal } = context;
  const { claim, memoryLimitBytes } = job;
  const source = { host: VELERO_HOST, userName: VELERO_USER, path: job.sourcePath };
  const parallel = job.parallel ?? availableParallelism();
  await storeVeleroPolicy(repository, source, parallel, signal);
  const parentId = await findVeleroParent(repository, source, signal, claim);
  context.send({ type: 'started' });
  let cachedBytes = 0;
  const result = await backupTree(
    repository,
    {
      path: `/${job.runId}`,
      rootFd: volume.fd,
      source,
      parent: parentId ?? 'none',
      parallel,
      description: VELERO_DESCRIPTION,
      pins: [VELERO_PIN],
      tags: {
        ...veleroTags(job.sourcePath),
        [RUN_TAG]: job.runId,
        ...(claim === undefined ? {} : { [CLAIM_TAG]: claim.uid }),
      },
      checkpointIntervalMs: CHECKPOINT_MS,
      ...(memoryLimitBytes === undefined ? {} : { memoryLimitBytes }),
    },
    {
      clock,
      random,
      logger,
      stateDirectory: localFolder,
      confirmSource: (read) => confirm(job, volume, read, context),
      progress: (progress) => {
        ({ cachedBytes } = progress);
        report(progress, context);
      },
    },
    signal,
  );
  await requireStored(repository, result.manifest.id, await lostWrites(signal), signal);
  return outcomeOf(result, { parentId, cachedBytes });
}

/** Before there is a snapshot: was it the volume, all the time, and all of it? */
async function confirm(
  { volume: place, onUnreadable }: BackupJob,
  volume: VolumeRoot,
  read: ReadTree,
  context: MoverContext,
): Promise<void> {
  // A plain folder is emptied file by file when its pod goes; what is mounted stays as it is while it is held.
  if (!place.isMount) await context.confirmPod();
  volume.requireSame();
  requireReadable(place, read, onUnreadable);
}

/**
 * The store has what it confirmed, or there is no snapshot: what this process believes to have written proves nothing of a store
 * that loses things. The next attempt stores again what is missing.
 */
async function requireStored(
  repository: Repository,
  snapshotId: ManifestId,
  lost: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const [first] = lost;
  if (first === undefined) return;
  await deleteSnapshot(repository.manifests, snapshotId, signal);
  await repository.flush(signal);
  throw new WindlassError(`the store has lost ${lost.length} blobs that it had confirmed, for example ${first}`, {
    code: 'REPOSITORY_LOST_WRITES',
    retry: 'transient',
    context: { blobs: lost.length, blobId: first },
  });
}

function report({ hashedBytes, cachedBytes, estimatedBytes = 0, files }: BackupProgress, context: MoverContext): void {
  const bytesDone = hashedBytes + cachedBytes;
  context.send({ type: 'progress', bytesDone, totalBytes: Math.max(bytesDone, estimatedBytes), files });
}

/** Of an attempt that was ended before it could tell. */
async function finishedSnapshot(
  { manifests }: Repository,
  { runId, sourcePath }: BackupJob,
  signal: AbortSignal,
): Promise<SnapshotManifest | undefined> {
  const options = { tags: { ...veleroTags(sourcePath), [RUN_TAG]: runId }, onCorrupt: () => undefined };
  const found = await listSnapshots(manifests, options, signal);
  return found.find(({ incomplete, source }) => incomplete === undefined && source.path === sourcePath);
}

function outcomeOfFinished(manifest: SnapshotManifest): BackupOutcome {
  const { summary } = manifest.rootEntry ?? {};
  const count = manifest.stats.errorCount;
  return {
    snapshotId: manifest.id,
    totalBytes: summary?.size ?? 0,
    incrementalBytes: 0,
    uploadedBytes: 0,
    files: summary?.files ?? 0,
    unreadable: { count, first: [] },
    changedWhileRead: 0,
    resumedPacks: 0,
    wasFinished: true,
  };
}

function outcomeOf(
  { manifest, errors, consistency, bytesUploaded, resumedPacks }: BackupResult,
  { parentId, cachedBytes }: { readonly parentId: ManifestId | undefined; readonly cachedBytes: number },
): BackupOutcome {
  const { summary } = manifest.rootEntry ?? {};
  const totalBytes = summary?.size ?? 0;
  return {
    snapshotId: manifest.id,
    totalBytes,
    incrementalBytes: Math.max(0, totalBytes - cachedBytes),
    uploadedBytes: bytesUploaded,
    files: summary?.files ?? 0,
    unreadable: { count: errors.length, first: errors.slice(0, LISTED).map(({ path, code }) => ({ path, code })) },
    changedWhileRead: consistency.changed + consistency.vanished,
    parentId,
    resumedPacks,
    wasFinished: false,
  };
}
