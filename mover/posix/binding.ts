// The one file that talks to koffi. It loads libc lazily, once per thread, and offers raw calls whose pointers are plain
// numbers: addresses of typed arrays this thread allocated. A wrong signature here crashes the process; every line is
// exercised by libc.test.ts. Nothing outside mover/posix imports this file.
//
// Why numbers for pointers: a typed array costs koffi about 40 ns an argument, a BigInt about the same; a number is read
// straight from the JavaScript value (docs/design/0003-system-calls.md).

import { createRequire } from 'node:module';
import { EINVAL, ENAMETOOLONG, SyscallUnsupportedError } from './errors.ts';

type Num = number;

/** Raw calls. They answer -1 on failure with errno set; {@link failed} fetches it. */
interface RawCalls {
  openat(dirFd: Num, path: Num, flags: Num, mode: Num): Num;
  close(fd: Num): Num;
  readlinkat(dirFd: Num, path: Num, buffer: Num, size: Num): Num;
  mkdirat(dirFd: Num, path: Num, mode: Num): Num;
  mknodat(dirFd: Num, path: Num, mode: Num, device: Num): Num;
  symlinkat(target: Num, dirFd: Num, path: Num): Num;
  linkat(oldDirFd: Num, oldPath: Num, newDirFd: Num, newPath: Num, flags: Num): Num;
  unlinkat(dirFd: Num, path: Num, flags: Num): Num;
  renameat(oldDirFd: Num, oldPath: Num, newDirFd: Num, newPath: Num): Num;
  chmod(path: Num, mode: Num): Num;
  fchmod(fd: Num, mode: Num): Num;
  fchown(fd: Num, uid: Num, gid: Num): Num;
  fchownat(dirFd: Num, path: Num, uid: Num, gid: Num, flags: Num): Num;
  utimensat(dirFd: Num, path: Num, times: Num, flags: Num): Num;
  futimens(fd: Num, times: Num): Num;
  lseek(fd: Num, offset: Num, whence: Num): Num;
  ftruncate(fd: Num, length: Num): Num;
  fallocate(fd: Num, mode: Num, offset: Num, length: Num): Num;
  posix_fadvise(fd: Num, offset: Num, length: Num, advice: Num): Num;
  read(fd: Num, buffer: Num, length: Num): Num;
  pread(fd: Num, buffer: Num, length: Num, offset: Num): Num;
  pwrite(fd: Num, buffer: Num, length: Num, offset: Num): Num;
  fsync(fd: Num): Num;
  fdatasync(fd: Num): Num;
  syncfs(fd: Num): Num;
  flock(fd: Num, operation: Num): Num;
  getrlimit(resource: Num, limits: Num): Num;
  flistxattr(fd: Num, list: Num, size: Num): Num;
  fgetxattr(fd: Num, name: Num, value: Num, size: Num): Num;
  fsetxattr(fd: Num, name: Num, value: Num, size: Num, flags: Num): Num;
  fremovexattr(fd: Num, name: Num): Num;
  llistxattr(path: Num, list: Num, size: Num): Num;
  lgetxattr(path: Num, name: Num, value: Num, size: Num): Num;
  lsetxattr(path: Num, name: Num, value: Num, size: Num, flags: Num): Num;
  lremovexattr(path: Num, name: Num): Num;
  /** syscall(2) with the argument types of statx. */
  statx(number: Num, dirFd: Num, path: Num, flags: Num, mask: Num, buffer: Num): Num;
  getdents64(number: Num, fd: Num, buffer: Num, size: Num): Num;
  openat2(number: Num, dirFd: Num, path: Num, how: Num, size: Num): Num;
  renameat2(number: Num, oldDirFd: Num, oldPath: Num, newDirFd: Num, newPath: Num, flags: Num): Num;
  fchmodat2(number: Num, dirFd: Num, path: Num, mode: Num, flags: Num): Num;
  xattrat(number: Num, dirFd: Num, path: Num, flags: Num, argument: Num, value: Num, size: Num): Num;
}

/** Numbers for syscall(2): what musl or an older glibc has no function for. Equal on both machines from 424 on. */
interface SyscallNumbers {
  readonly statx: number;
  readonly getdents64: number;
  readonly renameat2: number;
  readonly openat2: number;
  readonly fchmodat2: number;
  readonly setxattrat: number;
  readonly getxattrat: number;
  readonly listxattrat: number;
  readonly removexattrat: number;
}

