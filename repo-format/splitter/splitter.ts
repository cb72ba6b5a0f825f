// Cuts a stream of file bytes into chunks (snapshots §1). Where the cuts fall decides what deduplicates, so they are the
// same as kopia's for every splitter name. A splitter owns the memory that file data is read into; it never copies it.
import { WindlassError } from '../../base/errors.ts';
import { HASH_WINDOW_BYTES, type BoundaryScanner } from './boundary-scanner.ts';
import { createBuzhashScanner } from './buzhash.ts';
import { createRabinKarpScanner } from './rabin-karp.ts';
import { createWasmScanner, type DynamicAlgorithm } from './wasm-scanner.ts';

export interface Splitter {
  readonly name: string;
  /** A cut never leaves a shorter chunk than this, but for the last of a stream. */
  readonly minBytes: number;
  /** No chunk is longer. */
  readonly maxBytes: number;
  /** Memory to read file data into: callers keep one chunk contiguous here. Length: maxBytes + readAheadBytes. */
  readonly window: Uint8Array;
  /**
   * HOT. Looks for the end of the chunk that starts at `window[start]`, whose bytes [start, end) are there already.
   * Of these the first `scanned` (0 at first, then `end - start` of the last call) are known to hold no cut.
   * Returns the length of the chunk, or 0 when more bytes are needed.
   */
  findCut(start: number, end: number, scanned: number): number;
}

export const DEFAULT_SPLITTER = 'DYNAMIC-4M-BUZHASH';

type Algorithm = 'fixed' | DynamicAlgorithm;

interface SplitterSpec {
  readonly algorithm: Algorithm;
  /** The length of every chunk, or the average one. */
  readonly sizeBytes: number;
}

const SIZES: Readonly<Record<string, number>> = {
  '128K': 128 << 10,
  '256K': 256 << 10,
  '512K': 512 << 10,
  '1M': 1 << 20,
  '2M': 2 << 20,
  '4M': 4 << 20,
  '8M': 8 << 20,
};

const SPECS: ReadonlyMap<string, SplitterSpec> = new Map<string, SplitterSpec>([
  ...Object.entries(SIZES).flatMap(([size, sizeBytes]): [string, SplitterSpec][] => [
    [`FIXED-${size}`, { algorithm: 'fixed', sizeBytes }],
    [`DYNAMIC-${size}-BUZHASH`, { algorithm: 'buzhash', sizeBytes }],
    [`DYNAMIC-${size}-RABINKARP`, { algorithm: 'rabinkarp', sizeBytes }],
  ]),
  // Names of the first releases.
  ['FIXED', { algorithm: 'fixed', sizeBytes: 4 << 20 }],
  ['DYNAMIC', { algorithm: 'buzhash', sizeBytes: 4 << 20 }],
]);

export const SPLITTERS: readonly string[] = [...SPECS.keys()];

export function isSupportedSplitter(name: string): boolean {
  return SPECS.has(name);
}

/** How the dynamic splitters search. Both find the same cuts; WebAssembly does so four times as fast. */
export type SplitterEngine = 'wasm' | 'plain';

/**
 * `readAheadBytes` is how much a caller may read past a chunk of the longest length before it has to move data. Where
 * WebAssembly cannot run, or when asked, the search is in plain TypeScript.
 */
export function createSplitter(name: string, readAheadBytes: number, engine: SplitterEngine = 'wasm'): Splitter {
  const spec = SPECS.get(name);
  if (spec === undefined) {
    throw new WindlassError(`splitter ${name} is not known`, {
      code: 'FORMAT_UNSUPPORTED',
      context: { splitter: name },
    });
  }
  const { algorithm, sizeBytes } = spec;
  if (algorithm === 'fixed') return createFixedSplitter(name, sizeBytes, readAheadBytes);
  const windowBytes = sizeBytes * 2 + readAheadBytes;
  const mask = sizeBytes - 1;
  const scanner = engine === 'wasm' ? createWasmScanner(algorithm, windowBytes, mask) : undefined;
  return createDynamicSplitter(name, sizeBytes, scanner ?? createPlainScanner(algorithm, windowBytes, mask));
}

function createPlainScanner(algorithm: DynamicAlgorithm, windowBytes: number, mask: number): BoundaryScanner {
  const create = algorithm === 'buzhash' ? createBuzhashScanner : createRabinKarpScanner;
  return create(new Uint8Array(windowBytes), mask);
}

function createFixedSplitter(name: string, sizeBytes: number, readAheadBytes: number): Splitter {
  return {
    name,
    minBytes: sizeBytes,
    maxBytes: sizeBytes,
    window: new Uint8Array(sizeBytes + readAheadBytes),
    findCut: (start, end) => (end - start >= sizeBytes ? sizeBytes : 0),
  };
}

/**
 * A cut follows byte n of a chunk (n counts from 1) at the first n ≥ min whose window hash has the mask's bits clear, or
 * at max. The first min − 64 bytes of a chunk are never looked at: no cut is allowed there and the hash of a position
 * depends on its last 64 bytes only (proof in snapshots §1.3).
 */
function createDynamicSplitter(name: string, averageBytes: number, scanner: BoundaryScanner): Splitter {
  const minBytes = averageBytes / 2;
  const maxBytes = averageBytes * 2;
  if (minBytes < HASH_WINDOW_BYTES) throw new RangeError(`splitter ${name} is too small for its window`);
  return {
    name,
    minBytes,
    maxBytes,
    window: scanner.window,
    findCut(start, end, scanned) {
      const available = end - start;
      if (available < minBytes) return 0;
      const limit = available < maxBytes ? available : maxBytes;
      const from = start + (scanned < minBytes ? minBytes - 1 : scanned);
      const boundary = from < start + limit ? scanner.findBoundary(from, start + limit) : -1;
      if (boundary >= 0) return boundary + 1 - start;
      return limit === maxBytes ? maxBytes : 0;
    },
  };
}
