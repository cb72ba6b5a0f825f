// Reads all extended attributes of an entry: user, trusted, security (capabilities, labels) and system (ACLs), whatever
// this process may see. Nothing is filtered. Answers `undefined`, at the price of one call, for the many without any.

import {
  E2BIG,
  ENODATA,
  ENOSYS,
  EOPNOTSUPP,
  ERANGE,
  type PathName,
  XATTR_SIZE_MAX,
  check,
  fgetxattr,
  flistxattr,
  getxattrAt,
  listxattrAt,
} from '../posix/libc.ts';

export interface Xattr {
  /** Name bytes, with the namespace: `user.note`. */
  readonly name: Uint8Array;
  readonly value: Uint8Array;
}

// The kernel allocates what it is offered, so offering 64 KiB for a list costs as much again as the call itself.
const FIRST_LIST_BYTES = 1024;
const FIRST_VALUE_BYTES = 4096;
/** The kernel's limits are 64 KiB each; some file systems answer more for lists, none that we know more than this. */
const MOST_BYTES = 1 << 20;
/** Attributes that come and go while they are listed: after so many tries the list of the moment is taken. */
const MOST_TRIES = 8;

const FIRST_LIST = new Uint8Array(new ArrayBuffer(FIRST_LIST_BYTES));
const buffers = new Map<number, Uint8Array>([[FIRST_LIST_BYTES, FIRST_LIST]]);

function bufferOf(size: number): Uint8Array {
  let buffer = buffers.get(size);
  if (buffer === undefined) buffers.set(size, (buffer = new Uint8Array(size)));
  return buffer;
}

/** Attributes of an open file, sorted by name bytes. Throws PosixError. HOT for files without any. */
export function readXattrs(fd: number, path?: string): readonly Xattr[] | undefined {
  const first = flistxattr(fd, FIRST_LIST);
  if (isNone(first)) return undefined;
  return collect(
    (out) => flistxattr(fd, out),
    (name, out) => fgetxattr(fd, name, out),
    first,
    path,
  );
}

/** Attributes of the entry `name` of `dirFd` itself: symlinks are not followed, nothing is opened. Throws PosixError. */
export function readXattrsAt(dirFd: number, name: PathName, path?: string): readonly Xattr[] | undefined {
  const first = listxattrAt(dirFd, name, FIRST_LIST);
  if (isNone(first)) return undefined;
  return collect(
    (out) => listxattrAt(dirFd, name, out),
    (attribute, out) => getxattrAt(dirFd, name, attribute, out),
    first,
    path,
  );
}

/** What a list answers where there is nothing: empty, or a file system that knows no attributes. */
function isNone(length: number): boolean {
  return length === 0 || length === -EOPNOTSUPP || length === -ENODATA || length === -ENOSYS;
}

/** True when an open file has no attributes, or its file system knows none. HOT. */
export function hasNoXattrs(fd: number): boolean {
  const length = flistxattr(fd, FIRST_LIST);
  return length === 0 || length === -EOPNOTSUPP;
}

/** {@link hasNoXattrs} by name. HOT. */
export function hasNoXattrsAt(dirFd: number, name: PathName): boolean {
  const length = listxattrAt(dirFd, name, FIRST_LIST);
  return length === 0 || length === -EOPNOTSUPP;
}

function collect(
  list: (out: Uint8Array) => number,
  get: (name: Uint8Array, out: Uint8Array) => number,
  first: number,
  path: string | undefined,
): readonly Xattr[] | undefined {
  const names = readNames(list, first, path);
  if (names.length === 0) return undefined;
  const xattrs: Xattr[] = [];
  for (const name of names) {
    const value = readValue((out) => get(name, out), path);
    // Removed since it was listed.
    if (value !== undefined) xattrs.push({ name, value });
  }
  return xattrs.length === 0 ? undefined : xattrs;
}

/** `first` is what the list answered into `FIRST_LIST` already. */
function readNames(list: (out: Uint8Array) => number, first: number, path: string | undefined): readonly Uint8Array[] {
  const bytes = first > 0 ? FIRST_LIST.slice(0, first) : readGrowing(list, FIRST_LIST_BYTES, 'listxattr', path);
  if (bytes === undefined || bytes.length === 0) return [];
  const names: Uint8Array[] = [];
  for (let start = 0; start < bytes.length;) {
    const nul = bytes.indexOf(0, start);
    const end = nul < 0 ? bytes.length : nul;
    if (end > start) names.push(bytes.slice(start, end));
    start = end + 1;
  }
  return names.sort((a, b) => Buffer.compare(a, b));
}

function readValue(get: (out: Uint8Array) => number, path: string | undefined): Uint8Array | undefined {
  return readGrowing(get, FIRST_VALUE_BYTES, 'getxattr', path);
}

/** A copy of what `read` wrote, with more room after each ERANGE; undefined where there is nothing. */
function readGrowing(
  read: (out: Uint8Array) => number,
  firstBytes: number,
  syscall: string,
  path: string | undefined,
): Uint8Array | undefined {
  let room = firstBytes;
  for (let tries = 0; ; tries++) {
    const out = bufferOf(room);
    const length = read(out);
    if (length >= 0) return out.slice(0, length);
    if (length === -EOPNOTSUPP || length === -ENODATA || length === -ENOSYS) return undefined;
    if ((length !== -ERANGE && length !== -E2BIG) || tries === MOST_TRIES || room >= MOST_BYTES) {
      check(length, syscall, path);
    }
    room = room < XATTR_SIZE_MAX ? XATTR_SIZE_MAX : room * 2;
  }
}
