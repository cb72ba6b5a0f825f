// Reads S2 and framed Snappy streams (repository format §5.4). The input is hostile: every length is checked before it is
// used, and the whole output is sized, and held against its limit, before a byte of it is decoded.
import { compressionCorrupt } from './compression-error.ts';
import {
  CHUNK_COMPRESSED,
  CHUNK_CRC_BYTES,
  CHUNK_FIRST_SKIPPABLE,
  CHUNK_HEADER_BYTES,
  CHUNK_STREAM_IDENTIFIER,
  CHUNK_UNCOMPRESSED,
  MAX_BLOCK_BYTES,
  S2_IDENTIFIER,
  SNAPPY_IDENTIFIER,
  TAG_COPY_1,
  TAG_COPY_2,
  TAG_LITERAL,
  maskedCrc,
} from './s2-framing.ts';

export function decompressS2(stream: Uint8Array, originalLength: number | undefined, maxBytes: number): Uint8Array {
  const blocks = parseBlocks(stream, originalLength ?? maxBytes);
  let total = 0;
  for (const block of blocks) total += block.decodedLength;
  const output = new Uint8Array(total);
  let offset = 0;
  for (const block of blocks) {
    const end = offset + block.decodedLength;
    if (block.compressed) decodeBlock(stream, block.start, block.end, output, offset, end);
    else output.set(stream.subarray(block.start, block.end), offset);
    if (maskedCrc(output, offset, end) !== block.crc) throw corrupt('a checksum does not match');
    offset = end;
  }
  return output;
}

interface Block {
  readonly compressed: boolean;
  readonly crc: number;
  /** Where the elements (or the plain bytes) are in the stream. */
  readonly start: number;
  readonly end: number;
  readonly decodedLength: number;
}

/** Walks the chunks. The sum of the decoded lengths is at most `maxBytes`. */
function parseBlocks(stream: Uint8Array, maxBytes: number): Block[] {
  const view = new DataView(stream.buffer, stream.byteOffset, stream.byteLength);
  const blocks: Block[] = [];
  let total = 0;
  let offset = 0;
  while (offset < stream.length) {
    if (offset + CHUNK_HEADER_BYTES > stream.length) throw corrupt('a chunk is cut short');
    const header = view.getUint32(offset, true);
    const type = header & 0xff;
    const first = offset === 0;
    const start = offset + CHUNK_HEADER_BYTES;
    const end = start + (header >>> 8);
    if (end > stream.length) throw corrupt('a chunk is cut short');
    if (first && type !== CHUNK_STREAM_IDENTIFIER) throw corrupt('it does not begin with an identifier');
    if (type === CHUNK_COMPRESSED || type === CHUNK_UNCOMPRESSED) {
      const block = parseBlock(stream, view, type === CHUNK_COMPRESSED, start, end);
      total += block.decodedLength;
      if (total > maxBytes) throw corrupt(`it decodes to more than ${maxBytes} bytes`);
      blocks.push(block);
    } else if (type === CHUNK_STREAM_IDENTIFIER) {
      const body = stream.subarray(start, end);
      const isKnown = Buffer.compare(S2_IDENTIFIER, body) === 0 || Buffer.compare(SNAPPY_IDENTIFIER, body) === 0;
      if (!isKnown) throw corrupt('its identifier is not known');
    } else if (type < CHUNK_FIRST_SKIPPABLE) {
      throw corrupt(`chunk type ${type} is not known`);
    }
    offset = end;
  }
  return blocks;
}

function parseBlock(stream: Uint8Array, view: DataView, compressed: boolean, start: number, end: number): Block {
  const dataStart = start + CHUNK_CRC_BYTES;
  if (dataStart > end) throw corrupt('a block is cut short');
  const crc = view.getUint32(start, true);
  if (!compressed) {
    const decodedLength = end - dataStart;
    if (decodedLength > MAX_BLOCK_BYTES) throw corrupt('a block is too long');
    return { compressed, crc, start: dataStart, end, decodedLength };
  }
  let decodedLength = 0;
  let position = dataStart;
  for (let shift = 0; ; shift += 7) {
    // Four groups of seven bits hold all of MAX_BLOCK_BYTES.
    const byte = position < end && shift < 28 ? (stream[position++] as number) : undefined;
    if (byte === undefined) throw corrupt('a block has no valid length');
    decodedLength |= (byte & 0x7f) << shift;
    if (byte < 0x80) break;
  }
  if (decodedLength > MAX_BLOCK_BYTES) throw corrupt('a block is too long');
  return { compressed, crc, start: position, end, decodedLength };
}

