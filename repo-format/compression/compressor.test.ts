import assert from 'node:assert/strict';
import { gunzipSync, gzipSync, inflateRawSync, zstdCompressSync } from 'node:zlib';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  COMPRESSORS,
  COMPRESSION_CORRUPT,
  COMPRESSION_HEADER_BYTES,
  compressorId,
  createCompressor,
  decompress,
  zstdBackend,
} from './compressor.ts';
import { createZstdCompress, decompressZstd } from './zstd.ts';

const MAX_BYTES = 1 << 20;
const WRITABLE = COMPRESSORS.filter(({ writable }) => writable);
const ZSTD_BACKENDS = zstdBackend() === 'node' ? (['node'] as const) : (['zstd-napi', 'node'] as const);

/** Runs and copies of earlier bytes among noise: something to find for every matcher. */
const arbitraryData = fc
  .array(
    fc.oneof(
      fc.record({ noise: fc.uint8Array({ maxLength: 300 }) }),
      fc.record({ byte: fc.nat(255), length: fc.nat(70_000) }),
      fc.record({ from: fc.nat(), length: fc.nat(3000) }),
    ),
    { maxLength: 8 },
  )
  .map((parts) => {
    let data = Buffer.alloc(0);
    for (const part of parts) {
      if ('noise' in part) data = Buffer.concat([data, part.noise]);
      else if ('byte' in part) data = Buffer.concat([data, Buffer.alloc(part.length, part.byte)]);
      else if (data.length > 0) {
        const from = part.from % data.length;
        data = Buffer.concat([data, data.subarray(from, from + part.length)]);
      }
    }
    return data;
  });

test('names and ids are those of the format, each once', () => {
  const ids = Object.fromEntries(COMPRESSORS.map(({ name, id }) => [name, id]));
  assert.deepEqual(ids, {
    gzip: 0x1000,
    'gzip-best-speed': 0x1001,
    'gzip-best-compression': 0x1002,
    zstd: 0x1100,
    'zstd-fastest': 0x1101,
    'zstd-better-compression': 0x1102,
    'zstd-best-compression': 0x1103,
    's2-default': 0x1200,
    's2-better': 0x1201,
    's2-parallel-4': 0x1202,
    's2-parallel-8': 0x1203,
    pgzip: 0x1300,
    'pgzip-best-speed': 0x1301,
    'pgzip-best-compression': 0x1302,
    lz4: 0x1400,
    'deflate-default': 0x1500,
    'deflate-best-speed': 0x1501,
    'deflate-best-compression': 0x1502,
  });
  assert.equal(compressorId('zstd-fastest'), 0x1101);
});

test('LZ4 and what is not known are refused', () => {
  for (const name of ['lz4', 'brotli', '', 'none']) {
    assert.throws(() => compressorId(name), { code: 'FORMAT_UNSUPPORTED' });
    assert.throws(() => createCompressor(name), { code: 'FORMAT_UNSUPPORTED' });
  }
  for (const id of [0x1400, 0, 0x1104, -1]) {
    assert.throws(() => decompress(id, new Uint8Array(9), 1, MAX_BYTES), { code: 'FORMAT_UNSUPPORTED' });
  }
});

for (const { name, id } of WRITABLE) {
  test(`${name}: what was compressed decompresses to itself`, () => {
    const compressor = createCompressor(name);
    fc.assert(
      fc.property(arbitraryData, (data) => {
        const framed = compressor.compress(data);
        if (framed === null) return;
        assert.ok(framed.length < data.length);
        assert.equal(new DataView(framed.buffer, framed.byteOffset).getUint32(0), id);
        const stream = framed.subarray(COMPRESSION_HEADER_BYTES);
        assert.ok(Buffer.from(decompress(id, stream, data.length, MAX_BYTES)).equals(data));
        assert.ok(Buffer.from(decompress(id, stream, undefined, MAX_BYTES)).equals(data));
      }),
      { numRuns: 15 },
    );
  });

  test(`${name}: what does not shrink, with the header counted, gives null`, () => {
    const compressor = createCompressor(name);
    const noise = Buffer.alloc(5000);
    for (let i = 0, state = 1; i < noise.length; i++) {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0;
      noise[i] = state >>> 17;
    }
    for (const data of [new Uint8Array(0), new Uint8Array(1), Buffer.from('short'), noise]) {
      assert.equal(compressor.compress(data), null);
    }
  });

  test(`${name}: a result stays as it is when the compressor is used again`, () => {
    const compressor = createCompressor(name);
    const first = compressor.compress(Buffer.alloc(4096, 'first'));
    assert.ok(first !== null);
    const copy = Uint8Array.from(first);
    compressor.compress(Buffer.alloc(8192, 'second'));
    assert.deepEqual(first, copy);
  });
}

test('gzip and deflate streams are the ordinary ones', () => {
  const data = Buffer.alloc(2000, 'ordinary ');
  const gzip = createCompressor('pgzip').compress(data);
  const deflate = createCompressor('deflate-default').compress(data);
  assert.ok(gzip !== null && deflate !== null);
  assert.ok(gunzipSync(gzip.subarray(COMPRESSION_HEADER_BYTES)).equals(data));
  assert.ok(inflateRawSync(deflate.subarray(COMPRESSION_HEADER_BYTES)).equals(data));
});

test('a gzip stream of several members is read whole', () => {
  const stream = Buffer.concat([gzipSync('one '), gzipSync(''), gzipSync('two')]);
  assert.equal(Buffer.from(decompress(0x1000, stream, 7, MAX_BYTES)).toString(), 'one two');
});

const SKIPPABLE_FRAME = Buffer.from([0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);

for (const backend of ZSTD_BACKENDS) {
  const read = (stream: Uint8Array, length: number | undefined) =>
    Buffer.from(decompressZstd(stream, length, MAX_BYTES, backend)).toString();

  test(`zstd (${backend}): frames that follow each other and skippable ones are read`, () => {
    const [one, two] = [zstdCompressSync('one '), zstdCompressSync('two')];
    const stream = Buffer.concat([SKIPPABLE_FRAME, one, SKIPPABLE_FRAME, two, SKIPPABLE_FRAME]);
    for (const length of [7, undefined]) assert.equal(read(stream, length), 'one two');
    assert.equal(read(SKIPPABLE_FRAME, undefined), '');
  });

  test(`zstd (${backend}): a large frame without a content size is read`, () => {
    // A frame by hand: window of 8 MiB, no content size, one RLE block of 100,000 bytes.
    const stream = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 13 << 3, 0, 0, 0, 0x78]);
    stream.writeUIntLE((100_000 << 3) | (1 << 1) | 1, 6, 3);
    for (const length of [100_000, undefined]) assert.equal(read(stream, length), 'x'.repeat(100_000));
  });

  test(`zstd (${backend}): an encoder's frames are read by the other`, () => {
    const data = Buffer.alloc(300_000, 'frames go both ways ');
    const stream = Uint8Array.from(createZstdCompress(3, backend)(data));
    for (const reader of ZSTD_BACKENDS) {
      assert.ok(Buffer.from(decompressZstd(stream, data.length, MAX_BYTES, reader)).equals(data));
    }
  });

  test(`zstd (${backend}): thousands of frames are no way to keep a reader busy`, () => {
    const frame = zstdCompressSync('x');
    const stream = Buffer.concat(Array.from({ length: 5000 }, () => frame));
    if (backend === 'node') assert.throws(() => read(stream, undefined), { code: COMPRESSION_CORRUPT });
    else assert.equal(read(stream, undefined), 'x'.repeat(5000));
  });
}
