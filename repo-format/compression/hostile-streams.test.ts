// Damaged and malicious streams, for every decoder: a typed error or a valid result, within bounded memory and time.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deflateRawSync, gzipSync, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { hasCode } from '../../base/errors.ts';
import { COMPRESSION_CORRUPT, COMPRESSION_HEADER_BYTES, createCompressor, decompress } from './compressor.ts';
import { decompressZstd } from './zstd.ts';

const MAX_BYTES = 1 << 20;
const CORRUPT = { code: COMPRESSION_CORRUPT };

type Decode = (stream: Uint8Array, originalLength: number | undefined, maxBytes: number) => Uint8Array;

interface Subject {
  readonly name: string;
  readonly compressor: string;
  /** Whether the stream has a checksum, so that a wrong result cannot pass. */
  readonly checked: boolean;
  readonly decode: Decode;
}

const by =
  (id: number): Decode =>
  (stream, length, maxBytes) =>
    decompress(id, stream, length, maxBytes);

const SUBJECTS: readonly Subject[] = [
  { name: 'gzip', compressor: 'gzip', checked: true, decode: by(0x1000) },
  { name: 'deflate', compressor: 'deflate-default', checked: false, decode: by(0x1500) },
  { name: 'zstd', compressor: 'zstd', checked: true, decode: by(0x1100) },
  {
    name: 'zstd (node)',
    compressor: 'zstd',
    checked: true,
    decode: (stream, length, maxBytes) => decompressZstd(stream, length, maxBytes, 'node'),
  },
  { name: 's2', compressor: 's2-default', checked: true, decode: by(0x1200) },
];

const DATA = Buffer.concat([
  Buffer.alloc(400, 'a line of text that repeats itself, '),
  Buffer.from('and some that does not: 3.14159265358979323846 xyzzy'),
  Buffer.alloc(90),
]);

function streamOf(compressor: string, data: Uint8Array): Uint8Array {
  const framed = createCompressor(compressor).compress(data);
  assert.ok(framed !== null);
  return framed.subarray(COMPRESSION_HEADER_BYTES);
}

/** Decodes damaged input. Undefined for the typed error; any other error fails the test. */
function attempt(decode: Decode, stream: Uint8Array, length: number | undefined): Uint8Array | undefined {
  try {
    return decode(stream, length, MAX_BYTES);
  } catch (error) {
    if (hasCode(error, COMPRESSION_CORRUPT)) return undefined;
    throw error;
  }
}

for (const { name, compressor, checked, decode } of SUBJECTS) {
  const stream = streamOf(compressor, DATA);

  test(`${name}: the undamaged stream is read`, () => {
    assert.ok(Buffer.from(decode(stream, DATA.length, MAX_BYTES)).equals(DATA));
  });

  test(`${name}: every truncation is an error`, () => {
    for (let length = 0; length < stream.length; length++) {
      const cut = stream.subarray(0, length);
      // A decoder that is told the length cannot take a shorter result for whole.
      assert.equal(
        attempt((s, n, max) => checkedLength(decode(s, n, max), n), cut, DATA.length),
        undefined,
      );
      const unsized = attempt(decode, cut, undefined);
      assert.ok(unsized === undefined || unsized.length === 0, 'nothing but an empty stream may pass');
    }
  });

  test(`${name}: every changed byte is an error or changes nothing`, () => {
    for (let i = 0; i < stream.length; i++) {
      for (const flip of [0x01, 0x80, 0xff]) {
        const damaged = Uint8Array.from(stream);
        damaged[i] = (damaged[i] ?? 0) ^ flip;
        const result = attempt(decode, damaged, DATA.length);
        if (result === undefined || result.length !== DATA.length) continue;
        if (checked) assert.ok(Buffer.from(result).equals(DATA), `byte ${i} changed the result unnoticed`);
      }
    }
  });

  test(`${name}: bytes that follow the end are an error`, () => {
    for (const tail of ['x', '\0\0\0\0\0', 'a longer tail of bytes']) {
      const result = attempt(decode, Buffer.concat([stream, Buffer.from(tail)]), DATA.length);
      assert.equal(result, undefined);
    }
  });

  test(`${name}: random bytes give the typed error`, () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 200 }), (bytes) => {
        attempt(decode, bytes, 100);
        attempt(decode, bytes, undefined);
        attempt(decode, Buffer.concat([stream.subarray(0, 12), bytes]), DATA.length);
      }),
      { numRuns: 60 },
    );
  });

  test(`${name}: a stream that grows past its limit stops there`, () => {
    const bomb = streamOf(compressor, Buffer.alloc(40 << 20));
    assert.throws(() => decode(bomb, undefined, MAX_BYTES), CORRUPT);
    assert.throws(() => decode(bomb, 5000, MAX_BYTES), CORRUPT);
  });
}

function checkedLength(data: Uint8Array, expected: number | undefined): Uint8Array {
  if (expected === undefined || data.length === expected) return data;
  return decompress(0x1500, new Uint8Array(0), expected, MAX_BYTES); // throws: the length that was promised is not met
}

test('a length that is not met, or above the limit, is an error', () => {
  for (const [id, stream] of [
    [0x1000, gzipSync(DATA)],
    [0x1100, zstdCompressSync(DATA)],
    [0x1200, streamOf('s2-better', DATA)],
    [0x1500, deflateRawSync(DATA)],
  ] as const) {
    assert.throws(() => decompress(id, stream, DATA.length - 1, MAX_BYTES), CORRUPT);
    assert.throws(() => decompress(id, stream, DATA.length + 1, MAX_BYTES), CORRUPT);
    assert.throws(() => decompress(id, stream, MAX_BYTES + 1, MAX_BYTES), CORRUPT);
    assert.throws(() => decompress(id, stream, undefined, DATA.length - 1), CORRUPT);
    assert.equal(decompress(id, stream, undefined, DATA.length).length, DATA.length);
  }
});

test('a zstd frame that wants a huge window is refused by the reader that would allocate it', () => {
  // Window descriptor 31 << 3: 2 TiB. One RLE block of five bytes.
  const frame = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 31 << 3, 0x2b, 0, 0, 0x78]);
  assert.throws(() => decompressZstd(frame, 5, MAX_BYTES, 'node'), CORRUPT);
});
