// Many small pieces of memory that threads share, cut from few large ones: each piece of its own would cost a page and an object
// that every thread has to be handed.
const ARENA_BYTES = 1 << 20;
/** Longer ones get memory of their own: the rest of an arena is lost when it is replaced. */
const MAX_PIECE_BYTES = ARENA_BYTES / 8;
const ALIGNMENT = 8;

export class SharedArena {
  #buffer = new SharedArrayBuffer(0);
  #used = 0;

  /** A copy in shared memory. */
  copy(bytes: Uint8Array): Uint8Array {
    const piece = this.#take(bytes.length);
    piece.set(bytes);
    return piece;
  }

  #take(length: number): Uint8Array {
    if (length > MAX_PIECE_BYTES) return new Uint8Array(new SharedArrayBuffer(length));
    if (this.#used + length > this.#buffer.byteLength) {
      this.#buffer = new SharedArrayBuffer(ARENA_BYTES);
      this.#used = 0;
    }
    const piece = new Uint8Array(this.#buffer, this.#used, length);
    this.#used += Math.ceil(length / ALIGNMENT) * ALIGNMENT;
    return piece;
  }
}
