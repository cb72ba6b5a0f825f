// What the engine asks of `node:crypto`, in a browser. Audited libraries do the work; WebCrypto would be faster but only
// answers later, and the engine's decoders are synchronous.
import { gcm } from '@noble/ciphers/aes.js';
import { chacha20poly1305 } from '@noble/ciphers/chacha.js';
import { hkdf } from '@noble/hashes/hkdf.js';
import { hmac } from '@noble/hashes/hmac.js';
import { pbkdf2Async } from '@noble/hashes/pbkdf2.js';
import { scryptAsync } from '@noble/hashes/scrypt.js';
import { sha224, sha256 } from '@noble/hashes/sha2.js';
import { sha3_224, sha3_256 } from '@noble/hashes/sha3.js';

type Bytes = Uint8Array | string;
type Done = (error: unknown, key?: Uint8Array) => void;

const HASHES = { sha224, sha256, 'sha3-224': sha3_224, 'sha3-256': sha3_256 };

function hashOf(name: string): typeof sha256 {
  const found = HASHES[name as keyof typeof HASHES] as typeof sha256 | undefined;
  if (found === undefined) throw new Error(`hash ${name} is not in this page`);
  return found;
}

function bytesOf(value: Bytes): Uint8Array {
  return typeof value === 'string' ? new TextEncoder().encode(value) : new Uint8Array(value);
}

/** A key is its bytes here. */
export function createSecretKey(key: Uint8Array): Uint8Array {
  return key;
}

export function createHmac(name: string, key: Bytes): { update(data: Bytes): unknown; digest(): Buffer } {
  const mac = hmac.create(hashOf(name), bytesOf(key));
  const self = {
    update(data: Bytes) {
      mac.update(bytesOf(data));
      return self;
    },
    digest: () => Buffer.from(mac.digest()),
  };
  return self;
}

export function hkdfSync(name: string, key: Bytes, salt: Bytes, info: Bytes, length: number): ArrayBuffer {
  const derived = hkdf(hashOf(name), bytesOf(key), bytesOf(salt), bytesOf(info), length);
  return derived.slice().buffer;
}

/** Node's functions answer through a callback, the library through a promise. */
function hand(derived: Promise<Uint8Array>, done: Done): void {
  void (async () => {
    let key: Uint8Array;
    try {
      key = await derived;
    } catch (error) {
      done(error);
      return;
    }
    done(undefined, Buffer.from(key));
  })();
}

/** Told how far the slow step is, from 0 to 1. */
export const keyProgress: { report: (done: number) => void } = { report: () => undefined };

export function scrypt(
  password: Bytes,
  salt: Bytes,
  length: number,
  cost: { N: number; r: number; p: number; maxmem: number },
  done: Done,
): void {
  const options = { N: cost.N, r: cost.r, p: cost.p, dkLen: length, maxmem: cost.maxmem };
  const onProgress = (part: number): void => keyProgress.report(part);
  hand(scryptAsync(bytesOf(password), bytesOf(salt), { ...options, onProgress }), done);
}

export function pbkdf2(
  password: Bytes,
  salt: Bytes,
  iterations: number,
  length: number,
  name: string,
  done: Done,
): void {
  hand(pbkdf2Async(hashOf(name), bytesOf(password), bytesOf(salt), { c: iterations, dkLen: length }), done);
}

/** Opens in one piece: `update` gives the plaintext or nothing, `final` throws when the tag does not fit. */
export function createDecipheriv(name: string, key: Uint8Array, nonce: Uint8Array): object {
  let aad = new Uint8Array(0);
  let tag = new Uint8Array(0);
  let isAuthentic = false;
  return {
    setAAD: (bytes: Uint8Array) => void (aad = new Uint8Array(bytes)),
    setAuthTag: (bytes: Uint8Array) => void (tag = new Uint8Array(bytes)),
    update(sealed: Uint8Array): Buffer {
      const cipher =
        name === 'chacha20-poly1305' ? chacha20poly1305(key, bytesOf(nonce), aad) : gcm(key, bytesOf(nonce), aad);
      const joined = new Uint8Array(sealed.length + tag.length);
      joined.set(sealed);
      joined.set(tag, sealed.length);
      try {
        const plain = cipher.decrypt(joined);
        isAuthentic = true;
        return Buffer.from(plain.buffer, plain.byteOffset, plain.length);
      } catch {
        return Buffer.alloc(0);
      }
    },
    final(): void {
      if (!isAuthentic) throw new Error('the tag does not fit');
    },
  };
}

export function createCipheriv(): never {
  throw new Error('this page only reads');
}

export function randomBytes(length: number): Buffer {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(length)));
}

export function randomFillSync<View extends Uint8Array>(view: View): View {
  return crypto.getRandomValues(view as Uint8Array<ArrayBuffer>) as unknown as View;
}

export function timingSafeEqual(a: Uint8Array, b: Uint8Array): boolean {
  let difference = a.length ^ b.length;
  for (let i = 0; i < a.length && i < b.length; i++) difference |= (a[i] ?? 0) ^ (b[i] ?? 0);
  return difference === 0;
}

export function createHash(name: string): { update(data: Bytes): unknown; digest(form?: 'hex'): Buffer | string } {
  const hash = hashOf(name).create();
  const self = {
    update(data: Bytes) {
      hash.update(bytesOf(data));
      return self;
    },
    digest(form?: 'hex') {
      const bytes = Buffer.from(hash.digest());
      return form === 'hex' ? bytes.toString('hex') : bytes;
    },
  };
  return self;
}
