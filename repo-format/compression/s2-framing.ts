// The chunks of an S2 stream (repository format §5.4), as its reader and its writer share them.
import { crc32c } from './crc32c.ts';

// Chunk (offset, size, meaning):
//   0  1  type
//   1  3  length of the body, little-endian
//   4     body: for a block, u32 little-endian masked CRC of the decoded bytes, then the data
export const CHUNK_HEADER_BYTES = 4;
export const CHUNK_CRC_BYTES = 4;

export const CHUNK_COMPRESSED = 0x00;
export const CHUNK_UNCOMPRESSED = 0x01;
/** Types from here up to the stream identifier may be skipped (padding, index); below, all others are errors. */
export const CHUNK_FIRST_SKIPPABLE = 0x80;
export const CHUNK_STREAM_IDENTIFIER = 0xff;

export const S2_IDENTIFIER = Buffer.from('S2sTwO', 'latin1');
export const SNAPPY_IDENTIFIER = Buffer.from('sNaPpY', 'latin1');

/** No block decodes to more. */
export const MAX_BLOCK_BYTES = 4 << 20;

// Low two bits of an element's first byte.
export const TAG_LITERAL = 0;
/** 11 bits of offset, length 4 … 11; with offset 0, a repeat of the last offset. */
export const TAG_COPY_1 = 1;
/** 16 bits of offset, length 1 … 64. */
export const TAG_COPY_2 = 2;
/** 32 bits of offset, length 1 … 64. */
export const TAG_COPY_4 = 3;

/** The checksum of bytes [start, end), masked so that a CRC over data holding CRCs does not degenerate. */
export function maskedCrc(bytes: Uint8Array, start: number, end: number): number {
  const crc = crc32c(bytes, start, end);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}
