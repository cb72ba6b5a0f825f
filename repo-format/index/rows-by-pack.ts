// The rows of all indexes by the pack that they name: eight bytes a row, so that packs can be gone through one after the other.
import type { BlobId } from '../blob/storage.ts';
import type { IndexEntry } from './entry.ts';
import { type IndexSet, LIVE } from './index-set.ts';

export class RowsByPack {
  readonly #indexSet: IndexSet;
  readonly #numbers = new Map<BlobId, number>();
  /** Where the rows of each pack begin. */
  readonly #starts: Uint32Array;
  readonly #indexOf: Uint32Array;
  readonly #rowOf: Uint32Array;

  constructor(indexSet: IndexSet) {
    this.#indexSet = indexSet;
    const counts: number[] = [];
    for (const { parsed } of indexSet.indexes) {
      for (let row = 0; row < parsed.entryCount; row++) {
        const pack = this.#numberOf(parsed.packIdAt(row));
        counts[pack] = (counts[pack] ?? 0) + 1;
      }
    }
    this.#starts = new Uint32Array(counts.length + 1);
    for (const [pack, count] of counts.entries()) this.#starts[pack + 1] = (this.#starts[pack] ?? 0) + count;
    this.#indexOf = new Uint32Array(indexSet.rowCount);
    this.#rowOf = new Uint32Array(indexSet.rowCount);
    const filled = this.#starts.slice();
    for (const [number, { parsed }] of indexSet.indexes.entries()) {
      for (let row = 0; row < parsed.entryCount; row++) {
        const pack = this.#numberOf(parsed.packIdAt(row));
        const at = filled[pack] ?? 0;
        filled[pack] = at + 1;
        this.#indexOf[at] = number;
        this.#rowOf[at] = row;
      }
    }
  }

  get packIds(): IterableIterator<BlobId> {
    return this.#numbers.keys();
  }

  /** Live contents whose winning row names this pack, in the order of their places; each once. */
  liveIn(packId: BlobId): IndexEntry[] {
    const pack = this.#numbers.get(packId);
    if (pack === undefined) return [];
    const found = new Map<string, IndexEntry>();
    for (let at = this.#starts[pack] ?? 0; at < (this.#starts[pack + 1] ?? 0); at++) {
      const parsed = this.#indexSet.indexes[this.#indexOf[at] ?? 0]?.parsed;
      if (parsed === undefined) continue;
      const key = parsed.keyAt(this.#rowOf[at] ?? 0);
      const winner = this.#indexSet.state(key) === LIVE ? this.#indexSet.find(key) : undefined;
      if (winner?.packId === packId) found.set(winner.id, winner);
    }
    return [...found.values()].sort((a, b) => a.packOffset - b.packOffset);
  }

  #numberOf(id: BlobId): number {
    let number = this.#numbers.get(id);
    if (number === undefined) this.#numbers.set(id, (number = this.#numbers.size));
    return number;
  }
}
