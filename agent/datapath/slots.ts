// How many volumes are moved at a time on this node, and whose turn is next: first come, first served.

export type SlotAnswer =
  | { readonly isGranted: true }
  /** `position` 1 is next. */
  | { readonly isGranted: false; readonly position: number; readonly waiting: number };

export class Slots {
  #limit: number;
  readonly #holders = new Set<string>();
  readonly #queue = new Set<string>();
  readonly #onFree: (id: string) => void;

  /** `onFree` hears who may ask again. */
  constructor(limit: number, onFree: (id: string) => void) {
    this.#limit = limit;
    this.#onFree = onFree;
  }

  get limit(): number {
    return this.#limit;
  }

  get inUse(): number {
    return this.#holders.size;
  }

  get waiting(): number {
    return this.#queue.size;
  }

  /** Those that hold slots beyond a lower limit keep them to their end. */
  setLimit(limit: number): void {
    this.#limit = limit;
    this.#callNext();
  }

  /** Joins the queue, or keeps the place in it. */
  take(id: string): SlotAnswer {
    if (this.#holders.has(id)) return { isGranted: true };
    this.#queue.add(id);
    const position = [...this.#queue].indexOf(id) + 1;
    if (position > this.#limit - this.#holders.size) return { isGranted: false, position, waiting: this.#queue.size };
    this.#queue.delete(id);
    this.#holders.add(id);
    return { isGranted: true };
  }

  /** Leaves slot or queue; nothing happens to who has neither. */
  release(id: string): void {
    const wasIn = this.#holders.delete(id) || this.#queue.delete(id);
    if (wasIn) this.#callNext();
  }

  #callNext(): void {
    let free = this.#limit - this.#holders.size;
    for (const id of this.#queue) {
      if (free-- <= 0) return;
      this.#onFree(id);
    }
  }
}
