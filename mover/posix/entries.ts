// Calls that open, make, rename, remove and describe directory entries, always relative to a directory handle. Names are
// bytes (with or without a NUL at the end) or strings; every call answers ≥ 0 or a negative errno and never throws for
// what the kernel says.

import { binding, pathA, pathB, procPath, result } from './binding.ts';
import { AT_FDCWD, AT_SYMLINK_NOFOLLOW, O_CLOEXEC, O_NOFOLLOW, O_PATH, S_IFLNK, S_IFMT } from './constants.ts';
import { EAGAIN, EINTR, ENOSYS, EOPNOTSUPP, EPERM } from './errors.ts';
import { StatRecord, fstat, makeDevice } from './stat.ts';

export type PathName = Uint8Array | string;

/** Opens `name` in `dirFd`; O_CLOEXEC is always set. A file descriptor or a negative errno. HOT. */
export function openat(dirFd: number, name: PathName, flags: number, mode = 0): number {
  const b = binding();
  const path = pathA(b, name);
  if (path < 0) return path;
  for (;;) {
    const fd = result(b, b.raw.openat(dirFd, path, flags | O_CLOEXEC, mode));
    if (fd !== -EINTR) return fd;
  }
}

let openat2Missing = false;

/** Whether the kernel has openat2 (Linux 5.6, and no filter in front of it that answers otherwise). */
export function hasOpenat2(): boolean {
  if (openat2Missing) return false;
  const fd = openat2(AT_FDCWD, '.', O_PATH, 0, 0);
  if (fd >= 0) close(fd);
  return !openat2Missing;
}

/**
 * As {@link openat}, with the kernel's guarantee about every component of the path: RESOLVE_CONFINED never leaves
 * `dirFd` and follows no symlink. -ENOSYS where the kernel has no such call: the caller then opens step by step.
 */
export function openat2(dirFd: number, name: PathName, flags: number, mode: number, resolve: number): number {
  if (openat2Missing) return -ENOSYS;
  const b = binding();
  const path = pathA(b, name);
  if (path < 0) return path;
  // struct open_how: 0 8 flags, 8 8 mode, 16 8 resolve
  b.small.setUint32(0, (flags | O_CLOEXEC) >>> 0, true);
  b.small.setUint32(4, 0, true);
  b.small.setUint32(8, mode, true);
  b.small.setUint32(12, 0, true);
  b.small.setUint32(16, resolve, true);
  b.small.setUint32(20, 0, true);
  for (let tries = 0; ; tries++) {
    const fd = result(b, b.raw.openat2(b.numbers.openat2, dirFd, path, b.smallAddress, OPEN_HOW_BYTES));
    // EAGAIN: something was renamed during a confined look-up, which the kernel then will not vouch for.
    if (fd === -EINTR || (fd === -EAGAIN && tries < 64)) continue;
    if (fd === -ENOSYS) openat2Missing = true;
    // Some seccomp profiles answer EPERM for calls they do not know; opening nothing special tells the two apart.
    if (fd === -EPERM && (resolve === 0 || !hasOpenat2())) openat2Missing = true;
    return openat2Missing ? -ENOSYS : fd;
  }
}

const OPEN_HOW_BYTES = 24;

/** Closes a descriptor opened by this folder. Never closed twice, not even after EINTR: Linux has released it. */
export function close(fd: number): number {
  const b = binding();
  const answer = result(b, b.raw.close(fd));
  return answer === -EINTR ? 0 : answer;
}

/** Writes the target of a symlink into `out`, answers its length; a length equal to `out.length` may be cut short. */
export function readlinkInto(dirFd: number, name: PathName, out: Uint8Array): number {
  const b = binding();
  const path = pathA(b, name);
  return path < 0 ? path : result(b, b.raw.readlinkat(dirFd, path, b.addressOf(out), out.length));
}

/** The target bytes of a symlink, of any length; a negative errno otherwise. */
export function readlinkat(dirFd: number, name: PathName): Uint8Array | number {
  for (let room = 4096; ; room *= 4) {
    const out = new Uint8Array(room);
    const length = readlinkInto(dirFd, name, out);
    if (length < 0) return length;
    if (length < room) return out.slice(0, length);
  }
}

export function mkdirat(dirFd: number, name: PathName, mode: number): number {
  const b = binding();
  const path = pathA(b, name);
  return path < 0 ? path : result(b, b.raw.mkdirat(dirFd, path, mode));
}

/** Makes a FIFO, socket, device or empty file; `mode` includes the type. */
export function mknodat(dirFd: number, name: PathName, mode: number, major = 0, minor = 0): number {
  const b = binding();
  const path = pathA(b, name);
  return path < 0 ? path : result(b, b.raw.mknodat(dirFd, path, mode, makeDevice(major, minor)));
}

export function symlinkat(target: PathName, dirFd: number, name: PathName): number {
  const b = binding();
  const from = pathA(b, target);
  if (from < 0) return from;
  const path = pathB(b, name);
  return path < 0 ? path : result(b, b.raw.symlinkat(from, dirFd, path));
}

