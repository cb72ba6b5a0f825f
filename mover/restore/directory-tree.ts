// Makes directories of the target, finds out about those that are there, and finishes each when the last thing below it is
// done, deepest first.
import { errorCode } from '../../base/errors.ts';
import type { DirectoryEntry, ParsedDirectory } from '../../repo-format/index.ts';
import {
  EACCES,
  EEXIST,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_PATH,
  O_RDONLY,
  PosixError,
  ERANGE,
  StatRecord,
  close,
  errnoName,
  fchmod,
  fchmodat,
  fgetxattr,
  fremovexattr,
  fstat,
  mkdirat,
  openat,
  sameFile,
  statAt,
  unlinkat,
} from '../posix/libc.ts';
import { readDirectory } from '../source/directory-reader.ts';
import { encodeXattrs } from './attributes.ts';
import { isTemporaryKey, nameKey } from './entry-name.ts';
import { removeTree } from './remove-tree.ts';
import { type RunContext, throwIfFull } from './run-context.ts';
import { TargetDirectory, checkAt } from './target-directory.ts';

const OPEN_FLAGS = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
const ACL_ACCESS = 'system.posix_acl_access';
const ACL_DEFAULT = 'system.posix_acl_default';
const NO_ROOM = new Uint8Array(0);

/** Names that a directory held before this run. */
export type ExistingNames = ReadonlySet<string>;
export const NO_NAMES: ExistingNames = new Set();

export class DirectoryTree {
  readonly #run: RunContext;
  readonly #stat = new StatRecord();

  constructor(run: RunContext) {
    this.#run = run;
  }

  /**
   * The directory for `entry` in `parent`, made or found; undefined when there can be none, which is then in the receipt.
   * It counts as one pending thing of its parent until it is finished.
   */
  begin(
    parent: TargetDirectory,
    name: Uint8Array,
    entry: DirectoryEntry,
    existing: ExistingNames,
  ): TargetDirectory | undefined {
    const directory = new TargetDirectory(parent, name);
    directory.attributes = {
      mode: entry.mode,
      uid: entry.uid,
      gid: entry.gid,
      mtimeSeconds: entry.mtimeSeconds,
      mtimeNanoseconds: entry.mtimeNanos,
      xattrs: undefined,
    };
    try {
      if (existing.has(nameKey(name))) this.#find(directory, parent);
      if (this.#run.dryRun) return this.#beginDryRun(directory, parent);
      if (!directory.existed) this.#make(directory, parent);
      this.#open(directory, parent);
    } catch (error) {
      throwIfFull(error, directory.path);
      this.#run.receipt.fail(directory.path, errorCode(error) ?? 'UNKNOWN', messageOf(error), entriesBelow(entry));
      return undefined;
    }
    parent.pending++;
    return directory;
  }

  #beginDryRun(directory: TargetDirectory, parent: TargetDirectory): TargetDirectory {
    if (directory.existed) this.#open(directory, parent);
    parent.pending++;
    return directory;
  }

  /** Something has the name: a directory is used, anything else must go or stays in the way. */
  #find(directory: TargetDirectory, parent: TargetDirectory): void {
    const { handles, overwrite, deleteExtra, dryRun, receipt } = this.#run;
    const parentFd = handles.acquire(parent);
    if (statAt(parentFd, directory.name, this.#stat) < 0) return;
    if (this.#stat.isDirectory) {
      directory.existed = true;
      return;
    }
    if (!deleteExtra || overwrite === 'never') throw new PosixError(EEXIST, 'mkdir', directory.path);
    if (!dryRun) checkAt(unlinkat(parentFd, directory.name), 'unlink', directory);
    receipt.deleted.add(directory.path);
  }

  #make(directory: TargetDirectory, parent: TargetDirectory): void {
    checkAt(mkdirat(this.#run.handles.acquire(parent), directory.name, 0o700), 'mkdir', directory);
  }

  #open(directory: TargetDirectory, parent: TargetDirectory): void {
    const { handles, policy, dryRun } = this.#run;
    const parentFd = handles.acquire(parent);
    let fd = openat(parentFd, directory.name, OPEN_FLAGS);
    // Left without permissions by an earlier run, and ours.
    if (fd === -EACCES && directory.existed && !dryRun) fd = this.#openClosed(parentFd, directory.name);
    checkAt(fd, 'open', directory);
    this.adopt(directory, fd);
    const identity = directory.identity;
    if (identity === undefined || dryRun) return;
    if (directory.existed && policy.euid !== 0 && identity.uid === policy.euid && (identity.mode & 0o700) !== 0o700) {
      fchmod(fd, (identity.mode & 0o7777) | 0o700);
    }
    if (!directory.existed && parent.handsDownAcl) {
      fremovexattr(fd, ACL_DEFAULT);
      fremovexattr(fd, ACL_ACCESS);
    }
  }

  /** Opens a directory of ours that its own mode keeps us out of. */
  #openClosed(parentFd: number, name: Uint8Array): number {
    const handle = openat(parentFd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW);
    if (handle < 0) return handle;
    const stat = new StatRecord();
    fstat(handle, stat);
    const changed = stat.uid === this.#run.policy.euid ? fchmodat(parentFd, name, 0o700) : -EACCES;
    const fd = changed < 0 ? -EACCES : openat(parentFd, name, OPEN_FLAGS);
    if (fd >= 0) {
      const opened = new StatRecord();
      fstat(fd, opened);
      if (!sameFile(stat, opened)) {
        close(fd);
        close(handle);
        return -EACCES;
      }
    }
    close(handle);
    return fd;
  }

