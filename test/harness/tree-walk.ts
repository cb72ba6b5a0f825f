// Goes through a directory tree of any depth with two open descriptors, by openat and "..", so that tests can make, read
// and remove trees far beyond PATH_MAX. Trusts the tree: nothing changes it meanwhile.

import {
  AT_FDCWD,
  AT_REMOVEDIR,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_RDONLY,
  StatRecord,
  check,
  close,
  fchmodat,
  openat,
  statAt,
  unlinkat,
} from '../../mover/posix/libc.ts';
import { DirectoryReader } from '../../mover/source/directory-reader.ts';
import { nameText } from './tree-names.ts';

const DIRECTORY = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;

export interface TreeVisitor {
  /** Every entry but the root, before what it contains, in byte order of names. */
  entry?(dirFd: number, name: Uint8Array, path: string, stat: StatRecord): void;
  /** Every directory, the root (path '.') included, after what it contains. */
  leave?(fd: number, path: string): void;
  /** Called in the parent after `leave`. */
  left?(parentFd: number, name: Uint8Array): void;
}

interface Frame {
  readonly path: string;
  readonly name: Uint8Array;
  readonly children: Uint8Array[];
}

/** Visits the tree below `root`. Entries are listed once, when their directory is entered. */
export function walkTree(root: string, visitor: TreeVisitor): void {
  const reader = new DirectoryReader(65_536);
  const stat = new StatRecord();
  let fd = check(openat(AT_FDCWD, root, DIRECTORY), 'openat', root);
  try {
    const stack: Frame[] = [{ path: '.', name: new Uint8Array(), children: list(reader, fd) }];
    for (let frame = stack.at(-1); frame !== undefined; frame = stack.at(-1)) {
      const name = frame.children.pop();
      if (name === undefined) {
        visitor.leave?.(fd, frame.path);
        stack.pop();
        if (stack.length === 0) break;
        fd = step(fd, '..');
        visitor.left?.(fd, frame.name);
        continue;
      }
      const path = frame.path === '.' ? nameText(name) : `${frame.path}/${nameText(name)}`;
      check(statAt(fd, name, stat), 'statx', path);
      visitor.entry?.(fd, name, path, stat);
      if (stat.isDirectory) {
        fd = step(fd, name);
        stack.push({ path, name, children: list(reader, fd) });
      }
    }
  } finally {
    close(fd);
  }
}

/** Opens `name` in `fd` and closes `fd`. */
export function step(fd: number, name: Uint8Array | string): number {
  const next = check(openat(fd, name, DIRECTORY), 'openat', name);
  close(fd);
  return next;
}

/** Names in reverse byte order: they are popped from the end. */
function list(reader: DirectoryReader, fd: number): Uint8Array[] {
  const names: Uint8Array[] = [];
  reader.begin(fd);
  for (let count = reader.next(); count !== 0; count = reader.next()) {
    check(count, 'getdents64');
    for (let i = 0; i < count; i++) names.push(reader.name(i));
  }
  return names.sort((a, b) => Buffer.compare(b, a));
}

/** Removes a tree of any depth; a missing one is fine. */
export function removeTree(root: string): void {
  const stat = new StatRecord();
  if (statAt(AT_FDCWD, root, stat) < 0) return;
  if (!stat.isDirectory) {
    check(unlinkat(AT_FDCWD, root), 'unlinkat', root);
    return;
  }
  walkTree(root, {
    entry(dirFd, name, path, found) {
      if (!found.isDirectory) check(unlinkat(dirFd, name), 'unlinkat', path);
      else if ((found.mode & 0o700) !== 0o700) check(fchmodat(dirFd, name, 0o700), 'fchmodat', path);
    },
    left(parentFd, name) {
      check(unlinkat(parentFd, name, AT_REMOVEDIR), 'unlinkat', name);
    },
  });
  check(unlinkat(AT_FDCWD, root, AT_REMOVEDIR), 'unlinkat', root);
}
