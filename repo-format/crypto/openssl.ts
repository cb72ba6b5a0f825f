// OpenSSL called directly, on the symbols of the running Node executable: the per-content AEAD and MAC without Node's
// object layer, which costs ten times more than the work itself on small contents (docs/design/0002-keys-and-ciphers.md).
// A wrong call here crashes the process, so every length is checked before each call, nothing outside this file sees an
// address, and the whole path proves itself on known vectors before its first use; `node:crypto` serves where it cannot.
import { createRequire } from 'node:module';
import type * as Koffi from 'koffi';
import { WindlassError } from '../../base/errors.ts';
import { NONCE_BYTES, TAG_BYTES } from './direct-crypto.ts';
import type { AeadName, DirectAead, DirectMac, DirectOpenSsl, MacName } from './direct-crypto.ts';
import { verifyDirectCalls } from './openssl-self-test.ts';

// Signatures as in OpenSSL 3's evp.h. Pointers travel as plain numbers: the cheapest form a foreign call takes.
const SYMBOLS = {
  EVP_MAC_fetch: ['uintptr_t', ['uintptr_t', 'str', 'str']],
  EVP_MAC_CTX_new: ['uintptr_t', ['uintptr_t']],
  EVP_MAC_CTX_free: ['void', ['uintptr_t']],
  EVP_MAC_init: ['int', ['uintptr_t', 'uintptr_t', 'uintptr_t', 'uintptr_t']],
  EVP_MAC_update: ['int', ['uintptr_t', 'uintptr_t', 'uintptr_t']],
  EVP_MAC_final: ['int', ['uintptr_t', 'uintptr_t', 'uintptr_t', 'uintptr_t']],
  EVP_CIPHER_CTX_new: ['uintptr_t', []],
  EVP_CIPHER_CTX_ctrl: ['int', ['uintptr_t', 'int', 'int', 'uintptr_t']],
  EVP_CIPHER_fetch: ['uintptr_t', ['uintptr_t', 'str', 'str']],
  EVP_EncryptInit_ex: ['int', ['uintptr_t', 'uintptr_t', 'uintptr_t', 'uintptr_t', 'uintptr_t']],
  EVP_EncryptUpdate: ['int', ['uintptr_t', 'uintptr_t', 'uintptr_t', 'uintptr_t', 'int']],
  EVP_EncryptFinal_ex: ['int', ['uintptr_t', 'uintptr_t', 'uintptr_t']],
  EVP_DecryptInit_ex: ['int', ['uintptr_t', 'uintptr_t', 'uintptr_t', 'uintptr_t', 'uintptr_t']],
  EVP_DecryptUpdate: ['int', ['uintptr_t', 'uintptr_t', 'uintptr_t', 'uintptr_t', 'int']],
  EVP_DecryptFinal_ex: ['int', ['uintptr_t', 'uintptr_t', 'uintptr_t']],
  ERR_clear_error: ['void', []],
} as const;

type NativeCall = (...args: readonly (number | string | null)[]) => number;
type Native = { readonly [name in keyof typeof SYMBOLS]: NativeCall };

/** EVP takes lengths as C `int`. */
const MAX_CALL_BYTES = 0x7fffffff;

const EVP_CTRL_AEAD_GET_TAG = 0x10;
const EVP_CTRL_AEAD_SET_TAG = 0x11;

