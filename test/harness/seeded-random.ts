// Repeatable randomness for tests: the same seed gives the same numbers and bytes everywhere. Not for keys or names.
export class SeededRandom {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** 32 random bits (mulberry32: one word of state, full period). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  }

  /** From 0 up to, not including, `limit`. */
  below(limit: number): number {
    return Math.floor((this.next() / 0x1_0000_0000) * limit);
  }

  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  chance(probability: number): boolean {
    return this.next() / 0x1_0000_0000 < probability;
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new Error('nothing to pick from');
    return item;
  }

  /** Picks a key by its weight. */
  weighted<K extends string>(weights: Readonly<Record<K, number>>): K {
    const entries = Object.entries(weights) as [K, number][];
    let left = this.below(entries.reduce((sum, [, weight]) => sum + weight, 0));
    for (const [key, weight] of entries) {
      if (left < weight) return key;
      left -= weight;
    }
    throw new Error('no weights given');
  }

  bytes(length: number): Buffer {
    const out = Buffer.alloc(length);
    this.fill(out);
    return out;
  }

  fill(out: Uint8Array): void {
    const words = new Uint32Array(Math.ceil(out.length / 4));
    for (let i = 0; i < words.length; i++) words[i] = this.next();
    out.set(new Uint8Array(words.buffer, 0, out.length));
  }

  /** Text that compresses, as logs and sources do. */
  text(length: number): Buffer {
    const out: string[] = [];
    for (let written = 0; written < length;) {
      const word = WORDS[this.below(WORDS.length)] ?? 'word';
      out.push(word, this.chance(0.1) ? '\n' : ' ');
      written += word.length + 1;
    }
    return Buffer.from(out.join('')).subarray(0, length);
  }
}

const WORDS =
  'anchor barrel cable deck engine frame gear hull iron jib keel line mast net oar pump quay rope sail'.split(' ');
