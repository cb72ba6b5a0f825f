// Seals and opens contents and whole blobs (repository format §3): a key for each item from HMAC(root, iv), AEAD with the
// iv as additional data, error correction outermost where the repository has it. Synchronous, on any thread; a cipher
// serves one call at a time and is cheap to make.
import type { CipherGCM } from 'node:crypto';
import { WindlassError } from '../../base/errors.ts';
import { systemRandom } from '../../base/random.ts';
import type { RandomSource } from '../../base/random.ts';
import { createErrorCorrection } from '../ecc/error-correction.ts';
import type { ErrorCorrection } from '../ecc/error-correction.ts';
import { AEAD_OVERHEAD_BYTES, createSealer, openAead, requireWholeTag, sealAeadInto } from './aead.ts';
import { NONCE_BYTES, TAG_BYTES } from './direct-crypto.ts';
import type { AeadName, DirectAead } from './direct-crypto.ts';
import { deriveContentRootKey, hmacSha256 } from './key-derivation.ts';
import { directOpenSsl } from './openssl.ts';

export interface ContentCipher {
  /** What sealing adds before error correction; with it, ask `maxSealedBytes`. */
  readonly overheadBytes: number;
  /** Exactly the length that `sealInto` will write for a plaintext of this length. */
  maxSealedBytes(plainLength: number): number;
  /**
   * Seals `plain` into `out` at `outOffset` under a fresh nonce; returns the bytes written. `plain` and the target must not
   * overlap. `iv` has 16 to 32 bytes.
   */
  sealInto(iv: Uint8Array, plain: Uint8Array, out: Uint8Array, outOffset: number): number;
  /**
   * As {@link sealInto}, in pieces through a buffer of any length: what was sealed is still in a near cache when it is
   * taken. `plain` must not overlap the buffer. After a failure of `out`, what it took is worthless.
   */
  sealThrough(iv: Uint8Array, plain: Uint8Array, out: SealedOutput): number;
  /**
   * The plaintext: a view of `into` when that is given and large enough, else fresh. `into` and `sealed` must not overlap
   * (without error correction `into` may begin exactly where the ciphertext does, 12 bytes into `sealed`), and what `into` holds after a failure is zeros or unchanged. `CIPHER_AUTH_FAILED` when a bit, the iv or the key is
   * wrong; `CIPHER_TRUNCATED` when there is no room for a nonce and a whole tag.
   */
  open(iv: Uint8Array, sealed: Uint8Array, into?: Uint8Array): Uint8Array;
}

/** Takes sealed bytes in order, through a buffer that it empties when it is full. */
export interface SealedOutput {
  readonly buffer: Uint8Array;
  /** Where in `buffer` the next bytes go, so many at least. */
  reserve(bytes: number): number;
  /** The next so many bytes are there. */
  advance(bytes: number): void;
}

/** Plain data: crosses to worker threads as it is. */
export interface CipherSpec {
  readonly encryption: string;
  readonly masterKey: Uint8Array;
  readonly ecc?: { readonly algorithm: string; readonly overheadPercent: number };
}

export interface CipherDeps {
  /** Nonces. Tests fix them; nothing else may. */
  readonly random?: RandomSource;
  /** `node` forces the fallback. */
  readonly backend?: 'direct' | 'node';
}

export const DEFAULT_ENCRYPTION = 'AES256-GCM-HMAC-SHA256';

const AEAD_BY_ENCRYPTION: Readonly<Record<string, AeadName>> = {
  [DEFAULT_ENCRYPTION]: 'aes-256-gcm',
  'CHACHA20-POLY1305-HMAC-SHA256': 'chacha20-poly1305',
};

export const ENCRYPTION_ALGORITHMS: readonly string[] = Object.keys(AEAD_BY_ENCRYPTION);

export function isSupportedEncryption(name: string): boolean {
  return Object.hasOwn(AEAD_BY_ENCRYPTION, name);
}

