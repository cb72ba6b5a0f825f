import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import { blake2b, blake2s } from '@noble/hashes/blake2.js';
import { blake3 } from '@noble/hashes/blake3.js';
import { toHex } from '../../base/hex.ts';
import { systemRandom } from '../../base/random.ts';
import { createBlake2Hash } from './blake-hash.ts';
import type { Blake2Name } from './blake-hash.ts';
import type { DigestEngine } from './digest-engine.ts';
import { createHmacHash } from './hmac-hash.ts';
import type { HmacName } from './hmac-hash.ts';
import { createKeyedHash, DEFAULT_HASH, HASH_ALGORITHMS, isSupportedHash } from './keyed-hash.ts';

const SECRET = Uint8Array.from({ length: 32 }, (_, i) => 0x20 + i);
const ascii = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'latin1'));
const hashOf = (algorithm: string, secret: Uint8Array, data: Uint8Array): string =>
  toHex(createKeyedHash(algorithm, secret).digest(data));

// Repository format §11.1: hash of nothing, hash of "hello". A change here would give every content another name.
const VECTORS: Readonly<Record<string, readonly [string, string]>> = {
  'BLAKE2B-256': [
    '27366ff238c0cfa5f69df1f7a3c5b9b4b624478571ec2dd33368a5fcb803a667',
    '0951cc974d65734e6ba033ea452f84644cf0b1bb235a252261441647e9e67382',
  ],
  'BLAKE2B-256-128': ['27366ff238c0cfa5f69df1f7a3c5b9b4', '0951cc974d65734e6ba033ea452f8464'],
  'BLAKE2S-128': ['e81d13439e25dfe1a2d3cfc79138ed55', 'dd6d830c2ab357614bd6b009af21dd36'],
  'BLAKE2S-256': [
    'ab8f845ba7c1dbfa13d17316bab437a4aa5aa9f6dfe68b6e74a2989362f4b54d',
    'fab1b1fe4ad6b97a57ecf81841f840bb25ffc0f607bf8afff91539b235202315',
  ],
  'BLAKE3-256': [
    '4b57adcaf21ce6ec2187b5732f8e7537feffdd7951cf299f222e55172e33c881',
    'f8a707ccac6d5c7344f3075c205236c529ad840925ffae5a62011aefc9a895a9',
  ],
  'BLAKE3-256-128': ['4b57adcaf21ce6ec2187b5732f8e7537', 'f8a707ccac6d5c7344f3075c205236c5'],
  'HMAC-SHA256': [
    'f49240b78aa90e53f46106c3481e377e19696e777328b1cd6ec6061a0bd868a9',
    '1aec074502f2463912a191ca4d93c770524367c8afd40af8766cf0a96888bd8c',
  ],
  'HMAC-SHA256-128': ['f49240b78aa90e53f46106c3481e377e', '1aec074502f2463912a191ca4d93c770'],
  'HMAC-SHA224': [
    '00eb08ee91a2d54d5bf272dce43fc2c2a7b3308830297fb6f6a53e67',
    '88c22ef523491702777aebcf0f7d4e78053b0879c2ff62866bc199b8',
  ],
  'HMAC-SHA3-224': [
    '25ec80451aa6864468fd3ff67484cd701cca5d37ac8d471898df79b1',
    'de832416e760f94cd94ccdfc2c3ca7444b3404b4bb2619051980ba70',
  ],
  'HMAC-SHA3-256': [
    '38d1b237e609baf7f5f6a58f06970d3496f902be36b1cd06ce857fd30cbc72f5',
    '506ba3517bb9c1e929489abd44965dad0db2a7aaa9730fc788c3319f6ef8b0ed',
  ],
};

