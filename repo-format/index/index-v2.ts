// Index version 2 (repository format §7.2): shared tables of packs and formats, rows as short as the data allows.
import type { BlobId } from '../blob/storage.ts';
import type { ContentId } from './content-id.ts';
import type { IndexEntry } from './entry.ts';
import { indexCorrupt, readPackName, RowIndex, type ParsedIndex, type RowReader } from './parsed-index.ts';

// Header, 17 bytes, big-endian (offset, size, meaning):
//    0  1  version (2)
//    1  1  key size
//    2  2  entry size, 16–19
//    4  4  entry count
//    8  4  pack count
//   12  1  format count
//   13  4  base timestamp, Unix seconds
// Then rows, packs (u8 name length, u32 name offset in the index), formats (u32 compression, u8 format version,
// u8 encryption key), pack names.
// Entry:
//    0  4  timestamp − base timestamp
//    4  4  bit 31 deleted, bits 0–30 pack offset
//    8  3  original length, low 24 bits
//   11  3  packed length, low 24 bits
//   14  2  pack number, low 16 bits
//   16  1  format number                                               with entry size ≥ 17
//   17  1  pack number, bits 16–23                                     with entry size ≥ 18
//   18  1  high nibble original length, low nibble packed length       with entry size 19
export const V2_HEADER_SIZE = 17;
export const V2_MIN_ENTRY_SIZE = 16;
export const V2_MAX_ENTRY_SIZE = 19;
export const V2_MAX_STRIDE = 256;
export const V2_PACK_SIZE = 5;
export const V2_FORMAT_SIZE = 6;

export function parseIndexV2(bytes: Uint8Array): ParsedIndex {
  if (bytes.length < V2_HEADER_SIZE) throw indexCorrupt('truncated header', { length: bytes.length });
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const keySize = view.getUint8(1);
  const valueSize = view.getUint16(2);
  const entryCount = view.getUint32(4);
  if (keySize <= 1) throw indexCorrupt('invalid key size', { keySize });
  if (valueSize < V2_MIN_ENTRY_SIZE || valueSize > V2_MAX_ENTRY_SIZE || keySize + valueSize > V2_MAX_STRIDE) {
    throw indexCorrupt('invalid entry size', { valueSize, keySize });
  }
  const packCount = view.getUint32(8);
  const formatCount = view.getUint8(12);
  const packsOffset = V2_HEADER_SIZE + entryCount * (keySize + valueSize);
  const formatsOffset = packsOffset + packCount * V2_PACK_SIZE;
  if (formatsOffset + formatCount * V2_FORMAT_SIZE > bytes.length) {
    throw indexCorrupt('tables reach beyond the end', { entryCount, packCount, formatCount, length: bytes.length });
  }
  const layout = { headerSize: V2_HEADER_SIZE, keySize, valueSize, entryCount };
  const tables = { valueSize, packCount, formatCount, packsOffset, formatsOffset, baseSeconds: view.getUint32(13) };
  return new RowIndex(bytes, layout, new RowsV2(bytes, view, tables));
}

interface TablesV2 {
  readonly valueSize: number;
  readonly packCount: number;
  readonly formatCount: number;
  readonly packsOffset: number;
  readonly formatsOffset: number;
  readonly baseSeconds: number;
}

class RowsV2 implements RowReader {
  readonly version = 2;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #tables: TablesV2;
  /** Names decoded so far: as many as packs were asked for, never as many as a header claims. */
  readonly #packIds = new Map<number, BlobId>();

  constructor(bytes: Uint8Array, view: DataView, tables: TablesV2) {
    this.#bytes = bytes;
    this.#view = view;
    this.#tables = tables;
  }

  timestamp(at: number): number {
    return this.#view.getUint32(at) + this.#tables.baseSeconds;
  }

  isDeleted(at: number): boolean {
    return this.#view.getUint8(at + 4) >= 0x80;
  }

  packId(at: number): BlobId {
    return this.#packName(this.packNumber(at));
  }

  packNumber(at: number): number {
    const high = this.#tables.valueSize >= 18 ? this.#view.getUint8(at + 17) : 0;
    return high * 0x1_0000 + this.#view.getUint16(at + 14);
  }

  packEnd(at: number): number {
    return (this.#view.getUint32(at + 4) & 0x7fff_ffff) + this.packedLength(at);
  }

  packedLength(at: number): number {
    const high = this.#tables.valueSize >= 19 ? this.#view.getUint8(at + 18) & 15 : 0;
    return high * 0x100_0000 + this.#view.getUint16(at + 11) * 256 + this.#view.getUint8(at + 13);
  }

  *packTable(): IterableIterator<BlobId> {
    for (let pack = 0; pack < this.#tables.packCount; pack++) yield this.#packName(pack);
  }

  value(at: number, id: ContentId, packId: BlobId): IndexEntry {
    const view = this.#view;
    const { valueSize, formatCount, formatsOffset } = this.#tables;
    const lengthBits = valueSize >= 19 ? view.getUint8(at + 18) : 0;
    const format = valueSize >= 17 ? view.getUint8(at + 16) : 0;
    if (format >= formatCount) throw indexCorrupt('a format number is out of range', { format, formatCount });
    const formatAt = formatsOffset + format * V2_FORMAT_SIZE;
    return {
      id,
      packId,
      packOffset: view.getUint32(at + 4) & 0x7fff_ffff,
      packedLength: this.packedLength(at),
      originalLength: ((lengthBits >> 4) << 24) + view.getUint16(at + 8) * 256 + view.getUint8(at + 10),
      compressionId: view.getUint32(formatAt),
      formatVersion: view.getUint8(formatAt + 4),
      encryptionKeyId: view.getUint8(formatAt + 5),
      timestampSeconds: this.timestamp(at),
      deleted: this.isDeleted(at),
    };
  }

  get packCount(): number {
    return this.#tables.packCount;
  }

  packNameOf(pack: number): BlobId {
    const { packCount, packsOffset } = this.#tables;
    if (!(pack < packCount)) throw indexCorrupt('a pack number is out of range', { pack, packCount });
    const at = packsOffset + pack * V2_PACK_SIZE;
    return readPackName(this.#bytes, this.#view.getUint32(at + 1), this.#view.getUint8(at));
  }

  #packName(pack: number): BlobId {
    const known = this.#packIds.get(pack);
    if (known !== undefined) return known;
    const packId = this.packNameOf(pack);
    this.#packIds.set(pack, packId);
    return packId;
  }
}
