// What both index versions have in common: fixed-stride rows sorted by key, searched in place (repository format §7).
import { WindlassError } from '../../base/errors.ts';
import { isBlobId } from '../blob/blob-id.ts';
import type { BlobId } from '../blob/storage.ts';
import { type ContentId, contentIdFromKey } from './content-id.ts';
import type { IndexEntry } from './entry.ts';

/** An index blob, opened but not unpacked. All reads go to `bytes`, which may lie in shared memory. */
export interface ParsedIndex {
  readonly version: 1 | 2;
  readonly entryCount: number;
  readonly keySize: number;
  readonly bytes: Uint8Array;
  /** HOT, allocates nothing. Number of the entry with this key, or −1; keys of another size are never found. */
  find(key: Uint8Array): number;
  /** HOT. Number of the first entry whose key is not below `key`. */
  lowerBound(key: Uint8Array): number;
  /** HOT. Where the key of entry `entry` starts in `bytes`. */
  keyOffset(entry: number): number;
  /** A view of the key. */
  keyAt(entry: number): Uint8Array;
  /** HOT. Unix seconds. */
  timestampAt(entry: number): number;
  /** HOT. */
  isDeletedAt(entry: number): boolean;
  packIdAt(entry: number): BlobId;
  /** Packs that rows name by number; 0 where each row has its own name, as in version 1. */
  readonly packCount: number;
  /** HOT. The pack's number, below `packCount` unless the index is corrupt; -1 where packs have none. */
  packNumberAt(entry: number): number;
  /** The name of this number, read anew each time: nothing remembers it. `INDEX_CORRUPT` when there is none. */
  packNameOf(number: number): BlobId;
  /** HOT. Bytes in the pack, sealed. */
  packedLengthAt(entry: number): number;
  /** Every pack that a row may name, each once or more often. */
  packIds(): IterableIterator<BlobId>;
  /** Raises each named pack's value to the greatest end of its rows: bytes that the pack must have at least. */
  addPackEnds(ends: Map<BlobId, number>): void;
  /** `INDEX_CORRUPT` when the row points outside the index. */
  entryAt(entry: number): IndexEntry;
  /** As `entryAt`, for who takes the key and the pack's number: an id and a name in text cost more than all the rest. */
  valueAt(entry: number): EntryValue;
  iterate(): IterableIterator<IndexEntry>;
}

export function indexCorrupt(reason: string, context: Record<string, number | string> = {}): WindlassError {
  return new WindlassError(`index is corrupt: ${reason}`, { code: 'INDEX_CORRUPT', context });
}

/** All of an entry but its names. */
export type EntryValue = Omit<IndexEntry, 'id' | 'packId'>;

const NO_ID = '' as ContentId;
const NO_PACK = '' as BlobId;

/** The columns that depend on the version. `at` is the offset of the row's value in `bytes`. */
export interface RowReader {
  readonly version: 1 | 2;
  timestamp(at: number): number;
  isDeleted(at: number): boolean;
  packId(at: number): BlobId;
  packedLength(at: number): number;
  /** The packs of the table that rows refer to; undefined where each row has its own name. */
  packTable?(): IterableIterator<BlobId>;
  /** HOT. Where the content ends in its pack. */
  packEnd(at: number): number;
  /** Names in that table; absent without one. */
  readonly packCount?: number;
  /** HOT. The pack's number in that table; only with one. */
  packNumber?(at: number): number;
  packNameOf?(number: number): BlobId;
  /** HOT. The whole entry, whose id the key before it says, with its pack's name. */
  value(at: number, id: ContentId, packId: BlobId): IndexEntry;
}

export interface RowLayout {
  readonly headerSize: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly entryCount: number;
}

/** Checks the rows to be inside `bytes`; `INDEX_CORRUPT` otherwise. */
export function assertRowsInside(bytes: Uint8Array, layout: RowLayout): void {
  const end = layout.headerSize + layout.entryCount * (layout.keySize + layout.valueSize);
  if (end > bytes.length) {
    throw indexCorrupt('entries reach beyond the end', { entryCount: layout.entryCount, length: bytes.length });
  }
}

