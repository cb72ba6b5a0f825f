// Finds where a file has data, so that holes are known and not read. The kernel's answer is a hint: a file system may
// call zeros data, and one that knows no holes calls everything data. It never calls data a hole; what is written between
// the question and the reading is caught like any other change, by the attributes afterwards.

import { EINVAL, ENXIO, EOPNOTSUPP, SEEK_DATA, SEEK_HOLE, lseek } from '../posix/libc.ts';

/**
 * Calls `extent(start, end)` for each stretch of data in `[0, size)`, in order. 0 when the map is complete; a negative
 * errno when the file could not be asked any more. Moves the file position. HOT for files with holes only: ask
 * {@link mayHaveHoles} first.
 */
export function forEachExtent(fd: number, size: number, extent: (start: number, end: number) => void): number {
  let at = 0;
  while (at < size) {
    const start = lseek(fd, at, SEEK_DATA);
    // No data from here to the end.
    if (start === -ENXIO) return 0;
    if (start < 0) return withoutMap(start, at, size, extent);
    if (start >= size) return 0;
    const end = lseek(fd, start, SEEK_HOLE);
    // The file was cut shorter than the data just found: read what is there, the reader sees the end.
    if (end === -ENXIO || end <= start) {
      extent(start, size);
      return 0;
    }
    if (end < 0) return withoutMap(end, start, size, extent);
    extent(start, Math.min(end, size));
    at = end;
  }
  return 0;
}

/** A file system without the two calls has no holes to tell of: all of the rest is data. */
function withoutMap(errno: number, at: number, size: number, extent: (start: number, end: number) => void): number {
  if (errno !== -EINVAL && errno !== -EOPNOTSUPP) return errno;
  extent(at, size);
  return 0;
}

/** The extents of `[0, size)` as flat pairs start, end; the whole file when asking fails. At most `limit` extents, the last one then reaching to the end. */
export function dataExtents(fd: number, size: number, limit = 1_000_000): Float64Array {
  const pairs: number[] = [];
  const answer = forEachExtent(fd, size, (start, end) => {
    if (pairs.length < 2 * limit) pairs.push(start, end);
    else pairs[pairs.length - 1] = size;
  });
  // An error in the middle: what is not known to be a hole is read.
  if (answer < 0) return Float64Array.of(0, size);
  return Float64Array.from(pairs);
}

/**
 * Whether a file can have holes by its attributes alone: fewer blocks than its size needs. Compressing file systems
 * answer true for files without any, never the reverse, except that blocks kept beyond the end or metadata counted as blocks may
 * hide a small hole, which is then read as zeros.
 */
export function mayHaveHoles(stat: { readonly size: number; readonly blocks: number }): boolean {
  return stat.blocks * 512 < stat.size;
}
