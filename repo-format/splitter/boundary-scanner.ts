// What differs between the dynamic splitters: finding the next byte where the hash of the last 64 bytes has all mask bits
// clear. Where such a byte may count as a cut is the splitter's business (snapshots §1.3).

/** Bytes that the hash of a position covers. A multiple of 32, which the buzhash scanner relies on. */
export const HASH_WINDOW_BYTES = 64;

export interface BoundaryScanner {
  /** Where the data must be for `findBoundary` to see it. */
  readonly window: Uint8Array;
  /**
   * HOT. The first index in [from, to) at which the hash of the 64 bytes ending there (inclusive) has no bit of the mask
   * set, or -1. `from` is at least 64, so the first window is inside.
   */
  findBoundary(from: number, to: number): number;
}
