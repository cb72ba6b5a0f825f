// What a backup tells of itself when it is done: counters as kopia counts them, what could not be read, what moved.
import type { ManifestId, SnapshotManifest, SnapshotStats } from '../../repo-format/index.ts';
import type { FailedPath } from './lane-protocol.ts';
import type { TreeTotals } from './tree-totals.ts';

export interface ConsistencyReport {
  /** `exact`: every file stood still while it was read and none went away. */
  readonly status: 'exact' | 'changed' | 'vanished';
  readonly changed: number;
  readonly vanished: number;
  readonly rereads: number;
  /** Of files that changed or vanished, the first thousand of each. */
  readonly paths: readonly string[];
}

/** A file or directory that could not be read; it is not in the snapshot, but in its list of errors. */
export interface BackupError {
  readonly path: string;
  readonly error: string;
  /** errno name, as `EACCES`. */
  readonly code: string;
}

export interface BackupResult {
  readonly manifest: SnapshotManifest;
  readonly errors: readonly BackupError[];
  /** Failures that a stored policy says do not count; they are in the snapshot's list too. */
  readonly ignoredErrors: readonly BackupError[];
  readonly consistency: ConsistencyReport;
  /** Snapshots that the source's retention policy removed. */
  readonly expired: readonly ManifestId[];
  readonly bytesHashed: number;
  /** Bytes added to the repository. */
  readonly bytesUploaded: number;
  readonly newContents: number;
  /** Packs taken over from a run that was killed. */
  readonly resumedPacks: number;
}

/** Snapshots §5.5. */
export function statsOf(totals: TreeTotals): SnapshotStats {
  return {
    totalSize: totals.bytes,
    excludedTotalSize: totals.excludedBytes,
    fileCount: totals.storedFiles,
    cachedFiles: totals.cachedFiles,
    nonCachedFiles: totals.readFiles,
    dirCount: totals.directories,
    excludedFileCount: totals.excludedFiles,
    excludedDirCount: totals.excludedDirs,
    ignoredErrorCount: totals.ignoredErrors.length,
    errorCount: totals.errors.length,
  };
}

export function consistencyOf(totals: TreeTotals): ConsistencyReport {
  const { changed, vanished, rereads, changedPaths, vanishedPaths } = totals;
  const status = changed > 0 ? 'changed' : vanished > 0 ? 'vanished' : 'exact';
  return { status, changed, vanished, rereads, paths: [...changedPaths, ...vanishedPaths] };
}

/** By path: lanes find them in any order. */
export function errorsOf(failed: readonly FailedPath[]): BackupError[] {
  const errors = failed.map(({ path, message, code }) => ({ path, error: message, code }));
  return errors.sort((a, b) => (a.path < b.path ? -1 : 1));
}