// Below this a loop is faster than the call that copies a range.
const SHORT_COPY_BYTES = 48;

/** HOT. Decodes the elements in source [s, sourceEnd) into exactly target [from, to). */
function decodeBlock(
  source: Uint8Array,
  start: number,
  sourceEnd: number,
  target: Uint8Array,
  from: number,
  to: number,
) {
  let s = start;
  let d = from;
  let offset = 0; // of the last copy, for repeats; 0 is never valid
  while (s < sourceEnd) {
    const tag = source[s++] as number;
    let length: number;
    if ((tag & 3) === TAG_LITERAL) {
      length = tag >> 2;
      if (length >= 60) {
        const lengthBytes = length - 59;
        if (s + lengthBytes > sourceEnd) throw corrupt('a literal is cut short');
        length = littleEndian(source, s, lengthBytes);
        s += lengthBytes;
      }
      length++;
      if (length > to - d || length > sourceEnd - s) throw corrupt('a literal is too long');
      copyLiteral(source, s, target, d, length);
      s += length;
      d += length;
      continue;
    }
    const operandBytes = elementOperandBytes(tag, source[s]);
    if (s + operandBytes > sourceEnd) throw corrupt('a copy is cut short');
    if ((tag & 3) === TAG_COPY_1) {
      const near = ((tag & 0xe0) << 3) | (source[s] as number);
      const code = (tag >> 2) & 7;
      if (near !== 0) offset = near;
      length = near !== 0 || code < 5 ? code + 4 : repeatLength(source, s + 1, code);
    } else {
      length = (tag >> 2) + 1;
      offset = littleEndian(source, s, operandBytes);
    }
    s += operandBytes;
    if (offset === 0 || offset > d - from || length > to - d) throw corrupt('a copy reaches outside its block');
    copyMatch(target, d, offset, length);
    d += length;
  }
  if (d !== to) throw corrupt('a block is too short');
}

/** How many bytes follow a copy's tag. `next` is the first of them, where there is one. */
function elementOperandBytes(tag: number, next: number | undefined): number {
  if ((tag & 3) === TAG_COPY_2) return 2;
  if ((tag & 3) !== TAG_COPY_1) return 4;
  const code = (tag >> 2) & 7;
  const isRepeat = (tag & 0xe0) === 0 && next === 0;
  return isRepeat && code >= 5 ? code - 3 : 1;
}

/** The length of a repeat whose code is 5, 6 or 7: one, two or three bytes follow, each above what the last can say. */
function repeatLength(source: Uint8Array, at: number, code: number): number {
  const base = code === 5 ? 8 : code === 6 ? 260 : 65540;
  return littleEndian(source, at, code - 4) + base;
}

function littleEndian(source: Uint8Array, at: number, byteCount: number): number {
  let value = 0;
  for (let i = byteCount - 1; i >= 0; i--) value = value * 256 + (source[at + i] as number);
  return value;
}

function copyLiteral(source: Uint8Array, s: number, target: Uint8Array, d: number, length: number): void {
  if (length > SHORT_COPY_BYTES) target.set(source.subarray(s, s + length), d);
  else for (let i = 0; i < length; i++) target[d + i] = source[s + i] as number;
}

/** Byte by byte in meaning: where source and target overlap, the copied bytes repeat. */
function copyMatch(target: Uint8Array, d: number, offset: number, length: number): void {
  if (length > SHORT_COPY_BYTES && offset >= length) target.copyWithin(d, d - offset, d - offset + length);
  else for (let i = d, end = d + length; i < end; i++) target[i] = target[i - offset] as number;
}

function corrupt(reason: string) {
  return compressionCorrupt('s2', reason);
}