const MIN_IV_BYTES = 16;
const MAX_IV_BYTES = 32;
// A draw from the system's generator costs a microsecond whatever its size; 512 nonces at a time make it vanish.
const NONCE_POOL_BYTES = 512 * NONCE_BYTES;

export function createContentCipher(spec: CipherSpec, deps: CipherDeps = {}): ContentCipher {
  const name = isSupportedEncryption(spec.encryption) ? AEAD_BY_ENCRYPTION[spec.encryption] : undefined;
  if (name === undefined) {
    throw new WindlassError(`encryption ${spec.encryption} is not supported`, {
      code: 'FORMAT_UNSUPPORTED',
      context: { encryption: spec.encryption },
    });
  }
  if (spec.masterKey.length === 0) {
    throw new WindlassError('the repository has no master key', { code: 'FORMAT_INVALID' });
  }
  const rootKey = deriveContentRootKey(spec.masterKey);
  const direct = deps.backend === 'node' ? undefined : directOpenSsl();
  const aead = direct?.createAead(name, rootKey) ?? createNodeAead(name, rootKey);
  const cipher = new AeadContentCipher(aead, deps.random ?? systemRandom);
  return spec.ecc === undefined ? cipher : new CorrectedCipher(cipher, createErrorCorrection(spec.ecc));
}

/** The same AEAD through `node:crypto`, ten times slower on small contents. */
function createNodeAead(name: AeadName, rootKey: Uint8Array): DirectAead {
  let pieces: CipherGCM | undefined;
  const started = (): CipherGCM => {
    if (pieces === undefined) throw new WindlassError('nothing is being sealed', { code: 'INTERNAL' });
    return pieces;
  };
  return {
    beginSeal: (iv, nonce) => {
      pieces = createSealer({ name, key: hmacSha256(rootKey, iv), nonce, aad: iv });
    },
    sealPiece: (plain, out, outOffset) => out.set(started().update(plain), outOffset),
    finishSeal: (out, outOffset) => {
      started().final();
      out.set(started().getAuthTag(), outOffset);
      pieces = undefined;
    },
    sealInto: (iv, nonce, plain, out, outOffset) => {
      sealAeadInto({ name, key: hmacSha256(rootKey, iv), nonce, aad: iv }, plain, out, outOffset);
    },
    openInto: (iv, sealed, into) => {
      const plain = openAead({ name, key: hmacSha256(rootKey, iv), aad: iv }, sealed);
      if (plain === undefined) return false;
      into.set(plain);
      return true;
    },
  };
}

class AeadContentCipher implements ContentCipher {
  readonly overheadBytes = AEAD_OVERHEAD_BYTES;
  readonly #aead: DirectAead;
  readonly #random: RandomSource;
  #nonces: Uint8Array = new Uint8Array(0);
  #nonceAt = 0;
  readonly #tag = new Uint8Array(new ArrayBuffer(TAG_BYTES));

  constructor(aead: DirectAead, random: RandomSource) {
    this.#aead = aead;
    this.#random = random;
  }

  maxSealedBytes(plainLength: number): number {
    return plainLength + AEAD_OVERHEAD_BYTES;
  }

  sealInto(iv: Uint8Array, plain: Uint8Array, out: Uint8Array, outOffset: number): number {
    requireIv(iv);
    const length = plain.length + AEAD_OVERHEAD_BYTES;
    requireRoom(out, outOffset, length);
    this.#aead.sealInto(iv, this.#nextNonce(), plain, out, outOffset);
    return length;
  }

