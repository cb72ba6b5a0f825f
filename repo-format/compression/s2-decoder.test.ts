// S2 blocks made by hand: each kind of element, and each way in which one can be wrong (repository format §5.4).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32c } from './crc32c.ts';
import { COMPRESSION_CORRUPT } from './compression-error.ts';
import { decompressS2 } from './s2-decoder.ts';
import { maskedCrc } from './s2-framing.ts';

const CORRUPT = { code: COMPRESSION_CORRUPT };
const IDENTIFIER = Buffer.from('\xff\x06\x00\x00S2sTwO', 'latin1');
const SNAPPY_IDENTIFIER = Buffer.from('\xff\x06\x00\x00sNaPpY', 'latin1');

function chunk(type: number, body: Uint8Array): Buffer {
  const header = Buffer.alloc(4);
  header.writeUIntLE(body.length, 1, 3);
  header[0] = type;
  return Buffer.concat([header, body]);
}

function block(type: number, decoded: Uint8Array, body: Uint8Array): Buffer {
  const crc = Buffer.alloc(4);
  crc.writeUInt32LE(maskedCrc(decoded, 0, decoded.length));
  return chunk(type, Buffer.concat([crc, body]));
}

/** A stream of one compressed block with a right checksum for `decoded`; the length is written as `decoded` has it. */
function compressed(decoded: string, ...elements: (number | string)[]): Buffer {
  const bytes = elements.flatMap((e) => (typeof e === 'string' ? [...Buffer.from(e, 'latin1')] : [e]));
  const length = decoded.length < 128 ? [decoded.length] : [(decoded.length & 127) | 128, decoded.length >> 7];
  return Buffer.concat([IDENTIFIER, block(0, Buffer.from(decoded, 'latin1'), Buffer.from([...length, ...bytes]))]);
}

const read = (stream: Uint8Array) => Buffer.from(decompressS2(stream, undefined, 1 << 20)).toString('latin1');

/** First byte of a literal of up to 60 bytes. */
const literal = (length: number) => (length - 1) << 2;

test('CRC-32C has its published check value', () => {
  const digits = Buffer.from('123456789');
  assert.equal(crc32c(digits, 0, 9), 0xe3069283);
  assert.equal(crc32c(Buffer.alloc(32), 0, 32), 0x8a9136aa);
  assert.equal(crc32c(Buffer.from('xx123456789x'), 2, 11), 0xe3069283);
});

test('literals of every length form are read', () => {
  assert.equal(read(compressed('abc', literal(3), 'abc')), 'abc');
  assert.equal(read(compressed('abc', 60 << 2, 2, 'abc')), 'abc');
  assert.equal(read(compressed('abc', 61 << 2, 2, 0, 'abc')), 'abc');
  assert.equal(read(compressed('abc', 62 << 2, 2, 0, 0, 'abc')), 'abc');
  assert.equal(read(compressed('abc', 63 << 2, 2, 0, 0, 0, 'abc')), 'abc');
  const long = 'l'.repeat(300);
  assert.equal(read(compressed(long, 61 << 2, 43, 1, long)), long);
});

test('copies of every form are read, overlapping ones too', () => {
  assert.equal(read(compressed('abcabca', literal(3), 'abc', 1, 3)), 'abcabca');
  assert.equal(read(compressed('aaaaaa', literal(1), 'a', ((5 - 1) << 2) | 2, 1, 0)), 'aaaaaa');
  assert.equal(read(compressed('ababab', literal(2), 'ab', ((4 - 1) << 2) | 3, 2, 0, 0, 0)), 'ababab');
  const text = 'x'.repeat(300) + 'y'.repeat(300);
  const far = compressed(text + 'xxxx', 61 << 2, 87, 2, text, 1 | (2 << 5), 88);
  assert.equal(read(far), text + 'xxxx');
});

test('repeats take the offset of the last copy, at every length form', () => {
  const first = [literal(3), 'abc', 1, 3] as const; // abcabca
  const cycle = (length: number) => 'abc'.repeat(Math.ceil((7 + length) / 3)).slice(0, 7 + length);
  assert.equal(read(compressed(cycle(4), ...first, 1, 0)), cycle(4));
  assert.equal(read(compressed(cycle(8), ...first, (4 << 2) | 1, 0)), cycle(8));
  assert.equal(read(compressed(cycle(8), ...first, (5 << 2) | 1, 0, 0)), cycle(8));
  assert.equal(read(compressed(cycle(263), ...first, (5 << 2) | 1, 0, 255)), cycle(263));
  assert.equal(read(compressed(cycle(262), ...first, (6 << 2) | 1, 0, 2, 0)), cycle(262));
  const long = cycle(65540 + 1);
  const elements = Buffer.from([literal(3), 97, 98, 99, 1, 3, (7 << 2) | 1, 0, 1, 0, 0]);
  const length = Buffer.from([(long.length & 127) | 128, ((long.length >> 7) & 127) | 128, long.length >> 14]);
  const body = Buffer.concat([length, elements]);
  assert.equal(read(Buffer.concat([IDENTIFIER, block(0, Buffer.from(long), body)])), long);
});

