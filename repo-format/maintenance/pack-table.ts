// How much of each pack is in use, in columns of numbers: a few dozen bytes a pack beside its name.
import type { BlobId } from '../blob/storage.ts';
import { PackNumbers } from '../index/pack-numbers.ts';
import type { ParsedIndex } from '../index/parsed-index.ts';

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
  readonly #numbers = new PackNumbers();
  #columns = new Float64Array(COLUMNS * FIRST_PACKS);

  /** HOT. One content of the pack that this row names. */
  add(index: ParsedIndex, entry: number, isLive: boolean, isMovable: boolean): void {
    const at = COLUMNS * this.#numbers.numberOf(index, entry);
    if (at >= this.#columns.length) this.#grow();
    const bytes = index.packedLengthAt(entry);
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
    for (let number = 0; number < this.#numbers.count; number++) {
      const [totalBytes = 0, liveCount = 0, liveBytes = 0, movable = 0, movableBytes = 0] = this.#columns.subarray(
        COLUMNS * number,
        COLUMNS * (number + 1),
      );
      yield { id: this.#numbers.nameOf(number), totalBytes, liveCount, liveBytes, movable, movableBytes };
    }
  }

  #grow(): void {
    const grown = new Float64Array(this.#columns.length * 2);
    grown.set(this.#columns);
    this.#columns = grown;
  }
}
