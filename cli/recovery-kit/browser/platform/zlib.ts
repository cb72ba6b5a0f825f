// What the engine asks of `node:zlib`, in a browser: bounded decoding of gzip, deflate and zstd.
import { Gunzip, Inflate } from 'fflate';
import { Decompress } from 'fzstd';

interface Options {
  readonly maxOutputLength?: number;
  /** As in Node: also says how much of the input was used. */
  readonly info?: boolean;
}

type OnData = (chunk: Uint8Array) => void;

/** A decoder that was given where its output goes: takes the next piece of its input. */
type Push = (chunk: Uint8Array<ArrayBuffer>, isLast: boolean) => void;

/** Kopia's own parameters are asked for by number; only decoding happens here. */
export const constants = { ZSTD_c_compressionLevel: 100, ZSTD_c_checksumFlag: 201, ZSTD_d_windowLogMax: 100 };

const PUSH_BYTES = 64 << 10;

/** Fed in small pieces, so that a bomb is noticed before it has unfolded. */
function decode(
  start: (onData: OnData) => Push,
  bytes: Uint8Array,
  { maxOutputLength = Infinity, info }: Options,
): unknown {
  const chunks: Uint8Array[] = [];
  let total = 0;
  const push = start((chunk) => {
    total += chunk.length;
    if (total > maxOutputLength) throw new RangeError('the output is longer than it may be');
    chunks.push(chunk);
  });
  for (let at = 0; at < bytes.length; at += PUSH_BYTES)
    push(Uint8Array.from(bytes.subarray(at, at + PUSH_BYTES)), at + PUSH_BYTES >= bytes.length);
  const buffer = Buffer.concat(chunks, total);
  return info === true ? { buffer, engine: { bytesWritten: bytes.length } } : buffer;
}

const gunzip = (onData: OnData): Push => {
  const decoder = new Gunzip(onData);
  return (chunk, isLast) => decoder.push(chunk, isLast);
};
const inflate = (onData: OnData): Push => {
  const decoder = new Inflate(onData);
  return (chunk, isLast) => decoder.push(chunk, isLast);
};
const unzstd = (onData: OnData): Push => {
  const decoder = new Decompress(onData);
  return (chunk, isLast) => decoder.push(chunk, isLast);
};

export const gunzipSync = (bytes: Uint8Array, options: Options = {}): unknown => decode(gunzip, bytes, options);
export const inflateRawSync = (bytes: Uint8Array, options: Options = {}): unknown => decode(inflate, bytes, options);
export const zstdDecompressSync = (bytes: Uint8Array, options: Options = {}): unknown => decode(unzstd, bytes, options);

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let value = n;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

/** CRC-32 as in gzip; `start` goes on from an earlier result. */
export function crc32(bytes: Uint8Array, start = 0): number {
  let value = ~start;
  for (const byte of bytes) value = (CRC_TABLE[(value ^ byte) & 0xff] ?? 0) ^ (value >>> 8);
  return ~value >>> 0;
}

function readOnly(): never {
  throw new Error('this page only reads');
}
export const gzipSync = readOnly;
export const deflateRawSync = readOnly;
export const zstdCompressSync = readOnly;
