// What one implementation of a hash offers to keyed-hash.ts.

/** A keyed hash that writes the leading `length` bytes of its digest. One use at a time, reusable for ever. */
export interface DigestEngine {
  begin(): void;
  update(data: Uint8Array): void;
  finishInto(out: Uint8Array, outOffset: number, length: number): void;
  /** All three in one, where that is cheaper. */
  digestInto?(data: Uint8Array, out: Uint8Array, outOffset: number, length: number): void;
}