  sealThrough(iv: Uint8Array, plain: Uint8Array, out: SealedOutput): number {
    requireIv(iv);
    const nonce = this.#nextNonce();
    this.#aead.beginSeal(iv, nonce);
    putBytes(out, nonce);
    for (let done = 0; done < plain.length;) {
      const at = out.reserve(1);
      const count = Math.min(plain.length - done, out.buffer.length - at);
      this.#aead.sealPiece(plain.subarray(done, done + count), out.buffer, at);
      out.advance(count);
      done += count;
    }
    this.#aead.finishSeal(this.#tag, 0);
    putBytes(out, this.#tag);
    return plain.length + AEAD_OVERHEAD_BYTES;
  }

  open(iv: Uint8Array, sealed: Uint8Array, into?: Uint8Array): Uint8Array {
    requireIv(iv);
    requireWholeTag(sealed);
    const length = sealed.length - AEAD_OVERHEAD_BYTES;
    const target = into !== undefined && into.length >= length ? into : new Uint8Array(length);
    if (!this.#aead.openInto(iv, sealed, target)) {
      throw new WindlassError('encrypted data failed authentication', {
        code: 'CIPHER_AUTH_FAILED',
        context: { length: sealed.length },
      });
    }
    return target.length === length ? target : target.subarray(0, length);
  }

  #nextNonce(): Uint8Array {
    if (this.#nonceAt + NONCE_BYTES > this.#nonces.length) {
      this.#nonces = this.#random.bytes(NONCE_POOL_BYTES);
      this.#nonceAt = 0;
    }
    const nonce = this.#nonces.subarray(this.#nonceAt, this.#nonceAt + NONCE_BYTES);
    this.#nonceAt += NONCE_BYTES;
    return nonce;
  }
}

/** Error correction around what another cipher seals. Damage it can repair is never seen; what it cannot is its own error. */
class CorrectedCipher implements ContentCipher {
  readonly overheadBytes: number;
  readonly #cipher: ContentCipher;
  readonly #correction: ErrorCorrection;

  constructor(cipher: ContentCipher, correction: ErrorCorrection) {
    this.overheadBytes = cipher.overheadBytes;
    this.#cipher = cipher;
    this.#correction = correction;
  }

  maxSealedBytes(plainLength: number): number {
    return this.#correction.encodedBytes(this.#cipher.maxSealedBytes(plainLength));
  }

  sealInto(iv: Uint8Array, plain: Uint8Array, out: Uint8Array, outOffset: number): number {
    requireRoom(out, outOffset, this.maxSealedBytes(plain.length));
    const sealed = new Uint8Array(this.#cipher.maxSealedBytes(plain.length));
    this.#cipher.sealInto(iv, plain, sealed, 0);
    const encoded = this.#correction.encode(sealed);
    requireRoom(out, outOffset, encoded.length);
    out.set(encoded, outOffset);
    return encoded.length;
  }

  sealThrough(iv: Uint8Array, plain: Uint8Array, out: SealedOutput): number {
    const sealed = new Uint8Array(this.maxSealedBytes(plain.length));
    const sealedBytes = this.sealInto(iv, plain, sealed, 0);
    putBytes(out, sealed.subarray(0, sealedBytes));
    return sealedBytes;
  }

  open(iv: Uint8Array, sealed: Uint8Array, into?: Uint8Array): Uint8Array {
    requireIv(iv);
    return this.#cipher.open(iv, this.#correction.decode(sealed).data, into);
  }
}

/** Through however many fillings of the buffer it takes. */
export function putBytes(out: SealedOutput, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length;) {
    const at = out.reserve(1);
    const count = Math.min(bytes.length - done, out.buffer.length - at);
    out.buffer.set(bytes.subarray(done, done + count), at);
    out.advance(count);
    done += count;
  }
}

function requireIv(iv: Uint8Array): void {
  if (iv.length >= MIN_IV_BYTES && iv.length <= MAX_IV_BYTES) return;
  throw new WindlassError('an initialisation vector has 16 to 32 bytes', {
    code: 'CIPHER_IV_INVALID',
    context: { length: iv.length },
  });
}

function requireRoom(out: Uint8Array, outOffset: number, length: number): void {
  if (Number.isSafeInteger(outOffset) && outOffset >= 0 && outOffset + length <= out.length) return;
  throw new WindlassError('no room to seal into', {
    code: 'INTERNAL',
    context: { outOffset, length, room: out.length },
  });
}
