// Writes bytes so that runs of zeros stay holes: the file has its size already, and what is zero is not written.
import { pwriteFrom } from '../posix/libc.ts';

/** Holes shorter than a page are none to any file system. */
const BLOCK_BYTES = 4096;
/** A first look at larger runs costs less than a comparison for each block. */
const STRIDE_BYTES = 64 * BLOCK_BYTES;
const ZEROS = new Uint8Array(STRIDE_BYTES);

/** True when bytes [start, end) are all zero; at most {@link STRIDE_BYTES} of them. */
function isZero(bytes: Buffer, start: number, end: number): boolean {
  return bytes.compare(ZEROS, 0, end - start, start, end) === 0;
}

/**
 * Writes `bytes` at `fileOffset` of a file that reads as zeros there, leaving out blocks (aligned in the file) that are
 * all zero. Answers ≥ 0 or a negative errno.
 */
export function writeSparse(fd: number, bytes: Uint8Array, fileOffset: number): number {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const { length } = buffer;
  // First byte of the run of data that is not written yet; -1 within zeros.
  let data = -1;
  let at = 0;
  while (at < length) {
    const isAligned = (fileOffset + at) % STRIDE_BYTES === 0;
    const stride = isAligned && at + STRIDE_BYTES <= length ? STRIDE_BYTES : 0;
    let end = at + stride;
    let zero = stride > 0 && isZero(buffer, at, end);
    if (!zero) {
      end = Math.min(length, at + BLOCK_BYTES - ((fileOffset + at) % BLOCK_BYTES));
      zero = isZero(buffer, at, end);
    }
    if (zero && data >= 0) {
      const answer = pwriteFrom(fd, buffer, data, at - data, fileOffset + data);
      if (answer < 0) return answer;
      data = -1;
    } else if (!zero && data < 0) {
      data = at;
    }
    at = end;
  }
  return data < 0 ? length : pwriteFrom(fd, buffer, data, length - data, fileOffset + data);
}
