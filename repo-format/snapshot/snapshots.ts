// Saving, finding and changing snapshots in the manifest store (snapshots §4.5, §4.6).
import { WindlassError, hasCode } from '../../base/errors.ts';
import type { Labels, ManifestId } from '../manifest/manifest-entry.ts';
import type { Manifest, ManifestStore } from '../manifest/manifest-store.ts';
import {
  type NewSnapshot,
  type SnapshotChanges,
  type SnapshotManifest,
  encodeSnapshotManifest,
  parseSnapshotManifest,
  rewriteSnapshotManifest,
} from './snapshot-manifest.ts';
import type { SnapshotSource } from './source.ts';

export const SNAPSHOT_TYPE = 'snapshot';

/** The labels that find the snapshots of a source; an empty user or path is not asked for. */
export function sourceLabels({ host, userName, path }: SnapshotSource): Labels {
  return {
    type: SNAPSHOT_TYPE,
    hostname: host,
    ...(userName === '' ? {} : { username: userName }),
    ...(path === '' ? {} : { path }),
  };
}

/** Adds a snapshot to the store; a flush of the repository makes it last. `SNAPSHOT_INVALID` when it cannot be saved. */
export function saveSnapshot(manifests: ManifestStore, snapshot: NewSnapshot): ManifestId {
  return manifests.put(snapshotLabels(snapshot), encodeSnapshotManifest(snapshot));
}

function snapshotLabels({ source, tags = {} }: NewSnapshot): Labels {
  if (source.host === '' || source.userName === '' || source.path === '') {
    throw new WindlassError('a snapshot needs a host, a user and a path', { code: 'SNAPSHOT_INVALID' });
  }
  const labels = sourceLabels(source);
  for (const key of Object.keys(tags)) {
    if (Object.hasOwn(labels, key)) {
      throw new WindlassError(`tag ${key} is reserved`, { code: 'SNAPSHOT_INVALID', context: { tag: key } });
    }
  }
  return { ...labels, ...tags };
}

/** `SNAPSHOT_NOT_FOUND` when the id is unknown or another kind of manifest; `SNAPSHOT_CORRUPT` when it cannot be read. */
export async function loadSnapshot(
  manifests: ManifestStore,
  id: ManifestId,
  signal: AbortSignal,
): Promise<SnapshotManifest> {
  const manifest = await loadSnapshotDocument(manifests, id, signal);
  return parseSnapshotManifest(id, manifest.dataJson);
}

async function loadSnapshotDocument(manifests: ManifestStore, id: ManifestId, signal: AbortSignal): Promise<Manifest> {
  const manifest = await manifests.get(id, signal).catch((cause: unknown) => {
    throw hasCode(cause, 'MANIFEST_NOT_FOUND') ? snapshotNotFound(id, cause) : cause;
  });
  if (manifest.labels['type'] !== SNAPSHOT_TYPE) throw snapshotNotFound(id);
  return manifest;
}

function snapshotNotFound(id: ManifestId, cause?: unknown): WindlassError {
  return new WindlassError(`snapshot ${id} does not exist`, {
    code: 'SNAPSHOT_NOT_FOUND',
    context: { manifestId: id },
    cause,
  });
}

export interface ListSnapshotsOptions {
  readonly source?: SnapshotSource;
  /** Only snapshots that carry all of these tags. */
  readonly tags?: Readonly<Record<string, string>>;
  /** By the labels alone: others are not even parsed. */
  readonly isWanted?: (labels: Labels) => boolean;
  /**
   * Told of each snapshot that cannot be read, which is then left out. Without it the first one is thrown: what is
   * planned on an incomplete list loses data.
   */
  readonly onCorrupt?: (id: ManifestId, error: unknown) => void;
}

/** Snapshots of one source or of all, oldest first. */
export async function listSnapshots(
  manifests: ManifestStore,
  options: ListSnapshotsOptions,
  signal: AbortSignal,
): Promise<SnapshotManifest[]> {
  const labels = options.source === undefined ? { type: SNAPSHOT_TYPE } : sourceLabels(options.source);
  const snapshots: SnapshotManifest[] = [];
  for (const { id, labels: found, dataJson } of await manifests.find({ ...options.tags, ...labels }, signal)) {
    if (options.isWanted?.(found) === false) continue;
    try {
      snapshots.push(parseSnapshotManifest(id, dataJson));
    } catch (error) {
      if (options.onCorrupt === undefined) throw error;
      options.onCorrupt(id, error);
    }
  }
  return snapshots.sort(compareByTime);
}

function compareByTime(a: SnapshotManifest, b: SnapshotManifest): number {
  if (a.startTimeNs !== b.startTimeNs) return a.startTimeNs < b.startTimeNs ? -1 : 1;
  if (a.endTimeNs !== b.endTimeNs) return a.endTimeNs < b.endTimeNs ? -1 : 1;
  return a.id < b.id ? -1 : 1;
}

/** Each source that has a snapshot, once. */
export async function listSources(manifests: ManifestStore, signal: AbortSignal): Promise<SnapshotSource[]> {
  const sources = new Map<string, SnapshotSource>();
  for (const { labels } of await manifests.find({ type: SNAPSHOT_TYPE }, signal)) {
    const { hostname: host = '', username: userName = '', path = '' } = labels;
    sources.set(JSON.stringify([host, userName, path]), { host, userName, path });
  }
  return [...sources.values()];
}

/**
 * What an incremental backup compares with: the complete snapshot with the latest start, then every incomplete one that
 * started after it, oldest first (snapshots §4.6).
 */
export async function findPrevious(
  manifests: ManifestStore,
  source: SnapshotSource,
  signal: AbortSignal,
): Promise<SnapshotManifest[]> {
  // A snapshot that cannot be read only costs speed here.
  const snapshots = await listSnapshots(manifests, { source, onCorrupt: () => undefined }, signal);
  const complete = snapshots.findLast(({ incomplete }) => incomplete === undefined);
  const after = snapshots.filter(
    ({ incomplete, startTimeNs }) =>
      incomplete !== undefined && (complete === undefined || startTimeNs > complete.startTimeNs),
  );
  return complete === undefined ? after : [complete, ...after];
}

/** Saves the snapshot with some members changed, under a new id, and deletes the old id. Tags and labels stay. */
export async function updateSnapshot(
  manifests: ManifestStore,
  id: ManifestId,
  changes: SnapshotChanges,
  signal: AbortSignal,
): Promise<ManifestId> {
  const { labels, dataJson } = await loadSnapshotDocument(manifests, id, signal);
  const newId = manifests.put(labels, rewriteSnapshotManifest(dataJson, changes));
  await manifests.delete(id, signal);
  return newId;
}

/** Forgets a snapshot; its data goes by maintenance. `SNAPSHOT_NOT_FOUND` when there is none. */
export async function deleteSnapshot(manifests: ManifestStore, id: ManifestId, signal: AbortSignal): Promise<void> {
  await loadSnapshotDocument(manifests, id, signal);
  await manifests.delete(id, signal);
}
