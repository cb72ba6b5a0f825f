import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { BUZHASH_TABLE } from './buzhash-table.ts';
import { buzhash, createBuzhashScanner } from './buzhash.ts';
import { createRabinKarpScanner, createRabinKarpTables, rabinKarpHash } from './rabin-karp.ts';
import { DEFAULT_SPLITTER, SPLITTERS, createSplitter, isSupportedSplitter, type Splitter } from './splitter.ts';
import { createWasmScanner } from './wasm-scanner.ts';

const upFrom = (first: number) => Uint8Array.from({ length: 64 }, (_, i) => first + i);

test('the buzhash table is the one of the format', () => {
  const bytes = Buffer.alloc(1024);
  BUZHASH_TABLE.forEach((value, i) => bytes.writeUInt32BE(value, i * 4));
  const digest = createHash('sha256').update(bytes).digest('hex');
  assert.equal(digest, '9f95254df5585a4957a754ceac4fba2a8af24ad015e84f56db59dfc1e218f6dd');
});

test('window hashes equal the published ones', () => {
  assert.equal(buzhash(upFrom(0)), 0xd9b0c9cf);
  assert.equal(buzhash(upFrom(1)), 0x511e267d);
  assert.equal(buzhash(new Uint8Array(64).fill(0xff)), 0);
  assert.equal(rabinKarpHash(upFrom(0)), 0x001a91598731792bn);
  assert.equal(rabinKarpHash(upFrom(1)), 0x0008609385aa1452n);
  assert.equal(rabinKarpHash(new Uint8Array(64).fill(0xff)), 0x000600d1bd7a7dcdn);
  assert.equal(rabinKarpHash(new Uint8Array(64)), 0n);
});

test('the rabin-karp tables hold the published values', () => {
  const { out, mod } = createRabinKarpTables();
  assert.equal(out[1], 0x18c8237bf89981n);
  assert.equal(out[255], 0xe4730942df54dn);
  assert.equal(mod[1], 0x2e3e3e4a305605n);
  assert.equal(mod[255], 0x1fe60624da18a7a6n);
});

test('every name has the sizes that it says', () => {
  assert.equal(SPLITTERS.length, 23);
  assert.ok(SPLITTERS.includes(DEFAULT_SPLITTER));
  for (const [name, min, max] of [
    ['FIXED-128K', 131072, 131072],
    ['FIXED', 4194304, 4194304],
    ['DYNAMIC', 2097152, 8388608],
    ['DYNAMIC-128K-BUZHASH', 65536, 262144],
    ['DYNAMIC-8M-RABINKARP', 4194304, 16777216],
  ] as const) {
    const splitter = createSplitter(name, 1000);
    assert.deepEqual([splitter.name, splitter.minBytes, splitter.maxBytes], [name, min, max]);
    assert.equal(splitter.window.length, max + 1000);
  }
});

test('a name that is not known is refused', () => {
  assert.equal(isSupportedSplitter('DYNAMIC-3M-BUZHASH'), false);
  assert.throws(() => createSplitter('DYNAMIC-3M-BUZHASH', 0), { code: 'FORMAT_UNSUPPORTED' });
});

test('a fixed splitter cuts at its length and leaves no empty piece', () => {
  const splitter = createSplitter('FIXED-128K', 0);
  assert.equal(splitter.findCut(0, 131071, 0), 0);
  assert.equal(splitter.findCut(0, 131072, 131071), 131072);
  assert.deepEqual(
    cutAll(splitter, new Uint8Array(262144), () => 262144),
    [131072, 131072],
  );
});

test('WebAssembly runs here, so that the tests below test it', () => {
  assert.ok(createWasmScanner('buzhash', 1000, 0xff) !== undefined);
});

test('a window that no memory can hold falls back to plain TypeScript', () => {
  assert.equal(createWasmScanner('buzhash', 2 ** 33, 0xff), undefined);
});

/** Feeds `data` in steps that `nextStep` chooses, and moves what is left to the front after each cut. */
function cutAll(splitter: Splitter, data: Uint8Array, nextStep: () => number): number[] {
  const lengths: number[] = [];
  const { window } = splitter;
  let start = 0;
  let end = 0;
  let scanned = 0;
  let taken = 0;
  for (;;) {
    const length = splitter.findCut(start, end, scanned);
    if (length > 0) {
      lengths.push(length);
      start += length;
      scanned = 0;
      continue;
    }
    scanned = end - start;
    if (taken === data.length) break;
    const step = Math.max(1, Math.min(nextStep(), data.length - taken, splitter.maxBytes - scanned));
    if (end + step > window.length) {
      window.copyWithin(0, start, end);
      end -= start;
      start = 0;
    }
    window.set(data.subarray(taken, taken + step), end);
    taken += step;
    end += step;
  }
  if (end > start) lengths.push(end - start);
  return lengths;
}

