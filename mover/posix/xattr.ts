// Extended attributes, by descriptor for regular files and by name (never following a symlink, never opening a FIFO or a
// device) for everything else. By name they use the *xattrat calls of Linux 6.13, and /proc/self/fd/<dir>/<name> before
// that: 1.2 against 3.3 µs a file (0003-system-calls). All answer ≥ 0 or a negative errno.

import { type Binding, binding, pathA, pathB, procPath, result } from './binding.ts';
import type { PathName } from './entries.ts';
import { AT_FDCWD, AT_SYMLINK_NOFOLLOW } from './constants.ts';
import { ENOSYS, EPERM, ERANGE } from './errors.ts';

/** Writes the NUL-separated names into `out`; bytes written, -ERANGE when they do not fit. */
export function flistxattr(fd: number, out: Uint8Array): number {
  const b = binding();
  return room(result(b, b.raw.flistxattr(fd, listAddress(b, out), out.length)), out);
}

/** Lists are read into the same memory again and again, and asking for its address costs as much as the call. */
let lastList: Uint8Array | undefined;
let lastListAddress = 0;

function listAddress(b: Binding, out: Uint8Array): number {
  if (out !== lastList) {
    lastListAddress = b.addressOf(out);
    lastList = out;
  }
  return lastListAddress;
}

/** Writes the value into `out`; bytes written, -ERANGE when it does not fit, -ENODATA when there is none. */
export function fgetxattr(fd: number, name: PathName, out: Uint8Array): number {
  const b = binding();
  const attribute = pathB(b, name);
  return attribute < 0 ? attribute : room(result(b, b.raw.fgetxattr(fd, attribute, b.addressOf(out), out.length)), out);
}

export function fsetxattr(fd: number, name: PathName, value: Uint8Array, flags = 0): number {
  const b = binding();
  const attribute = pathB(b, name);
  return attribute < 0 ? attribute : result(b, b.raw.fsetxattr(fd, attribute, b.addressOf(value), value.length, flags));
}

export function fremovexattr(fd: number, name: PathName): number {
  const b = binding();
  const attribute = pathB(b, name);
  return attribute < 0 ? attribute : result(b, b.raw.fremovexattr(fd, attribute));
}

/** {@link flistxattr} for the entry `name` of `dirFd` itself. HOT. */
export function listxattrAt(dirFd: number, name: PathName, out: Uint8Array): number {
  const b = binding();
  const buffer = listAddress(b, out);
  const answer = viaCall(b, b.numbers.listxattrat, dirFd, name, buffer, out.length, 0);
  if (answer !== -ENOSYS) return room(answer, out);
  const path = procPath(b, dirFd, name);
  return path < 0 ? path : room(result(b, b.raw.llistxattr(path, buffer, out.length)), out);
}

/** {@link fgetxattr} for the entry `name` of `dirFd` itself. */
export function getxattrAt(dirFd: number, name: PathName, attribute: PathName, out: Uint8Array): number {
  const b = binding();
  const key = pathB(b, attribute);
  if (key < 0) return key;
  const buffer = b.addressOf(out);
  putArguments(b, buffer, out.length, 0);
  const answer = viaCall(b, b.numbers.getxattrat, dirFd, name, key, b.smallAddress, XATTR_ARGS_BYTES);
  if (answer !== -ENOSYS) return room(answer, out);
  const path = procPath(b, dirFd, name);
  return path < 0 ? path : room(result(b, b.raw.lgetxattr(path, key, buffer, out.length)), out);
}

/** Sets an attribute of the entry `name` of `dirFd` itself. */
export function setxattrAt(dirFd: number, name: PathName, attribute: PathName, value: Uint8Array, flags = 0): number {
  const b = binding();
  const key = pathB(b, attribute);
  if (key < 0) return key;
  const buffer = b.addressOf(value);
  putArguments(b, buffer, value.length, flags);
  const answer = viaCall(b, b.numbers.setxattrat, dirFd, name, key, b.smallAddress, XATTR_ARGS_BYTES);
  if (answer !== -ENOSYS) return answer;
  const path = procPath(b, dirFd, name);
  return path < 0 ? path : result(b, b.raw.lsetxattr(path, key, buffer, value.length, flags));
}

/** Removes an attribute of the entry `name` of `dirFd` itself. */
export function removexattrAt(dirFd: number, name: PathName, attribute: PathName): number {
  const b = binding();
  const key = pathB(b, attribute);
  if (key < 0) return key;
  const answer = viaCall(b, b.numbers.removexattrat, dirFd, name, key, 0, 0);
  if (answer !== -ENOSYS) return answer;
  const path = procPath(b, dirFd, name);
  return path < 0 ? path : result(b, b.raw.lremovexattr(path, key));
}

// struct xattr_args: 0 8 value address, 8 4 size, 12 4 flags
const XATTR_ARGS_BYTES = 16;

function putArguments(b: Binding, address: number, size: number, flags: number): void {
  b.small.setUint32(0, address % 0x1_0000_0000, true);
  b.small.setUint32(4, Math.floor(address / 0x1_0000_0000), true);
  b.small.setUint32(8, size, true);
  b.small.setUint32(12, flags, true);
}

let xattratMissing: boolean | undefined;

function viaCall(
  b: Binding,
  number: number,
  dirFd: number,
  name: PathName,
  argument: number,
  value: number,
  size: number,
): number {
  if (xattratMissing ?? probeMissing(b)) return -ENOSYS;
  const path = pathA(b, name);
  return path < 0 ? path : result(b, b.raw.xattrat(number, dirFd, path, AT_SYMLINK_NOFOLLOW, argument, value, size));
}

/** Asked once with a call that any kernel which knows it allows; a filter may answer EPERM for what it does not know. */
function probeMissing(b: Binding): boolean {
  const saved = new Uint8Array(b.small.buffer, b.small.byteOffset, XATTR_ARGS_BYTES).slice();
  const key = b.scratch.slice();
  const answer = result(b, b.raw.xattrat(b.numbers.listxattrat, AT_FDCWD, pathA(b, '.'), AT_SYMLINK_NOFOLLOW, 0, 0, 0));
  b.scratch.set(key);
  new Uint8Array(b.small.buffer, b.small.byteOffset, XATTR_ARGS_BYTES).set(saved);
  xattratMissing = answer === -ENOSYS || answer === -EPERM;
  return xattratMissing;
}

/** With an empty buffer the kernel answers the size needed instead of ERANGE; make both the same. */
function room(answer: number, out: Uint8Array): number {
  return answer > out.length ? -ERANGE : answer;
}

/** @internal For tests: forget or force the answer about the *xattrat calls. */
export function overrideXattrat(missing: boolean | undefined): void {
  xattratMissing = missing;
}
