// Boundary scanners that run in WebAssembly, on data that lies in the module's own memory: file data is read straight into
// the window, and nothing is copied. boundary-scanner.wat says how they work.
import type { WebAssemblyApi } from '../../base/web-assembly.ts';
import { HASH_WINDOW_BYTES, type BoundaryScanner } from './boundary-scanner.ts';
import { BOUNDARY_SCANNER_WASM } from './boundary-scanner-wasm.ts';
import { BUZHASH_TABLE } from './buzhash-table.ts';
import { createRabinKarpTables } from './rabin-karp.ts';

// The memory's layout, as in boundary-scanner.wat.
const BUZHASH_TABLE_COUNT = 4;
const RABIN_KARP_OUT_OFFSET = 4096;
const RABIN_KARP_MOD_OFFSET = 6144;
const WINDOW_OFFSET = 65536;
/** The scanners look this far past the data they are asked about. */
const OVERREAD_BYTES = 16;
const PAGE_BYTES = 65536;

type FindBoundary = (from: number, to: number, mask: number) => number;

interface ScannerExports {
  readonly findBuzhashBoundary: FindBoundary;
  readonly findRabinKarpBoundary: FindBoundary;
}

export type DynamicAlgorithm = 'buzhash' | 'rabinkarp';

/**
 * A scanner with a window of its own, or undefined where WebAssembly is missing, has no vectors or gets no address space
 * for its memory.
 */
export function createWasmScanner(
  algorithm: DynamicAlgorithm,
  windowBytes: number,
  mask: number,
): BoundaryScanner | undefined {
  const { WebAssembly } = globalThis as { WebAssembly?: WebAssemblyApi };
  if (WebAssembly === undefined) return undefined;
  try {
    const pages = Math.ceil((WINDOW_OFFSET + windowBytes + OVERREAD_BYTES) / PAGE_BYTES);
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    const module = new WebAssembly.Module(Buffer.from(BOUNDARY_SCANNER_WASM, 'base64'));
    const instance = new WebAssembly.Instance(module, { windlass: { memory } });
    return createScanner(algorithm, instance.exports as ScannerExports, memory.buffer, windowBytes, mask);
  } catch {
    return undefined; // by design: the plain scanners give the same cuts, slower
  }
}

function createScanner(
  algorithm: DynamicAlgorithm,
  exports: ScannerExports,
  buffer: ArrayBuffer,
  windowBytes: number,
  mask: number,
): BoundaryScanner {
  if (algorithm === 'buzhash') writeBuzhashTables(new Uint32Array(buffer));
  else writeRabinKarpTables(buffer);
  const find = algorithm === 'buzhash' ? exports.findBuzhashBoundary : exports.findRabinKarpBoundary;
  const window = new Uint8Array(buffer, WINDOW_OFFSET, windowBytes);
  return {
    window,
    findBoundary(from, to) {
      if (from < HASH_WINDOW_BYTES || to > windowBytes) throw new RangeError('a scan must stay in its window');
      const address = find(from + WINDOW_OFFSET, to + WINDOW_OFFSET, mask);
      return address < 0 ? -1 : address - WINDOW_OFFSET;
    },
  };
}

function writeBuzhashTables(words: Uint32Array): void {
  for (let rotation = 0; rotation < BUZHASH_TABLE_COUNT; rotation++) {
    BUZHASH_TABLE.forEach((value, byte) => {
      // A shift by 32 is one by 0 in JavaScript, and `or` of a value with itself is the value.
      words[rotation * 256 + byte] = (value >>> rotation) | (value << (32 - rotation));
    });
  }
}

function writeRabinKarpTables(buffer: ArrayBuffer): void {
  const { out, mod } = createRabinKarpTables();
  new BigUint64Array(buffer, RABIN_KARP_OUT_OFFSET, 256).set(out);
  new BigUint64Array(buffer, RABIN_KARP_MOD_OFFSET, 256).set(mod);
}
