// A set of blob names in flat memory, 8 bytes a slot: it keeps 64 bits of a hash of each name. Two names may thus be taken
// for one, with odds of one to millions among a million packs: ask it only where a wrong "yes" is harmless, as it is when a
// pack that nobody needs is kept for longer.
const FIRST_SLOTS = 1 << 10;

export class NameSet {
  #slots = new Uint32Array(2 * FIRST_SLOTS);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** True when the name was not there. */
  add(name: string): boolean {
    if (this.#size * 4 >= this.#slots.length) this.#grow();
    const isNew = insert(this.#slots, hashOf(name, 0x811c_9dc5), hashOf(name, 0x1234_5679) || 1);
    if (isNew) this.#size++;
    return isNew;
  }

  has(name: string): boolean {
    return find(this.#slots, hashOf(name, 0x811c_9dc5), hashOf(name, 0x1234_5679) || 1).found;
  }

  #grow(): void {
    const old = this.#slots;
    this.#slots = new Uint32Array(old.length * 2);
    for (let i = 0; i < old.length; i += 2) {
      const low = old[i + 1] ?? 0;
      if (low !== 0) insert(this.#slots, old[i] ?? 0, low);
    }
  }
}

/** FNV-1a, with one more round of mixing so that names that differ at their end differ everywhere. */
function hashOf(name: string, seed: number): number {
  let hash = seed;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x0100_0193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b);
  return (hash ^ (hash >>> 13)) >>> 0;
}

function find(slots: Uint32Array, high: number, low: number): { readonly found: boolean; readonly at: number } {
  const mask = slots.length / 2 - 1;
  for (let i = high & mask; ; i = (i + 1) & mask) {
    const there = slots[2 * i + 1];
    if (there === 0) return { found: false, at: 2 * i };
    if (there === low && slots[2 * i] === high) return { found: true, at: 2 * i };
  }
}

function insert(slots: Uint32Array, high: number, low: number): boolean {
  const { found, at } = find(slots, high, low);
  if (found) return false;
  slots[at] = high;
  slots[at + 1] = low;
  return true;
}
