// The cut points that every existing repository was split at (snapshots §1.6). If one of these changes, data backed up
// before no longer deduplicates against data backed up after: each volume would be stored in full once more.
import assert from 'node:assert/strict';
import { createHash, hash } from 'node:crypto';
import { test } from 'node:test';
import { createSplitter, type Splitter } from './splitter.ts';

interface GoldenCuts {
  readonly chunks: number;
  readonly first: readonly number[];
  /** SHA-256 of all chunk lengths in decimal, joined by commas. */
  readonly digest: string;
}

// prettier-ignore
const GOLDEN: Readonly<Record<string, GoldenCuts>> = {
  'DYNAMIC-128K-BUZHASH': { chunks: 396, first: [254078, 220711, 148561, 262144, 262144, 103122], digest: '209189d99a1e31bff7f161e73513687b9375bf098e684347d9ba884f98580a84' },
  'DYNAMIC-256K-BUZHASH': { chunks: 200, first: [474789, 148561, 293367, 334043, 524288, 293960], digest: '152f49bb9f8ab95940621963568c98745e28eb299de2d7b7e08d28aa570963c4' },
  'DYNAMIC-512K-BUZHASH': { chunks: 102, first: [474789, 1048576, 1048576, 921545, 655077, 902237], digest: 'c7c64f0cd9d0faf5219462354d6604ee3f5a3a6d58881320178d78307aa12f11' },
  'DYNAMIC-1M-BUZHASH': { chunks: 52, first: [2097152, 1396334, 655077, 2097152, 1911472, 880290], digest: '1836b8a368a814892f281e9abe19f8a3221b57b4779d4796a2c466f5cef85421' },
  'DYNAMIC-2M-BUZHASH': { chunks: 27, first: [3493486, 4194304, 1349687, 4194304, 1517603, 3388351], digest: 'fb8f403d326d351e6be16fe03718ed557bcd5036f7ca6e91ed467870151677e0' },
  'DYNAMIC-4M-BUZHASH': { chunks: 12, first: [8388608, 8388608, 8388608, 8388608, 3464249, 4180371, 7366656, 3384424], digest: '3086aa23c589cb539d5f0a432fe46bbc8b69443b66faab590aecf9b24d0b7aba' },
  'DYNAMIC-8M-BUZHASH': { chunks: 6, first: [16777216, 16777216, 8585064, 16777216, 4456550, 3735602], digest: 'f7fa18f2b86865c4b2a2015b73f681294bf3607d9df92d67ba41e3a6879ebed1' },
  'DYNAMIC-128K-RABINKARP': { chunks: 410, first: [250938, 262144, 220347, 80097, 83608, 169534], digest: '758a4de8e67f5ad37eec9f8794a2aafc9f19a123c7df448dd0dcc49125ee34df' },
  'DYNAMIC-256K-RABINKARP': { chunks: 208, first: [250938, 482491, 407128, 377745, 394192, 136011], digest: '31e8d30f2451acd8a61434fa4ece95bcb712e43b84fe0d105689674f2bc3d45c' },
  'DYNAMIC-512K-RABINKARP': { chunks: 101, first: [733429, 407128, 1048576, 897183, 1048576, 400528], digest: 'ce7e66cc655de0f76f347aabda6a1c3f9d3c8a05c1e84dbaf579760be80a4e56' },
  'DYNAMIC-1M-RABINKARP': { chunks: 47, first: [1140557, 1088399, 2097152, 712206, 924808, 648083], digest: '93cd123b13f58755ae65b3d64ff29abc5e046a079015e9f829b433a2b50e79be' },
  'DYNAMIC-2M-RABINKARP': { chunks: 24, first: [4194304, 1078168, 1791524, 1213329, 2455717, 1991230], digest: 'ba4f3931d411fbd5b2835b61da8b9f81c3fcd18f829dc9006d64136f9d256eeb' },
  'DYNAMIC-4M-RABINKARP': { chunks: 14, first: [5963122, 2314203, 8388608, 3106722, 8388608, 4406360], digest: 'b1634a389d2f8d9f3890ae8b1bf6fab3bbf16abfddb2009a6c1b91b9336adca4' },
  'DYNAMIC-8M-RABINKARP': { chunks: 6, first: [16777216, 12903198, 16777216, 5063431, 13943039, 1644764], digest: '0d2713a7ce1c53508875bfabad4ec916d01cc7f429aad8138787ea146b2983d8' },
};