/** What each MAC is called in OpenSSL: implementation, its one parameter, and the length of the digest. */
const MACS: Readonly<Record<MacName, { algorithm: string; digest?: string; sizeBytes: number; maxKeyBytes: number }>> =
  {
    'HMAC-SHA224': { algorithm: 'HMAC', digest: 'SHA224', sizeBytes: 28, maxKeyBytes: 1024 },
    'HMAC-SHA256': { algorithm: 'HMAC', digest: 'SHA256', sizeBytes: 32, maxKeyBytes: 1024 },
    'HMAC-SHA3-224': { algorithm: 'HMAC', digest: 'SHA3-224', sizeBytes: 28, maxKeyBytes: 1024 },
    'HMAC-SHA3-256': { algorithm: 'HMAC', digest: 'SHA3-256', sizeBytes: 32, maxKeyBytes: 1024 },
    'BLAKE2B-256': { algorithm: 'BLAKE2BMAC', sizeBytes: 32, maxKeyBytes: 64 },
    'BLAKE2S-128': { algorithm: 'BLAKE2SMAC', sizeBytes: 16, maxKeyBytes: 32 },
    'BLAKE2S-256': { algorithm: 'BLAKE2SMAC', sizeBytes: 32, maxKeyBytes: 32 },
  };
const AEADS: Readonly<Record<AeadName, string>> = {
  'aes-256-gcm': 'AES-256-GCM',
  'chacha20-poly1305': 'ChaCha20-Poly1305',
};

type AddressOf = (view: Uint8Array) => number;

/** The base address of the last buffer seen: lanes seal from one window into one pack buffer, again and again. */
class AddressCache {
  readonly #addressOf: AddressOf;
  #buffer: ArrayBufferLike | undefined;
  #base = 0;

  constructor(addressOf: AddressOf) {
    this.#addressOf = addressOf;
  }

  /** `view` must not be empty: an empty or detached view has no address. The buffer stays referenced until the next call. */
  of(view: Uint8Array): number {
    const buffer = view.buffer;
    if (buffer !== this.#buffer) {
      this.#base = this.#addressOf(view) - view.byteOffset;
      this.#buffer = buffer;
    }
    return this.#base + view.byteOffset;
  }
}

/** A little memory of our own at a known address: keys, nonces, tags and out-parameters of the calls. */
class Arena {
  readonly bytes: Uint8Array;
  readonly base: number;

  constructor(sizeBytes: number, addressOf: AddressOf) {
    // An explicit ArrayBuffer: a small typed array's own storage may move with the garbage collector.
    this.bytes = new Uint8Array(new ArrayBuffer(sizeBytes));
    this.base = addressOf(this.bytes);
  }
}

/** The native side, bound and tried once a thread; undefined where it is missing or does not compute what it should. */
let cached: { readonly direct: DirectOpenSsl | undefined } | undefined;

export function directOpenSsl(): DirectOpenSsl | undefined {
  cached ??= { direct: bindVerified() };
  return cached.direct;
}

function bindVerified(): DirectOpenSsl | undefined {
  // The calls below are OpenSSL 3's; a build on another library or another major version is served by node:crypto.
  if (process.versions.openssl?.startsWith('3.') !== true) return undefined;
  try {
    const direct = bind();
    return verifyDirectCalls(direct) ? direct : undefined;
  } catch {
    // No koffi for this platform, or an executable that exports no OpenSSL: the fallback gives the same bytes.
    return undefined;
  }
}

function bind(): DirectOpenSsl {
  const koffi = createRequire(import.meta.url)('koffi') as typeof Koffi;
  const library = koffi.load(null);
  const native = Object.fromEntries(
    Object.entries(SYMBOLS).map(([name, [result, args]]) => [name, library.func(name, result, [...args])]),
    // Each entry is built from the table that declares the type.
  ) as unknown as Native;
  const addressOf: AddressOf = (view) => Number(koffi.address(view));
  const freed = new FinalizationRegistry<number>((context) => native.EVP_MAC_CTX_free(context));
  const createMac = (name: MacName, key: Uint8Array): NativeMac => {
    const mac = new NativeMac(name, key, native, addressOf);
    freed.register(mac, mac.context);
    return mac;
  };
  const contexts = new Map<AeadName, CipherContexts>();
  return {
    createMac,
    createAead: (name, rootKey) => {
      let shared = contexts.get(name);
      if (shared === undefined) contexts.set(name, (shared = createCipherContexts(native, name)));
      return new NativeAead(shared, createMac('HMAC-SHA256', rootKey), native, addressOf);
    },
  };
}

