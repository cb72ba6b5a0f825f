// Writes S2 streams (repository format §5.4): blocks of up to 1 MiB, each searched for repetitions with one hash table and
// greedy matching. A block that does not shrink is stored as it is.
import {
  CHUNK_COMPRESSED,
  CHUNK_CRC_BYTES,
  CHUNK_HEADER_BYTES,
  CHUNK_STREAM_IDENTIFIER,
  CHUNK_UNCOMPRESSED,
  S2_IDENTIFIER,
  maskedCrc,
} from './s2-framing.ts';
import { createS2BlockEncoder } from './s2-block-encoder.ts';

// What kopia's encoder uses as well. Matches do not reach beyond their block.
const BLOCK_BYTES = 1 << 20;
const BLOCK_HEADER_BYTES = CHUNK_HEADER_BYTES + CHUNK_CRC_BYTES;
const IDENTIFIER_CHUNK_BYTES = CHUNK_HEADER_BYTES + S2_IDENTIFIER.length;

/** HOT. Level 1 is fast, 2 searches harder. What the returned function gives is valid until its next call. */
export function createS2Compress(level: number): (data: Uint8Array) => Uint8Array {
  const encodeBlock = createS2BlockEncoder(level);
  let scratch = new Uint8Array(0);
  return (data) => {
    if (data.length === 0) return scratch.subarray(0, 0);
    const blockCount = Math.ceil(data.length / BLOCK_BYTES);
    const needed = IDENTIFIER_CHUNK_BYTES + blockCount * BLOCK_HEADER_BYTES + data.length;
    if (scratch.length < needed) scratch = new Uint8Array(needed);
    writeChunkHeader(scratch, 0, CHUNK_STREAM_IDENTIFIER, S2_IDENTIFIER.length);
    scratch.set(S2_IDENTIFIER, CHUNK_HEADER_BYTES);
    let offset = IDENTIFIER_CHUNK_BYTES;
    for (let start = 0; start < data.length; start += BLOCK_BYTES) {
      const end = Math.min(start + BLOCK_BYTES, data.length);
      const bodyStart = offset + BLOCK_HEADER_BYTES;
      // The room is that of the plain bytes: what does not fit is not worth compressing.
      const encoded = encodeBlock(data, start, end, scratch, bodyStart, bodyStart + end - start);
      const bodyLength = encoded === 0 ? end - start : encoded;
      if (encoded === 0) scratch.set(data.subarray(start, end), bodyStart);
      const type = encoded === 0 ? CHUNK_UNCOMPRESSED : CHUNK_COMPRESSED;
      writeChunkHeader(scratch, offset, type, CHUNK_CRC_BYTES + bodyLength);
      writeUint32(scratch, offset + CHUNK_HEADER_BYTES, maskedCrc(data, start, end));
      offset = bodyStart + bodyLength;
    }
    return scratch.subarray(0, offset);
  };
}

function writeChunkHeader(target: Uint8Array, offset: number, type: number, length: number): void {
  writeUint32(target, offset, length * 256 + type);
}

function writeUint32(target: Uint8Array, offset: number, value: number): void {
  target[offset] = value;
  target[offset + 1] = value >>> 8;
  target[offset + 2] = value >>> 16;
  target[offset + 3] = value >>> 24;
}
