// Open directories of a live tree, held by descriptor, so that a walk stays in the tree it began in whatever is renamed or
// swapped meanwhile. A child is opened from its parent's handle, never through a symlink, and must be the inode that was
// listed. Descriptors are few: the least recently used handles are closed, and opened again step by step from the nearest
// open ancestor, with device and inode checked at each step. Depth is bounded by memory, not by PATH_MAX or descriptors.

import { WindlassError } from '../../base/errors.ts';
import {
  AT_FDCWD,
  ELOOP,
  ENOENT,
  ENOTDIR,
  EMFILE,
  ENFILE,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_RDONLY,
  PosixError,
  StatRecord,
  check,
  close,
  fstat,
  openat,
  printableName,
  sameFile,
} from '../posix/libc.ts';
import { openKeepingAccessTime } from './file-opener.ts';

/** The name leads to another directory, or to none, than the one that was listed under it. */
class DirectoryReplacedError extends WindlassError {
  static readonly code = 'DIRECTORY_REPLACED';
  constructor(path: string, cause?: unknown) {
    super(`directory ${path} was replaced while it was read`, {
      code: DirectoryReplacedError.code,
      context: { path },
      cause,
    });
    this.name = 'DirectoryReplacedError';
  }
}

// 64: a walk holds one handle a level and a lane; what is deeper is reopened in a microsecond a level.
const DEFAULT_OPEN_LIMIT = 64;
const FLAGS = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;

/** One directory of the tree. Obtained from {@link DirectoryHandles}; `release` it when it will not be asked again. */
export interface DirectoryHandle {
  readonly parent: DirectoryHandle | undefined;
  /** Name bytes in the parent; of the root, its path. */
  readonly name: Uint8Array;
  readonly depth: number;
  /** What the directory was when it was opened first. */
  readonly stat: StatRecord;
}

class Handle implements DirectoryHandle {
  readonly parent: Handle | undefined;
  readonly name: Uint8Array;
  readonly depth: number;
  readonly stat: StatRecord;
  fd = -1;
  /** How many callers use the descriptor right now; such a handle is not closed to make room. */
  pins = 0;
  released = false;
  /** Neighbours in the order of use; the list ends are in DirectoryHandles. */
  newer: Handle | undefined;
  older: Handle | undefined;

  constructor(parent: Handle | undefined, name: Uint8Array, stat: StatRecord) {
    this.parent = parent;
    this.name = name;
    this.depth = parent === undefined ? 0 : parent.depth + 1;
    this.stat = stat;
  }
}

/** The open directories of one walk in one thread. Not shared between threads; descriptors may be. */
export class DirectoryHandles {
  readonly #limit: number;
  #open = 0;
  #newest: Handle | undefined;
  #oldest: Handle | undefined;

  constructor(limit: number = DEFAULT_OPEN_LIMIT) {
    this.#limit = Math.max(2, limit);
  }

  /** How many descriptors are held. */
  get openCount(): number {
    return this.#open;
  }