function expect(ok: boolean, call: string): asserts ok {
  if (!ok) throw new WindlassError(`the direct OpenSSL call ${call} failed`, { code: 'INTERNAL', context: { call } });
}

// Arena of a MAC (offset, size, meaning):
//     0  32  parameter value: digest name or output size
//    32  16  parameter name
//    48  80  two OSSL_PARAM: the parameter, and the zeroed end mark
//   128  64  digest
//   192   8  length written
const MAC_VALUE = 0;
const MAC_NAME = 32;
const MAC_PARAMS = 48;
const MAC_DIGEST = 128;
const MAC_WRITTEN = 192;
const MAC_ARENA_BYTES = 200;
const OSSL_PARAM_UNSIGNED_INTEGER = 2;
const OSSL_PARAM_UTF8_STRING = 4;

class NativeMac implements DirectMac {
  readonly sizeBytes: number;
  readonly context: number;
  readonly #native: Native;
  readonly #arena: Arena;
  readonly #input: AddressCache;

  constructor(name: MacName, key: Uint8Array, native: Native, addressOf: AddressOf) {
    const spec = MACS[name];
    expect(key.length >= 1 && key.length <= spec.maxKeyBytes, 'EVP_MAC_init (key length)');
    this.sizeBytes = spec.sizeBytes;
    this.#native = native;
    this.#arena = new Arena(MAC_ARENA_BYTES, addressOf);
    this.#input = new AddressCache(addressOf);
    this.#describe(spec);
    const implementation = native.EVP_MAC_fetch(0, spec.algorithm, null);
    expect(implementation !== 0, 'EVP_MAC_fetch');
    this.context = native.EVP_MAC_CTX_new(implementation);
    expect(this.context !== 0, 'EVP_MAC_CTX_new');
    const keyCopy = new Arena(key.length, addressOf);
    keyCopy.bytes.set(key);
    const ready = native.EVP_MAC_init(this.context, keyCopy.base, key.length, this.#arena.base + MAC_PARAMS);
    keyCopy.bytes.fill(0);
    expect(ready === 1, 'EVP_MAC_init');
  }

  /** Lays out struct ossl_param_st {key, data_type, data, data_size, return_size} for the one parameter of this MAC. */
  #describe(spec: { digest?: string; sizeBytes: number }): void {
    const { bytes, base } = this.#arena;
    const view = new DataView(bytes.buffer);
    let valueBytes = 8;
    if (spec.digest === undefined) view.setBigUint64(MAC_VALUE, BigInt(spec.sizeBytes), true);
    else valueBytes = Buffer.from(bytes.buffer).write(spec.digest, MAC_VALUE, 'latin1');
    Buffer.from(bytes.buffer).write(spec.digest === undefined ? 'size\0' : 'digest\0', MAC_NAME, 'latin1');
    view.setBigUint64(MAC_PARAMS, BigInt(base + MAC_NAME), true);
    view.setUint32(
      MAC_PARAMS + 8,
      spec.digest === undefined ? OSSL_PARAM_UNSIGNED_INTEGER : OSSL_PARAM_UTF8_STRING,
      true,
    );
    view.setBigUint64(MAC_PARAMS + 16, BigInt(base + MAC_VALUE), true);
    view.setBigUint64(MAC_PARAMS + 24, BigInt(valueBytes), true);
    view.setBigUint64(MAC_PARAMS + 32, 0xffff_ffff_ffff_ffffn, true); // OSSL_PARAM_UNMODIFIED
  }

