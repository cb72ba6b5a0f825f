// The directory that a restore may write below: resolved once, through symlinks if the user gave one, and from then on
// known by its handle alone.
import { existsSync, mkdirSync, statfsSync, statSync } from 'node:fs';
import path from 'node:path';
import { WindlassError, errorCode } from '../../base/errors.ts';
import {
  AT_FDCWD,
  EAGAIN,
  ENOENT,
  ENOTDIR,
  LOCK_EX,
  LOCK_NB,
  O_DIRECTORY,
  O_RDONLY,
  PosixError,
  StatRecord,
  close,
  flock,
  openat,
  statAtFollowing,
} from '../posix/libc.ts';

export interface OpenTarget {
  /** -1 in a dry run when there is no such directory. */
  readonly fd: number;
  readonly existed: boolean;
}

/**
 * Opens the directory at `target`, made with all its parents (mode 0700) when missing, and locks it against other
 * restores: `RESTORE_TARGET_BUSY`. `RESTORE_TARGET_INVALID` when it is something else or cannot be made.
 */
export function openTarget(target: string, dryRun: boolean): OpenTarget {
  let fd = openat(AT_FDCWD, target, O_RDONLY | O_DIRECTORY);
  let existed = true;
  if (fd === -ENOENT) {
    if (dryRun) return { fd: -1, existed: false };
    existed = false;
    try {
      makeDirectories(path.resolve(target));
    } catch (cause) {
      throw targetInvalid(target, `it cannot be made (${errorCode(cause) ?? 'unknown'})`, cause);
    }
    fd = openat(AT_FDCWD, target, O_RDONLY | O_DIRECTORY);
  }
  if (fd === -ENOTDIR) throw targetInvalid(target, 'it is no directory');
  if (fd < 0) throw targetInvalid(target, 'it cannot be opened', new PosixError(-fd, 'open', target));
  // Network file systems may not lock directories; then two restores into one target are the user's to avoid.
  if (!dryRun && flock(fd, LOCK_EX | LOCK_NB) === -EAGAIN) {
    close(fd);
    throw new WindlassError(`another restore is writing to ${target}`, {
      code: 'RESTORE_TARGET_BUSY',
      retry: 'transient',
      context: { target },
    });
  }
  return { fd, existed };
}

/** Level by level: Node's own recursion never ends where making says ENOENT below a directory that is there, as in /proc. */
function makeDirectories(directory: string): void {
  try {
    mkdirSync(directory, { mode: 0o700 });
  } catch (error) {
    const parent = path.dirname(directory);
    const code = errorCode(error);
    if (code === 'EEXIST' && statSync(directory).isDirectory()) return;
    if (code !== 'ENOENT' || parent === directory || existsSync(parent)) throw error;
    makeDirectories(parent);
    mkdirSync(directory, { mode: 0o700 });
  }
}

/** Where a single file goes: into `target` when that is a directory, else it is the file's own path. */
export function filePlace(target: string, name: string): { readonly directory: string; readonly name: string } {
  const stat = new StatRecord();
  const isDirectory = statAtFollowing(AT_FDCWD, target, stat) >= 0 && stat.isDirectory;
  if (isDirectory || target.endsWith('/')) return { directory: target, name };
  return { directory: path.dirname(target), name: path.basename(target) };
}

/** Bytes that may be written below the handle. */
export function freeBytes(fd: number): number {
  const { bavail, bsize } = statfsSync(`/proc/self/fd/${fd}`);
  return bavail * bsize;
}

function targetInvalid(target: string, reason: string, cause?: unknown): WindlassError {
  return new WindlassError(`cannot restore into ${target}: ${reason}`, {
    code: 'RESTORE_TARGET_INVALID',
    context: { target },
    cause,
  });
}
