// All active indexes as one (repository format §7.5): for each key the greatest entry wins, then the deletion watermark
// hides what was deleted long ago. Searches happen in place, in memory that threads share.
import type { BlobId } from '../blob/storage.ts';
import type { ContentId } from './content-id.ts';
import { contentKey } from './content-id.ts';
import type { IndexEntry } from './entry.ts';
import { mergeIndexes, mergeRows } from './merge-indexes.ts';
import { parseIndex } from './parse-index.ts';
import type { ParsedIndex } from './parsed-index.ts';
import { indexNumberOf, isDirectoryWorthwhile, RowDirectory, type RowDirectoryData } from './row-directory.ts';

/** For repositories without a watermark: hides nothing. */
export const NO_WATERMARK = -1;

export interface LoadedIndex {
  readonly blobId: BlobId;
  readonly parsed: ParsedIndex;
}

/** Structured-cloneable; the bytes are in shared memory and are not copied. */
export interface IndexSetData {
  readonly indexes: readonly { readonly blobId: BlobId; readonly bytes: Uint8Array }[];
  readonly watermarkSeconds: number;
  readonly directory?: RowDirectoryData;
}

/** A content as the set has it: the winning entry, and the row that stands for its key. */
export interface SetRow {
  readonly index: ParsedIndex;
  readonly entry: number;
  readonly row: number;
  /** The row of the winning entry itself. */
  readonly winnerRow: number;
}

/** What is known of a content: 0 absent, 1 live, 2 deleted but still readable. */
export type ContentState = 0 | 1 | 2;
export const ABSENT = 0;
export const LIVE = 1;
export const DELETED = 2;

/** From so many indexes on, whoever gets the set gets the directory with it instead of making one. */
const SHARED_DIRECTORY_INDEXES = 32;

export class IndexSet {
  readonly indexes: readonly LoadedIndex[];
  /** Deleted entries of this second and before do not exist. */
  readonly watermarkSeconds: number;
  readonly #parsed: readonly ParsedIndex[];
  /** Rows of all indexes; a content may have several. */
  readonly rowCount: number;
  /** How many rows come before those of each index. */
  readonly #rowStarts: readonly number[];
  #directory: RowDirectory | undefined;
  #searches = 0;
  // Where the last search ended: a result without an allocation.
  #winnerIndex: ParsedIndex | undefined;
  #winnerEntry = -1;
  #winnerTimestamp = 0;
  #winnerDeleted = false;
  #row = -1;

