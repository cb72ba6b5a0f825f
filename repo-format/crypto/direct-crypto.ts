// What the direct OpenSSL calls offer (openssl.ts), apart from how they are made.

export type AeadName = 'aes-256-gcm' | 'chacha20-poly1305';
export type MacName =
  'HMAC-SHA224' | 'HMAC-SHA256' | 'HMAC-SHA3-224' | 'HMAC-SHA3-256' | 'BLAKE2B-256' | 'BLAKE2S-128' | 'BLAKE2S-256';

export const NONCE_BYTES = 12;
export const TAG_BYTES = 16;
/** A keyed MAC whose native context is reused: one object, one use at a time. */
export interface DirectMac {
  readonly sizeBytes: number;
  begin(): void;
  update(data: Uint8Array): void;
  /** Writes the first `length` bytes of the digest. */
  finishInto(out: Uint8Array, outOffset: number, length: number): void;
}

/** AEAD under a key that is itself HMAC-SHA-256(root, iv), with the iv as additional data (repository format §3.1, §3.2). */
export interface DirectAead {
  /** Writes nonce, ciphertext and tag. The caller has checked that they fit. `plain` and the target do not overlap. */
  sealInto(iv: Uint8Array, nonce: Uint8Array, plain: Uint8Array, out: Uint8Array, outOffset: number): void;
  /**
   * Starts a sealing in pieces. The context may be shared with everything else that this thread seals: until `finishSeal`,
   * nothing else may be.
   */
  beginSeal(iv: Uint8Array, nonce: Uint8Array): void;
  /** Writes the ciphertext of the next bytes: as many. They do not overlap the target. */
  sealPiece(plain: Uint8Array, out: Uint8Array, outOffset: number): void;
  /** Writes the tag. */
  finishSeal(out: Uint8Array, outOffset: number): void;
  /** False when the tag does not fit; `into` is then zeroed over the plaintext's length. `sealed` has at least 28 bytes. */
  openInto(iv: Uint8Array, sealed: Uint8Array, into: Uint8Array): boolean;
}

export interface DirectOpenSsl {
  createMac(name: MacName, key: Uint8Array): DirectMac;
  createAead(name: AeadName, rootKey: Uint8Array): DirectAead;
}
