// A set of contents of one index set: a bit for each of its rows, so two million contents cost 250 KB, and membership is
// exact. It says nothing about contents that another index set has.
export class RowSet {
  readonly #bits: Uint8Array;
  #size = 0;

  /** @param rowCount rows of the index set; see `IndexSet.rowOf` */
  constructor(rowCount: number) {
    this.#bits = new Uint8Array((rowCount + 7) >> 3);
  }

  get size(): number {
    return this.#size;
  }

  /** HOT. True when the row was not there. */
  add(row: number): boolean {
    const bit = 1 << (row & 7);
    const byte = this.#bits[row >>> 3] ?? 0;
    if ((byte & bit) !== 0) return false;
    this.#bits[row >>> 3] = byte | bit;
    this.#size++;
    return true;
  }

  /** HOT. */
  has(row: number): boolean {
    return ((this.#bits[row >>> 3] ?? 0) & (1 << (row & 7))) !== 0;
  }
}