test('every hash gives its vectors, again and again', () => {
  assert.deepEqual(Object.keys(VECTORS).sort(), [...HASH_ALGORITHMS].sort());
  for (const [algorithm, [ofNothing, ofHello]] of Object.entries(VECTORS)) {
    const hash = createKeyedHash(algorithm, SECRET);
    assert.equal(hash.algorithm, algorithm);
    assert.equal(hash.sizeBytes, ofHello.length / 2);
    for (let round = 0; round < 3; round++) {
      assert.equal(toHex(hash.digest(new Uint8Array(0))), ofNothing, algorithm);
      assert.equal(toHex(hash.digest(ascii('hello'))), ofHello, algorithm);
    }
  }
});

test('the constants of kopia’s own tests', () => {
  const secret = ascii('a-repository-testing-hmac-secret');
  const sentences: readonly (readonly [Uint8Array, string])[] = [
    [
      ascii('the quick brown fox jumps over the lazy dog'),
      'f65fc4107863281faaeb7087197c05ad59457362607330c665c86c852c5e5906',
    ],
    [new Uint8Array(100), 'bfa2b4b9421671ab2b5bfa8c90ee33607784a27e452b08556509ef9bd47a37c6'],
    [new Uint8Array(0), '0c2d44dc80de21b71d4219623082f5dc253fe9bb54e48b0fc90e118f8e6cf419'],
  ];
  for (const [data, expected] of sentences) assert.equal(hashOf('HMAC-SHA256', secret, data), expected);
  assert.equal(
    hashOf('HMAC-SHA256-128', ascii('key'), ascii('The quick brown fox jumps over the lazy dog')),
    'f7bc83f430538424b13298e6aa6fb143',
  );
  const unkeyed = createKeyedHash('BLAKE2B-256-128', new Uint8Array(0));
  assert.equal(toHex(unkeyed.digest(Uint8Array.of(1, 2, 3))), '11c0e79b71c3976ccd0c02d1310e2516');
  assert.equal(toHex(unkeyed.digest(Uint8Array.of(2, 3, 4))), '24ff687b6ca564bd005a99420c90a0db');
});

test('BLAKE3 derives its key from a short secret, and takes the start of a long one', () => {
  const short = createKeyedHash('BLAKE3-256', Uint8Array.of(1, 2, 3));
  assert.equal(
    toHex(short.digest(new Uint8Array(0))),
    '687bcc19b8fb1303c49d10428503e42887961483a54fdb27729c053b538627f0',
  );
  assert.equal(toHex(short.digest(ascii('hello'))), '0d9df102eaed7bfed21dbea9062dfcc095110d81493843f175f1c59c895926f4');
  const long = new Uint8Array(200).fill(1);
  long.set(SECRET);
  assert.equal(hashOf('BLAKE3-256', long, ascii('hello')), VECTORS['BLAKE3-256']?.[1]);
});

// On both sides of every block, chunk and backend boundary.
const LENGTHS = [0, 1, 63, 64, 65, 127, 128, 129, 1023, 1024, 1025, 4096, 8191, 8192, 8193, 16_385, 70_001];
const DATA = systemRandom.bytes(70_001);

function sweep(engine: DigestEngine, size: number, reference: (data: Uint8Array) => Uint8Array, name: string): void {
  for (const length of LENGTHS) {
    const data = DATA.subarray(0, length);
    const expected = toHex(reference(data));
    const out = new Uint8Array(size + 3);
    engine.begin();
    for (let at = 0; at < length; at += 5000) engine.update(data.subarray(at, Math.min(length, at + 5000)));
    engine.finishInto(out, 2, size);
    assert.equal(toHex(out.subarray(2, 2 + size)), expected, `${name} in pieces, ${length}`);
    if (engine.digestInto === undefined) continue;
    engine.digestInto(data, out.fill(0), 1, size);
    assert.equal(toHex(out.subarray(1, 1 + size)), expected, `${name} at once, ${length}`);
    assert.equal((out[0] ?? 1) + (out[size + 1] ?? 1), 0, 'nothing is written around');
  }
}

