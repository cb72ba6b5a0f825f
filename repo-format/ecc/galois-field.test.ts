import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { interpolationFactors, multiply, productTable } from './galois-field.ts';
import { parityFactors } from './error-correction.ts';
import { combinePlainly } from './plain-combiner.ts';
import { createWasmCombine } from './wasm-combiner.ts';

/** Long multiplication of polynomials over GF(2), reduced bit by bit. */
function multiplySlowly(a: number, b: number): number {
  let product = 0;
  for (let bit = 0; bit < 8; bit++) if ((b >> bit) & 1) product ^= a << bit;
  for (let bit = 15; bit >= 8; bit--) if ((product >> bit) & 1) product ^= 0x11d << (bit - 8);
  return product;
}

test('products are those of the field', () => {
  for (let a = 0; a < 256; a++) {
    const table = productTable(a);
    for (let b = 0; b < 256; b++) {
      assert.equal(multiply(a, b), multiplySlowly(a, b));
      assert.equal(table[b], multiply(a, b));
    }
  }
});

test('interpolation finds the value of a polynomial at other points', () => {
  const valueAt = (x: number) => [7, 200, 31, 4].reduceRight((sum, coefficient) => multiply(sum, x) ^ coefficient, 0);
  const points = [3, 0, 250, 17];
  const targets = [1, 99, 255];
  interpolationFactors(points, targets).forEach((factors, i) => {
    const sum = points.reduce((total, point, s) => total ^ multiply(factors[s] ?? 0, valueAt(point)), 0);
    assert.equal(sum, valueAt(targets[i] ?? 0));
  });
});

// Parity of klauspost/reedsolomon 1.14.1, the library in kopia 0.23, with its default matrix. Byte k of data shard i is
// 31·i + 17·k + 7·i·k, modulo 256.
for (const { dataShards, parity } of [
  { dataShards: 6, parity: ['42a23f6bc3d1f4f0', 'd93c525fec13dd80'] },
  { dataShards: 128, parity: ['e775073692c67f60', '67c31972c2806aa1', '98e4200c04ad7e38'] },
  { dataShards: 139, parity: ['eefdb954e85f84e7', '8c88b2e6f6617e9d'] },
  { dataShards: 254, parity: ['d1c5c8cbddd1d4d7', 'f2ebf5ff1a131d27'] },
]) {
  test(`parity of ${dataShards} data shards is what kopia's library computes`, () => {
    const data = Uint8Array.from({ length: dataShards * 8 }, (_, position) => {
      const [i, k] = [Math.floor(position / 8), position % 8];
      return i * 31 + k * 17 + i * k * 7;
    });
    const inputs = Array.from({ length: dataShards }, (_, i) => data.subarray(i * 8, i * 8 + 8));
    for (const combine of [combinePlainly, createWasmCombine()]) {
      assert.ok(combine !== undefined, 'WebAssembly with relaxed vectors does not run here');
      const shards = parity.map(() => new Uint8Array(8));
      combine(parityFactors(dataShards, parity.length), inputs, shards);
      assert.deepEqual(
        shards.map((shard) => Buffer.from(shard).toString('hex')),
        parity,
      );
    }
  });
}

test('WebAssembly and plain TypeScript combine any shards alike', () => {
  const wasm = createWasmCombine();
  assert.ok(wasm !== undefined);
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 256 }),
      fc.integer({ min: 1, max: 128 }),
      fc.integer({ min: 1, max: 100 }),
      fc.nat(),
      (inputCount, outputCount, shardBytes, seed) => {
        let state = seed | 1;
        const bytes = (length: number) =>
          Uint8Array.from({ length }, () => {
            state = Math.imul(state, 1664525) + 1013904223;
            return state >>> 24;
          });
        const inputs = Array.from({ length: inputCount }, () => bytes(shardBytes));
        const rows = Array.from({ length: outputCount }, () => bytes(inputCount));
        const outputs = () => Array.from({ length: outputCount }, () => new Uint8Array(shardBytes).fill(1));
        const [one, other] = [outputs(), outputs()];
        wasm(rows, inputs, one);
        combinePlainly(rows, inputs, other);
        assert.deepEqual(one, other);
      },
    ),
    { numRuns: 30 },
  );
});

test('shards that do not fit are refused', () => {
  const wasm = createWasmCombine();
  assert.ok(wasm !== undefined);
  const shard = new Uint8Array(1025);
  assert.throws(() => wasm([Uint8Array.of(1)], [shard], [Uint8Array.from(shard)]), RangeError);
});