  /** Takes over a fresh handle and learns what entries made in the directory will inherit. */
  adopt(directory: TargetDirectory, fd: number): void {
    const identity = new StatRecord();
    const answer = fstat(fd, identity);
    if (answer < 0) {
      close(fd);
      throw new PosixError(-answer, 'fstat', directory.path);
    }
    directory.ownGroup = identity.gid === this.#run.policy.egid;
    if (directory.existed) {
      const acl = fgetxattr(fd, ACL_DEFAULT, NO_ROOM);
      directory.handsDownAcl = acl >= 0 || acl === -ERANGE;
    }
    this.#run.handles.adopt(directory, fd, identity);
  }

  /**
   * What is in a directory that existed, after left-overs of killed runs and, when asked for, everything that the
   * snapshot does not have are gone.
   */
  list(directory: TargetDirectory, wanted: ReadonlySet<string>): ExistingNames {
    if (!directory.existed) return NO_NAMES;
    const { handles, receipt, deleteExtra, dryRun } = this.#run;
    const fd = handles.acquire(directory);
    const names = this.#read(directory, fd);
    for (const [key, name] of names) {
      if (wanted.has(key)) continue;
      const isLeftover = isTemporaryKey(key);
      if (!deleteExtra && !isLeftover) continue;
      const removed = dryRun ? 0 : removeTree(fd, name);
      if (removed < 0) {
        receipt.fail(directory.pathOf(name), errnoName(-removed), `not removed: ${errnoName(-removed)}`);
        continue;
      }
      names.delete(key);
      if (isLeftover) receipt.leftoversRemoved++;
      else receipt.deleted.add(directory.pathOf(name));
    }
    return new Set(names.keys());
  }

  /** What is in a directory that existed, untouched. */
  names(directory: TargetDirectory): ExistingNames {
    return new Set(this.#read(directory, this.#run.handles.acquire(directory)).keys());
  }

  #read(directory: TargetDirectory, fd: number): Map<string, Uint8Array> {
    const names = new Map<string, Uint8Array>();
    const answer = readDirectory(fd, (buffer, start, end) => {
      const name = new Uint8Array(buffer.subarray(start, end));
      names.set(nameKey(name), name);
    });
    checkAt(answer, 'getdents', directory);
    return names;
  }

  /** What only the directory object knows of the directory itself. */
  describe(directory: TargetDirectory, parsed: ParsedDirectory): void {
    const { attributes } = directory;
    if (attributes === undefined) return;
    attributes.xattrs = encodeXattrs(parsed.extra.xattrs);
    if (parsed.exactTime === undefined) return;
    attributes.mtimeSeconds = parsed.exactTime.seconds;
    attributes.mtimeNanoseconds = parsed.exactTime.nanos;
  }

  /** One pending thing of `directory` is done; finishes it, and those above it, when it was the last. */
  done(directory: TargetDirectory): void {
    for (let at: TargetDirectory | undefined = directory; at !== undefined; at = at.parent) {
      at.pending--;
      if (at.pending > 0) return;
      this.#finish(at);
    }
  }

  #finish(directory: TargetDirectory): void {
    const { handles, receipt, policy, attributes, dryRun, control } = this.#run;
    const wanted = directory.attributes;
    if (wanted === undefined || !directory.isOurs || control.isStopped) return;
    const counts = directory.existed ? receipt.unchanged : receipt.restored;
    counts.directories++;
    if (dryRun) return;
    try {
      const fd = handles.acquire(directory);
      const options = { ...wanted, ownGroup: this.#isOwn(directory, policy.euid), inheritsAcl: false };
      attributes.applyToFile(fd, options, true, (attribute, errno) =>
        receipt.refuse(attribute, errnoName(errno), [directory.path], 1),
      );
    } catch (error) {
      receipt.fail(directory.path, errorCode(error) ?? 'UNKNOWN', messageOf(error));
    }
    if (directory.parent !== undefined) handles.release(directory);
  }

  /** True when owner and group are known to be ours. */
  #isOwn(directory: TargetDirectory, euid: number): boolean {
    return !directory.existed && directory.ownGroup && directory.identity?.uid === euid;
  }
}

/** Entries that are lost with a directory, itself included, as far as the snapshot says. */
export function entriesBelow(entry: DirectoryEntry): number {
  const { summary } = entry;
  return summary === undefined ? 1 : Math.max(1, summary.files + summary.dirs + summary.symlinks);
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
