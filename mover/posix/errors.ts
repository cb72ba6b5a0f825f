// How a failed system call looks: hot calls answer a negative errno, everything else throws a PosixError that carries
// the errno's own name as its code (ENOENT, EACCES…), the call and, when known, the path.

import os from 'node:os';
import util from 'node:util';
import { WindlassError } from '../../base/errors.ts';

/** The Linux errno values (equal on x64 and arm64) that callers of hot calls compare with. */
export const EPERM = 1;
export const ENOENT = 2;
export const EINTR = 4;
export const EIO = 5;
export const ENXIO = 6;
export const E2BIG = 7;
export const EBADF = 9;
export const EAGAIN = 11;
export const EACCES = 13;
export const EBUSY = 16;
export const EEXIST = 17;
export const EXDEV = 18;
export const ENOTDIR = 20;
export const EISDIR = 21;
export const EINVAL = 22;
export const EMFILE = 24;
export const ENFILE = 23;
export const ENOSPC = 28;
export const EROFS = 30;
export const ERANGE = 34;
export const ENAMETOOLONG = 36;
export const ENOSYS = 38;
export const ENOTEMPTY = 39;
export const ELOOP = 40;
export const ENODATA = 61;
export const EOPNOTSUPP = 95;
export const ESTALE = 116;
export const EDQUOT = 122;

/** A system call that failed. `code` is the errno's name, as on Node's own system errors. */
export class PosixError extends WindlassError {
  readonly errno: number;
  readonly syscall: string;
  readonly path: string | undefined;

  constructor(errno: number, syscall: string, path?: string, cause?: unknown) {
    const code = errnoName(errno);
    super(`${syscall}${path === undefined ? '' : ` ${path}`}: ${code}, ${errnoText(errno)}`, {
      code,
      context: { errno, syscall, path },
      cause,
    });
    this.name = 'PosixError';
    this.errno = errno;
    this.syscall = syscall;
    this.path = path;
  }
}

/** Thrown by every call of this folder where the platform has no Linux system calls or the binding cannot load. */
export class SyscallUnsupportedError extends WindlassError {
  static readonly code = 'SYSCALL_UNSUPPORTED';
  constructor(reason: string, cause?: unknown) {
    super(`direct system calls are not available: ${reason}`, { code: SyscallUnsupportedError.code, cause });
    this.name = 'SyscallUnsupportedError';
  }
}

/** Passes a result ≥ 0 through, turns a negative errno into a thrown {@link PosixError}. */
export function check(result: number, syscall: string, path?: string | Uint8Array): number {
  if (result >= 0) return result;
  throw new PosixError(-result, syscall, typeof path === 'object' ? printableName(path) : path);
}

let names: Map<number, string> | undefined;

/** `ENOENT` for 2; `E<number>` for what the platform does not name. */
export function errnoName(errno: number): string {
  if (names === undefined) {
    names = new Map();
    for (const [name, value] of Object.entries(os.constants.errno)) {
      if (!names.has(value)) names.set(value, name);
    }
    // Two names share a number; the first of each pair is what tools print.
    names.set(11, 'EAGAIN').set(95, 'EOPNOTSUPP');
  }
  return names.get(errno) ?? `E${errno}`;
}

function errnoText(errno: number): string {
  try {
    return util.getSystemErrorMessage(-errno) ?? `error ${errno}`;
  } catch {
    // Not an errno libuv knows: the number says it.
    return `error ${errno}`;
  }
}

/** Bytes of a name for messages: UTF-8 where it is, `%XX` for bytes that are not printable or not UTF-8. */
export function printableName(bytes: Uint8Array): string {
  const end = bytes.at(-1) === 0 ? bytes.length - 1 : bytes.length;
  let text = '';
  for (const char of Buffer.from(bytes.buffer, bytes.byteOffset, end).toString('latin1')) {
    const code = char.charCodeAt(0);
    text += code < 0x20 || code >= 0x7f ? `%${code.toString(16).toUpperCase().padStart(2, '0')}` : char;
  }
  const utf8 = Buffer.from(bytes.buffer, bytes.byteOffset, end).toString('utf8');
  return utf8.includes('\ufffd') || /\p{Cc}/u.test(utf8) ? text : utf8;
}