/** The rule as the format states it, rolled over every byte: slow, and without a skip or a scanner. */
function cutByTheBook(data: Uint8Array, averageBytes: number, hashAt: (end: number) => boolean): number[] {
  const lengths: number[] = [];
  for (let start = 0; start < data.length;) {
    let length = averageBytes / 2;
    while (start + length < data.length && length < averageBytes * 2 && !hashAt(start + length)) length++;
    lengths.push(Math.min(length, data.length - start));
    start += length;
  }
  return lengths;
}

function buzhashIsClear(data: Uint8Array, mask: number): (end: number) => boolean {
  return (end) => (buzhash(data.subarray(end - 64, end)) & mask) === 0;
}

/** Numbers from a seed, for data that fast-check could not make fast enough. */
function xorshift(seed: number): () => number {
  let state = seed | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

/** Stretches of noise, of single bytes and of short cycles: the last two make hashes repeat. */
const arbitraryData = fc
  .array(
    fc.record({
      kind: fc.constantFrom('noise', 'constant', 'cycle'),
      length: fc.noBias(fc.nat(200_000)),
      seed: fc.noBias(fc.nat()),
    }),
    {
      minLength: 1,
      maxLength: 5,
    },
  )
  .map((parts) =>
    Buffer.concat(
      parts.map(({ kind, length, seed }) => {
        if (kind === 'constant') return Buffer.alloc(length, seed & 255);
        const next = xorshift(seed);
        const bytes = Buffer.alloc(kind === 'cycle' ? 1 + (seed % 96) : length);
        for (let i = 0; i < bytes.length; i++) bytes[i] = next() >>> 7;
        return kind === 'cycle' ? Buffer.alloc(length, bytes) : bytes;
      }),
    ),
  );

test('cuts depend neither on how the data is fed nor on the engine, and follow the rule', () => {
  fc.assert(
    fc.property(arbitraryData, fc.nat(), fc.nat(70_000), (data, seed, readAhead) => {
      const next = xorshift(seed);
      const expected = cutByTheBook(data, 128 << 10, buzhashIsClear(data, (128 << 10) - 1));
      for (const engine of ['wasm', 'plain'] as const) {
        const splitter = createSplitter('DYNAMIC-128K-BUZHASH', readAhead, engine);
        assert.deepEqual(
          cutAll(splitter, data, () => data.length),
          expected,
        );
        assert.deepEqual(
          cutAll(splitter, data, () => next() % 100_000),
          expected,
        );
      }
    }),
    { numRuns: 12 },
  );
});

test('rabin-karp cuts depend neither on how the data is fed nor on the engine', () => {
  fc.assert(
    fc.property(arbitraryData, fc.nat(), (data, seed) => {
      const next = xorshift(seed);
      const plain = createSplitter('DYNAMIC-128K-RABINKARP', 0, 'plain');
      const wasm = createSplitter('DYNAMIC-128K-RABINKARP', 0, 'wasm');
      const expected = cutAll(plain, data, () => data.length);
      assert.deepEqual(
        cutAll(wasm, data, () => data.length),
        expected,
      );
      assert.deepEqual(
        cutAll(plain, data, () => next() % 50_000),
        expected,
      );
      assert.deepEqual(
        cutAll(wasm, data, () => next() % 50_000),
        expected,
      );
    }),
    { numRuns: 12 },
  );
});

for (const name of ['DYNAMIC-128K-BUZHASH', 'DYNAMIC-128K-RABINKARP']) {
  test(`${name} fed byte by byte cuts as if fed whole`, () => {
    const next = xorshift(7);
    const data = Uint8Array.from({ length: 700_000 }, () => next() >>> 9);
    const splitter = createSplitter(name, 17);
    const whole = cutAll(splitter, data, () => data.length);
    assert.ok(whole.length > 2);
    assert.deepEqual(
      cutAll(splitter, data, () => 1),
      whole,
    );
  });
}

test('the scanners agree on every stretch, however short and wherever it begins', () => {
  const bytes = 12_000;
  fc.assert(
    fc.property(fc.nat(), fc.integer({ min: 0, max: 12 }), fc.nat(), fc.nat(), (seed, maskBits, first, second) => {
      const mask = (1 << maskBits) - 1;
      const next = xorshift(seed);
      const from = 64 + (first % (bytes - 64));
      const to = from + (second % (bytes - from + 1));
      for (const [algorithm, createPlain] of [
        ['buzhash', createBuzhashScanner],
        ['rabinkarp', createRabinKarpScanner],
      ] as const) {
        const wasm = createWasmScanner(algorithm, bytes, mask);
        assert.ok(wasm !== undefined);
        for (let i = 0; i < bytes; i++) wasm.window[i] = next();
        const plain = createPlain(wasm.window, mask);
        assert.equal(wasm.findBoundary(from, to), plain.findBoundary(from, to));
      }
    }),
    { numRuns: 150 },
  );
});

test('a scan outside the window is refused', () => {
  const scanner = createWasmScanner('buzhash', 1000, 0xff);
  assert.ok(scanner !== undefined);
  assert.throws(() => scanner.findBoundary(63, 100), RangeError);
  assert.throws(() => scanner.findBoundary(64, 1001), RangeError);
});
