// The index builder's memory: rows of plain bytes in segments, so that a million entries cost what they hold and
// growing never copies what is there.
import { WindlassError } from '../../base/errors.ts';
import type { BlobId } from '../blob/storage.ts';
import { prefixCode } from './parsed-index.ts';

// Row as stored, little-endian, after `key[keySize]` (offset, size, meaning):
//    0  4  pack offset, bit 31 = deleted
//    4  4  packed length
//    8  4  original length
//   12  4  timestamp, Unix seconds
//   16  4  pack number
//   20  1  format number
export const ROW_PACK_OFFSET = 0;
export const ROW_PACKED_LENGTH = 4;
export const ROW_ORIGINAL_LENGTH = 8;
export const ROW_TIMESTAMP = 12;
export const ROW_PACK_NUMBER = 16;
export const ROW_FORMAT_NUMBER = 20;
export const ROW_VALUE_SIZE = 21;
export const ROW_DELETED_BIT = 0x8000_0000;

const SEGMENT_BITS = 16;
const SEGMENT_ROWS = 1 << SEGMENT_BITS;
const SEGMENT_MASK = SEGMENT_ROWS - 1;
const FIRST_SEGMENT_ROWS = 64;

export interface Segment {
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

export class RowStore {
  readonly keySize: number;
  readonly stride: number;
  readonly #segments: Segment[] = [];
  #count = 0;

  constructor(keySize: number) {
    this.keySize = keySize;
    this.stride = keySize + ROW_VALUE_SIZE;
  }

  get count(): number {
    return this.#count;
  }

  /** Makes room for one more row and returns its number. Its key must be written at once, and checked. */
  append(): number {
    const row = this.#count;
    const index = row >>> SEGMENT_BITS;
    const needed = (row & SEGMENT_MASK) + 1;
    const segment = this.#segments[index];
    if (segment === undefined) {
      this.#segments[index] = newSegment((index === 0 ? FIRST_SEGMENT_ROWS : SEGMENT_ROWS) * this.stride);
    } else if (needed * this.stride > segment.bytes.length) {
      // Only the first segment starts small.
      const grown = newSegment(segment.bytes.length * 2);
      grown.bytes.set(segment.bytes);
      this.#segments[index] = grown;
    }
    this.#count = row + 1;
    return row;
  }

  /** Takes back the last row. */
  dropLast(): void {
    this.#count--;
  }

  /** Gives the memory back at once, without waiting for a collection; the store is empty then. */
  release(): void {
    for (const { bytes } of this.#segments) releaseBytes(bytes);
    this.#segments.length = 0;
    this.#count = 0;
  }

  /** HOT. The segment a row lies in. */
  segment(row: number): Segment {
    const segment = this.#segments[row >>> SEGMENT_BITS];
    if (segment === undefined) throw new RangeError(`no row ${row}`);
    return segment;
  }

  /** HOT. Where the row starts in its segment. */
  offset(row: number): number {
    return (row & SEGMENT_MASK) * this.stride;
  }

  /** HOT. Compares the keys of two rows. */
  compareKeys(a: number, b: number): number {
    const bytesA = this.segment(a).bytes;
    const bytesB = this.segment(b).bytes;
    const offsetA = this.offset(a);
    const offsetB = this.offset(b);
    for (let index = 0; index < this.keySize; index++) {
      const difference = (bytesA[offsetA + index] ?? 0) - (bytesB[offsetB + index] ?? 0);
      if (difference !== 0) return difference;
    }
    return 0;
  }
}

export interface IndexFormat {
  readonly compressionId: number;
  readonly formatVersion: number;
  readonly encryptionKeyId: number;
}

/** What the encoders need of a builder. */
export interface SortedIndex {
  readonly store: RowStore;
  /** Row numbers in key order, without repeated keys. */
  readonly rows: Uint32Array;
  readonly packIds: readonly BlobId[];
  readonly formats: readonly IndexFormat[];
}

/** Frees the buffer behind `bytes`, which nobody may use any more. Large ones would wait for a collection that is in no hurry. */
export function releaseBytes(bytes: Uint8Array): void {
  if (bytes.buffer instanceof ArrayBuffer && !bytes.buffer.detached) bytes.buffer.transfer(0);
}

/** As {@link releaseBytes}, for bytes that may be part of a buffer others use, too: then nothing happens. */
export function releaseWhole(bytes: Uint8Array): void {
  if (bytes.byteLength === bytes.buffer.byteLength) releaseBytes(bytes);
}

function newSegment(sizeBytes: number): Segment {
  const buffer = new ArrayBuffer(sizeBytes);
  return { bytes: new Uint8Array(buffer), view: new DataView(buffer) };
}

export function entryInvalid(reason: string, context: Record<string, number | string> = {}): WindlassError {
  return new WindlassError(`entry does not fit an index: ${reason}`, { code: 'INDEX_ENTRY_INVALID', context });
}

/**
 * Row numbers in key order. `rank(a, b)` is positive when row a beats row b of the same key; only the best row of a
 * key is returned.
 *
 * Sorts one 64-bit word a row, natively: the prefix and 27 bits of the hash above the row number. Rows that agree in
 * those bits are few, unless keys repeat, and are ordered by full comparison. 8 bytes a row while it runs.
 */
export function sortedRows(store: RowStore, rank: (a: number, b: number) => number): Uint32Array {
  const words = new Uint32Array(store.count * 2);
  for (let row = 0; row < store.count; row++) {
    const { bytes } = store.segment(row);
    const at = store.offset(row);
    const hash = ((bytes[at + 1] ?? 0) << 24) | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 8);
    // Keys are at least two bytes long: what follows a shorter key is not part of it.
    const sortable = store.keySize >= 5 ? hash | (bytes[at + 4] ?? 0) : (bytes[at + 1] ?? 0) << 24;
    words[row * 2] = row;
    words[row * 2 + 1] = (prefixCode(bytes[at] ?? 0) << 27) | (sortable >>> 5);
  }
  new BigUint64Array(words.buffer).sort();
  let kept = 0;
  for (let start = 0; start < store.count;) {
    let end = start + 1;
    while (end < store.count && words[end * 2 + 1] === words[start * 2 + 1]) end++;
    // Writing at `kept` never overtakes reading at `start`: the kept rows are single words.
    if (end === start + 1) words[kept++] = words[start * 2] ?? 0;
    else kept = keepBest(store, words, start, end, kept, rank);
    start = end;
  }
  return words.subarray(0, kept);
}

function keepBest(
  store: RowStore,
  words: Uint32Array,
  start: number,
  end: number,
  kept: number,
  rank: (a: number, b: number) => number,
): number {
  const run: number[] = [];
  for (let index = start; index < end; index++) run.push(words[index * 2] ?? 0);
  run.sort((a, b) => store.compareKeys(a, b) || rank(b, a) || a - b);
  let previous = -1;
  for (const row of run) {
    if (previous < 0 || store.compareKeys(previous, row) !== 0) words[kept++] = row;
    previous = row;
  }
  return kept;
}
