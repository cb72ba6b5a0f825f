// gzip (also written by pgzip) and raw deflate through Node's zlib (repository format §5.1). Output is bounded while
// decoding: a stream that grows past its limit stops there.
import { deflateRawSync, gunzipSync, gzipSync, inflateRawSync } from 'node:zlib';
import { compressionCorrupt } from './compression-error.ts';

export type ZlibFormat = 'gzip' | 'deflate';

/** 1 … 9. Level 6 is what "default" means to zlib and to Go's encoder alike. */
export function compressZlib(format: ZlibFormat, level: number, data: Uint8Array): Uint8Array {
  return format === 'gzip' ? gzipSync(data, { level }) : deflateRawSync(data, { level });
}

// Node hands out its output in pieces of this size and joins them at the end: one piece when the length is known.
const UNKNOWN_LENGTH_CHUNK_BYTES = 64 << 10;
// The smallest piece zlib accepts.
const MIN_CHUNK_BYTES = 64;

/** The options that every synchronous decoder of Node's zlib takes. */
export interface BoundedDecodeOptions {
  readonly chunkSize: number;
  readonly maxOutputLength: number;
  readonly info: true;
}

/** One byte of room more than expected, so that Node need not start another piece to see the end. */
export function boundedDecodeOptions(originalLength: number | undefined, maxBytes: number): BoundedDecodeOptions {
  const expected = originalLength === undefined ? UNKNOWN_LENGTH_CHUNK_BYTES : originalLength + 1;
  const maxOutputLength = Math.max(1, originalLength ?? maxBytes);
  return { chunkSize: Math.max(MIN_CHUNK_BYTES, expected), maxOutputLength, info: true };
}

/** What Node returns with `info: true`; its types do not say so. */
export interface DecodedWithInfo {
  readonly buffer: Uint8Array;
  readonly engine: { readonly bytesWritten: number };
}

/** Decodes all members of a gzip file, or one deflate stream. Bytes after the end are an error: no writer puts any there. */
export function decompressZlib(
  format: ZlibFormat,
  stream: Uint8Array,
  originalLength: number | undefined,
  maxBytes: number,
): Uint8Array {
  const options = boundedDecodeOptions(originalLength, maxBytes);
  let decoded: DecodedWithInfo;
  try {
    const result: unknown = format === 'gzip' ? gunzipSync(stream, options) : inflateRawSync(stream, options);
    decoded = result as DecodedWithInfo; // because of `info`
  } catch (error) {
    throw compressionCorrupt(format, 'it does not decode', error);
  }
  if (decoded.engine.bytesWritten !== stream.length) throw compressionCorrupt(format, 'bytes follow its end');
  return decoded.buffer;
}