test('plain blocks, Snappy streams, padding, indexes and repeated identifiers are read', () => {
  const plain = (text: string) => block(1, Buffer.from(text), Buffer.from(text));
  const stream = [SNAPPY_IDENTIFIER, plain('one '), chunk(0xfe, Buffer.alloc(5)), IDENTIFIER, plain('two')];
  assert.equal(
    read(Buffer.concat([...stream, chunk(0x99, Buffer.from('index')), chunk(0x80, Buffer.alloc(0))])),
    'one two',
  );
  assert.equal(read(Buffer.alloc(0)), '');
  assert.equal(read(IDENTIFIER), '');
});

test('elements that reach outside their block are errors', () => {
  for (const [why, stream] of Object.entries({
    'a copy from before the start': compressed('abcabca', literal(3), 'abc', 1, 4),
    'a repeat with nothing before it': compressed('aaaaa', literal(1), 'a', 1, 0),
    'a copy with offset 0': compressed('abcabca', literal(3), 'abc', ((4 - 1) << 2) | 2, 0, 0),
    'a huge offset': compressed('abcabca', literal(3), 'abc', ((4 - 1) << 2) | 3, 255, 255, 255, 255),
    'a copy past the end': compressed('abcabc', literal(3), 'abc', 1, 3),
    'a literal past the end': compressed('ab', literal(3), 'abc'),
    'a literal longer than the input': compressed('abc', literal(3), 'ab'),
    'a huge literal': compressed('abc', 63 << 2, 255, 255, 255, 255, 'abc'),
    'a literal without its length': compressed('abc', 63 << 2, 2, 0),
    'a copy without its offset': compressed('abcabc', literal(3), 'abc', ((3 - 1) << 2) | 2, 3),
    'a repeat without its length': compressed('abcabcaabc', literal(3), 'abc', 1, 3, (7 << 2) | 1, 0, 1),
    'a tag alone': compressed('abcd', literal(3), 'abc', 1),
    'a block that ends early': compressed('abcd', literal(3), 'abc'),
    'an empty block': compressed('abc'),
  })) {
    assert.throws(() => read(stream), CORRUPT, why);
  }
});

test('a block does not see the one before it', () => {
  const one = compressed('abc', literal(3), 'abc');
  const two = compressed('abca', 1, 3).subarray(IDENTIFIER.length);
  assert.throws(() => read(Buffer.concat([one, two])), CORRUPT);
});

test('chunks that are wrong are errors', () => {
  const good = compressed('abc', literal(3), 'abc');
  const longPlain = Buffer.alloc((4 << 20) + 1);
  for (const [why, stream] of Object.entries({
    'no identifier': good.subarray(IDENTIFIER.length),
    'another identifier': Buffer.from('\xff\x06\x00\x00S3sTwO', 'latin1'),
    'an identifier of another length': Buffer.from('\xff\x05\x00\x00S2sTw', 'latin1'),
    'a chunk that may not be skipped': Buffer.concat([good, chunk(0x02, Buffer.alloc(3))]),
    'the last such chunk type': Buffer.concat([good, chunk(0x7f, Buffer.alloc(3))]),
    'half a header': Buffer.concat([good, Buffer.from([0xfe, 0])]),
    'a chunk longer than the input': Buffer.concat([good, Buffer.from([0xfe, 255, 255, 255])]),
    'a block without a checksum': Buffer.concat([IDENTIFIER, chunk(0, Buffer.alloc(3))]),
    'a block without a length': Buffer.concat([IDENTIFIER, chunk(0, Buffer.alloc(4))]),
    'a length that never ends': Buffer.concat([IDENTIFIER, chunk(0, Buffer.alloc(20, 0x80))]),
    'a compressed block above 4 MiB': Buffer.concat([
      IDENTIFIER,
      chunk(0, Buffer.from([0, 0, 0, 0, 0x81, 0x80, 0x80, 2])),
    ]),
    'a plain block above 4 MiB': Buffer.concat([IDENTIFIER, block(1, longPlain, longPlain)]),
  })) {
    assert.throws(() => decompressS2(stream, undefined, 1 << 24), CORRUPT, why);
  }
});

test('the sum of many blocks is held against the limit before anything is decoded', () => {
  // Each claims 4 MiB in a few bytes; none is valid, and none may be allocated for.
  const claim = chunk(0, Buffer.from([0, 0, 0, 0, 0x80, 0x80, 0x80, 2, 0]));
  const stream = Buffer.concat([IDENTIFIER, ...Array.from({ length: 100_000 }, () => claim)]);
  assert.throws(() => decompressS2(stream, undefined, 20 << 20), /more than 20971520 bytes/);
});
