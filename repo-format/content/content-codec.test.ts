import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WindlassError } from '../../base/errors.ts';
import { SeededRandom } from '../../test/harness/seeded-random.ts';
import type { BlobId } from '../blob/storage.ts';
import { createCompressor } from '../compression/compressor.ts';
import { createContentCipher } from '../crypto/content-cipher.ts';
import { createKeyedHash } from '../hash/keyed-hash.ts';
import { contentIdFromHash, contentKey, type ContentId } from '../index/content-id.ts';
import type { IndexEntry } from '../index/entry.ts';
import { contentIv, openContent, verifyContentHash } from './content-codec.ts';

const cipher = createContentCipher({ encryption: 'AES256-GCM-HMAC-SHA256', masterKey: new Uint8Array(32).fill(1) });
const hash = createKeyedHash('BLAKE3-256-128', new Uint8Array(32).fill(2));

interface Stored {
  readonly entry: IndexEntry;
  readonly sealed: Uint8Array;
}

function store(plain: Uint8Array, compressor = 'none', prefix = ''): Stored {
  const codec = compressor === 'none' ? undefined : createCompressor(compressor);
  const payload = codec?.compress(plain) ?? plain;
  const id = contentIdFromHash(prefix, hash.digest(plain));
  const sealed = new Uint8Array(cipher.maxSealedBytes(payload.length));
  cipher.sealInto(contentIv(id), payload, sealed, 0);
  return {
    sealed,
    entry: {
      id,
      packId: 'p0123-s01' as BlobId,
      packOffset: 77,
      packedLength: sealed.length,
      originalLength: plain.length,
      compressionId: codec === undefined || payload === plain ? 0 : codec.id,
      formatVersion: 3,
      encryptionKeyId: 0,
      timestampSeconds: 1,
      deleted: false,
    },
  };
}

const TEXT = new SeededRandom(1).text(600);

function assertCorrupt(work: () => unknown, entry: IndexEntry, what: string): void {
  assert.throws(work, (error) => {
    assert.ok(error instanceof WindlassError, `${what}: ${String(error)}`);
    assert.equal(error.code, 'CONTENT_CORRUPT', what);
    const { packId, packOffset: offset, packedLength: length, id: contentId } = entry;
    assert.deepEqual(error.context, { contentId, packId, offset, length });
    assert.ok(error.message.includes(packId) && error.message.includes(` ${offset}, length ${length}`), error.message);
    return true;
  });
}

test('the iv of a content is the end of its hash, without the letter', () => {
  const iv = (id: string): string => Buffer.from(contentIv(id as ContentId)).toString('hex');
  const hex = '000102030405060708090a0b0c0d0e0f';
  assert.equal(iv(hex), hex);
  assert.equal(iv(`k${hex}`), hex);
  assert.equal(iv(`ffffffff${hex}`), hex);
});

for (const compressor of ['none', 'zstd', 'gzip', 'deflate-default', 's2-default', 'pgzip']) {
  test(`opens what was stored: ${compressor}`, () => {
    for (const plain of [TEXT, new Uint8Array(0), Buffer.from('x')]) {
      const { entry, sealed } = store(plain, compressor, 'k');
      const opened = openContent(cipher, entry, sealed);
      assert.deepEqual(Buffer.from(opened), Buffer.from(plain));
      verifyContentHash(hash, entry, opened);
    }
  });

  test(`every truncation and every flipped byte is corruption: ${compressor}`, () => {
    const { entry, sealed } = store(TEXT, compressor);
    for (let length = 0; length < sealed.length; length++) {
      assertCorrupt(() => openContent(cipher, entry, sealed.subarray(0, length)), entry, `${length} bytes`);
    }
    for (let at = 0; at < sealed.length; at++) {
      const flipped = Uint8Array.from(sealed);
      flipped[at] = (flipped[at] ?? 0) ^ 0x80;
      assertCorrupt(() => openContent(cipher, entry, flipped), entry, `byte ${at}`);
    }
  });
}

test('opens into a given buffer, without one that is too small', () => {
  const { entry, sealed } = store(TEXT);
  const into = new Uint8Array(1000);
  const opened = openContent(cipher, entry, sealed, into);
  assert.equal(opened.buffer, into.buffer);
  assert.deepEqual(Buffer.from(opened), TEXT);
  assert.deepEqual(Buffer.from(openContent(cipher, entry, sealed, new Uint8Array(10))), TEXT);
  const packed = store(TEXT, 'zstd');
  assert.deepEqual(Buffer.from(openContent(cipher, packed.entry, packed.sealed, into)), TEXT);
});

test('an entry that does not fit its bytes is corruption', () => {
  const raw = store(TEXT);
  const packed = store(TEXT, 'zstd');
  const cases: [string, IndexEntry, Uint8Array][] = [
    ['another key', { ...raw.entry, encryptionKeyId: 1 }, raw.sealed],
    ['another length', { ...raw.entry, originalLength: 599 }, raw.sealed],
    ['a shorter original', { ...packed.entry, originalLength: 599 }, packed.sealed],
    ['a longer original', { ...packed.entry, originalLength: 601 }, packed.sealed],
    ['a length that cannot be', { ...packed.entry, originalLength: 2 ** 31 }, packed.sealed],
    ['compression where there is none', { ...raw.entry, compressionId: packed.entry.compressionId }, raw.sealed],
    ['no compression where there is one', { ...packed.entry, compressionId: 0 }, packed.sealed],
    ['another compression', { ...packed.entry, compressionId: 0x1000 }, packed.sealed],
    ['an unknown compression', { ...packed.entry, compressionId: 0xffff_ffff }, packed.sealed],
    ['another content', { ...raw.entry, id: store(Buffer.from('other')).entry.id }, raw.sealed],
    ['a hash too short for an iv', { ...raw.entry, id: 'aabb' as ContentId }, raw.sealed],
  ];
  for (const [what, entry, sealed] of cases) assertCorrupt(() => openContent(cipher, entry, sealed), entry, what);
});

test('a compressed payload shorter than its header is corruption', () => {
  for (let length = 0; length < 4; length++) {
    const { entry, sealed } = store(new Uint8Array(length));
    const lying = { ...entry, compressionId: 0x1100 };
    assertCorrupt(() => openContent(cipher, lying, sealed), lying, `${length} bytes`);
  }
});

test('a hash that is not the id’s is corruption', () => {
  const { entry } = store(TEXT);
  verifyContentHash(hash, entry, TEXT);
  assertCorrupt(() => verifyContentHash(hash, entry, TEXT.subarray(1)), entry, 'other bytes');
  assert.equal(contentKey(entry.id).length, 17);
});
