// Directories of the target while something below them is still to be done. Every one is reached by a single path
// component from its parent's handle, without following links, and must be the directory it was before: device and inode
// are compared at each reopening. The number of open handles is bounded; pinned ones stay open.
import { WindlassError } from '../../base/errors.ts';
import {
  ELOOP,
  ENOTDIR,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_RDONLY,
  PosixError,
  StatRecord,
  close,
  fstat,
  openat,
  printableName,
  sameFile,
} from '../posix/libc.ts';

const OPEN_FLAGS = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;

/** What the finished directory should be like. */
export interface DirectoryAttributes {
  mode: number;
  uid: number;
  gid: number;
  mtimeSeconds: number;
  mtimeNanoseconds: number;
  /** Packed, from the directory object. */
  xattrs: Uint8Array | undefined;
}

/** A directory of the target that is not finished. */
export class TargetDirectory {
  readonly parent: TargetDirectory | undefined;
  readonly name: Uint8Array;
  readonly depth: number;
  /** Rows, links and sub-directories still to be done, and one for the walk itself. */
  pending = 1;
  /** Windows in flight that use the handle. */
  pins = 0;
  fd = -1;
  identity: StatRecord | undefined;
  /** It was there before this run. */
  existed = false;
  /** New entries get an ACL from it. */
  handsDownAcl = false;
  /** New entries get our own group. */
  ownGroup = false;
  /** False for what stands above the snapshot's root: its attributes are not ours to set. */
  isOurs = true;
  attributes: DirectoryAttributes | undefined;

  constructor(parent: TargetDirectory | undefined, name: Uint8Array) {
    this.parent = parent;
    this.name = name;
    this.depth = parent === undefined ? 0 : parent.depth + 1;
  }

  /** Relative to the target, for messages and the receipt. */
  get path(): string {
    const parts: string[] = [];
    for (let at: TargetDirectory | undefined = this; at?.parent !== undefined; at = at.parent) {
      parts.push(printableName(at.name));
    }
    return parts.reverse().join('/');
  }

  pathOf(name: Uint8Array): string {
    const { path } = this;
    return path === '' ? printableName(name) : `${path}/${printableName(name)}`;
  }
}

/** Keeps at most so many directory handles open; the root's is never closed before `close`. */
export class DirectoryHandles {
  readonly #limit: number;
  /** Open and neither pinned nor the root, least recently used first. */
  readonly #idle = new Set<TargetDirectory>();
  readonly #open = new Set<TargetDirectory>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  get openCount(): number {
    return this.#open.size;
  }

  /** True when pinning more would leave no room for those the walk needs. */
  get isCrowded(): boolean {
    return this.#open.size - this.#idle.size >= this.#limit;
  }

  /** Takes over an open handle. */
  adopt(directory: TargetDirectory, fd: number, identity: StatRecord): void {
    directory.fd = fd;
    directory.identity = identity;
    this.#open.add(directory);
    if (directory.parent !== undefined && directory.pins === 0) this.#idle.add(directory);
    this.#evict(directory);
  }

  /** An open handle of `directory`; `RESTORE_TARGET_CHANGED` when something else is in its place. */
  acquire(directory: TargetDirectory): number {
    if (directory.fd >= 0) {
      if (this.#idle.delete(directory)) this.#idle.add(directory);
      return directory.fd;
    }
    if (directory.parent === undefined) throw targetChanged(directory, 'its handle is closed');
    const parentFd = this.acquire(directory.parent);
    const fd = openat(parentFd, directory.name, OPEN_FLAGS);
    if (fd === -ELOOP || fd === -ENOTDIR) throw targetChanged(directory, 'it is no directory any more');
    checkAt(fd, 'open', directory);
    const stat = new StatRecord();
    const answer = fstat(fd, stat);
    if (answer < 0) {
      close(fd);
      throw new PosixError(-answer, 'fstat', directory.path);
    }
    if (directory.identity !== undefined && !sameFile(stat, directory.identity)) {
      close(fd);
      throw targetChanged(directory, 'another directory is in its place');
    }
    this.adopt(directory, fd, stat);
    return fd;
  }

  /** Keeps the handle open until as many calls of `unpin`. */
  pin(directory: TargetDirectory): void {
    directory.pins++;
    this.#idle.delete(directory);
  }

  unpin(directory: TargetDirectory): void {
    directory.pins--;
    if (directory.pins === 0 && directory.fd >= 0 && directory.parent !== undefined) this.#idle.add(directory);
    this.#evict(undefined);
  }

  release(directory: TargetDirectory): void {
    if (directory.fd < 0) return;
    close(directory.fd);
    directory.fd = -1;
    this.#idle.delete(directory);
    this.#open.delete(directory);
  }

  close(): void {
    for (const directory of this.#open) this.release(directory);
  }

  #evict(keep: TargetDirectory | undefined): void {
    for (const directory of this.#idle) {
      if (this.#open.size <= this.#limit) return;
      if (directory !== keep) this.release(directory);
    }
  }
}

/** Throws a `PosixError` for a negative `answer`. The path is made only then: it is as long as the tree is deep. */
export function checkAt(answer: number, call: string, directory: TargetDirectory): number {
  if (answer >= 0) return answer;
  throw new PosixError(-answer, call, directory.path);
}

function targetChanged(directory: TargetDirectory, reason: string): WindlassError {
  return new WindlassError(`directory ${directory.path} of the target was changed while restoring: ${reason}`, {
    code: 'RESTORE_TARGET_CHANGED',
    context: { path: directory.path },
  });
}
