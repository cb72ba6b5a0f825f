// The newest row of each key among those of an index builder, at 4 bytes a slot: an id in text and a place in a map would cost
// a hundred for each of the many that a collection changes.
import type { IndexBuilder } from './index-builder.ts';

const FIRST_SLOTS = 1 << 6;

export class RowsByKey {
  readonly #builder: IndexBuilder;
  /** 1 + a row of the builder, 0 when empty. */
  #slots = new Uint32Array(FIRST_SLOTS);
  #size = 0;

  constructor(builder: IndexBuilder) {
    this.#builder = builder;
  }

  /** HOT. The row that was set for this key, −1 when there is none. */
  get(key: Uint8Array): number {
    return (this.#slots[this.#slotOf(key)] ?? 0) - 1;
  }

  /** HOT. `row` has this key and takes the place of an earlier one. */
  set(key: Uint8Array, row: number): void {
    if (this.#size * 2 >= this.#slots.length) this.#grow();
    const slot = this.#slotOf(key);
    if (this.#slots[slot] === 0) this.#size++;
    this.#slots[slot] = row + 1;
  }

  clear(): void {
    this.#slots = new Uint32Array(FIRST_SLOTS);
    this.#size = 0;
  }

  /** Where the key is, or goes. */
  #slotOf(key: Uint8Array): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    for (let slot = hashOf(key) & mask; ; slot = (slot + 1) & mask) {
      const held = slots[slot] ?? 0;
      if (held === 0 || this.#builder.hasKey(held - 1, key)) return slot;
    }
  }

  #grow(): void {
    const old = this.#slots;
    this.#slots = new Uint32Array(old.length * 2);
    for (const held of old) {
      if (held !== 0) this.#slots[this.#slotOf(this.#builder.keyOf(held - 1))] = held;
    }
  }
}

/** FNV-1a. */
function hashOf(key: Uint8Array): number {
  let hash = 0x811c_9dc5;
  for (let index = 0; index < key.length; index++) hash = Math.imul(hash ^ (key[index] ?? 0), 0x0100_0193);
  return hash ^ (hash >>> 15);
}
