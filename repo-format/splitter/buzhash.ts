// buzhash32 in plain TypeScript (snapshots §1.4): the fallback where WebAssembly cannot run, and what the WebAssembly form
// is tested against.
import { HASH_WINDOW_BYTES, type BoundaryScanner } from './boundary-scanner.ts';
import { BUZHASH_TABLE } from './buzhash-table.ts';

/** The full hash of `bytes`, oldest byte first. Splitting uses windows of 64. */
export function buzhash(bytes: Uint8Array): number {
  let hash = 0;
  for (const byte of bytes) hash = ((hash << 1) | (hash >>> 31)) ^ (BUZHASH_TABLE[byte] ?? 0);
  return hash >>> 0;
}

export function createBuzhashScanner(window: Uint8Array, mask: number): BoundaryScanner {
  const table = Int32Array.from(BUZHASH_TABLE, (value) => value | 0);
  return {
    window,
    findBoundary(from, to) {
      // Primed with the 64 bytes before `from`. The leaving byte's value needs no rotation: 64 mod 32 is 0.
      let hash = buzhash(window.subarray(from - HASH_WINDOW_BYTES, from)) | 0;
      for (let i = from; i < to; i++) {
        hash =
          ((hash << 1) | (hash >>> 31)) ^
          (table[window[i - HASH_WINDOW_BYTES] as number] as number) ^
          (table[window[i] as number] as number);
        if ((hash & mask) === 0) return i;
      }
      return -1;
    },
  };
}
