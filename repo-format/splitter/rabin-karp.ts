// rabinkarp64 (snapshots §1.5): the remainder of the last 64 bytes, read as a polynomial over GF(2), modulo a polynomial of
// degree 53. In plain TypeScript a hash is two 32-bit halves, of which the upper one holds 21 bits.
import { HASH_WINDOW_BYTES, type BoundaryScanner } from './boundary-scanner.ts';

const POLYNOMIAL = 0x2e3e3e4a305605n;
const DEGREE = 53n;

/** The tables of the rolling form, 256 values each: what a leaving byte contributed, and the reduction of what overflows. */
export interface RabinKarpTables {
  readonly out: BigUint64Array;
  readonly mod: BigUint64Array;
}

function remainder(value: bigint): bigint {
  let rest = value;
  for (let bit = BigInt(rest.toString(2).length - 1); bit >= DEGREE; bit--) {
    if ((rest >> bit) & 1n) rest ^= POLYNOMIAL << (bit - DEGREE);
  }
  return rest;
}

/** The full hash of `bytes`, oldest byte first. Slow: for tables and tests. */
export function rabinKarpHash(bytes: Uint8Array): bigint {
  let hash = 0n;
  for (const byte of bytes) hash = remainder((hash << 8n) | BigInt(byte));
  return hash;
}

export function createRabinKarpTables(): RabinKarpTables {
  const out = new BigUint64Array(256);
  const mod = new BigUint64Array(256);
  for (let byte = 0; byte < 256; byte++) {
    const overflow = BigInt(byte) << DEGREE;
    mod[byte] = remainder(overflow) | overflow;
    // Linear over GF(2), so a byte's value is the sum of its bits' values: the slow hash runs eight times, not 256.
    const low = byte & -byte;
    out[byte] = byte === low ? rabinKarpHash(paddedWindow(byte)) : (out[low] as bigint) ^ (out[byte ^ low] as bigint);
  }
  return { out, mod };
}

function paddedWindow(first: number): Uint8Array {
  const bytes = new Uint8Array(HASH_WINDOW_BYTES);
  bytes[0] = first;
  return bytes;
}

export function createRabinKarpScanner(window: Uint8Array, mask: number): BoundaryScanner {
  const tables = createRabinKarpTables();
  const outHigh = Int32Array.from(tables.out, (value) => Number(value >> 32n));
  const outLow = Int32Array.from(tables.out, (value) => Number(BigInt.asIntN(32, value)));
  const modHigh = Int32Array.from(tables.mod, (value) => Number(value >> 32n));
  const modLow = Int32Array.from(tables.mod, (value) => Number(BigInt.asIntN(32, value)));
  return {
    window,
    findBoundary(from, to) {
      let high = 0;
      let low = 0;
      // The first 64 rounds only prime the hash: nothing leaves, and nothing is tested.
      for (let i = from - HASH_WINDOW_BYTES; i < to; i++) {
        if (i >= from) {
          const leaving = window[i - HASH_WINDOW_BYTES] as number;
          high ^= outHigh[leaving] as number;
          low ^= outLow[leaving] as number;
        }
        const overflow = (high >>> 13) & 255; // bits 45…52 of the hash: what the shift pushes past the degree
        high = ((high << 8) | (low >>> 24)) ^ (modHigh[overflow] as number);
        low = ((low << 8) | (window[i] as number)) ^ (modLow[overflow] as number);
        if (i >= from && (low & mask) === 0) return i;
      }
      return -1;
    },
  };
}