test('BLAKE2 equals another implementation, through both of ours and under any key', () => {
  const dkLen = { 'BLAKE2B-256': 32, 'BLAKE2S-128': 16, 'BLAKE2S-256': 32 };
  for (const name of Object.keys(dkLen) as Blake2Name[]) {
    const maxKey = name === 'BLAKE2B-256' ? 64 : 32;
    for (const keyLength of [0, 1, 31, 32, maxKey]) {
      if (keyLength === 0 && name === 'BLAKE2S-128') continue;
      const key = systemRandom.bytes(keyLength);
      const reference = (data: Uint8Array): Uint8Array =>
        (name === 'BLAKE2B-256' ? blake2b : blake2s)(data, {
          dkLen: dkLen[name],
          ...(keyLength > 0 ? { key } : {}),
        });
      sweep(createBlake2Hash(name, key), dkLen[name], reference, name);
      sweep(createBlake2Hash(name, key, 'library'), dkLen[name], reference, `${name}, library`);
    }
  }
});

test('BLAKE3 equals another implementation', () => {
  const hash = createKeyedHash('BLAKE3-256', SECRET);
  for (const length of LENGTHS) {
    const data = DATA.subarray(0, length);
    assert.equal(toHex(hash.digest(data)), toHex(blake3(data, { key: SECRET })), `${length}`);
  }
});

test('HMAC equals node:crypto, through both of ours', () => {
  const digests: Readonly<Record<HmacName, string>> = {
    'HMAC-SHA224': 'sha224',
    'HMAC-SHA256': 'sha256',
    'HMAC-SHA3-224': 'sha3-224',
    'HMAC-SHA3-256': 'sha3-256',
  };
  for (const [name, digest] of Object.entries(digests) as [HmacName, string][]) {
    for (const keyLength of [0, 32, 2000]) {
      const key = systemRandom.bytes(keyLength);
      const reference = (data: Uint8Array): Uint8Array => createHmac(digest, key).update(data).digest();
      sweep(createHmacHash(name, key), name.endsWith('224') ? 28 : 32, reference, name);
      sweep(createHmacHash(name, key, 'node'), name.endsWith('224') ? 28 : 32, reference, `${name}, node`);
    }
  }
});

test('secrets that would abort the process are refused', () => {
  const refused: readonly (readonly [string, number])[] = [
    ['BLAKE2B-256', 65],
    ['BLAKE2B-256-128', 1000],
    ['BLAKE2S-256', 33],
    ['BLAKE2S-128', 33],
    ['BLAKE2S-128', 0],
  ];
  for (const [algorithm, length] of refused) {
    const secret = new Uint8Array(length);
    assert.throws(() => createKeyedHash(algorithm, secret), { code: 'FORMAT_INVALID' }, `${algorithm} ${length}`);
  }
  for (const algorithm of HASH_ALGORITHMS) {
    for (const length of [1, 16, 31, 32]) createKeyedHash(algorithm, new Uint8Array(length)).digest(SECRET);
  }
});

test('unknown names are refused', () => {
  assert.ok(isSupportedHash(DEFAULT_HASH));
  for (const name of ['', 'MD5', 'blake3-256', 'BLAKE2B-128', '__proto__', 'toString', 'hasOwnProperty']) {
    assert.equal(isSupportedHash(name), false);
    assert.throws(() => createKeyedHash(name, SECRET), { code: 'FORMAT_UNSUPPORTED' }, name);
  }
});

test('an unfinished hash is forgotten, and room is checked', () => {
  for (const algorithm of HASH_ALGORITHMS) {
    const hash = createKeyedHash(algorithm, SECRET);
    hash.begin();
    hash.update(ascii('left lying'));
    hash.begin();
    hash.update(ascii('hel'));
    hash.update(new Uint8Array(0));
    hash.update(ascii('lo'));
    const out = new Uint8Array(hash.sizeBytes + 4);
    hash.finishInto(out, 4);
    assert.equal(toHex(out.subarray(4)), VECTORS[algorithm]?.[1]);
    for (const offset of [-1, 5, Number.NaN]) {
      assert.throws(() => hash.digestInto(SECRET, out, offset), { code: 'INTERNAL' });
    }
  }
});
