// Tells which of many indexes may hold a key, with one look into memory instead of a search in each. Most lookups are
// for new contents, which are nowhere: fifty indexes of a million rows together cost 25 µs a lookup without this.
import type { ParsedIndex } from './parsed-index.ts';

/** As many as a slot has bits; more indexes share them. */
const GROUPS = 32;
/** Below this, searching is as cheap. */
export const MIN_FILTERED_INDEXES = 3;
// Filling a slot costs about a sixteenth of searching one index: from so many searches on it pays.
const ROWS_PER_SEARCH = 16;
const SLOT_KEY_BYTES = 4;

/** One 32-bit slot for one or two rows: bit g is set when an index of group g has a key that falls into it. */
export class IndexFilter {
  readonly #slots: Uint32Array;

  constructor(indexes: readonly ParsedIndex[]) {
    const rows = indexes.reduce((sum, index) => sum + index.entryCount, 0);
    this.#slots = new Uint32Array(2 ** Math.ceil(Math.log2(Math.max(rows, 2))));
    const mask = this.#slots.length - 1;
    indexes.forEach((index, number) => {
      const bit = 1 << (number % GROUPS);
      const { bytes, entryCount } = index;
      for (let entry = 0; entry < entryCount; entry++) {
        const slot = slotHash(bytes, index.keyOffset(entry) + index.keySize) & mask;
        this.#slots[slot] = (this.#slots[slot] ?? 0) | bit;
      }
    });
  }

  /** HOT. Bits of the groups that may hold `key`. */
  groupsOf(key: Uint8Array): number {
    return this.#slots[slotHash(key, key.length) & (this.#slots.length - 1)] ?? 0;
  }
}

/** HOT. True when index `number` belongs to one of `groups`. */
export function isInGroups(groups: number, number: number): boolean {
  return ((groups >>> (number % GROUPS)) & 1) !== 0;
}

/** Whether so many searches among these indexes have cost what the filter costs. */
export function isFilterWorthwhile(indexes: readonly ParsedIndex[], rowCount: number, searches: number): boolean {
  if (indexes.length < MIN_FILTERED_INDEXES || searches * indexes.length * ROWS_PER_SEARCH < rowCount) return false;
  return indexes.every((index) => index.keySize >= SLOT_KEY_BYTES);
}

/** The end of the hash: as uniform as its start, and nothing to do with the order of rows. */
function slotHash(bytes: Uint8Array, end: number): number {
  return (
    ((bytes[end - 4] ?? 0) << 24) | ((bytes[end - 3] ?? 0) << 16) | ((bytes[end - 2] ?? 0) << 8) | (bytes[end - 1] ?? 0)
  );
}