const NEW_NUMBERS = {
  openat2: 437,
  fchmodat2: 452,
  setxattrat: 463,
  getxattrat: 464,
  listxattrat: 465,
  removexattrat: 466,
};

const SYSCALL_NUMBERS: Readonly<Record<string, SyscallNumbers>> = {
  x64: { statx: 332, getdents64: 217, renameat2: 316, ...NEW_NUMBERS },
  arm64: { statx: 291, getdents64: 61, renameat2: 276, ...NEW_NUMBERS },
};

// name: result, arguments. p = pointer as a number, i = int, u = unsigned, l = 64-bit signed, z = size_t.
const SIGNATURES: Readonly<Record<keyof RawCalls, string>> = {
  openat: 'i ipiu',
  close: 'i i',
  readlinkat: 'l ippz',
  mkdirat: 'i ipu',
  mknodat: 'i ipul',
  symlinkat: 'i pip',
  linkat: 'i ipipi',
  unlinkat: 'i ipi',
  renameat: 'i ipip',
  chmod: 'i pu',
  fchmod: 'i iu',
  fchown: 'i iuu',
  fchownat: 'i ipuui',
  utimensat: 'i ippi',
  futimens: 'i ip',
  lseek: 'l ili',
  ftruncate: 'i il',
  fallocate: 'i iill',
  posix_fadvise: 'i illi',
  read: 'l ipz',
  pread: 'l ipzl',
  pwrite: 'l ipzl',
  fsync: 'i i',
  fdatasync: 'i i',
  syncfs: 'i i',
  flock: 'i ii',
  getrlimit: 'i ip',
  flistxattr: 'l ipz',
  fgetxattr: 'l ippz',
  fsetxattr: 'i ippzi',
  fremovexattr: 'i ip',
  llistxattr: 'l ppz',
  lgetxattr: 'l pppz',
  lsetxattr: 'i pppzi',
  lremovexattr: 'i pp',
  statx: 'l lipiup',
  getdents64: 'l lipz',
  openat2: 'l lippz',
  renameat2: 'l lipipu',
  fchmodat2: 'l lipui',
  xattrat: 'l lipuppz',
};

/** Called as syscall(number, …); the rest are functions of libc by their own name. */
const THROUGH_SYSCALL: ReadonlySet<string> = new Set([
  'statx',
  'getdents64',
  'openat2',
  'renameat2',
  'fchmodat2',
  'xattrat',
]);

const TYPES: Readonly<Record<string, string>> = { p: 'uintptr_t', i: 'int', u: 'uint', l: 'int64_t', z: 'size_t' };

/** Room for a path (PATH_MAX is 4096 with its NUL) in front of a directory part of /proc/self/fd. */
const PATH_ROOM = 4096;
const PATH_A = 0;
const PATH_B = PATH_A + PATH_ROOM;
/** A NUL that stays: the empty path, for AT_EMPTY_PATH. */
const EMPTY = PATH_B + PATH_ROOM;
const SMALL = EMPTY + 8;
const SCRATCH_BYTES = SMALL + 512;

/** What one thread needs to make calls: the functions, and pinned memory for names and small structures. */
export interface Binding {
  readonly raw: RawCalls;
  readonly numbers: SyscallNumbers;
  /** Bytes of the scratch area; `small…` are views of its last 512 bytes. */
  readonly scratch: Uint8Array;
  readonly address: number;
  readonly emptyPath: number;
  readonly small: DataView;
  readonly smallAddress: number;
  errno(): number;
  addressOf(bytes: ArrayBufferView): number;
}

/** What is used of koffi; its own types are untyped where it matters. */
interface Koffi {
  load(path: null): { func(name: string, result: string, parameters: readonly string[]): unknown };
  errno(): number;
  address(bytes: ArrayBufferView): bigint;
}

let loaded: Binding | undefined;

/** The binding of this thread. Throws SYSCALL_UNSUPPORTED where there is none. */
export function binding(): Binding {
  return (loaded ??= load());
}

/** True where the calls of this folder work. Loads the binding. */
export function hasSystemCalls(): boolean {
  try {
    binding();
    return true;
  } catch {
    // Whatever the reason, the answer is the same; calling a function reports it.
    return false;
  }
}

