import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { systemRandom } from '../../base/random.ts';
import { parseHex, toHex } from '../../base/hex.ts';
import {
  createContentCipher,
  DEFAULT_ENCRYPTION,
  ENCRYPTION_ALGORITHMS,
  isSupportedEncryption,
} from './content-cipher.ts';
import type { CipherDeps, CipherSpec, ContentCipher } from './content-cipher.ts';

const AES = DEFAULT_ENCRYPTION;
const CHACHA = 'CHACHA20-POLY1305-HMAC-SHA256';
const BACKENDS = ['direct', 'node'] as const;
const ascending = (start: number, length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => start + i);
const bytes = (hex: string): Uint8Array => parseHex(hex) ?? assert.fail('test data is hex');
const ascii = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'latin1'));
/** Gives the nonce 00..0b of the vectors. */
const fixedNonce = { bytes: (length: number) => Uint8Array.from({ length }, (_, i) => i % 12) };
const MASTER_KEY = ascending(0x40, 32);

function seal(cipher: ContentCipher, iv: Uint8Array, plain: Uint8Array): Uint8Array {
  const out = new Uint8Array(cipher.maxSealedBytes(plain.length));
  assert.equal(cipher.sealInto(iv, plain, out, 0), out.length);
  return out;
}

// Repository format §11.1: what kopia accepts for these keys.
const SEALED = [
  [
    AES,
    '0951cc974d65734e6ba033ea452f8464',
    'hello',
    '000102030405060708090a0bf0b8904559d0287ceac46695e9ab1ae13df0624c38',
  ],
  [
    CHACHA,
    '0951cc974d65734e6ba033ea452f8464',
    'hello',
    '000102030405060708090a0b4a3369f978c259352141e3b8dfc91ba2951b63c6a3',
  ],
  [AES, '27366ff238c0cfa5f69df1f7a3c5b9b4', '', '000102030405060708090a0b7b67f2bb163290469ac5cca5b0c55468'],
] as const;

// §11.2: samples of kopia's own tests, with a 32-byte iv.
const SAMPLES = [
  [AES, 'aabbccddeeffgghhiijjkkllmmnnoopp', 'foo', 'e43ba07f85a6d70c5f1102ca06cf19c597e5f91e527b21f00fb76e8bec3fd1'],
  [CHACHA, 'aabbccddeeffgghhiijjkkllmmnnoopp', 'foo', '118359f3d4d589d939efbbc3168ae4c77c51bcebce6845fe6ef5d11342faa6'],
  [
    AES,
    '0'.repeat(32),
    'quick brown fox jumps over the lazy dog',
    'eaad755a238f1daa4052db2e5ccddd934790b6cca415b3ccfd46ac5746af33d9d30f4400ffa9eb3a64fb1ce21b888c12c043bf6787d4a5c15ad10f21f6a6027ee3afe0',
  ],
  [
    CHACHA,
    '0'.repeat(32),
    'quick brown fox jumps over the lazy dog',
    '836d2ba87892711077adbdbe1452d3b2c590bbfdf6fd3387dc6810220a32ec19de862e1a4f865575e328424b5f178afac1b7eeff11494f719d119b7ebb924d1d0846a3',
  ],
] as const;

