// Finds where the frames of a zstd stream end (RFC 8878 §3.1) and how much they can hold, without decoding them.
import { compressionCorrupt } from './compression-error.ts';

// Frame: magic, header, blocks, checksum (little-endian):
//   magic        4  0xFD2FB528, or 0x184D2A50 … 5F for a skippable frame, followed by u32 length and that many bytes
//   descriptor   1  bits 7-6 content size flag, 5 single segment, 2 checksum, 1-0 dictionary id flag
//   window       1  absent with single segment
//   dictionary   0, 1, 2 or 4
//   content size 0 (1 with single segment), 2, 4 or 8
//   blocks          u24 header: bit 0 last, bits 1-2 type, the rest size; a body of `size` bytes (1 for type RLE)
//   checksum     4  when the descriptor says so
const FRAME_MAGIC = 0xfd2fb528;
const SKIPPABLE_MAGIC = 0x184d2a50;
const COMPRESSED_BLOCK = 2;
const RLE_BLOCK = 1;
const RESERVED_BLOCK = 3;
/** What a compressed block can decode to. The others say it. */
const MAX_BLOCK_BYTES = 128 << 10;

export interface ZstdFrames {
  /** The frames that hold data, in order; skippable ones are left out. */
  readonly frames: readonly Uint8Array[];
  /** No valid stream of these frames decodes to more. */
  readonly decodedBound: number;
}

interface FrameExtent {
  readonly end: number;
  readonly decodedBound: number;
}

/** Anything but a sequence of whole frames is an error. */
export function parseZstdFrames(stream: Uint8Array): ZstdFrames {
  const view = new DataView(stream.buffer, stream.byteOffset, stream.byteLength);
  const frames: Uint8Array[] = [];
  let decodedBound = 0;
  let offset = 0;
  while (offset < stream.length) {
    if (offset + 8 > stream.length) throw compressionCorrupt('zstd', 'a frame is cut short');
    const magic = view.getUint32(offset, true);
    const skippable = (magic & 0xfffffff0) >>> 0 === SKIPPABLE_MAGIC;
    if (!skippable && magic !== FRAME_MAGIC) throw compressionCorrupt('zstd', 'a frame has no magic number');
    const extent = skippable
      ? { end: offset + 8 + view.getUint32(offset + 4, true), decodedBound: 0 }
      : frameExtent(view, offset + 4);
    if (extent.end > stream.length) throw compressionCorrupt('zstd', 'a frame is cut short');
    if (!skippable) frames.push(stream.subarray(offset, extent.end));
    decodedBound += extent.decodedBound;
    offset = extent.end;
  }
  return { frames, decodedBound };
}

function frameExtent(view: DataView, descriptorOffset: number): FrameExtent {
  const descriptor = view.getUint8(descriptorOffset);
  const singleSegment = (descriptor & 0x20) !== 0;
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] ?? 0;
  const contentSizeBytes = [singleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6] ?? 0;
  let offset = descriptorOffset + 1 + (singleSegment ? 0 : 1) + dictionaryBytes + contentSizeBytes;
  let decodedBound = 0;
  for (let last = false; !last;) {
    if (offset + 3 > view.byteLength) throw compressionCorrupt('zstd', 'a frame is cut short');
    const header = view.getUint16(offset, true) | (view.getUint8(offset + 2) << 16);
    const type = (header >> 1) & 3;
    if (type === RESERVED_BLOCK) throw compressionCorrupt('zstd', 'a block has a reserved type');
    decodedBound += type === COMPRESSED_BLOCK ? MAX_BLOCK_BYTES : header >> 3;
    offset += 3 + (type === RLE_BLOCK ? 1 : header >> 3);
    last = (header & 1) !== 0;
  }
  return { end: offset + ((descriptor & 4) !== 0 ? 4 : 0), decodedBound };
}