function load(): Binding {
  const numbers = SYSCALL_NUMBERS[process.arch];
  if (process.platform !== 'linux' || numbers === undefined) {
    throw new SyscallUnsupportedError(`no binding for ${process.platform} on ${process.arch}`);
  }
  try {
    const koffi = createRequire(import.meta.url)('koffi') as Koffi;
    // The running executable: it has libc linked or loaded, glibc or musl alike.
    const library = koffi.load(null);
    const raw: Record<string, unknown> = {};
    for (const [name, signature] of Object.entries(SIGNATURES)) {
      const [result = '', parameters = ''] = signature.split(' ');
      raw[name] = library.func(
        THROUGH_SYSCALL.has(name) ? 'syscall' : name,
        TYPES[result] ?? 'void',
        Array.from(parameters, (letter) => TYPES[letter] ?? 'void'),
      );
    }
    const addressOf = (bytes: ArrayBufferView): number => Number(koffi.address(bytes));
    const scratch = new Uint8Array(SCRATCH_BYTES);
    const address = addressOf(scratch);
    return {
      // SIGNATURES has exactly the keys of RawCalls; koffi's own type for a function is untyped.
      raw: raw as unknown as RawCalls,
      numbers,
      scratch,
      address,
      emptyPath: address + EMPTY,
      small: new DataView(scratch.buffer, SMALL, SCRATCH_BYTES - SMALL),
      smallAddress: address + SMALL,
      errno: () => koffi.errno(),
      addressOf,
    };
  } catch (error) {
    throw new SyscallUnsupportedError('the native binding did not load', error);
  }
}

/** Turns a raw answer into the one of this folder: ≥ 0, or the negative errno. HOT. */
export function result(b: Binding, value: number): number {
  return value < 0 ? -b.errno() : value;
}

const utf8 = new TextEncoder();

/**
 * Writes a name, NUL-terminated, into pinned memory and answers its address; a negative errno when it cannot be a path:
 * longer than PATH_MAX, or with a NUL inside (which would silently cut it). One NUL at the very end is accepted. HOT.
 */
export function pathA(b: Binding, name: Uint8Array | string): number {
  return putPath(b, name, PATH_A, PATH_A);
}

/** As {@link pathA}, for calls with two paths. */
export function pathB(b: Binding, name: Uint8Array | string): number {
  return putPath(b, name, PATH_B, PATH_B);
}

function putPath(b: Binding, name: Uint8Array | string, start: number, at: number): number {
  const { scratch } = b;
  const length = typeof name === 'string' ? putText(scratch, name, at) : putBytes(scratch, name, at);
  if (length < 0) return length;
  scratch[at + length] = 0;
  return b.address + start;
}

/** The room left from `at` to the end of its slot, less the terminator. */
function roomFrom(at: number): number {
  return PATH_ROOM - 1 - (at % PATH_ROOM);
}

function putBytes(scratch: Uint8Array, name: Uint8Array, at: number): number {
  let length = name.length;
  if (length > 0 && name[length - 1] === 0) length--;
  if (length > roomFrom(at)) return -ENAMETOOLONG;
  for (let i = 0; i < length; i++) {
    const byte = name[i] as number;
    if (byte === 0) return -EINVAL;
    scratch[at + i] = byte;
  }
  return length;
}

function putText(scratch: Uint8Array, name: string, at: number): number {
  if (name.length > roomFrom(at)) return -ENAMETOOLONG;
  for (let i = 0; i < name.length; i++) {
    const code = name.charCodeAt(i);
    // ASCII, nearly always: encoding a string makes an array, which costs more than the rest of the call.
    if (code === 0 || code > 0x7f) return putBytes(scratch, utf8.encode(name), at);
    scratch[at + i] = code;
  }
  return name.length;
}

const PROC_FD = utf8.encode('/proc/self/fd/');

/** The path `/proc/self/fd/<dirFd>/<name>` (without `/<name>` when undefined), for calls that have no *at form. */
export function procPath(b: Binding, dirFd: number, name: Uint8Array | string | undefined): number {
  const { scratch } = b;
  if (dirFd < 0) return name === undefined ? -EINVAL : pathA(b, name);
  scratch.set(PROC_FD, PATH_A);
  let at = PATH_A + PROC_FD.length;
  for (const digit of String(dirFd)) scratch[at++] = digit.charCodeAt(0);
  if (name === undefined) {
    scratch[at] = 0;
    return b.address + PATH_A;
  }
  scratch[at++] = 0x2f;
  return putPath(b, name, PATH_A, at);
}
