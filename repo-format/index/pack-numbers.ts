// Numbers the packs that the rows of several indexes name: two rows of one pack get one number, whichever indexes they are in.
// What is asked for each of millions of rows costs no string then, and a name is kept once, not once for each index.
import type { BlobId } from '../blob/storage.ts';
import type { ParsedIndex } from './parsed-index.ts';

export class PackNumbers {
  readonly #numbers = new Map<BlobId, number>();
  readonly #ids: BlobId[] = [];
  /** By an index's own number: 1 + the number here, 0 for a pack that was not asked for. */
  readonly #tables = new WeakMap<ParsedIndex, Uint32Array>();
  #lastIndex: ParsedIndex | undefined;
  #lastTable: Uint32Array = new Uint32Array(0);

  /** Packs numbered so far; numbers begin at 0. */
  get count(): number {
    return this.#ids.length;
  }

  /** HOT. `INDEX_CORRUPT` when the row names no pack. */
  numberOf(index: ParsedIndex, entry: number): number {
    if (index.packCount === 0) return this.#numberOfName(index.packIdAt(entry));
    if (index !== this.#lastIndex) this.#switchTo(index);
    const own = index.packNumberAt(entry);
    const known = this.#lastTable[own] ?? 0;
    if (known !== 0) return known - 1;
    const number = this.#numberOfName(index.packNameOf(own));
    this.#lastTable[own] = number + 1;
    return number;
  }

  nameOf(number: number): BlobId {
    const id = this.#ids[number];
    if (id === undefined) throw new RangeError(`no pack ${number}`);
    return id;
  }

  #switchTo(index: ParsedIndex): void {
    let table = this.#tables.get(index);
    if (table === undefined) this.#tables.set(index, (table = new Uint32Array(index.packCount)));
    this.#lastIndex = index;
    this.#lastTable = table;
  }

  #numberOfName(id: BlobId): number {
    const known = this.#numbers.get(id);
    if (known !== undefined) return known;
    const number = this.#ids.push(id) - 1;
    this.#numbers.set(id, number);
    return number;
  }
}
