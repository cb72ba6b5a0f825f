// Streams written by kopia 0.23, one per compressor (test/golden/compression).
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { goldenInput } from '../../test/golden/compression/golden-input.ts';
import { COMPRESSORS, COMPRESSION_HEADER_BYTES, decompress } from './compressor.ts';
import { decompressZstd } from './zstd.ts';

const INPUT = goldenInput();
const MAX_BYTES = 1 << 20;

function goldenStream(name: string): Buffer {
  return readFileSync(new URL(`../../test/golden/compression/${name}.bin`, import.meta.url));
}

test('the input behind the golden streams has not changed', () => {
  const digest = createHash('sha256').update(INPUT).digest('hex');
  assert.equal(digest, 'db0703e626310cb3326d78c6e6bdcce38c7c5b0b88ad20e4e12a2f714ae98238');
});

for (const { name, id, writable } of COMPRESSORS) {
  if (!writable) continue;
  test(`what kopia wrote with ${name} is read`, () => {
    const golden = goldenStream(name);
    assert.equal(golden.readUInt32BE(0), id);
    const stream = golden.subarray(COMPRESSION_HEADER_BYTES);
    assert.ok(Buffer.from(decompress(id, stream, INPUT.length, MAX_BYTES)).equals(INPUT));
    assert.ok(Buffer.from(decompress(id, stream, undefined, MAX_BYTES)).equals(INPUT), 'without a known length');
  });

  if (!name.startsWith('zstd')) continue;
  test(`what kopia wrote with ${name} is read by Node's own zstd`, () => {
    const stream = goldenStream(name).subarray(COMPRESSION_HEADER_BYTES);
    assert.ok(Buffer.from(decompressZstd(stream, INPUT.length, MAX_BYTES, 'node')).equals(INPUT));
    assert.ok(Buffer.from(decompressZstd(stream, undefined, MAX_BYTES, 'node')).equals(INPUT));
  });
}