  begin(): void {
    // Without a key the context starts anew under the one it has.
    expect(this.#native.EVP_MAC_init(this.context, 0, 0, 0) === 1, 'EVP_MAC_init');
  }

  update(data: Uint8Array): void {
    if (data.length === 0) return;
    expect(this.#native.EVP_MAC_update(this.context, this.#input.of(data), data.length) === 1, 'EVP_MAC_update');
  }

  /** For the AEAD beside it: bytes that lie at a known address. */
  updateAt(address: number, length: number): void {
    expect(this.#native.EVP_MAC_update(this.context, address, length) === 1, 'EVP_MAC_update');
  }

  finishInto(out: Uint8Array, outOffset: number, length: number): void {
    expect(length <= this.sizeBytes && outOffset >= 0 && outOffset + length <= out.length, 'EVP_MAC_final (room)');
    const { bytes, base } = this.#arena;
    this.finishAt(base + MAC_DIGEST);
    for (let i = 0; i < length; i++) out[outOffset + i] = bytes[MAC_DIGEST + i] ?? 0;
  }

  /** There must be `sizeBytes` of room at `address`. */
  finishAt(address: number): void {
    const written = this.#arena.base + MAC_WRITTEN;
    expect(this.#native.EVP_MAC_final(this.context, address, written, this.sizeBytes) === 1, 'EVP_MAC_final');
  }
}

/** One pair a thread and algorithm: each use sets its own key and nonce, so nothing of one content reaches the next. */
interface CipherContexts {
  readonly encrypt: number;
  readonly decrypt: number;
}

function createCipherContexts(native: Native, name: AeadName): CipherContexts {
  const cipher = native.EVP_CIPHER_fetch(0, AEADS[name], null);
  expect(cipher !== 0, 'EVP_CIPHER_fetch');
  const encrypt = native.EVP_CIPHER_CTX_new();
  const decrypt = native.EVP_CIPHER_CTX_new();
  expect(encrypt !== 0 && decrypt !== 0, 'EVP_CIPHER_CTX_new');
  expect(native.EVP_EncryptInit_ex(encrypt, cipher, 0, 0, 0) === 1, 'EVP_EncryptInit_ex');
  expect(native.EVP_DecryptInit_ex(decrypt, cipher, 0, 0, 0) === 1, 'EVP_DecryptInit_ex');
  return { encrypt, decrypt };
}

function isRoom(out: Uint8Array, outOffset: number, length: number): boolean {
  return Number.isSafeInteger(outOffset) && outOffset >= 0 && outOffset + length <= out.length;
}

// Arena of an AEAD (offset, size, meaning):
//     0  64  iv
//    64  32  content key
//    96  16  nonce
//   112  16  tag
//   128   8  length written
const IV_AT = 0;
const KEY_AT = 64;
const NONCE_AT = 96;
const TAG_AT = 112;
const WRITTEN_AT = 128;
const AEAD_ARENA_BYTES = 136;
const MAX_IV_BYTES = 64;

class NativeAead implements DirectAead {
  readonly #contexts: CipherContexts;
  readonly #mac: NativeMac;
  readonly #native: Native;
  readonly #arena: Arena;
  readonly #input: AddressCache;
  readonly #output: AddressCache;

  constructor(contexts: CipherContexts, mac: NativeMac, native: Native, addressOf: AddressOf) {
    this.#contexts = contexts;
    this.#mac = mac;
    this.#native = native;
    this.#arena = new Arena(AEAD_ARENA_BYTES, addressOf);
    this.#input = new AddressCache(addressOf);
    this.#output = new AddressCache(addressOf);
  }

  sealInto(iv: Uint8Array, nonce: Uint8Array, plain: Uint8Array, out: Uint8Array, outOffset: number): void {
    const end = outOffset + NONCE_BYTES + plain.length + TAG_BYTES;
    expect(isRoom(out, outOffset, end - outOffset), 'EVP_EncryptUpdate (room)');
    this.beginSeal(iv, nonce);
    out.set(nonce, outOffset);
    this.sealPiece(plain, out, outOffset + NONCE_BYTES);
    this.finishSeal(out, end - TAG_BYTES);
  }

  beginSeal(iv: Uint8Array, nonce: Uint8Array): void {
    expect(nonce.length === NONCE_BYTES, 'EVP_EncryptInit_ex (nonce length)');
    this.#prepareKey(iv);
    const native = this.#native;
    const { base, bytes } = this.#arena;
    const context = this.#contexts.encrypt;
    bytes.set(nonce, NONCE_AT);
    const written = base + WRITTEN_AT;
    expect(native.EVP_EncryptInit_ex(context, 0, 0, base + KEY_AT, base + NONCE_AT) === 1, 'EVP_EncryptInit_ex');
    expect(native.EVP_EncryptUpdate(context, 0, written, base + IV_AT, iv.length) === 1, 'EVP_EncryptUpdate (aad)');
  }

  sealPiece(plain: Uint8Array, out: Uint8Array, outOffset: number): void {
    const { length } = plain;
    if (length === 0) return;
    expect(isRoom(out, outOffset, length) && length <= MAX_CALL_BYTES, 'EVP_EncryptUpdate (room)');
    const target = this.#output.of(out) + outOffset;
    const written = this.#arena.base + WRITTEN_AT;
    const sealed = this.#native.EVP_EncryptUpdate(
      this.#contexts.encrypt,
      target,
      written,
      this.#input.of(plain),
      length,
    );
    expect(sealed === 1, 'EVP_EncryptUpdate');
  }

  finishSeal(out: Uint8Array, outOffset: number): void {
    expect(isRoom(out, outOffset, TAG_BYTES), 'EVP_CIPHER_CTX_ctrl (room)');
    const native = this.#native;
    const { base } = this.#arena;
    const context = this.#contexts.encrypt;
    expect(native.EVP_EncryptFinal_ex(context, base + TAG_AT, base + WRITTEN_AT) === 1, 'EVP_EncryptFinal_ex');
    const target = this.#output.of(out) + outOffset;
    const tagged = native.EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, target);
    expect(tagged === 1, 'EVP_CIPHER_CTX_ctrl (get tag)');
  }

  openInto(iv: Uint8Array, sealed: Uint8Array, into: Uint8Array): boolean {
    const length = sealed.length - NONCE_BYTES - TAG_BYTES;
    expect(length >= 0 && length <= into.length && length <= MAX_CALL_BYTES, 'EVP_DecryptUpdate (room)');
    this.#prepareKey(iv);
    const native = this.#native;
    const { base } = this.#arena;
    const context = this.#contexts.decrypt;
    const source = this.#input.of(sealed);
    const written = base + WRITTEN_AT;
    expect(native.EVP_DecryptInit_ex(context, 0, 0, base + KEY_AT, source) === 1, 'EVP_DecryptInit_ex');
    expect(native.EVP_DecryptUpdate(context, 0, written, base + IV_AT, iv.length) === 1, 'EVP_DecryptUpdate (aad)');
    if (length > 0) {
      const target = this.#output.of(into);
      const decrypted = native.EVP_DecryptUpdate(context, target, written, source + NONCE_BYTES, length);
      expect(decrypted === 1, 'EVP_DecryptUpdate');
    }
    const tag = source + NONCE_BYTES + length;
    expect(native.EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, tag) === 1, 'EVP_CIPHER_CTX_ctrl');
    if (native.EVP_DecryptFinal_ex(context, base + TAG_AT, written) === 1) return true;
    native.ERR_clear_error();
    into.fill(0, 0, length);
    return false;
  }

  /** HMAC(root, iv) into the arena, the iv beside it as additional data. */
  #prepareKey(iv: Uint8Array): void {
    expect(iv.length >= 1 && iv.length <= MAX_IV_BYTES, 'EVP_MAC_update (iv length)');
    const { base, bytes } = this.#arena;
    bytes.set(iv, IV_AT);
    this.#mac.begin();
    this.#mac.updateAt(base + IV_AT, iv.length);
    this.#mac.finishAt(base + KEY_AT);
  }
}
