// AEAD through `node:crypto`: nonce, ciphertext and tag in one piece. The format-level blobs always use it; contents do
// where OpenSSL cannot be called directly, and the tests hold the direct calls against it.
import { type CipherGCM, createCipheriv, createDecipheriv } from 'node:crypto';
import { WindlassError } from '../../base/errors.ts';
import { NONCE_BYTES, TAG_BYTES } from './direct-crypto.ts';
import type { AeadName } from './direct-crypto.ts';

/** What sealing adds: a nonce in front, a tag behind. Equal for both algorithms. */
export const AEAD_OVERHEAD_BYTES = NONCE_BYTES + TAG_BYTES;

export interface AeadUse {
  readonly name: AeadName;
  readonly key: Uint8Array;
  readonly nonce: Uint8Array;
  readonly aad: Uint8Array;
}

/** Encrypts in pieces: `update` for each, `final`, `getAuthTag`. */
export function createSealer({ name, key, nonce, aad }: AeadUse): CipherGCM {
  // Node types the two names separately although the calls are the same.
  const cipher = createCipheriv(name as 'aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(aad);
  return cipher;
}

/** Writes nonce, ciphertext and tag at `outOffset`; the caller has checked that they fit. */
export function sealAeadInto(use: AeadUse, plain: Uint8Array, out: Uint8Array, outOffset: number): void {
  const cipher = createSealer(use);
  out.set(use.nonce, outOffset);
  out.set(cipher.update(plain), outOffset + NONCE_BYTES);
  cipher.final();
  out.set(cipher.getAuthTag(), outOffset + NONCE_BYTES + plain.length);
}

/** Undefined when the tag does not fit. Anything too short to hold a nonce and a whole tag is `CIPHER_TRUNCATED`. */
export function openAead(
  { name, key, aad }: { name: AeadName; key: Uint8Array; aad: Uint8Array },
  sealed: Uint8Array,
): Uint8Array | undefined {
  requireWholeTag(sealed);
  const tagAt = sealed.length - TAG_BYTES;
  // With its length given, a shorter tag is refused instead of being compared as far as it goes.
  const decipher = createDecipheriv(name as 'aes-256-gcm', key, sealed.subarray(0, NONCE_BYTES), {
    authTagLength: TAG_BYTES,
  });
  decipher.setAAD(aad, { plaintextLength: tagAt - NONCE_BYTES });
  decipher.setAuthTag(sealed.subarray(tagAt));
  const plain = decipher.update(sealed.subarray(NONCE_BYTES, tagAt));
  try {
    decipher.final();
  } catch {
    return undefined; // the only failure `final` knows here is the tag
  }
  return new Uint8Array(plain.buffer, plain.byteOffset, plain.length);
}

/** Refuses sealed bytes that cannot hold a nonce and a whole tag. */
export function requireWholeTag(sealed: Uint8Array): void {
  if (sealed.length >= AEAD_OVERHEAD_BYTES) return;
  throw new WindlassError('encrypted data is shorter than its nonce and tag', {
    code: 'CIPHER_TRUNCATED',
    context: { length: sealed.length, minimum: AEAD_OVERHEAD_BYTES },
  });
}