/** A pack name out of the index; `INDEX_CORRUPT` when it is outside of it or no blob name. */
export function readPackName(bytes: Uint8Array, offset: number, length: number): BlobId {
  if (offset + length > bytes.length) throw indexCorrupt('a pack name lies outside', { offset, length });
  const name = Buffer.from(bytes.buffer, bytes.byteOffset + offset, length).toString('latin1');
  if (!isBlobId(name)) throw indexCorrupt('a pack name is not a blob name', { offset, length });
  return name;
}

// Prefix bytes in key order: none, then g–z. Each has a contiguous run of rows, inside of which hashes are uniform.
const PREFIX_CODES = 21;

/** HOT helper: 0 for no prefix, 1–20 for g–z, −1 for a byte no key starts with. */
export function prefixCode(byte: number): number {
  if (byte === 0) return 0;
  return byte >= 0x67 && byte <= 0x7a ? byte - 0x66 : -1;
}

/** Values that the first four bytes of a hash can have. */
const HEADS = 2 ** 32;
const MIN_GUESS_KEY_SIZE = 5;
// The second guess is a few rows off.
const FIRST_STEP = 4;

export class RowIndex implements ParsedIndex {
  readonly version: 1 | 2;
  readonly entryCount: number;
  readonly keySize: number;
  readonly bytes: Uint8Array;
  readonly #headerSize: number;
  readonly #stride: number;
  readonly #rows: RowReader;
  readonly #view: DataView;
  /** First row of each prefix code, and the count of rows at the end. */
  #prefixStarts: Uint32Array | undefined;

  constructor(bytes: Uint8Array, layout: RowLayout, rows: RowReader) {
    assertRowsInside(bytes, layout);
    this.version = rows.version;
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.entryCount = layout.entryCount;
    this.keySize = layout.keySize;
    this.#headerSize = layout.headerSize;
    this.#stride = layout.keySize + layout.valueSize;
    this.#rows = rows;
  }

  find(key: Uint8Array): number {
    if (key.length !== this.keySize) return -1;
    const entry = this.lowerBound(key);
    return entry < this.entryCount && this.#compare(entry, key) === 0 ? entry : -1;
  }

  /**
   * Hashes are uniform: two guesses from the first bytes of the hash land within a few rows, and a gallop from there ends
   * at the place. About six probes where a plain binary search of a million rows has twenty. Rows that are not uniform
   * cost a logarithm all the same.
   */
  lowerBound(key: Uint8Array): number {
    const code = prefixCode(key[0] ?? 0xff);
    if (code < 0 || this.keySize < MIN_GUESS_KEY_SIZE) return this.#search(key, 0, this.entryCount);
    this.#prefixStarts ??= this.#findPrefixStarts();
    const start = this.#prefixStarts[code] ?? 0;
    const end = this.#prefixStarts[code + 1] ?? 0;
    if (start >= end) return start;
    const head = headOf(key, 1);
    const rowsPerUnit = (end - start) / HEADS;
    const first = start + Math.floor(head * rowsPerUnit);
    const distance = Math.trunc((head - this.#headAt(first)) * rowsPerUnit);
    return this.#gallop(key, Math.min(Math.max(first + distance, start), end - 1), start, end);
  }

  /** When they are first needed: among thousands of indexes most are never searched. */
  #findPrefixStarts(): Uint32Array {
    const starts = new Uint32Array(PREFIX_CODES + 1);
    const first = new Uint8Array(this.keySize);
    for (let code = 1; code < PREFIX_CODES; code++) {
      first[0] = 0x66 + code;
      starts[code] = this.#search(first, starts[code - 1] ?? 0, this.entryCount);
    }
    starts[PREFIX_CODES] = this.entryCount;
    return starts;
  }

  /** From a guess inside [start, end) outwards in doubling steps, then a binary search between the last two. */
  #gallop(key: Uint8Array, guess: number, start: number, end: number): number {
    let step = FIRST_STEP;
    if (this.#compare(guess, key) < 0) {
      let low = guess + 1;
      let high = low + step;
      while (high < end && this.#compare(high, key) < 0) {
        low = high + 1;
        step *= 2;
        high = low + step;
      }
      return this.#search(key, low, Math.min(high, end));
    }
    let high = guess;
    let low = high - step;
    while (low >= start && this.#compare(low, key) >= 0) {
      high = low;
      step *= 2;
      low = high - step;
    }
    return this.#search(key, Math.max(low + 1, start), high);
  }

