import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '../../base/hex.ts';
import { goldenFormatBlob, VECTOR_FORMAT_KEY, VECTOR_UNIQUE_ID } from '../../test/harness/format-vectors.ts';
import { encodeFormatBlob, openFormatPart, parseFormatBlob, sealFormatPart } from './format-blob.ts';

const text = (value: string): Uint8Array => new Uint8Array(Buffer.from(value));
const fixedNonce = { bytes: (length: number) => Uint8Array.from({ length }, (_, i) => i) };

// Repository format §11.1, sealed with nonce 00..0b.
const SEALED: readonly (readonly [string, string])[] = [
  ['{}', '000102030405060708090a0b9164a8c83e70c0c011fdde9a9abfcf6a9095'],
  [
    '{"retentionMode":"COMPLIANCE","retentionPeriod":2592000000000000}',
    '000102030405060708090a0b913bc846fdced7411426cebe4daa5a63315054c40af77af6a2f0213fc5f0c4dd839992384406b6cb4b73255b6894ceac96d03f6cca5554b2b46be857bf4b2e970b7f922120ddabbca7f238cd2c34524df2',
  ],
];

test('sealing gives the vectors, opening undoes it', () => {
  for (const [plain, sealed] of SEALED) {
    const bytes = sealFormatPart(text(plain), VECTOR_FORMAT_KEY, VECTOR_UNIQUE_ID, fixedNonce);
    assert.equal(toHex(bytes), sealed);
    assert.deepEqual(openFormatPart(bytes, VECTOR_FORMAT_KEY, VECTOR_UNIQUE_ID), text(plain));
  }
});

test('a cut, damaged or foreign sealed part does not open', () => {
  const sealed = sealFormatPart(text('{}'), VECTOR_FORMAT_KEY, VECTOR_UNIQUE_ID, fixedNonce);
  for (let length = 0; length < sealed.length; length++) {
    assert.equal(openFormatPart(sealed.subarray(0, length), VECTOR_FORMAT_KEY, VECTOR_UNIQUE_ID), undefined);
  }
  for (let at = 0; at < sealed.length; at++) {
    const damaged = sealed.slice();
    damaged[at] = (damaged[at] ?? 0) ^ 0x10;
    assert.equal(openFormatPart(damaged, VECTOR_FORMAT_KEY, VECTOR_UNIQUE_ID), undefined);
  }
  assert.equal(openFormatPart(sealed, VECTOR_UNIQUE_ID, VECTOR_UNIQUE_ID), undefined);
});

test('what kopia wrote is written again byte for byte', () => {
  for (const name of ['v1', 'v1-compacted-and-upgraded', 'v3', 'ecc', 'password-changed'] as const) {
    const stored = goldenFormatBlob(name, 'repository');
    const blob = parseFormatBlob(stored);
    assert.equal(blob.keyAlgo, 'scrypt-65536-8-1');
    assert.deepEqual(encodeFormatBlob(blob), stored, name);
  }
});

test('unknown members stay', () => {
  const stored = Buffer.from(goldenFormatBlob('v3', 'repository')).toString();
  const extended = stored.replace('{\n', '{\n  "later": 9007199254740993,\n');
  const again = Buffer.from(encodeFormatBlob(parseFormatBlob(text(extended)))).toString();
  assert.equal(again, stored.replace('\n}\n', ',\n  "later": 9007199254740993\n}\n'));
});

test('every truncation and every flipped byte gives a typed error or another blob, never a crash', () => {
  const stored = goldenFormatBlob('v3', 'repository');
  const codes = new Set(['FORMAT_INVALID', 'FORMAT_UNSUPPORTED']);
  const parseTyped = (bytes: Uint8Array): boolean => {
    try {
      parseFormatBlob(bytes);
      return true;
    } catch (error) {
      assert.ok(codes.has((error as { code: string }).code), String(error));
      return false;
    }
  };
  // Only the final newline can go unnoticed.
  for (let length = 0; length < stored.length - 1; length++)
    assert.equal(parseTyped(stored.subarray(0, length)), false);
  for (let at = 0; at < stored.length; at++) {
    for (const mask of [0x01, 0x20, 0x80]) {
      const damaged = stored.slice();
      damaged[at] = (damaged[at] ?? 0) ^ mask;
      parseTyped(damaged);
    }
  }
});

test('what cannot be a format blob is refused', () => {
  const stored = JSON.parse(Buffer.from(goldenFormatBlob('v3', 'repository')).toString()) as Record<string, unknown>;
  const parseWith = (change: Record<string, unknown>): unknown =>
    parseFormatBlob(text(JSON.stringify({ ...stored, ...change })));
  const invalid = { code: 'FORMAT_INVALID' };
  assert.throws(() => parseWith({ encryption: 'NONE' }), { code: 'FORMAT_UNSUPPORTED' });
  assert.throws(() => parseWith({ encryption: '' }), { code: 'FORMAT_UNSUPPORTED' });
  assert.throws(() => parseWith({ uniqueID: 'AAEC' }), invalid);
  assert.throws(() => parseWith({ uniqueID: Buffer.alloc(1025).toString('base64') }), invalid);
  assert.throws(() => parseWith({ uniqueID: 7 }), invalid);
  assert.throws(() => parseWith({ encryptedBlockFormat: undefined }), invalid);
  assert.throws(() => parseWith({ encryptedBlockFormat: Buffer.alloc(27).toString('base64') }), invalid);
  assert.throws(() => parseFormatBlob(new Uint8Array(1024 * 1024 + 1).fill(0x20)), invalid);
});