const STREAM_BYTES = 64 << 20;
const STREAM_SHA256 = '46d7e222a22fe723a9add1068fa97b71f9d07532554e666c25c554f335dbde39';

let stream: Uint8Array | undefined;

/** SHA-256 of the big-endian 32-bit numbers 0, 1, 2 …, one after another. */
function goldenStream(): Uint8Array {
  if (stream !== undefined) return stream;
  const bytes = Buffer.alloc(STREAM_BYTES);
  const number = new DataView(new ArrayBuffer(4));
  for (let i = 0; i * 32 < STREAM_BYTES; i++) {
    number.setUint32(0, i);
    // As a string, which is three times as fast as one buffer a hash.
    bytes.write(hash('sha256', new Uint8Array(number.buffer), 'binary'), i * 32, 'latin1');
  }
  assert.equal(hash('sha256', bytes), STREAM_SHA256, 'the test data itself is wrong');
  stream = bytes;
  return bytes;
}

function cutAll(splitter: Splitter, data: Uint8Array): number[] {
  const lengths: number[] = [];
  for (let offset = 0; offset < data.length;) {
    const available = Math.min(splitter.maxBytes, data.length - offset);
    splitter.window.set(data.subarray(offset, offset + available));
    const length = splitter.findCut(0, available, 0) || available;
    lengths.push(length);
    offset += length;
  }
  return lengths;
}

function assertGolden(name: string, lengths: readonly number[]): void {
  const golden = GOLDEN[name];
  assert.ok(golden !== undefined);
  assert.equal(lengths.length, golden.chunks, `${name} cuts differently: old backups would not deduplicate`);
  assert.deepEqual(lengths.slice(0, golden.first.length), golden.first);
  assert.equal(createHash('sha256').update(lengths.join(',')).digest('hex'), golden.digest);
}

for (const name of Object.keys(GOLDEN)) {
  test(`${name} cuts the golden stream where kopia cuts it`, () => {
    assertGolden(name, cutAll(createSplitter(name, 0), goldenStream()));
  });
}

for (const name of ['DYNAMIC-4M-BUZHASH', 'DYNAMIC-4M-RABINKARP']) {
  test(`${name} in plain TypeScript cuts the golden stream where kopia cuts it`, () => {
    assertGolden(name, cutAll(createSplitter(name, 0, 'plain'), goldenStream()));
  });
}

test('the last chunk of the golden stream is what is left', () => {
  assert.equal(cutAll(createSplitter('DYNAMIC-4M-BUZHASH', 0), goldenStream()).at(-1), 2549006);
});

const MIN = 2 << 20;
const MAX = 8 << 20;
const REST = 1 << 20;
for (const [name, byte, expected] of [
  ['DYNAMIC-4M-BUZHASH', 0, [MIN, MIN, MIN, MIN, REST]],
  ['DYNAMIC-4M-RABINKARP', 0, [MIN, MIN, MIN, MIN, REST]],
  ['DYNAMIC-4M-BUZHASH', 0x41, [MIN, MIN, MIN, MIN, REST]],
  ['DYNAMIC-4M-RABINKARP', 0x41, [MAX, REST]],
] as const) {
  for (const engine of ['wasm', 'plain'] as const) {
    test(`${name} (${engine}) cuts 9 MiB of byte ${byte} as kopia does`, () => {
      const data = new Uint8Array(9 << 20).fill(byte);
      assert.deepEqual(cutAll(createSplitter(name, 0, engine), data), expected);
    });
  }
}
