// Walks several indexes in key order at once, one winner a key (repository format §7.5). Memory: one cursor an index.
import type { IndexEntry } from './entry.ts';
import { indexCorrupt, type ParsedIndex } from './parsed-index.ts';

interface Cursor {
  readonly index: ParsedIndex;
  /** Among the indexes that were given. */
  readonly number: number;
  entry: number;
  readonly end: number;
}

/** Where one key's entries are. The walk hands out the same object again and again: take what is needed at once. */
export interface MergedRow {
  /** The winner. */
  index: ParsedIndex;
  entry: number;
  /** The winner's index among those that were given. */
  number: number;
  /** The lowest-numbered index that has the key, and the entry there: one place that stands for the key. */
  firstNumber: number;
  firstEntry: number;
}

/**
 * The greatest entry of every key, deleted ones included; only keys with the given prefix ('' for none) when it is
 * there. `INDEX_CORRUPT` when an index is not sorted: it would yield a key twice.
 */
export function* mergeIndexes(indexes: readonly ParsedIndex[], prefix?: string): IterableIterator<IndexEntry> {
  for (const { index, entry } of mergeRows(indexes, prefix)) yield index.entryAt(entry);
}

/** As {@link mergeIndexes}, without an object for each key. */
export function* mergeRows(indexes: readonly ParsedIndex[], prefix?: string): IterableIterator<MergedRow> {
  const heap = indexes
    .map((index, number) => cursorOver(index, number, prefix))
    .filter((cursor) => cursor.entry < cursor.end);
  for (let at = (heap.length >> 1) - 1; at >= 0; at--) siftDown(heap, at);
  const [top] = heap;
  if (top === undefined) return;
  const row: MergedRow = { index: top.index, entry: -1, number: -1, firstNumber: -1, firstEntry: -1 };
  let previousIndex = top.index;
  let previousEntry = -1;
  for (let first: Cursor | undefined = top; first !== undefined; first = heap[0]) {
    const { index, entry } = first;
    if (previousEntry >= 0 && compareKeys(previousIndex, previousEntry, index, entry) >= 0) {
      throw indexCorrupt('keys are not in order');
    }
    row.index = index;
    row.entry = entry;
    row.number = first.number;
    row.firstNumber = first.number;
    row.firstEntry = entry;
    advance(heap);
    for (let next = heap[0]; next !== undefined; next = heap[0]) {
      if (compareKeys(next.index, next.entry, index, entry) !== 0) break;
      if (beats(next.index, next.entry, row.index, row.entry)) {
        row.index = next.index;
        row.entry = next.entry;
        row.number = next.number;
      }
      if (next.number < row.firstNumber) {
        row.firstNumber = next.number;
        row.firstEntry = next.entry;
      }
      advance(heap);
    }
    yield row;
    previousIndex = index;
    previousEntry = entry;
  }
}

/** `compareEntries` on rows in place. */
function beats(a: ParsedIndex, entryA: number, b: ParsedIndex, entryB: number): boolean {
  const later = a.timestampAt(entryA) - b.timestampAt(entryB);
  if (later !== 0) return later > 0;
  const deleted = a.isDeletedAt(entryA);
  if (deleted !== b.isDeletedAt(entryB)) return !deleted;
  return a.packIdAt(entryA) > b.packIdAt(entryB);
}

function cursorOver(index: ParsedIndex, number: number, prefix: string | undefined): Cursor {
  if (prefix === undefined) return { index, number, entry: 0, end: index.entryCount };
  const code = prefix === '' ? 0 : prefix.charCodeAt(0);
  const low = new Uint8Array(index.keySize);
  low[0] = code;
  const high = new Uint8Array(index.keySize);
  high[0] = code + 1;
  return { index, number, entry: index.lowerBound(low), end: index.lowerBound(high) };
}

/** Moves the top cursor on, or removes it at its end, and restores the heap. */
function advance(heap: Cursor[]): void {
  const first = heap[0];
  if (first === undefined) return;
  first.entry++;
  if (first.entry >= first.end) {
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    heap[0] = last;
  }
  siftDown(heap, 0);
}

function siftDown(heap: Cursor[], at: number): void {
  const cursor = heap[at];
  if (cursor === undefined) return;
  for (;;) {
    let child = 2 * at + 1;
    const left = heap[child];
    if (left === undefined) break;
    const right = heap[child + 1];
    let smaller = left;
    if (right !== undefined && compareCursors(right, left) < 0) {
      smaller = right;
      child++;
    }
    if (compareCursors(cursor, smaller) <= 0) break;
    heap[at] = smaller;
    at = child;
  }
  heap[at] = cursor;
}

function compareCursors(a: Cursor, b: Cursor): number {
  return compareKeys(a.index, a.entry, b.index, b.entry);
}

function compareKeys(a: ParsedIndex, entryA: number, b: ParsedIndex, entryB: number): number {
  const bytesA = a.bytes;
  const bytesB = b.bytes;
  const offsetA = a.keyOffset(entryA);
  const offsetB = b.keyOffset(entryB);
  const length = Math.min(a.keySize, b.keySize);
  for (let index = 0; index < length; index++) {
    const difference = (bytesA[offsetA + index] ?? 0) - (bytesB[offsetB + index] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.keySize - b.keySize;
}
