// How much of each pack is in use, in columns of numbers: a few dozen bytes a pack beside its name.
import type { BlobId } from '../blob/storage.ts';

export interface PackUse {
  readonly id: BlobId;
  /** Of all contents that an index names, deleted ones included. */
  readonly totalBytes: number;
  readonly liveCount: number;
  readonly liveBytes: number;
  /** Live, and old enough to be moved. */
  readonly movable: number;
  readonly movableBytes: number;
}

const COLUMNS = 5;
const FIRST_PACKS = 256;

export class PackTable {
  readonly #numbers = new Map<BlobId, number>();
  #columns = new Float64Array(COLUMNS * FIRST_PACKS);

  /** HOT. One content of the pack. */
  add(id: BlobId, bytes: number, isLive: boolean, isMovable: boolean): void {
    const at = COLUMNS * this.#numberOf(id);
    const columns = this.#columns;
    columns[at] = (columns[at] ?? 0) + bytes;
    if (!isLive) return;
    columns[at + 1] = (columns[at + 1] ?? 0) + 1;
    columns[at + 2] = (columns[at + 2] ?? 0) + bytes;
    if (!isMovable) return;
    columns[at + 3] = (columns[at + 3] ?? 0) + 1;
    columns[at + 4] = (columns[at + 4] ?? 0) + bytes;
  }

  *packs(): IterableIterator<PackUse> {
    for (const [id, number] of this.#numbers) {
      const [totalBytes = 0, liveCount = 0, liveBytes = 0, movable = 0, movableBytes = 0] = this.#columns.subarray(
        COLUMNS * number,
        COLUMNS * (number + 1),
      );
      yield { id, totalBytes, liveCount, liveBytes, movable, movableBytes };
    }
  }

  #numberOf(id: BlobId): number {
    const known = this.#numbers.get(id);
    if (known !== undefined) return known;
    const number = this.#numbers.size;
    this.#numbers.set(id, number);
    if (COLUMNS * this.#numbers.size > this.#columns.length) {
      const grown = new Float64Array(this.#columns.length * 2);
      grown.set(this.#columns);
      this.#columns = grown;
    }
    return number;
  }
}