  keyOffset(entry: number): number {
    return this.#headerSize + entry * this.#stride;
  }

  keyAt(entry: number): Uint8Array {
    const offset = this.keyOffset(entry);
    return this.bytes.subarray(offset, offset + this.keySize);
  }

  timestampAt(entry: number): number {
    return this.#rows.timestamp(this.keyOffset(entry) + this.keySize);
  }

  isDeletedAt(entry: number): boolean {
    return this.#rows.isDeleted(this.keyOffset(entry) + this.keySize);
  }

  packIdAt(entry: number): BlobId {
    return this.#rows.packId(this.keyOffset(entry) + this.keySize);
  }

  get packCount(): number {
    return this.#rows.packCount ?? 0;
  }

  packNumberAt(entry: number): number {
    return this.#rows.packNumber?.(this.keyOffset(entry) + this.keySize) ?? -1;
  }

  packNameOf(number: number): BlobId {
    const name = this.#rows.packNameOf?.(number);
    if (name === undefined) throw new RangeError(`no pack ${number}`);
    return name;
  }

  packedLengthAt(entry: number): number {
    return this.#rows.packedLength(this.keyOffset(entry) + this.keySize);
  }

  *packIds(): IterableIterator<BlobId> {
    const table = this.#rows.packTable?.();
    if (table !== undefined) yield* table;
    else for (let entry = 0; entry < this.entryCount; entry++) yield this.packIdAt(entry);
  }

  addPackEnds(ends: Map<BlobId, number>): void {
    const rows = this.#rows;
    const raise = (packId: BlobId, end: number): void => {
      const known = ends.get(packId);
      if (known === undefined || known < end) ends.set(packId, end);
    };
    const first = this.#headerSize + this.keySize;
    const last = first + this.entryCount * this.#stride;
    if (rows.packNumber === undefined || rows.packTable === undefined) {
      for (let at = first; at < last; at += this.#stride) raise(rows.packId(at), rows.packEnd(at));
      return;
    }
    const packIds = [...rows.packTable()];
    const byNumber = new Float64Array(packIds.length);
    for (let at = first; at < last; at += this.#stride) {
      const number = rows.packNumber(at);
      const end = rows.packEnd(at);
      if (end > (byNumber[number] ?? end)) byNumber[number] = end;
    }
    packIds.forEach((packId, number) => raise(packId, byNumber[number] ?? 0));
  }

  valueAt(entry: number): EntryValue {
    if (!(entry >= 0 && entry < this.entryCount)) throw new RangeError(`no entry ${entry}`);
    return this.#rows.value(this.keyOffset(entry) + this.keySize, NO_ID, NO_PACK);
  }

  entryAt(entry: number): IndexEntry {
    if (!(entry >= 0 && entry < this.entryCount)) throw new RangeError(`no entry ${entry}`);
    const offset = this.keyOffset(entry);
    if (prefixCode(this.bytes[offset] ?? 0xff) < 0) throw indexCorrupt('a key has no valid prefix', { entry });
    const at = offset + this.keySize;
    return this.#rows.value(at, contentIdFromKey(this.bytes, offset, this.keySize), this.#rows.packId(at));
  }

  *iterate(): IterableIterator<IndexEntry> {
    for (let entry = 0; entry < this.entryCount; entry++) yield this.entryAt(entry);
  }

  /** Binary search in [low, high). */
  #search(key: Uint8Array, low: number, high: number): number {
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#compare(middle, key) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #compare(entry: number, key: Uint8Array): number {
    const { bytes, keySize } = this;
    const offset = this.#headerSize + entry * this.#stride;
    for (let index = 0; index < keySize; index++) {
      const difference = (bytes[offset + index] ?? 0) - (key[index] ?? 0);
      if (difference !== 0) return difference;
    }
    return 0;
  }

  #headAt(entry: number): number {
    return this.#view.getUint32(this.#headerSize + entry * this.#stride + 1);
  }
}

function headOf(key: Uint8Array, offset: number): number {
  return (
    (key[offset] ?? 0) * 0x100_0000 +
    (((key[offset + 1] ?? 0) << 16) | ((key[offset + 2] ?? 0) << 8) | (key[offset + 3] ?? 0))
  );
}