/** Hard link; symlinks are linked themselves unless `flags` has AT_SYMLINK_FOLLOW. */
export function linkat(oldDirFd: number, oldName: PathName, newDirFd: number, newName: PathName, flags = 0): number {
  const b = binding();
  const from = pathA(b, oldName);
  if (from < 0) return from;
  const to = pathB(b, newName);
  return to < 0 ? to : result(b, b.raw.linkat(oldDirFd, from, newDirFd, to, flags));
}

/** Removes a name; a directory with AT_REMOVEDIR. */
export function unlinkat(dirFd: number, name: PathName, flags = 0): number {
  const b = binding();
  const path = pathA(b, name);
  return path < 0 ? path : result(b, b.raw.unlinkat(dirFd, path, flags));
}

export function renameat(oldDirFd: number, oldName: PathName, newDirFd: number, newName: PathName): number {
  const b = binding();
  const from = pathA(b, oldName);
  if (from < 0) return from;
  const to = pathB(b, newName);
  return to < 0 ? to : result(b, b.raw.renameat(oldDirFd, from, newDirFd, to));
}

/** Rename with RENAME_NOREPLACE or RENAME_EXCHANGE; -EINVAL where the file system cannot. */
export function renameat2(
  oldDirFd: number,
  oldName: PathName,
  newDirFd: number,
  newName: PathName,
  flags: number,
): number {
  const b = binding();
  const from = pathA(b, oldName);
  if (from < 0) return from;
  const to = pathB(b, newName);
  return to < 0 ? to : result(b, b.raw.renameat2(b.numbers.renameat2, oldDirFd, from, newDirFd, to, flags));
}

export function fchmod(fd: number, mode: number): number {
  const b = binding();
  return result(b, b.raw.fchmod(fd, mode));
}

let fchmodat2Missing = false;

/** Sets permission bits by name without following a symlink (-EOPNOTSUPP for one: Linux links have no mode). */
export function fchmodat(dirFd: number, name: PathName, mode: number): number {
  const b = binding();
  if (!fchmodat2Missing) {
    const path = pathA(b, name);
    if (path < 0) return path;
    const answer = result(b, b.raw.fchmodat2(b.numbers.fchmodat2, dirFd, path, mode, AT_SYMLINK_NOFOLLOW));
    if (answer !== -ENOSYS && answer !== -EPERM) return answer;
    if (answer === -ENOSYS) fchmodat2Missing = true;
  }
  return chmodThroughHandle(dirFd, name, mode);
}

/** For kernels before 6.6, and filters that answer EPERM to calls they do not know. */
function chmodThroughHandle(dirFd: number, name: PathName, mode: number): number {
  const fd = openat(dirFd, name, O_PATH | O_NOFOLLOW);
  if (fd < 0) return fd;
  try {
    const stat = new StatRecord();
    const answer = fstat(fd, stat);
    if (answer < 0) return answer;
    if ((stat.mode & S_IFMT) === S_IFLNK) return -EOPNOTSUPP;
    const b = binding();
    return result(b, b.raw.chmod(procPath(b, fd, undefined), mode));
  } finally {
    close(fd);
  }
}

export function fchown(fd: number, uid: number, gid: number): number {
  const b = binding();
  return result(b, b.raw.fchown(fd, uid, gid));
}

/** Changes owner and group of `name` itself, a symlink included. */
export function fchownat(dirFd: number, name: PathName, uid: number, gid: number): number {
  const b = binding();
  const path = pathA(b, name);
  return path < 0 ? path : result(b, b.raw.fchownat(dirFd, path, uid, gid, AT_SYMLINK_NOFOLLOW));
}

const UTIME_OMIT = 0x3ffffffe;

/** Sets the modification time of `name` itself, exact to the nanosecond, before 1970 too; leaves the access time. */
export function utimensat(dirFd: number, name: PathName, mtimeSeconds: number, mtimeNanoseconds: number): number {
  const b = binding();
  const path = pathA(b, name);
  if (path < 0) return path;
  putTimes(b.small, mtimeSeconds, mtimeNanoseconds);
  return result(b, b.raw.utimensat(dirFd, path, b.smallAddress, AT_SYMLINK_NOFOLLOW));
}

/** As {@link utimensat} for an open file. */
export function futimens(fd: number, mtimeSeconds: number, mtimeNanoseconds: number): number {
  const b = binding();
  putTimes(b.small, mtimeSeconds, mtimeNanoseconds);
  return result(b, b.raw.futimens(fd, b.smallAddress));
}

// Two struct timespec: 0 8 seconds, 8 8 nanoseconds (access time), 16 8, 24 8 (modification time).
function putTimes(area: DataView, seconds: number, nanoseconds: number): void {
  area.setUint32(0, 0, true);
  area.setUint32(4, 0, true);
  area.setUint32(8, UTIME_OMIT, true);
  area.setUint32(12, 0, true);
  const high = Math.floor(seconds / 0x1_0000_0000);
  area.setUint32(16, seconds - high * 0x1_0000_0000, true);
  area.setInt32(20, high, true);
  area.setUint32(24, nanoseconds, true);
  area.setUint32(28, 0, true);
}
