// The set of content keys written since the last flush, in memory shared by all lanes: each lane asks and inserts in one
// step, so a content that two lanes meet at once is stored once, and nothing crosses threads.
//
// A chained hash table. Buckets hold the number of the newest entry + 1; entries are dense and linked; publication is one
// compare-and-swap on the bucket, so readers never see a half-written entry. Nothing is ever removed: after a flush the
// owner makes a new set.
//
//   header  word 0: entries reserved so far (a little more than the capacity when inserts were refused)
//           word 1: promises, that is inserts whose caller now has to store the content
//   heads   BUCKETS words
//   entries capacity × (next, key words)
//
// Pages are touched only as entries come, so a large capacity costs address space, not memory.

const HEADER_WORDS = 4;
const RESERVED = 0;
const PROMISED = 1;
const BUCKETS = 1 << 19;

export type InsertOutcome = 'inserted' | 'present' | 'full';

/** What worker threads get: structured-cloneable, the memory itself is shared. */
export interface NewContentsData {
  readonly memory: SharedArrayBuffer;
  readonly keySize: number;
  readonly capacity: number;
}

export class NewContents {
  readonly data: NewContentsData;
  readonly #words: Int32Array;
  readonly #entryWords: number;
  readonly #keyWords: number;
  readonly #entriesAt = HEADER_WORDS + BUCKETS;
  readonly #scratchBytes: Uint8Array;
  readonly #scratch: Int32Array;

  constructor(data: NewContentsData) {
    this.data = data;
    this.#words = new Int32Array(data.memory);
    this.#keyWords = Math.ceil(data.keySize / 4);
    this.#entryWords = this.#keyWords + 1;
    this.#scratch = new Int32Array(this.#keyWords);
    this.#scratchBytes = new Uint8Array(this.#scratch.buffer);
  }

  /** @param keySize bytes of a binary content key; @param capacity entries it can hold before it answers `full`. */
  static create(keySize: number, capacity: number): NewContents {
    const words = HEADER_WORDS + BUCKETS + capacity * (Math.ceil(keySize / 4) + 1);
    return new NewContents({ memory: new SharedArrayBuffer(words * 4), keySize, capacity });
  }

  /** Entries held; may read a little high while other threads insert. */
  get size(): number {
    return Math.min(Atomics.load(this.#words, RESERVED), this.data.capacity);
  }

  /**
   * Inserts so far that were answered `inserted` or `full`. As many index rows must arrive before a flush: another lane
   * may have relied on each of them.
   */
  get promised(): number {
    return Atomics.load(this.#words, PROMISED);
  }

  has(key: Uint8Array): boolean {
    this.#load(key);
    return this.#findInChain(Atomics.load(this.#words, this.#bucketOf(key)), 0);
  }

  /** Adds `key` unless it is there. Exactly one of several threads inserting the same key at once gets `inserted`. */
  insert(key: Uint8Array): InsertOutcome {
    this.#load(key);
    const words = this.#words;
    const bucket = this.#bucketOf(key);
    let head = Atomics.load(words, bucket);
    if (this.#findInChain(head, 0)) return 'present';
    const number = this.#reserve();
    if (number < 0) return this.#promise('full');
    const at = this.#entriesAt + number * this.#entryWords;
    for (let i = 0; i < this.#keyWords; i++) words[at + 1 + i] = this.#scratch[i] ?? 0;
    for (;;) {
      words[at] = head;
      const seen = Atomics.compareExchange(words, bucket, head, number + 1);
      if (seen === head) return this.#promise('inserted');
      // Others published meanwhile: look only at what is new, then try again. The reserved entry is wasted when the
      // key turns out to be among them.
      if (this.#findInChain(seen, head)) return 'present';
      head = seen;
    }
  }

  /** The number of a fresh entry, −1 when there is none left. */
  #reserve(): number {
    const { capacity } = this.data;
    // Looked at first, so that the counter cannot run on for ever.
    if (Atomics.load(this.#words, RESERVED) >= capacity) return -1;
    const number = Atomics.add(this.#words, RESERVED, 1);
    return number < capacity ? number : -1;
  }

  #promise<Outcome extends InsertOutcome>(outcome: Outcome): Outcome {
    Atomics.add(this.#words, PROMISED, 1);
    return outcome;
  }

  #load(key: Uint8Array): void {
    this.#scratchBytes.set(key);
  }

  #bucketOf(key: Uint8Array): number {
    // The key is a keyed hash behind one prefix byte: its bytes are uniform already.
    const mixed = (key[1] ?? 0) | ((key[2] ?? 0) << 8) | ((key[3] ?? 0) << 16);
    return HEADER_WORDS + (mixed & (BUCKETS - 1));
  }

  /** Walks from entry `from` (number + 1) until the chain ends or reaches `until`. */
  #findInChain(from: number, until: number): boolean {
    const words = this.#words;
    const scratch = this.#scratch;
    for (let link = from; link !== until && link !== 0;) {
      const at = this.#entriesAt + (link - 1) * this.#entryWords;
      let i = 0;
      while (i < this.#keyWords && words[at + 1 + i] === scratch[i]) i++;
      if (i === this.#keyWords) return true;
      link = words[at] ?? 0;
    }
    return false;
  }
}