  constructor(indexes: readonly LoadedIndex[], watermarkSeconds: number) {
    this.indexes = indexes;
    this.watermarkSeconds = watermarkSeconds;
    this.#parsed = indexes.map((index) => index.parsed).filter((parsed) => parsed.entryCount > 0);
    let rows = 0;
    this.#rowStarts = this.#parsed.map((parsed) => {
      rows += parsed.entryCount;
      return rows - parsed.entryCount;
    });
    this.rowCount = rows;
  }

  /** The winning entry, unless the watermark hides it. It may be deleted. `INDEX_CORRUPT` when its row is broken. */
  find(key: Uint8Array): IndexEntry | undefined {
    if (this.state(key) === ABSENT || this.#winnerIndex === undefined) return undefined;
    return this.#winnerIndex.entryAt(this.#winnerEntry);
  }

  findContent(id: ContentId): IndexEntry | undefined {
    return this.find(contentKey(id));
  }

  /** HOT, allocates nothing (but when two entries of one second must be told apart by their packs). */
  state(key: Uint8Array): ContentState {
    this.#search(key);
    if (this.#winnerIndex === undefined) return ABSENT;
    if (!this.#winnerDeleted) return LIVE;
    return this.#winnerTimestamp <= this.watermarkSeconds ? ABSENT : DELETED;
  }

  /**
   * HOT. Unix seconds of the winning entry even when the watermark hides it, −1 when there is none: a new entry must be
   * later than this.
   */
  winnerTimestamp(key: Uint8Array): number {
    this.#search(key);
    return this.#winnerIndex === undefined ? -1 : this.#winnerTimestamp;
  }

  /**
   * HOT, allocates nothing. A number below `rowCount` that stands for the content with this key in this set, whatever its
   * rows say; −1 when there is none or the watermark hides it.
   */
  rowOf(key: Uint8Array): number {
    return this.state(key) === ABSENT ? -1 : this.#row;
  }

  /** The key that `rowOf` has answered this row for. */
  keyOfRow(row: number): Uint8Array {
    const { index, entry } = this.#placeOf(row);
    return index.keyAt(entry);
  }

  /** What stands in this very row, whether it wins or not: no search, so that looking up many makes no directory. */
  entryOfRow(row: number): IndexEntry {
    const { index, entry } = this.#placeOf(row);
    return index.entryAt(entry);
  }

  #placeOf(row: number): { readonly index: ParsedIndex; readonly entry: number } {
    const number = indexNumberOf(this.#rowStarts, row);
    const index = this.#parsed[number];
    if (index === undefined || row < 0 || row >= this.rowCount) throw new RangeError(`no row ${row}`);
    return { index, entry: row - (this.#rowStarts[number] ?? 0) };
  }

  /**
   * As {@link iterate}, without an object for each: the one it yields is used again. `row` is what `rowOf` answers for
   * the key.
   */
  *iterateRows(): IterableIterator<SetRow> {
    let result: { index: ParsedIndex; entry: number; row: number; winnerRow: number } | undefined;
    for (const { index, entry, number, firstNumber, firstEntry } of mergeRows(this.#parsed)) {
      if (index.isDeletedAt(entry) && index.timestampAt(entry) <= this.watermarkSeconds) continue;
      result ??= { index, entry, row: 0, winnerRow: 0 };
      result.index = index;
      result.entry = entry;
      result.row = (this.#rowStarts[firstNumber] ?? 0) + firstEntry;
      result.winnerRow = (this.#rowStarts[number] ?? 0) + entry;
      yield result;
    }
  }

  /** This set and more indexes, which move to shared memory. */
  with(added: readonly LoadedIndex[]): IndexSet {
    const shared = added.map(({ blobId, parsed }) => ({ blobId, parsed: parseIndex(inSharedMemory(parsed.bytes)) }));
    return new IndexSet([...this.indexes, ...shared], this.watermarkSeconds);
  }

  /**
   * Winners in key order, without those the watermark hides; of one prefix only when given ('' is file data). Holds one
   * row of each index at a time.
   */
  *iterate(prefix?: string): IterableIterator<IndexEntry> {
    for (const entry of mergeIndexes(this.#parsed, prefix)) {
      if (!entry.deleted || entry.timestampSeconds > this.watermarkSeconds) yield entry;
    }
  }

  /** Gives up what makes searches fast, 4 to 16 bytes a row, until many are made again: for who goes on by walking. */
  forgetDirectory(): void {
    this.#directory = undefined;
    this.#searches = 0;
  }

  transferable(): IndexSetData {
    if (this.indexes.length >= SHARED_DIRECTORY_INDEXES) this.#makeDirectory(Infinity);
    return {
      indexes: this.indexes.map(({ blobId, parsed }) => ({ blobId, bytes: inSharedMemory(parsed.bytes) })),
      watermarkSeconds: this.watermarkSeconds,
      ...(this.#directory === undefined ? {} : { directory: this.#directory.data }),
    };
  }

  static fromTransferable(data: IndexSetData): IndexSet {
    const indexes = data.indexes.map(({ blobId, bytes }) => ({ blobId, parsed: parseIndex(bytes) }));
    const set = new IndexSet(indexes, data.watermarkSeconds);
    if (data.directory !== undefined)
      set.#directory = RowDirectory.from(set.#parsed, set.#rowStarts, set.rowCount, data.directory);
    return set;
  }

  #search(key: Uint8Array): void {
    this.#winnerIndex = undefined;
    const directory = this.#directory ?? this.#makeDirectory(this.#searches++);
    if (directory !== undefined) return this.#look(directory, key);
    const parsed = this.#parsed;
    for (let number = 0; number < parsed.length; number++) {
      const index = parsed[number];
      if (index === undefined) continue;
      const entry = index.find(key);
      if (entry < 0) continue;
      if (this.#winnerIndex === undefined) this.#row = (this.#rowStarts[number] ?? 0) + entry;
      const timestamp = index.timestampAt(entry);
      const deleted = index.isDeletedAt(entry);
      if (this.#winnerIndex !== undefined && !this.#beatsWinner(index, entry, timestamp, deleted)) continue;
      this.#winnerIndex = index;
      this.#winnerEntry = entry;
      this.#winnerTimestamp = timestamp;
      this.#winnerDeleted = deleted;
    }
  }

  #look(directory: RowDirectory, key: Uint8Array): void {
    const first = directory.firstRowOf(key);
    if (first < 0) return;
    this.#row = first;
    this.#hold(directory.winnerOf(first));
  }

  /** Makes a row the winner. */
  #hold(row: number): void {
    const number = indexNumberOf(this.#rowStarts, row);
    const index = this.#parsed[number];
    if (index === undefined) return;
    const entry = row - (this.#rowStarts[number] ?? 0);
    this.#winnerIndex = index;
    this.#winnerEntry = entry;
    this.#winnerTimestamp = index.timestampAt(entry);
    this.#winnerDeleted = index.isDeletedAt(entry);
  }

  /** Once searching without it has cost as much: few lookups never pay for it. */
  #makeDirectory(searches: number): RowDirectory | undefined {
    if (this.#directory !== undefined || !isDirectoryWorthwhile(this.#parsed, this.rowCount, searches))
      return this.#directory;
    const starts = this.#rowStarts;
    const beats = (challenger: number, holder: number): boolean => {
      this.#hold(holder);
      const number = indexNumberOf(starts, challenger);
      const index = this.#parsed[number];
      const entry = challenger - (starts[number] ?? 0);
      return index !== undefined && this.#beatsWinner(index, entry, index.timestampAt(entry), index.isDeletedAt(entry));
    };
    this.#directory = RowDirectory.build(this.#parsed, starts, this.rowCount, beats);
    this.#winnerIndex = undefined;
    return this.#directory;
  }

  #beatsWinner(index: ParsedIndex, entry: number, timestamp: number, deleted: boolean): boolean {
    if (timestamp !== this.#winnerTimestamp) return timestamp > this.#winnerTimestamp;
    if (deleted !== this.#winnerDeleted) return !deleted;
    return this.#winnerIndex !== undefined && index.packIdAt(entry) > this.#winnerIndex.packIdAt(this.#winnerEntry);
  }
}

/** A copy in shared memory, or `bytes` itself when it is there already. */
export function inSharedMemory(bytes: Uint8Array): Uint8Array {
  if (bytes.buffer instanceof SharedArrayBuffer) return bytes;
  const shared = new Uint8Array(new SharedArrayBuffer(bytes.length));
  shared.set(bytes);
  return shared;
}
