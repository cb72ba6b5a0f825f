// zstd (repository format §5.1): writes one frame with a checksum, reads any sequence of frames, skippable ones among them,
// with or without a content size. Uses zstd-napi where it is installed, else Node's own zstd.
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { compressionCorrupt } from './compression-error.ts';
import { boundedDecodeOptions, type DecodedWithInfo } from './node-zlib.ts';
import { zstdAddon } from './zstd-addon.ts';
import { parseZstdFrames } from './zstd-frames.ts';

export type ZstdBackend = 'zstd-napi' | 'node';

export function zstdBackend(): ZstdBackend {
  return zstdAddon() === null ? 'node' : 'zstd-napi';
}

export type ZstdCompress = (data: Uint8Array) => Uint8Array;

/** HOT. What the returned function gives is valid until its next call. */
export function createZstdCompress(level: number, backend: ZstdBackend = zstdBackend()): ZstdCompress {
  const addon = backend === 'node' ? null : zstdAddon();
  if (addon === null) {
    const params = { [constants.ZSTD_c_compressionLevel]: level, [constants.ZSTD_c_checksumFlag]: 1 };
    return (data) => zstdCompressSync(data, { params });
  }
  const compressor = addon.createCompressor(level);
  let scratch = new Uint8Array(0);
  return (data) => {
    const needed = addon.compressBound(data.length);
    if (scratch.length < needed) scratch = new Uint8Array(needed);
    return scratch.subarray(0, compressor.compressInto(scratch, data));
  };
}

// 32 MiB. Kopia writes windows of up to 8 MiB (repository format, pitfall 32); a decoder's memory follows the window that a
// frame asks for, so a hostile one must not ask for more than a few contents' worth.
const MAX_WINDOW_LOG = 25;
const DECODE_PARAMS = { [constants.ZSTD_d_windowLogMax]: MAX_WINDOW_LOG };

export function decompressZstd(
  stream: Uint8Array,
  originalLength: number | undefined,
  maxBytes: number,
  backend: ZstdBackend = zstdBackend(),
): Uint8Array {
  const addon = backend === 'node' ? null : zstdAddon();
  if (addon === null) return decompressFrames(stream, originalLength, maxBytes);
  // The addon has no limit of its own, but decodes into an array of ours, and cannot write past it.
  const length = originalLength ?? Math.min(parseZstdFrames(stream).decodedBound, maxBytes);
  const target = new Uint8Array(length);
  let written: number;
  try {
    written = addon.decompressInto(target, stream);
  } catch (error) {
    throw compressionCorrupt('zstd', 'it does not decode', error);
  }
  // An array of its own size where the bound was generous, so that a small result does not hold on to a large one.
  return written < length / 2 ? target.slice(0, written) : target.subarray(0, written);
}

// Each frame costs Node a decoder of its own. A content is a few MiB, and its writers make one frame of it.
const MAX_FRAMES = 4096;

/** Node's zstd ends after the first frame, so each is decoded on its own. */
function decompressFrames(stream: Uint8Array, originalLength: number | undefined, maxBytes: number): Uint8Array {
  const { frames } = parseZstdFrames(stream);
  if (frames.length > MAX_FRAMES) throw compressionCorrupt('zstd', `it has ${frames.length} frames`);
  const parts: Uint8Array[] = [];
  let total = 0;
  for (const frame of frames) {
    const expected = originalLength === undefined ? undefined : originalLength - total;
    const part = decompressFrame(frame, expected, maxBytes - total);
    parts.push(part);
    total += part.length;
  }
  const only = parts[0];
  return parts.length === 1 && only !== undefined ? only : Buffer.concat(parts, total);
}

function decompressFrame(frame: Uint8Array, originalLength: number | undefined, maxBytes: number): Uint8Array {
  try {
    const options = { ...boundedDecodeOptions(originalLength, maxBytes), params: DECODE_PARAMS };
    const result: unknown = zstdDecompressSync(frame, options);
    return (result as DecodedWithInfo).buffer; // because of `info`
  } catch (error) {
    throw compressionCorrupt('zstd', 'it does not decode', error);
  }
}