for (const backend of BACKENDS) {
  test(`${backend}: sealing gives the vectors`, () => {
    for (const [encryption, iv, plain, sealed] of SEALED) {
      const cipher = createContentCipher({ encryption, masterKey: MASTER_KEY }, { backend, random: fixedNonce });
      assert.equal(toHex(seal(cipher, bytes(iv), ascii(plain))), sealed);
      assert.deepEqual(cipher.open(bytes(iv), bytes(sealed)), ascii(plain));
    }
  });

  test(`${backend}: what kopia sealed opens`, () => {
    const byKopia = '38e1032b2bbfb75401f722fac3d40ec0c07975b47e280c76b616cbd9c43c83d9ff';
    const cipher = createContentCipher({ encryption: AES, masterKey: MASTER_KEY }, { backend });
    assert.deepEqual(cipher.open(bytes('0951cc974d65734e6ba033ea452f8464'), bytes(byKopia)), ascii('hello'));
    for (const [encryption, iv, plain, sealed] of SAMPLES) {
      const masterKey = ascii('01234567890123456789012345678901');
      const opened = createContentCipher({ encryption, masterKey }, { backend }).open(ascii(iv), bytes(sealed));
      assert.deepEqual(opened, ascii(plain));
    }
  });

  for (const encryption of ENCRYPTION_ALGORITHMS) {
    const cipher = createContentCipher({ encryption, masterKey: MASTER_KEY }, { backend });

    test(`${backend}, ${encryption}: every truncation and every flipped byte is refused`, () => {
      const iv = ascending(1, 16);
      const sealed = seal(cipher, iv, ascii('forty bytes of text, more or less, here.'));
      for (let length = 0; length < sealed.length; length++) {
        const code = length < 28 ? 'CIPHER_TRUNCATED' : 'CIPHER_AUTH_FAILED';
        assert.throws(() => cipher.open(iv, sealed.subarray(0, length)), { code }, `cut to ${length}`);
      }
      for (let at = 0; at < sealed.length; at++) {
        const damaged = sealed.slice();
        damaged[at] = (damaged[at] ?? 0) ^ (1 << (at % 8));
        assert.throws(() => cipher.open(iv, damaged), { code: 'CIPHER_AUTH_FAILED' }, `byte ${at}`);
      }
      for (let at = 0; at < iv.length; at++) {
        const other = iv.slice();
        other[at] = (other[at] ?? 0) ^ 1;
        assert.throws(() => cipher.open(other, sealed), { code: 'CIPHER_AUTH_FAILED' }, `iv byte ${at}`);
      }
    });

    test(`${backend}, ${encryption}: opening undoes sealing, at any offset`, () => {
      const property = fc.property(
        fc.uint8Array({ minLength: 16, maxLength: 32 }),
        fc.uint8Array({ maxLength: 2000 }),
        fc.nat(40),
        (iv, plain, offset) => {
          const out = new Uint8Array(offset + plain.length + 28 + 5);
          const length = cipher.sealInto(iv, plain, out, offset);
          assert.equal(length, plain.length + cipher.overheadBytes);
          const into = new Uint8Array(plain.length + 2);
          const opened = cipher.open(iv, out.subarray(offset, offset + length), into);
          assert.deepEqual(opened, new Uint8Array(plain));
          assert.equal(opened.buffer, into.buffer);
        },
      );
      fc.assert(property, { numRuns: 100 });
    });
  }
}

test('the two backends read each other', () => {
  for (const encryption of ENCRYPTION_ALGORITHMS) {
    const [one, other] = BACKENDS.map((backend) =>
      createContentCipher({ encryption, masterKey: MASTER_KEY }, { backend }),
    );
    assert.ok(one && other);
    const iv = ascending(5, 28);
    const plain = systemRandom.bytes(100_000);
    assert.deepEqual(other.open(iv, seal(one, iv, plain)), plain);
    assert.deepEqual(one.open(iv, seal(other, iv, plain)), plain);
  }
});

test('sealing through a buffer of any length gives what sealing at once gives', () => {
  const taken: number[] = [];
  const through = (cipher: ContentCipher, iv: Uint8Array, plain: Uint8Array, bufferBytes: number): Uint8Array => {
    taken.length = 0;
    const buffer = new Uint8Array(bufferBytes);
    let filled = 0;
    const empty = (): void => void taken.push(...buffer.subarray(0, filled));
    const reserve = (bytes: number): number => {
      if (filled + bytes <= buffer.length) return filled;
      empty();
      return (filled = 0);
    };
    const sealedBytes = cipher.sealThrough(iv, plain, { buffer, reserve, advance: (bytes) => (filled += bytes) });
    empty();
    assert.equal(sealedBytes, taken.length);
    return Uint8Array.from(taken);
  };
  const fixed = { bytes: (length: number): Uint8Array => ascending(7, length) };
  for (const backend of BACKENDS) {
    for (const encryption of ENCRYPTION_ALGORITHMS) {
      for (const ecc of [undefined, { algorithm: 'REED-SOLOMON-CRC32', overheadPercent: 2 }]) {
        const spec = { encryption, masterKey: MASTER_KEY, ...(ecc && { ecc }) };
        const create = (): ContentCipher => createContentCipher(spec, { backend, random: fixed });
        const iv = ascending(5, 16);
        for (const [length, bufferBytes] of [
          [0, 1],
          [0, 100],
          [1, 7],
          [100, 1],
          [100, 16],
          [1000, 12],
          [1000, 28],
          [5000, 333],
          [3000, 3028],
          [3000, 3027],
          [70_000, 4096],
        ] as const) {
          const plain = systemRandom.bytes(length);
          assert.deepEqual(
            through(create(), iv, plain, bufferBytes),
            seal(create(), iv, plain),
            `${length} ${backend}`,
          );
        }
      }
    }
  }
});

