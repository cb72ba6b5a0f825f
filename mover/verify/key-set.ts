// A set of content and object ids in flat memory: 8 bytes a slot, whatever the length of an id. It keeps 64 bits of each id,
// which are bits of a keyed hash: that any two of a hundred million ids share them has odds of one to some thousands, and
// then one content would go without its check.

const FIRST_CAPACITY = 1 << 12;

export class KeySet {
  #slots = new Uint32Array(2 * FIRST_CAPACITY);
  #count = 0;

  get size(): number {
    return this.#count;
  }

  /** Adds a content or object id in text form; true when it was not there. HOT. */
  add(id: string): boolean {
    if (this.#count * 4 >= this.#slots.length) this.#grow();
    const isNew = insert(this.#slots, highOf(id), lowOf(id));
    if (isNew) this.#count++;
    return isNew;
  }

  has(id: string): boolean {
    return isThere(this.#slots, highOf(id), lowOf(id));
  }

  #grow(): void {
    const old = this.#slots;
    const slots = new Uint32Array(old.length * 2);
    for (let i = 0; i < old.length; i += 2) {
      const low = old[i + 1] ?? 0;
      if (low !== 0) insert(slots, old[i] ?? 0, low);
    }
    this.#slots = slots;
  }
}

// The last 16 digits are hash for every kind of id; what stands before it (letter, `I`) is mixed in.
function highOf(id: string): number {
  const at = Math.max(0, id.length - 16);
  return (Number.parseInt(id.slice(at, at + 8), 16) ^ (id.charCodeAt(0) * 0x9e37_79b1)) >>> 0;
}

/** Never 0, which marks a free slot. */
function lowOf(id: string): number {
  return Number.parseInt(id.slice(Math.max(0, id.length - 16) + 8), 16) || 1;
}

function firstSlot(slots: Uint32Array, high: number, low: number): number {
  return (high ^ (low >>> 7)) & (slots.length / 2 - 1);
}

function isThere(slots: Uint32Array, high: number, low: number): boolean {
  const mask = slots.length / 2 - 1;
  for (let i = firstSlot(slots, high, low); ; i = (i + 1) & mask) {
    const there = slots[2 * i + 1];
    if (there === 0) return false;
    if (there === low && slots[2 * i] === high) return true;
  }
}

function insert(slots: Uint32Array, high: number, low: number): boolean {
  const mask = slots.length / 2 - 1;
  for (let i = firstSlot(slots, high, low); ; i = (i + 1) & mask) {
    const there = slots[2 * i + 1];
    if (there === 0) {
      slots[2 * i] = high;
      slots[2 * i + 1] = low;
      return true;
    }
    if (there === low && slots[2 * i] === high) return false;
  }
}
