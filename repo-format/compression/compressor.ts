// Every compressor of the format (repository format §5.1): its name, its header id, how it is written and read. A
// compressed content is the id, 4 bytes big-endian, and the codec's stream. Levels are labels: decoders do not care.
import { WindlassError } from '../../base/errors.ts';
import { compressionCorrupt } from './compression-error.ts';
import { compressZlib, decompressZlib } from './node-zlib.ts';
import { decompressS2 } from './s2-decoder.ts';
import { createS2Compress } from './s2-encoder.ts';
import { createZstdCompress, decompressZstd } from './zstd.ts';

export { COMPRESSION_CORRUPT } from './compression-error.ts';
export { zstdBackend } from './zstd.ts';

type Codec = 'gzip' | 'deflate' | 'zstd' | 's2' | 'lz4';

interface CompressorSpec {
  readonly name: string;
  /** The header id. 0 is not one: it means "not compressed". */
  readonly id: number;
  /** Whether new data may be written with it. */
  readonly writable: boolean;
  readonly codec: Codec;
  readonly level: number;
}

const SPECS: readonly CompressorSpec[] = [
  { name: 'gzip', id: 0x1000, writable: true, codec: 'gzip', level: 6 },
  { name: 'gzip-best-speed', id: 0x1001, writable: true, codec: 'gzip', level: 1 },
  { name: 'gzip-best-compression', id: 0x1002, writable: true, codec: 'gzip', level: 9 },
  { name: 'zstd', id: 0x1100, writable: true, codec: 'zstd', level: 3 },
  { name: 'zstd-fastest', id: 0x1101, writable: true, codec: 'zstd', level: 1 },
  { name: 'zstd-better-compression', id: 0x1102, writable: true, codec: 'zstd', level: 7 },
  // Deprecated for new use, but kopia still writes it where a policy says so.
  { name: 'zstd-best-compression', id: 0x1103, writable: true, codec: 'zstd', level: 11 },
  { name: 's2-default', id: 0x1200, writable: true, codec: 's2', level: 1 },
  { name: 's2-better', id: 0x1201, writable: true, codec: 's2', level: 2 },
  { name: 's2-parallel-4', id: 0x1202, writable: true, codec: 's2', level: 1 },
  { name: 's2-parallel-8', id: 0x1203, writable: true, codec: 's2', level: 1 },
  { name: 'pgzip', id: 0x1300, writable: true, codec: 'gzip', level: 6 },
  { name: 'pgzip-best-speed', id: 0x1301, writable: true, codec: 'gzip', level: 1 },
  { name: 'pgzip-best-compression', id: 0x1302, writable: true, codec: 'gzip', level: 9 },
  // Removed by kopia; the id is never reused.
  { name: 'lz4', id: 0x1400, writable: false, codec: 'lz4', level: 0 },
  { name: 'deflate-default', id: 0x1500, writable: true, codec: 'deflate', level: 6 },
  { name: 'deflate-best-speed', id: 0x1501, writable: true, codec: 'deflate', level: 1 },
  { name: 'deflate-best-compression', id: 0x1502, writable: true, codec: 'deflate', level: 9 },
];

const SPECS_BY_NAME: ReadonlyMap<string, CompressorSpec> = new Map(SPECS.map((spec) => [spec.name, spec]));
const SPECS_BY_ID: ReadonlyMap<number, CompressorSpec> = new Map(SPECS.map((spec) => [spec.id, spec]));

export interface CompressorInfo {
  readonly name: string;
  readonly id: number;
  readonly writable: boolean;
}

export const COMPRESSORS: readonly CompressorInfo[] = SPECS.map(({ name, id, writable }) => ({ name, id, writable }));

export const COMPRESSION_HEADER_BYTES = 4;

export interface Compressor {
  readonly id: number;
  /** HOT. The header and the stream in an array of its own, or null when that would not be smaller than `data`. */
  compress(data: Uint8Array): Uint8Array | null;
}

/** The header id of a compressor that can be written and read. */
export function compressorId(name: string): number {
  return writableSpec(name).id;
}

/** One per thread: it keeps its working memory from call to call. */
export function createCompressor(name: string): Compressor {
  const { id, codec, level } = writableSpec(name);
  const encode = createEncode(codec, level);
  return {
    id,
    compress(data) {
      if (data.length <= COMPRESSION_HEADER_BYTES) return null;
      const stream = encode(data);
      const length = COMPRESSION_HEADER_BYTES + stream.length;
      if (length >= data.length) return null;
      const framed = new Uint8Array(length);
      framed[0] = id >>> 24;
      framed[1] = id >>> 16;
      framed[2] = id >>> 8;
      framed[3] = id;
      framed.set(stream, COMPRESSION_HEADER_BYTES);
      return framed;
    },
  };
}

/**
 * Decodes `stream`, which comes after the header. Never gives nor holds more than `maxBytes` of output, whatever the
 * stream says; `originalLength`, where known, must be met exactly. Failing either is COMPRESSION_CORRUPT.
 */
export function decompress(
  id: number,
  stream: Uint8Array,
  originalLength: number | undefined,
  maxBytes: number,
): Uint8Array {
  const spec = SPECS_BY_ID.get(id);
  if (spec === undefined) throw unsupported(`compression 0x${id.toString(16)}`);
  const { name, codec } = spec;
  if (originalLength !== undefined && originalLength > maxBytes) {
    throw compressionCorrupt(name, `its length ${originalLength} is above the limit of ${maxBytes}`);
  }
  const data = decode(name, codec, stream, originalLength, maxBytes);
  if (data.length > maxBytes) throw compressionCorrupt(name, `it decodes to more than ${maxBytes} bytes`);
  if (originalLength !== undefined && data.length !== originalLength) {
    throw compressionCorrupt(name, `it decodes to ${data.length} bytes, not to ${originalLength}`);
  }
  return data;
}

function decode(
  name: string,
  codec: Codec,
  stream: Uint8Array,
  originalLength: number | undefined,
  maxBytes: number,
): Uint8Array {
  switch (codec) {
    case 'gzip':
    case 'deflate':
      return decompressZlib(codec, stream, originalLength, maxBytes);
    case 'zstd':
      return decompressZstd(stream, originalLength, maxBytes);
    case 's2':
      return decompressS2(stream, originalLength, maxBytes);
    case 'lz4':
      throw unsupported(`compression ${name}`);
  }
}

/** The stream may be a view on working memory, valid until the next call. */
function createEncode(codec: Codec, level: number): (data: Uint8Array) => Uint8Array {
  switch (codec) {
    case 'gzip':
    case 'deflate':
      return (data) => compressZlib(codec, level, data);
    case 'zstd':
      return createZstdCompress(level);
    case 's2':
      return createS2Compress(level);
    case 'lz4':
      throw unsupported('compression lz4');
  }
}

function writableSpec(name: string): CompressorSpec {
  const spec = SPECS_BY_NAME.get(name);
  if (spec === undefined || !spec.writable) throw unsupported(`compression ${name}`);
  return spec;
}

function unsupported(what: string): WindlassError {
  return new WindlassError(`${what} is not supported`, { code: 'FORMAT_UNSUPPORTED' });
}
