// Calls on open files: bytes, holes, sizes, locks, flushing. All answer ≥ 0 or a negative errno. Reading through these
// beats fs.readSync by a fifth of a microsecond a call and reads into WebAssembly memory without a Buffer around it.

import { binding, result } from './binding.ts';
import { EINTR, EINVAL } from './errors.ts';

/** The address of an array's first byte, for {@link readAt} and {@link writeAt}; valid while the array is alive and attached. */
export function addressOf(bytes: ArrayBufferView): number {
  return binding().addressOf(bytes);
}

/**
 * Reads up to `length` bytes at `position` (the file's own position when -1) into `buffer` from `offset`. Answers how
 * many, 0 at the end of the file. `buffer` may be WebAssembly or shared memory. HOT.
 */
export function readInto(fd: number, buffer: Uint8Array, offset: number, length: number, position: number): number {
  if (offset < 0 || length < 0 || offset + length > buffer.length) return -EINVAL;
  if (buffer !== lastBuffer) {
    lastAddress = binding().addressOf(buffer);
    lastBuffer = buffer;
  }
  return readAt(fd, lastAddress + offset, length, position);
}

/**
 * Of the last reading: file after file goes into the same memory, and asking for its address costs as much as reading.
 * Memory does not move; of a buffer that was detached the length is 0, and nothing is read into it.
 */
let lastBuffer: Uint8Array | undefined;
let lastAddress = 0;

/** {@link readInto} for memory whose address the caller has; nothing checks that `length` bytes are there. HOT. */
export function readAt(fd: number, address: number, length: number, position: number): number {
  const b = binding();
  for (;;) {
    const got = position < 0 ? b.raw.read(fd, address, length) : b.raw.pread(fd, address, length, position);
    if (got >= 0) return got;
    const errno = b.errno();
    if (errno !== EINTR) return -errno;
  }
}

/** Reads until `length` bytes or the end of the file; answers how many. */
export function readFully(fd: number, buffer: Uint8Array, offset: number, length: number, position: number): number {
  let done = 0;
  while (done < length) {
    const got = readInto(fd, buffer, offset + done, length - done, position + done);
    if (got < 0) return got;
    if (got === 0) break;
    done += got;
  }
  return done;
}

/** Writes all of `length` bytes of `buffer` from `offset` at `position`. Answers `length` or a negative errno. HOT. */
export function pwriteFrom(fd: number, buffer: Uint8Array, offset: number, length: number, position: number): number {
  if (offset < 0 || length < 0 || offset + length > buffer.length || position < 0) return -EINVAL;
  const b = binding();
  const address = b.addressOf(buffer) + offset;
  let done = 0;
  while (done < length) {
    const put = b.raw.pwrite(fd, address + done, length - done, position + done);
    if (put > 0) {
      done += put;
      continue;
    }
    const errno = put === 0 ? EINVAL : b.errno();
    if (errno !== EINTR) return -errno;
  }
  return length;
}

/** Moves the file position, or finds data and holes with SEEK_DATA and SEEK_HOLE. */
export function lseek(fd: number, offset: number, whence: number): number {
  const b = binding();
  return Number(result(b, b.raw.lseek(fd, offset, whence)));
}

export function ftruncate(fd: number, length: number): number {
  const b = binding();
  return result(b, b.raw.ftruncate(fd, length));
}

/** Reserves space, or punches holes; -EOPNOTSUPP where the file system cannot. */
export function fallocate(fd: number, mode: number, offset: number, length: number): number {
  const b = binding();
  return result(b, b.raw.fallocate(fd, mode, offset, length));
}

/** A hint about coming reads; unlike the other calls it answers 0 or a *positive* errno, which callers ignore. */
export function fadvise(fd: number, offset: number, length: number, advice: number): void {
  binding().raw.posix_fadvise(fd, offset, length, advice);
}

export function fsync(fd: number): number {
  const b = binding();
  return result(b, b.raw.fsync(fd));
}

export function fdatasync(fd: number): number {
  const b = binding();
  return result(b, b.raw.fdatasync(fd));
}

/** Flushes the whole file system that `fd` lies on. */
export function syncfs(fd: number): number {
  const b = binding();
  return result(b, b.raw.syncfs(fd));
}

/** LOCK_SH, LOCK_EX or LOCK_UN, with LOCK_NB to get -EAGAIN instead of waiting. */
export function flock(fd: number, operation: number): number {
  const b = binding();
  return result(b, b.raw.flock(fd, operation));
}

/** Fills `buffer` with raw directory records; bytes filled, 0 at the end. */
export function getdents64(fd: number, address: number, length: number): number {
  const b = binding();
  return result(b, b.raw.getdents64(b.numbers.getdents64, fd, address, length));
}

const RLIMIT_NOFILE = 7;

/** How many files this process may have open (the soft limit); 1024 when the system does not say. */
export function openFileLimit(): number {
  const b = binding();
  if (b.raw.getrlimit(RLIMIT_NOFILE, b.smallAddress) < 0) return 1024;
  // struct rlimit: 0 8 soft, 8 8 hard. All ones means no limit.
  return b.small.getUint32(4, true) === 0 ? b.small.getUint32(0, true) : 0xffff_ffff;
}
