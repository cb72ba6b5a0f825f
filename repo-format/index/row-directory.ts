// Finds the row of a key among many indexes with one look into memory instead of a search in each: 5,000 indexes of a
// million rows together cost 640 µs a lookup without this. Made once, for all threads.
//
//   slot: 0 empty, else bit 31 "several rows", tag, 1 + number of the first row with this key
import type { ParsedIndex } from './parsed-index.ts';
import { releaseBytes } from './row-store.ts';

/** Below this, searching is as cheap. */
export const MIN_DIRECTORY_INDEXES = 3;
// Entering a row costs about a sixteenth of searching one index: from so many searches on it pays.
const ROWS_PER_SEARCH = 16;
/** What slot and tag are made of. */
const MIN_KEY_BYTES = 9;
const MAX_ROWS = 2 ** 30;
/** Share of the slots in use, at most. */
const MAX_LOAD = 0.75;
const SEVERAL = 0x8000_0000;

/** Structured-cloneable; in shared memory. */
export interface RowDirectoryData {
  readonly slots: Uint32Array;
  /** First rows of keys whose winner is another row, ascending, and those winners. */
  readonly firsts: Uint32Array;
  readonly winners: Uint32Array;
}

/** Whether the second of two rows with one key wins over the first. */
export type Beats = (challenger: number, holder: number) => boolean;

/** Whether so many searches among these indexes have cost what a directory costs. */
export function isDirectoryWorthwhile(indexes: readonly ParsedIndex[], rowCount: number, searches: number): boolean {
  if (indexes.length < MIN_DIRECTORY_INDEXES || searches * indexes.length * ROWS_PER_SEARCH < rowCount) return false;
  return rowCount < MAX_ROWS && indexes.every((index) => index.keySize >= MIN_KEY_BYTES);
}

export class RowDirectory {
  readonly data: RowDirectoryData;
  readonly #indexes: readonly ParsedIndex[];
  readonly #rowStarts: readonly number[];
  readonly #rowMask: number;
  /** Whether the key of the last look has several rows. */
  #isSeveral = false;

  private constructor(
    indexes: readonly ParsedIndex[],
    rowStarts: readonly number[],
    rows: number,
    data: RowDirectoryData,
  ) {
    this.#indexes = indexes;
    this.#rowStarts = rowStarts;
    this.#rowMask = 2 ** Math.ceil(Math.log2(rows + 2)) - 1;
    this.data = data;
  }

  static build(
    indexes: readonly ParsedIndex[],
    rowStarts: readonly number[],
    rows: number,
    beats: Beats,
  ): RowDirectory {
    const none = new Uint32Array(0);
    const slots = sharedWords(2 ** Math.ceil(Math.log2(Math.max(2, rows / MAX_LOAD))));
    const directory = new RowDirectory(indexes, rowStarts, rows, { slots, firsts: none, winners: none });
    const others = directory.#enterAll(rows, beats);
    let count = 0;
    for (const winner of others) if (winner !== 0) count++;
    const firsts = sharedWords(count);
    const winners = sharedWords(count);
    let at = 0;
    others.forEach((winner, first) => {
      if (winner === 0) return;
      firsts[at] = first;
      winners[at++] = winner - 1;
    });
    releaseBytes(new Uint8Array(others.buffer));
    return new RowDirectory(indexes, rowStarts, rows, { slots, firsts, winners });
  }

  static from(
    indexes: readonly ParsedIndex[],
    rowStarts: readonly number[],
    rows: number,
    data: RowDirectoryData,
  ): RowDirectory {
    return new RowDirectory(indexes, rowStarts, rows, data);
  }

