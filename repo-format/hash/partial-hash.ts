// The hash of a content that is hashed while it is gathered. Whoever gathers has its own, so that nothing else that is
// hashed meanwhile can end up in it.
import { WindlassError } from '../../base/errors.ts';
import type { KeyedHash } from './keyed-hash.ts';

export class PartialHash {
  readonly #hash: KeyedHash;
  #bytes = 0;

  /** `hash` is used for nothing else. */
  constructor(hash: KeyedHash) {
    this.#hash = hash;
  }

  /** How many first bytes of the content went into it. */
  get bytes(): number {
    return this.#bytes;
  }

  update(next: Uint8Array): void {
    if (this.#bytes === 0) this.#hash.begin();
    this.#hash.update(next);
    this.#bytes += next.length;
  }

  /** Forgets the content. */
  reset(): void {
    this.#bytes = 0;
  }

  /** Writes the hash of `content`, of which the first bytes were hashed already, and is ready for the next. */
  finishInto(content: Uint8Array, out: Uint8Array, outOffset: number): void {
    // A content under the hash of other bytes would be noticed by nobody before it is restored.
    if (this.#bytes === 0 || this.#bytes > content.length) {
      throw new WindlassError('the bytes hashed are not those of the content', {
        code: 'INTERNAL',
        context: { hashedBytes: this.#bytes, length: content.length },
      });
    }
    if (this.#bytes < content.length) this.#hash.update(content.subarray(this.#bytes));
    this.#hash.finishInto(out, outOffset);
    this.#bytes = 0;
  }
}
