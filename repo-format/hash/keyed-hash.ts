// The content hash KH (repository format §4.1): algorithm name → keyed hash, with the truncations and key rules of the
// format. Hashes are synchronous, reusable, and serve one use at a time.
import { WindlassError } from '../../base/errors.ts';
import { createBlake2Hash, createBlake3Hash } from './blake-hash.ts';
import type { DigestEngine } from './digest-engine.ts';
import { createHmacHash } from './hmac-hash.ts';

export interface KeyedHash {
  /** The format's name. */
  readonly algorithm: string;
  /** Length of the result: 16, 28 or 32. */
  readonly sizeBytes: number;
  /** The hash of `data` in a fresh array. */
  digest(data: Uint8Array): Uint8Array;
  /** The hash of `data` into `sizeBytes` bytes of `out`. */
  digestInto(data: Uint8Array, out: Uint8Array, outOffset: number): void;
  /** Starts the hash of something that comes in pieces; forgets one that was not finished. */
  begin(): void;
  update(data: Uint8Array): void;
  finishInto(out: Uint8Array, outOffset: number): void;
}

export const DEFAULT_HASH = 'BLAKE3-256-128';

interface HashSpec {
  readonly sizeBytes: number;
  readonly create: (secret: Uint8Array) => DigestEngine;
}

const HASHES: Readonly<Record<string, HashSpec>> = {
  'BLAKE2B-256-128': { sizeBytes: 16, create: (secret) => createBlake2Hash('BLAKE2B-256', secret) },
  'BLAKE2B-256': { sizeBytes: 32, create: (secret) => createBlake2Hash('BLAKE2B-256', secret) },
  'BLAKE2S-128': { sizeBytes: 16, create: (secret) => createBlake2Hash('BLAKE2S-128', secret) },
  'BLAKE2S-256': { sizeBytes: 32, create: (secret) => createBlake2Hash('BLAKE2S-256', secret) },
  'BLAKE3-256': { sizeBytes: 32, create: createBlake3Hash },
  'BLAKE3-256-128': { sizeBytes: 16, create: createBlake3Hash },
  'HMAC-SHA224': { sizeBytes: 28, create: (secret) => createHmacHash('HMAC-SHA224', secret) },
  'HMAC-SHA256': { sizeBytes: 32, create: (secret) => createHmacHash('HMAC-SHA256', secret) },
  'HMAC-SHA256-128': { sizeBytes: 16, create: (secret) => createHmacHash('HMAC-SHA256', secret) },
  'HMAC-SHA3-224': { sizeBytes: 28, create: (secret) => createHmacHash('HMAC-SHA3-224', secret) },
  'HMAC-SHA3-256': { sizeBytes: 32, create: (secret) => createHmacHash('HMAC-SHA3-256', secret) },
};

export const HASH_ALGORITHMS: readonly string[] = Object.keys(HASHES);

export function isSupportedHash(name: string): boolean {
  return Object.hasOwn(HASHES, name);
}

/** `FORMAT_UNSUPPORTED` for an unknown name, `FORMAT_INVALID` for a secret that the algorithm cannot take. */
export function createKeyedHash(algorithm: string, secret: Uint8Array): KeyedHash {
  const spec = isSupportedHash(algorithm) ? HASHES[algorithm] : undefined;
  if (spec === undefined) {
    throw new WindlassError(`hash ${algorithm} is not supported`, {
      code: 'FORMAT_UNSUPPORTED',
      context: { hash: algorithm },
    });
  }
  return new TruncatedHash(algorithm, spec.sizeBytes, spec.create(secret));
}

class TruncatedHash implements KeyedHash {
  readonly algorithm: string;
  readonly sizeBytes: number;
  readonly #engine: DigestEngine;

  constructor(algorithm: string, sizeBytes: number, engine: DigestEngine) {
    this.algorithm = algorithm;
    this.sizeBytes = sizeBytes;
    this.#engine = engine;
  }

  digest(data: Uint8Array): Uint8Array {
    const out = new Uint8Array(this.sizeBytes);
    this.digestInto(data, out, 0);
    return out;
  }

  digestInto(data: Uint8Array, out: Uint8Array, outOffset: number): void {
    this.#requireRoom(out, outOffset);
    if (this.#engine.digestInto !== undefined) {
      this.#engine.digestInto(data, out, outOffset, this.sizeBytes);
      return;
    }
    this.#engine.begin();
    this.#engine.update(data);
    this.#engine.finishInto(out, outOffset, this.sizeBytes);
  }

  begin(): void {
    this.#engine.begin();
  }

  update(data: Uint8Array): void {
    this.#engine.update(data);
  }

  finishInto(out: Uint8Array, outOffset: number): void {
    this.#requireRoom(out, outOffset);
    this.#engine.finishInto(out, outOffset, this.sizeBytes);
  }

  #requireRoom(out: Uint8Array, outOffset: number): void {
    if (outOffset >= 0 && outOffset + this.sizeBytes <= out.length) return;
    throw new WindlassError('no room for a hash', { code: 'INTERNAL', context: { outOffset, room: out.length } });
  }
}