  /** HOT. The first row with this key, −1 when there is none. */
  firstRowOf(key: Uint8Array): number {
    if (key.length < MIN_KEY_BYTES) return -1;
    const slot = this.#slotOf(key, 0, key.length);
    const held = slot < 0 ? 0 : (this.data.slots[slot] ?? 0);
    this.#isSeveral = held >= SEVERAL;
    return (held & this.#rowMask) - 1;
  }

  /** HOT. The row that wins among all with the key of `first`, which `firstRowOf` has just answered. */
  winnerOf(first: number): number {
    if (!this.#isSeveral) return first;
    const { firsts, winners } = this.data;
    let low = 0;
    let high = firsts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((firsts[middle] ?? 0) < first) low = middle + 1;
      else high = middle;
    }
    return firsts[low] === first ? (winners[low] ?? first) : first;
  }

  /** HOT. Which index a row belongs to. */
  indexNumberOf(row: number): number {
    return indexNumberOf(this.#rowStarts, row);
  }

  /** For each first row the number of the row that wins over it and one; 0 for most. A map of a million would cost 40 MB and more. */
  #enterAll(rows: number, beats: Beats): Uint32Array<ArrayBuffer> {
    const winners = new Uint32Array(rows);
    const { slots } = this.data;
    this.#indexes.forEach((index, number) => {
      const start = this.#rowStarts[number] ?? 0;
      for (let entry = 0; entry < index.entryCount; entry++) {
        const at = index.keyOffset(entry);
        const slot = this.#slotOf(index.bytes, at, at + index.keySize);
        if (slot < 0) {
          slots[~slot] = (this.#tagOf(index.bytes, at + index.keySize) | (start + entry + 1)) >>> 0;
          continue;
        }
        const held = slots[slot] ?? 0;
        const first = (held & this.#rowMask) - 1;
        slots[slot] = (held | SEVERAL) >>> 0;
        const winner = winners[first] ?? 0;
        if (beats(start + entry, winner === 0 ? first : winner - 1)) winners[first] = start + entry + 1;
      }
    });
    return winners;
  }

  /** HOT. The slot of the key in `bytes[from, end)`; the complement of the free one where it belongs when there is none. */
  #slotOf(bytes: Uint8Array, from: number, end: number): number {
    const { slots } = this.data;
    const slotMask = slots.length - 1;
    const tag = this.#tagOf(bytes, end);
    const tagMask = ~(this.#rowMask | SEVERAL);
    for (let slot = wordBefore(bytes, end) & slotMask; ; slot = (slot + 1) & slotMask) {
      const held = slots[slot] ?? 0;
      if (held === 0) return ~slot;
      if ((held & tagMask) === tag && this.#hasKey((held & this.#rowMask) - 1, bytes, from, end)) return slot;
    }
  }

  /** Other bytes than those that choose the slot, in the bits that rows and mark leave. */
  #tagOf(bytes: Uint8Array, end: number): number {
    return wordBefore(bytes, end - 4) & ~(this.#rowMask | SEVERAL);
  }

  #hasKey(row: number, bytes: Uint8Array, from: number, end: number): boolean {
    const number = this.indexNumberOf(row);
    const index = this.#indexes[number];
    if (index === undefined || index.keySize !== end - from) return false;
    const at = index.keyOffset(row - (this.#rowStarts[number] ?? 0));
    for (let offset = 0; offset < end - from; offset++)
      if (index.bytes[at + offset] !== bytes[from + offset]) return false;
    return true;
  }
}

/** HOT. Which of the indexes whose rows begin at these numbers a row belongs to. */
export function indexNumberOf(rowStarts: readonly number[], row: number): number {
  let low = 0;
  let high = rowStarts.length;
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    if ((rowStarts[middle] ?? 0) <= row) low = middle;
    else high = middle;
  }
  return low;
}

function sharedWords(length: number): Uint32Array {
  return new Uint32Array(new SharedArrayBuffer(length * Uint32Array.BYTES_PER_ELEMENT));
}

/** Four bytes of the hash: as uniform as any. */
function wordBefore(bytes: Uint8Array, end: number): number {
  return (
    ((bytes[end - 4] ?? 0) << 24) | ((bytes[end - 3] ?? 0) << 16) | ((bytes[end - 2] ?? 0) << 8) | (bytes[end - 1] ?? 0)
  );
}
