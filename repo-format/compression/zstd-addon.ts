// The one file that knows zstd-napi, an optional dependency: a context reused for all calls of a thread makes small inputs
// twice as fast as through Node's zlib. Loaded on first use. Where it did not install, callers use Node's own zstd.
import { createRequire } from 'node:module';

/** Calls of the addon that take and fill whole buffers. They throw when `target` is too small or `source` is damaged. */
export interface ZstdAddon {
  compressBound(length: number): number;
  createCompressor(level: number): { compressInto(target: Uint8Array, source: Uint8Array): number };
  /** Decodes all frames, skippable ones too; returns the number of bytes written. Never writes past `target`. */
  decompressInto(target: Uint8Array, source: Uint8Array): number;
}

/** The part of the addon's thin binding in use. */
interface Binding {
  readonly CParameter: { readonly compressionLevel: number; readonly checksumFlag: number };
  readonly CCtx: new () => {
    setParameter(parameter: number, value: number): void;
    compress2(target: Uint8Array, source: Uint8Array): number;
  };
  readonly DCtx: new () => { decompress(target: Uint8Array, source: Uint8Array): number };
  compressBound(length: number): number;
}

let loaded: ZstdAddon | null | undefined;

/** The addon, or null where it is not installed or does not load. */
export function zstdAddon(): ZstdAddon | null {
  if (loaded === undefined) {
    try {
      // The package gives no types that could be imported where it did not install.
      loaded = adapt(createRequire(import.meta.url)('zstd-napi/binding.js') as Binding);
    } catch {
      loaded = null; // by design: an optional dependency, and Node's zstd does the same
    }
  }
  return loaded;
}

function adapt(binding: Binding): ZstdAddon {
  const decompression = new binding.DCtx();
  return {
    compressBound: (length) => binding.compressBound(length),
    createCompressor(level) {
      const context = new binding.CCtx();
      context.setParameter(binding.CParameter.compressionLevel, level);
      context.setParameter(binding.CParameter.checksumFlag, 1);
      return { compressInto: (target, source) => context.compress2(target, source) };
    },
    decompressInto: (target, source) => decompression.decompress(target, source),
  };
}