  /** Opens the root by path. A symlink at its very end is followed: the user named it. Throws PosixError. */
  openRoot(path: string | Uint8Array): DirectoryHandle {
    const fd = check(openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY), 'openat', path);
    const name = typeof path === 'string' ? new TextEncoder().encode(path) : path;
    return this.#adopt(undefined, name, fd, undefined);
  }

  /**
   * Opens the directory `name` of `parent` that `listed` describes. Throws DIRECTORY_REPLACED when the name leads
   * elsewhere now, PosixError (ENOENT, EACCES…) when it cannot be opened.
   */
  openChild(parent: DirectoryHandle, name: Uint8Array, listed: StatRecord): DirectoryHandle {
    const from = this.#own(parent);
    const fd = this.#openAt(this.#ensure(from), name, listed.uid);
    if (fd === -ELOOP || fd === -ENOTDIR) throw new DirectoryReplacedError(this.pathOf(parent, name));
    if (fd < 0) throw new PosixError(-fd, 'openat', this.pathOf(parent, name));
    return this.#adopt(from, name.slice(), fd, listed);
  }

  /**
   * The descriptor of a directory, opened again if it had to be closed. Valid until the next call of this object; with
   * `pin` until {@link unpin}. Throws DIRECTORY_REPLACED when the way back leads elsewhere.
   */
  fd(handle: DirectoryHandle): number {
    return this.#ensure(this.#own(handle));
  }

  /** As {@link fd}, and keeps the descriptor open until {@link unpin}: for handing it to another thread. */
  pin(handle: DirectoryHandle): number {
    const own = this.#own(handle);
    const fd = this.#ensure(own);
    own.pins++;
    return fd;
  }

  unpin(handle: DirectoryHandle): void {
    const own = this.#own(handle);
    if (own.pins > 0) own.pins--;
    if (own.pins === 0 && own.released) this.#close(own);
    this.#makeRoom(0);
  }

  /** Gives the handle up; its descriptor is closed once nobody pins it. Children opened from it stay usable. */
  release(handle: DirectoryHandle): void {
    const own = this.#own(handle);
    own.released = true;
    this.#reopenParent(own);
    if (own.pins === 0) this.#close(own);
  }

  /** Closes everything. */
  close(): void {
    while (this.#newest !== undefined) this.#close(this.#newest);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** For messages: the path of `name` in `handle` below the root, as it was when it was walked. */
  pathOf(handle: DirectoryHandle, name?: Uint8Array): string {
    const parts: string[] = name === undefined ? [] : [printableName(name)];
    for (let at: DirectoryHandle = handle; at.parent !== undefined; at = at.parent) parts.push(printableName(at.name));
    return parts.length === 0 ? '.' : parts.reverse().join('/');
  }

  #own(handle: DirectoryHandle): Handle {
    if (handle instanceof Handle) return handle;
    throw new WindlassError('directory handle of another kind', { code: 'INTERNAL' });
  }

  #adopt(parent: Handle | undefined, name: Uint8Array, fd: number, expected: StatRecord | undefined): Handle {
    const stat = new StatRecord();
    const answer = fstat(fd, stat);
    if (answer < 0 || (expected !== undefined && !sameFile(stat, expected))) {
      close(fd);
      const path = parent === undefined ? printableName(name) : this.pathOf(parent, name);
      if (answer < 0) throw new PosixError(-answer, 'fstat', path);
      throw new DirectoryReplacedError(path);
    }
    const handle = new Handle(parent, name, stat);
    this.#makeRoom(1);
    this.#attach(handle, fd);
    return handle;
  }

  /**
   * On the way up a deep tree the parent's descriptor is usually gone. While the child is still open its ".." is one call
   * away, where the path from the root would be thousands; the inode check makes it as safe.
   */
  #reopenParent(child: Handle): void {
    const { parent } = child;
    if (parent === undefined || parent.released || parent.fd >= 0 || child.fd < 0) return;
    const fd = this.#openAt(child.fd, '..', parent.stat.uid);
    if (fd < 0) return;
    const stat = new StatRecord();
    if (fstat(fd, stat) < 0 || !sameFile(stat, parent.stat)) {
      close(fd);
      return;
    }
    this.#makeRoom(1);
    this.#attach(parent, fd);
  }

  /** Opens `handle` again if need be, from its nearest open ancestor downwards. */
  #ensure(handle: Handle): number {
    if (handle.fd >= 0) {
      this.#touch(handle);
      return handle.fd;
    }
    const missing: Handle[] = [];
    let from: Handle | undefined = handle;
    while (from !== undefined && from.fd < 0) {
      missing.push(from);
      from = from.parent;
    }
    return this.#reopen(from, missing.reverse());
  }

  /** Only the last of the steps stays open: the handles between are not asked for, and would push out others. */
  #reopen(from: Handle | undefined, steps: readonly Handle[]): number {
    const stat = new StatRecord();
    let fd = from?.fd ?? -1;
    let owned = false;
    if (from !== undefined) this.#touch(from);
    for (const step of steps) {
      const next =
        step.parent === undefined
          ? openat(AT_FDCWD, step.name, O_RDONLY | O_DIRECTORY)
          : this.#openAt(fd, step.name, step.stat.uid);
      if (owned) close(fd);
      if (next < 0) throw this.#reopenError(next, step);
      fd = next;
      owned = true;
      if (fstat(fd, stat) < 0 || !sameFile(stat, step.stat)) {
        close(fd);
        throw new DirectoryReplacedError(this.pathOf(step));
      }
    }
    const handle = steps.at(-1) as Handle;
    this.#makeRoom(1);
    this.#attach(handle, fd);
    return fd;
  }

  #reopenError(errno: number, step: Handle): Error {
    const path = this.pathOf(step);
    const cause = new PosixError(-errno, 'openat', path);
    // Gone or moved away, or something else in its place: the directory we were in is not there any more.
    return errno === -ENOENT || errno === -ELOOP || errno === -ENOTDIR
      ? new DirectoryReplacedError(path, cause)
      : cause;
  }

  #openAt(dirFd: number, name: Uint8Array | string, ownerUid: number): number {
    const fd = openKeepingAccessTime(dirFd, name, FLAGS, ownerUid);
    if (fd !== -EMFILE && fd !== -ENFILE) return fd;
    // Out of descriptors: other parts of the process need them too. Keep the one just used.
    this.#makeRoom(this.#limit - 1);
    return openKeepingAccessTime(dirFd, name, FLAGS, ownerUid);
  }

  #makeRoom(wanted: number): void {
    let candidate = this.#oldest;
    while (candidate !== undefined && this.#open + wanted > this.#limit) {
      const next: Handle | undefined = candidate.newer;
      // The root is kept: without it nothing can be opened again if its own path changes.
      if (candidate.pins === 0 && candidate.parent !== undefined && candidate !== this.#newest) this.#close(candidate);
      candidate = next;
    }
  }

  #attach(handle: Handle, fd: number): void {
    handle.fd = fd;
    this.#open++;
    this.#link(handle);
  }

  #close(handle: Handle): void {
    if (handle.fd < 0) return;
    this.#unlink(handle);
    close(handle.fd);
    handle.fd = -1;
    this.#open--;
  }

  #touch(handle: Handle): void {
    if (handle === this.#newest) return;
    this.#unlink(handle);
    this.#link(handle);
  }

  #link(handle: Handle): void {
    handle.older = this.#newest;
    handle.newer = undefined;
    if (this.#newest !== undefined) this.#newest.newer = handle;
    this.#newest = handle;
    this.#oldest ??= handle;
  }

  #unlink(handle: Handle): void {
    if (handle.newer === undefined) this.#newest = handle.older;
    else handle.newer.older = handle.older;
    if (handle.older === undefined) this.#oldest = handle.newer;
    else handle.older.newer = handle.newer;
    handle.newer = undefined;
    handle.older = undefined;
  }
}
