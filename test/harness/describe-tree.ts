// A full and exact description of a tree, to compare a restored one with its source by deepEqual: everything a restore
// promises, nothing that may differ between two copies (inode numbers, link counts beyond the tree, directory sizes).

import { createHash } from 'node:crypto';
import {
  AT_FDCWD,
  O_NOFOLLOW,
  O_RDONLY,
  SEEK_HOLE,
  S_IFBLK,
  S_IFCHR,
  S_IFIFO,
  S_IFMT,
  S_IFSOCK,
  type StatRecord,
  check,
  close,
  fstat,
  getxattrAt,
  inodeText,
  listxattrAt,
  lseek,
  mtimeNs,
  openat,
  readFully,
  readlinkat,
  StatRecord as Stat,
} from '../../mover/posix/libc.ts';
import { nameText } from './tree-names.ts';
import { walkTree } from './tree-walk.ts';

interface EntryDescription {
  readonly type: 'file' | 'directory' | 'symlink' | 'fifo' | 'socket' | 'char' | 'block';
  /** Permission bits, octal, as `0644`. */
  readonly mode: string;
  readonly uid: number;
  readonly gid: number;
  /** Decimal nanoseconds. */
  readonly mtimeNs: string;
  readonly size?: number;
  readonly sha256?: string;
  readonly holes?: boolean;
  readonly target?: string;
  readonly device?: string;
  /** Name to value in hex, sorted by name. */
  readonly xattrs?: Readonly<Record<string, string>>;
  /** The first path, in the order of the walk, of the hard links of this file inside the tree. */
  readonly hardLinkOf?: string;
}

/** By path relative to the root (names as in tree-names.ts); the root itself is '.'. */
export type TreeDescription = Readonly<Record<string, EntryDescription>>;

export interface DescribeOptions {
  /** Members to leave out, e.g. `['holes']` when the two file systems differ, or `['uid', 'gid']`. */
  readonly omit?: readonly (keyof EntryDescription)[];
}

export function describeTree(root: string, options: DescribeOptions = {}): TreeDescription {
  const result: Record<string, EntryDescription> = {};
  const firstPaths = new Map<string, string>();
  const add = (path: string, entry: EntryDescription): void => {
    const kept = Object.entries(entry).filter(([key]) => !options.omit?.includes(key as keyof EntryDescription));
    result[path] = Object.fromEntries(kept) as unknown as EntryDescription;
  };
  const rootStat = new Stat();
  const fd = check(openat(AT_FDCWD, root, O_RDONLY), 'openat', root);
  check(fstat(fd, rootStat), 'fstat', root);
  if (rootStat.isDirectory) add('.', describeEntry(fd, '.', rootStat, undefined));
  close(fd);
  if (!rootStat.isDirectory) throw new TypeError(`${root} is not a directory`);
  walkTree(root, {
    entry(dirFd, name, path, stat) {
      const inode = `${stat.dev}:${inodeText(stat)}`;
      const linked = stat.nlink > 1 && !stat.isDirectory;
      const first = firstPaths.get(inode);
      if (linked && first === undefined) firstPaths.set(inode, path);
      add(path, describeEntry(dirFd, name, stat, first));
    },
  });
  // A group of one inside the tree (its other names are elsewhere) is no group to restore, so only followers are marked.
  return result;
}

function describeEntry(
  dirFd: number,
  name: Uint8Array | string,
  stat: StatRecord,
  hardLinkOf: string | undefined,
): EntryDescription {
  const xattrs = readXattrs(dirFd, name);
  return {
    type: typeOf(stat),
    mode: `0${(stat.mode & 0o7777).toString(8).padStart(3, '0')}`,
    uid: stat.uid,
    gid: stat.gid,
    mtimeNs: String(mtimeNs(stat)),
    ...(stat.isRegular ? describeContent(dirFd, name, stat) : {}),
    ...(stat.isSymlink ? { target: nameText(readTarget(dirFd, name)) } : {}),
    ...(isDevice(stat) ? { device: `${stat.rdevMajor}:${stat.rdevMinor}` } : {}),
    ...(Object.keys(xattrs).length > 0 ? { xattrs } : {}),
    ...(hardLinkOf === undefined ? {} : { hardLinkOf }),
  };
}

function typeOf(stat: StatRecord): EntryDescription['type'] {
  if (stat.isRegular) return 'file';
  if (stat.isDirectory) return 'directory';
  if (stat.isSymlink) return 'symlink';
  const type = stat.mode & S_IFMT;
  if (type === S_IFIFO) return 'fifo';
  if (type === S_IFSOCK) return 'socket';
  return type === S_IFCHR ? 'char' : 'block';
}

function isDevice(stat: StatRecord): boolean {
  return (stat.mode & S_IFMT) === S_IFCHR || (stat.mode & S_IFMT) === S_IFBLK;
}

function readTarget(dirFd: number, name: Uint8Array | string): Uint8Array {
  const target = readlinkat(dirFd, name);
  return typeof target === 'number' ? new Uint8Array(check(target, 'readlinkat', name)) : target;
}

const readBuffer = new Uint8Array(1 << 18);

function describeContent(
  dirFd: number,
  name: Uint8Array | string,
  stat: StatRecord,
): { size: number; sha256: string; holes: boolean } {
  const fd = check(openat(dirFd, name, O_RDONLY | O_NOFOLLOW), 'openat', name);
  try {
    const hash = createHash('sha256');
    for (let at = 0; ;) {
      const got = check(readFully(fd, readBuffer, 0, readBuffer.length, at), 'pread', name);
      if (got === 0) break;
      hash.update(readBuffer.subarray(0, got));
      at += got;
    }
    const holes = stat.size > 0 && lseek(fd, 0, SEEK_HOLE) < stat.size;
    return { size: stat.size, sha256: hash.digest('hex'), holes };
  } finally {
    close(fd);
  }
}

function readXattrs(dirFd: number, name: Uint8Array | string): Record<string, string> {
  const length = listxattrAt(dirFd, name, readBuffer.subarray(0, 65_536));
  if (length === -95) return {};
  check(length, 'listxattrat', name);
  const keys = Buffer.from(readBuffer.slice(0, length))
    .toString('latin1')
    .split('\0')
    .filter((key) => key !== '')
    .sort();
  const values: Record<string, string> = {};
  for (const key of keys) {
    const bytes = Buffer.from(key, 'latin1');
    const got = check(getxattrAt(dirFd, name, bytes, readBuffer.subarray(0, 65_536)), 'getxattrat', name);
    values[nameText(bytes)] = Buffer.from(readBuffer.subarray(0, got)).toString('hex');
  }
  return values;
}
