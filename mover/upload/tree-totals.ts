// What happened over a whole tree: counters, failures, and the paths of files that moved.
import { WindlassError } from '../../base/errors.ts';
import type { DirectoryNode } from './directory-node.ts';
import type { DirectoryResult, FailedPath } from './lane-protocol.ts';

/** Paths named in the report; the counts are exact however many there are. */
const MAX_NAMED_PATHS = 1000;

export class TreeTotals {
  files = 0;
  cachedFiles = 0;
  readFiles = 0;
  /** Files, or parts of large ones, that were read and stored. */
  storedFiles = 0;
  bytes = 0;
  directories = 0;
  excludedFiles = 0;
  excludedDirs = 0;
  excludedBytes = 0;
  changed = 0;
  vanished = 0;
  rereads = 0;
  readonly errors: FailedPath[] = [];
  /** Those that a stored policy says do not count. */
  readonly ignoredErrors: FailedPath[] = [];
  readonly changedPaths: string[] = [];
  readonly vanishedPaths: string[] = [];

  /** Adds a directory and what the lane has finished below it. */
  addDirectory(node: DirectoryNode, result: DirectoryResult): void {
    const { counts, changedPaths, vanishedPathsBelow } = result;
    this.directories += counts.directories;
    this.files += counts.files;
    this.cachedFiles += counts.cachedFiles;
    this.readFiles += counts.readFiles;
    this.storedFiles += counts.storedFiles;
    this.bytes += counts.bytes;
    this.excludedFiles += counts.excludedFiles;
    this.excludedDirs += counts.excludedDirs;
    this.excludedBytes += counts.excludedBytes;
    this.changed += counts.changed;
    this.vanished += counts.vanished.length + counts.vanishedBelow;
    this.rereads += counts.rereads;
    name(this.changedPaths, changedPaths);
    for (const path of counts.vanished) name(this.vanishedPaths, [node.pathOf(path)]);
    name(this.vanishedPaths, vanishedPathsBelow);
    for (const failed of [...result.failed, ...result.failedBelow]) this.addFailure(failed);
  }

  addFailure(failed: FailedPath): void {
    if (failed.isIgnored) this.ignoredErrors.push(failed);
    else this.errors.push(failed);
  }

  addVanished(path: string): void {
    this.vanished++;
    name(this.vanishedPaths, [path]);
  }

  addChanged(path: string): void {
    this.changed++;
    name(this.changedPaths, [path]);
  }

  /**
   * `SOURCE_TOO_MANY_ERRORS` when there are more than `limit` failures. A file that kept changing may never have existed
   * as it was stored: it counts like one that could not be read.
   */
  overLimit(limit: number | undefined): WindlassError | undefined {
    const { errors, changed, changedPaths } = this;
    const count = errors.length + changed;
    if (limit === undefined || count <= limit) return undefined;
    const last = errors.at(-1) ?? { path: changedPaths.at(-1) ?? '', message: 'changed while it was read' };
    return new WindlassError(`gave up after ${count} error(s), the last: ${last.path}: ${last.message}`, {
      code: 'SOURCE_TOO_MANY_ERRORS',
      context: { path: last.path, errors: errors.length, changed },
    });
  }
}

function name(into: string[], paths: readonly string[]): void {
  for (const path of paths) if (into.length < MAX_NAMED_PATHS) into.push(path);
}