test('no nonce comes twice', () => {
  const cipher = createContentCipher({ encryption: AES, masterKey: MASTER_KEY });
  const iv = ascending(0, 16);
  const nonces = Array.from({ length: 2000 }, () => toHex(seal(cipher, iv, new Uint8Array(0)).subarray(0, 12)));
  assert.equal(new Set(nonces).size, nonces.length);
});

test('a short buffer to open into is left alone', () => {
  const cipher = createContentCipher({ encryption: AES, masterKey: MASTER_KEY });
  const iv = ascending(0, 16);
  const into = new Uint8Array(4).fill(0xee);
  assert.deepEqual(cipher.open(iv, seal(cipher, iv, ascii('hello')), into), ascii('hello'));
  assert.deepEqual(into, new Uint8Array(4).fill(0xee));
});

test('lengths are checked', () => {
  for (const backend of BACKENDS) {
    const cipher = createContentCipher({ encryption: AES, masterKey: MASTER_KEY }, { backend });
    const out = new Uint8Array(100);
    for (const length of [0, 1, 15, 33, 64, 255]) {
      const iv = new Uint8Array(length);
      assert.throws(() => cipher.sealInto(iv, new Uint8Array(1), out, 0), { code: 'CIPHER_IV_INVALID' });
      assert.throws(() => cipher.open(iv, out), { code: 'CIPHER_IV_INVALID' });
    }
    for (const offset of [-1, 72, 1.5, Number.NaN, Number.MAX_SAFE_INTEGER]) {
      assert.throws(() => cipher.sealInto(ascending(0, 16), new Uint8Array(1), out, offset), { code: 'INTERNAL' });
    }
  }
});

test('unknown encryptions and empty keys are refused', () => {
  for (const encryption of ['', 'NONE', 'AES-256-CTR', 'aes256-gcm-hmac-sha256', '__proto__', 'constructor']) {
    assert.equal(isSupportedEncryption(encryption), false);
    assert.throws(() => createContentCipher({ encryption, masterKey: MASTER_KEY }), { code: 'FORMAT_UNSUPPORTED' });
  }
  assert.throws(() => createContentCipher({ encryption: AES, masterKey: new Uint8Array(0) }), {
    code: 'FORMAT_INVALID',
  });
});

test('error correction is outermost and repairs what was damaged', () => {
  const spec: CipherSpec = {
    encryption: AES,
    masterKey: MASTER_KEY,
    ecc: { algorithm: 'REED-SOLOMON-CRC32', overheadPercent: 10 },
  };
  const deps: CipherDeps = { random: fixedNonce };
  const cipher = createContentCipher(structuredClone(spec), deps);
  const plainCipher = createContentCipher({ encryption: AES, masterKey: MASTER_KEY }, deps);
  const iv = ascending(0, 16);
  for (const length of [0, 1, 100, 5000, 200_000]) {
    const plain = systemRandom.bytes(length);
    const stored = seal(cipher, iv, plain);
    assert.ok(stored.length > plainCipher.maxSealedBytes(length));
    const into = new Uint8Array(length);
    assert.deepEqual(cipher.open(iv, stored, into), plain);
    const damaged = stored.slice();
    damaged[stored.length >> 1] = (damaged[stored.length >> 1] ?? 0) ^ 0xff;
    assert.deepEqual(cipher.open(iv, damaged), plain);
    assert.throws(() =>
      cipher.open(
        iv,
        stored.map((byte) => byte ^ 0xff),
      ),
    );
  }
  const bad = { ...spec, ecc: { algorithm: 'NO-SUCH', overheadPercent: 10 } };
  assert.throws(() => createContentCipher(bad), { code: 'FORMAT_UNSUPPORTED' });
});
