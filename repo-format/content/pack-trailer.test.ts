import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { WindlassError } from '../../base/errors.ts';
import type { BlobId } from '../blob/storage.ts';
import { encodePostamble, PACK_ALIGNMENT, paddingBytes, parsePostamble } from './pack-trailer.ts';

const PACK = 'p0123-s01' as BlobId;

function bytesUpTo(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, value) => value);
}

// Repository format §11.1.
const VECTORS = [
  { ivLength: 16, indexOffset: 4096, indexLength: 300, hex: '0110000102030405060708090a0b0c0d0e0f8020ac0248f26e221a' },
  {
    ivLength: 32,
    indexOffset: 20_971_520,
    indexLength: 70_000,
    hex: '0120000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f8080800af0a20499ed78fe2d',
  },
];

for (const { ivLength, indexOffset, indexLength, hex } of VECTORS) {
  test(`postamble with an iv of ${ivLength} bytes is Kopia's, both ways`, () => {
    const postamble = { iv: bytesUpTo(ivLength), indexOffset, indexLength };
    const tail = encodePostamble(postamble);
    assert.equal(Buffer.from(tail).toString('hex'), hex);
    const blobLength = indexOffset + indexLength + tail.length;
    assert.deepEqual(parsePostamble(PACK, tail, blobLength), postamble);
    assert.deepEqual(parsePostamble(PACK, Buffer.concat([bytesUpTo(50), tail]), blobLength), postamble);
  });
}

test('postambles come back as they were', () => {
  const ivs = fc.uint8Array({ minLength: 16, maxLength: 32 });
  fc.assert(
    fc.property(ivs, fc.nat(2 ** 30), fc.nat(2 ** 28), (iv, indexOffset, indexLength) => {
      const tail = encodePostamble({ iv, indexOffset, indexLength });
      const parsed = parsePostamble(PACK, tail, indexOffset + indexLength + tail.length);
      assert.deepEqual(parsed, { iv, indexOffset, indexLength });
    }),
  );
});

test('padding reaches the next multiple, a whole block when there already', () => {
  assert.equal(paddingBytes(1), PACK_ALIGNMENT - 1);
  assert.equal(paddingBytes(PACK_ALIGNMENT - 1), 1);
  assert.equal(paddingBytes(PACK_ALIGNMENT), PACK_ALIGNMENT);
  assert.equal(paddingBytes(PACK_ALIGNMENT + 1), PACK_ALIGNMENT - 1);
});

const VALID = encodePostamble({ iv: bytesUpTo(16), indexOffset: 4096, indexLength: 300 });
const BLOB_LENGTH = 4096 + 300 + VALID.length;

function isRefused(tail: Uint8Array, blobLength = BLOB_LENGTH): boolean {
  try {
    parsePostamble(PACK, tail, blobLength);
    return false;
  } catch (error) {
    assert.ok(error instanceof WindlassError && error.code === 'PACK_TRAILER_INVALID', String(error));
    assert.equal(error.context['packId'], PACK);
    return true;
  }
}

test('every truncation is refused', () => {
  for (let length = 0; length < VALID.length; length++) {
    assert.ok(isRefused(VALID.subarray(0, length)), `first ${length} bytes`);
    assert.ok(isRefused(VALID.subarray(VALID.length - length)) || length === VALID.length, `last ${length} bytes`);
  }
});

test('every flipped bit is refused', () => {
  for (let at = 0; at < VALID.length; at++) {
    for (let bit = 0; bit < 8; bit++) {
      const flipped = Uint8Array.from(VALID);
      flipped[at] = (flipped[at] ?? 0) ^ (1 << bit);
      assert.ok(isRefused(flipped), `byte ${at}, bit ${bit}`);
    }
  }
});

test('numbers that checksum but make no sense are refused', () => {
  const sealed = (iv: number, indexOffset: number, indexLength: number): Uint8Array =>
    encodePostamble({ iv: bytesUpTo(iv), indexOffset, indexLength });
  assert.ok(isRefused(sealed(15, 0, 0)), 'short iv');
  assert.ok(isRefused(sealed(33, 0, 0)), 'long iv');
  assert.ok(isRefused(sealed(16, 2 ** 50, 1)), 'offset beyond what can be');
  assert.ok(isRefused(sealed(16, 4096, 301)), 'index that overlaps the postamble');
  assert.equal(isRefused(sealed(16, 4096, 300)), false);
});

test('random bytes are refused', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (tail) => {
      assert.ok(isRefused(tail, 1 << 20));
    }),
  );
});
