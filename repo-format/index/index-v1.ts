// Index version 1 (repository format §7.1): no compression, names of packs in every row.
import type { BlobId } from '../blob/storage.ts';
import type { ContentId } from './content-id.ts';
import type { IndexEntry } from './entry.ts';
import { indexCorrupt, readPackName, RowIndex, type ParsedIndex, type RowReader } from './parsed-index.ts';

// Header, 8 bytes, big-endian (offset, size, meaning):
//    0  1  version (1)
//    1  1  key size; 255 marks an empty index
//    2  2  entry size (20)
//    4  4  entry count
// Entry:
//    0  6  timestamp, Unix seconds
//    6  1  format version
//    7  1  length of the pack's name
//    8  4  offset of the pack's name in the index
//   12  4  bit 31 deleted, bits 0–30 pack offset
//   16  4  packed length
export const V1_HEADER_SIZE = 8;
export const V1_ENTRY_SIZE = 20;
export const V1_EMPTY_KEY_SIZE = 255;
/** Version 1 stores no original length: it is the packed length less the cipher's overhead. */
export const V1_SEAL_OVERHEAD = 28;

export function parseIndexV1(bytes: Uint8Array): ParsedIndex {
  if (bytes.length < V1_HEADER_SIZE) throw indexCorrupt('truncated header', { length: bytes.length });
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const keySize = view.getUint8(1);
  const valueSize = view.getUint16(2);
  const entryCount = keySize === V1_EMPTY_KEY_SIZE ? 0 : view.getUint32(4);
  if (keySize <= 1) throw indexCorrupt('invalid key size', { keySize });
  if (valueSize !== V1_ENTRY_SIZE) throw indexCorrupt('invalid entry size', { valueSize });
  const layout = { headerSize: V1_HEADER_SIZE, keySize, valueSize, entryCount };
  return new RowIndex(bytes, layout, new RowsV1(bytes, view));
}

class RowsV1 implements RowReader {
  readonly version = 1;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  // Rows of one pack come in any order, but few packs are asked for again and again.
  #lastName: { readonly offset: number; readonly length: number; readonly packId: BlobId } | undefined;

  constructor(bytes: Uint8Array, view: DataView) {
    this.#bytes = bytes;
    this.#view = view;
  }

  timestamp(at: number): number {
    return this.#view.getUint16(at) * 0x1_0000_0000 + this.#view.getUint32(at + 2);
  }

  isDeleted(at: number): boolean {
    return this.#view.getUint8(at + 12) >= 0x80;
  }

  packId(at: number): BlobId {
    const length = this.#view.getUint8(at + 7);
    const offset = this.#view.getUint32(at + 8);
    const last = this.#lastName;
    if (last !== undefined && last.offset === offset && last.length === length) return last.packId;
    const packId = readPackName(this.#bytes, offset, length);
    this.#lastName = { offset, length, packId };
    return packId;
  }

  packEnd(at: number): number {
    return (this.#view.getUint32(at + 12) & 0x7fff_ffff) + this.packedLength(at);
  }

  packedLength(at: number): number {
    return this.#view.getUint32(at + 16);
  }

  value(at: number, id: ContentId, packId: BlobId): IndexEntry {
    const packedLength = this.packedLength(at);
    return {
      id,
      packId,
      packOffset: this.#view.getUint32(at + 12) & 0x7fff_ffff,
      packedLength,
      originalLength: Math.max(0, packedLength - V1_SEAL_OVERHEAD),
      compressionId: 0,
      formatVersion: this.#view.getUint8(at + 6),
      encryptionKeyId: 0,
      timestampSeconds: this.timestamp(at),
      deleted: this.isDeleted(at),
    };
  }
}
