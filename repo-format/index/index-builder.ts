// Collects entries and encodes them as index blobs, byte for byte as Kopia does (repository format §7.1–7.3).
import { assertBlobId } from '../blob/blob-id.ts';
import type { BlobId } from '../blob/storage.ts';
import { contentIdFromKey, contentKey, MAX_KEY_BYTES } from './content-id.ts';
import { encodeIndexV1 } from './encode-index-v1.ts';
import { encodeIndexV2 } from './encode-index-v2.ts';
import type { IndexEntry } from './entry.ts';
import { prefixCode } from './parsed-index.ts';
import {
  entryInvalid,
  ROW_DELETED_BIT,
  ROW_FORMAT_NUMBER,
  ROW_ORIGINAL_LENGTH,
  ROW_PACKED_LENGTH,
  ROW_PACK_NUMBER,
  ROW_PACK_OFFSET,
  ROW_TIMESTAMP,
  RowStore,
  sortedRows,
  type IndexFormat,
} from './row-store.ts';

/** More entries than this go to several blobs. */
export const MAX_SHARD_ENTRIES = 16_000_000;

// A row as threads hand it over (`addRows`), little-endian, after `key[keySize]` (offset, size, meaning):
//    0  4  pack offset
//    4  4  packed length
//    8  4  original length
//   12  4  compression id
//   16  4  timestamp, Unix seconds
//   20  1  flags: bit 0 deleted
export const PACKED_ROW_PACK_OFFSET = 0;
export const PACKED_ROW_PACKED_LENGTH = 4;
export const PACKED_ROW_ORIGINAL_LENGTH = 8;
export const PACKED_ROW_COMPRESSION_ID = 12;
export const PACKED_ROW_TIMESTAMP = 16;
export const PACKED_ROW_FLAGS = 20;
export const PACKED_ROW_VALUE_SIZE = 21;
export const PACKED_ROW_FLAG_DELETED = 1;

/** Bytes of one row handed to `addRows`. */
export function rowSize(keySize: number): number {
  return keySize + PACKED_ROW_VALUE_SIZE;
}

export interface BuildOptions {
  readonly version: 1 | 2;
  /**
   * Put at the end of each blob: 32 random bytes, which make names unique, for local indexes of packs and legacy
   * compaction; absent for flushes and epochs.
   */
  readonly tail?: Uint8Array;
  readonly maxShardEntries?: number;
}

const MAX_U32 = 0xffff_ffff;
const MAX_U31 = 0x7fff_ffff;
const MAX_FORMATS = 255;

/**
 * About 38 bytes an entry (16-byte hashes) and 8 more while building. Of several entries with one key the winner by
 * repository format §7.5 is kept, so that adding all entries of several indexes merges them.
 */
export class IndexBuilder {
  readonly #packIds: BlobId[] = [];
  readonly #packNumbers = new Map<BlobId, number>();
  readonly #formats: IndexFormat[] = [];
  readonly #formatNumbers = new Map<number, number>();
  #store: RowStore | undefined;

  /** `keySize` is 1 + hash length; taken from the first entry when absent, but `addRows` needs it. */
  constructor(keySize?: number) {
    if (keySize !== undefined) this.#store = newStore(keySize);
  }

  /** Entries added so far, repeated keys included. */
  get rowCount(): number {
    return this.#store?.count ?? 0;
  }

  /** The number that stands for this pack in `add` and `addRows`; the same for the same name. */
  addPack(id: BlobId): number {
    const known = this.#packNumbers.get(id);
    if (known !== undefined) return known;
    assertBlobId(id);
    const number = this.#packIds.push(id) - 1;
    this.#packNumbers.set(id, number);
    return number;
  }

  /** HOT. The number of the row, for {@link entryOf}. `INDEX_ENTRY_INVALID` when a number does not fit. */
  add(
    key: Uint8Array,
    packNumber: number,
    packOffset: number,
    packedLength: number,
    originalLength: number,
    compressionId: number,
    formatVersion: number,
    timestampSeconds: number,
    deleted: boolean,
    encryptionKeyId = 0,
  ): number {
    const store = this.#storeFor(key.length);
    assertWithin('pack offset', packOffset, MAX_U31);
    assertWithin('packed length', packedLength, MAX_U32);
    assertWithin('original length', originalLength, MAX_U32);
    assertWithin('timestamp', timestampSeconds, MAX_U32);
    assertWithin('pack number', packNumber, this.#packIds.length - 1);
    if (prefixCode(key[0] ?? 0xff) < 0) throw entryInvalid('key prefix', { prefix: key[0] ?? -1 });
    const format = this.#formatNumber(compressionId, formatVersion, encryptionKeyId);
    const row = store.append();
    const { bytes, view } = store.segment(row);
    const at = store.offset(row);
    bytes.set(key, at);
    const value = at + store.keySize;
    view.setUint32(value + ROW_PACK_OFFSET, deleted ? packOffset + ROW_DELETED_BIT : packOffset, true);
    view.setUint32(value + ROW_PACKED_LENGTH, packedLength, true);
    view.setUint32(value + ROW_ORIGINAL_LENGTH, originalLength, true);
    view.setUint32(value + ROW_TIMESTAMP, timestampSeconds, true);
    view.setUint32(value + ROW_PACK_NUMBER, packNumber, true);
    bytes[value + ROW_FORMAT_NUMBER] = format;
    return row;
  }

  /** What was added as this row. */
  entryOf(row: number): IndexEntry {
    const store = this.#store;
    if (store === undefined || row >= store.count) throw new RangeError(`no row ${row}`);
    const { bytes, view } = store.segment(row);
    const at = store.offset(row);
    const value = at + store.keySize;
    const format = this.#formats[bytes[value + ROW_FORMAT_NUMBER] ?? 0];
    const packId = this.#packIds[view.getUint32(value + ROW_PACK_NUMBER, true)];
    if (format === undefined || packId === undefined) throw new RangeError(`no row ${row}`);
    const packOffset = view.getUint32(value + ROW_PACK_OFFSET, true);
    return {
      id: contentIdFromKey(bytes, at, store.keySize),
      packId,
      packOffset: packOffset % ROW_DELETED_BIT,
      packedLength: view.getUint32(value + ROW_PACKED_LENGTH, true),
      originalLength: view.getUint32(value + ROW_ORIGINAL_LENGTH, true),
      ...format,
      timestampSeconds: view.getUint32(value + ROW_TIMESTAMP, true),
      deleted: packOffset >= ROW_DELETED_BIT,
    };
  }

  /** HOT. Whether this row was added with this key. */
  hasKey(row: number, key: Uint8Array): boolean {
    const store = this.#store;
    if (store === undefined || key.length !== store.keySize) return false;
    const { bytes } = store.segment(row);
    const at = store.offset(row);
    for (let index = 0; index < key.length; index++) if (bytes[at + index] !== key[index]) return false;
    return true;
  }

  /** A view of the key of a row, good until the next is added. */
  keyOf(row: number): Uint8Array {
    const store = this.#store;
    if (store === undefined || row >= store.count) throw new RangeError(`no row ${row}`);
    const at = store.offset(row);
    return store.segment(row).bytes.subarray(at, at + store.keySize);
  }

  addEntry(entry: IndexEntry): number {
    return this.add(
      contentKey(entry.id),
      this.addPack(entry.packId),
      entry.packOffset,
      entry.packedLength,
      entry.originalLength,
      entry.compressionId,
      entry.formatVersion,
      entry.timestampSeconds,
      entry.deleted,
      entry.encryptionKeyId,
    );
  }

  /** HOT. Rows of one pack in the layout above; all of them or, when one is invalid, none. Keeps no reference. */
  addRows(packed: Uint8Array, packNumber: number, formatVersion: number): void {
    const store = this.#store;
    if (store === undefined) throw entryInvalid('addRows needs a key size');
    const { keySize } = store;
    const size = rowSize(keySize);
    if (packed.length % size !== 0) throw entryInvalid('not whole rows', { length: packed.length, rowSize: size });
    assertWithin('pack number', packNumber, this.#packIds.length - 1);
    const source = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
    for (let at = 0; at < packed.length; at += size) {
      if (prefixCode(packed[at] ?? 0xff) < 0) throw entryInvalid('key prefix', { prefix: packed[at] ?? -1 });
      assertWithin('pack offset', source.getUint32(at + keySize + PACKED_ROW_PACK_OFFSET, true), MAX_U31);
      this.#formatNumber(source.getUint32(at + keySize + PACKED_ROW_COMPRESSION_ID, true), formatVersion, 0);
    }
    for (let at = 0; at < packed.length; at += size) {
      const from = at + keySize;
      const row = store.append();
      const { bytes, view } = store.segment(row);
      const to = store.offset(row);
      const value = to + keySize;
      const deleted = ((packed[from + PACKED_ROW_FLAGS] ?? 0) & PACKED_ROW_FLAG_DELETED) !== 0;
      const packOffset = source.getUint32(from + PACKED_ROW_PACK_OFFSET, true);
      for (let index = 0; index < keySize; index++) bytes[to + index] = packed[at + index] ?? 0;
      view.setUint32(value + ROW_PACK_OFFSET, deleted ? packOffset + ROW_DELETED_BIT : packOffset, true);
      view.setUint32(value + ROW_PACKED_LENGTH, source.getUint32(from + PACKED_ROW_PACKED_LENGTH, true), true);
      view.setUint32(value + ROW_ORIGINAL_LENGTH, source.getUint32(from + PACKED_ROW_ORIGINAL_LENGTH, true), true);
      view.setUint32(value + ROW_TIMESTAMP, source.getUint32(from + PACKED_ROW_TIMESTAMP, true), true);
      view.setUint32(value + ROW_PACK_NUMBER, packNumber, true);
      const compressionId = source.getUint32(from + PACKED_ROW_COMPRESSION_ID, true);
      bytes[value + ROW_FORMAT_NUMBER] = this.#formatNumber(compressionId, formatVersion, 0);
    }
  }

  /**
   * The index blobs' plaintexts; none without entries. The builder can be added to and built again.
   * `INDEX_ENTRY_INVALID` when the entries do not fit this version.
   */
  build(options: BuildOptions): Uint8Array[] {
    const store = this.#store;
    if (store === undefined || store.count === 0) return [];
    const rows = sortedRows(store, (a, b) => this.#rank(store, a, b));
    const { maxShardEntries = MAX_SHARD_ENTRIES, tail, version } = options;
    const encode = version === 1 ? encodeIndexV1 : encodeIndexV2;
    const tailBytes = tail?.length ?? 0;
    return shardRows(store, rows, maxShardEntries).map((shard) => {
      const bytes = encode({ store, rows: shard, packIds: this.#packIds, formats: this.#formats }, tailBytes);
      if (tail !== undefined) bytes.set(tail, bytes.length - tailBytes);
      return bytes;
    });
  }

  /** Gives the memory of all entries back at once. */
  release(): void {
    this.#store?.release();
  }

  #storeFor(keySize: number): RowStore {
    this.#store ??= newStore(keySize);
    if (this.#store.keySize !== keySize) {
      throw entryInvalid('keys differ in size', { keySize, expected: this.#store.keySize });
    }
    return this.#store;
  }

  #formatNumber(compressionId: number, formatVersion: number, encryptionKeyId: number): number {
    const name = compressionId * 0x1_0000 + formatVersion * 0x100 + encryptionKeyId;
    const known = this.#formatNumbers.get(name);
    if (known !== undefined) return known;
    assertWithin('compression id', compressionId, MAX_U32);
    assertWithin('format version', formatVersion, 255);
    assertWithin('encryption key id', encryptionKeyId, 255);
    if (this.#formats.length >= MAX_FORMATS) throw entryInvalid('too many formats', { formats: MAX_FORMATS + 1 });
    const number = this.#formats.push({ compressionId, formatVersion, encryptionKeyId }) - 1;
    this.#formatNumbers.set(name, number);
    return number;
  }

  /** Positive when row a beats row b: later, then not deleted, then the larger pack name. */
  #rank(store: RowStore, a: number, b: number): number {
    const viewA = store.segment(a).view;
    const viewB = store.segment(b).view;
    const valueA = store.offset(a) + store.keySize;
    const valueB = store.offset(b) + store.keySize;
    const later = viewA.getUint32(valueA + ROW_TIMESTAMP, true) - viewB.getUint32(valueB + ROW_TIMESTAMP, true);
    if (later !== 0) return later;
    const deletedA = viewA.getUint32(valueA + ROW_PACK_OFFSET, true) >= ROW_DELETED_BIT;
    const deletedB = viewB.getUint32(valueB + ROW_PACK_OFFSET, true) >= ROW_DELETED_BIT;
    if (deletedA !== deletedB) return deletedA ? -1 : 1;
    const packA = this.#packIds[viewA.getUint32(valueA + ROW_PACK_NUMBER, true)] ?? '';
    const packB = this.#packIds[viewB.getUint32(valueB + ROW_PACK_NUMBER, true)] ?? '';
    if (packA === packB) return 0;
    return packA > packB ? 1 : -1;
  }
}

function newStore(keySize: number): RowStore {
  if (!Number.isInteger(keySize) || keySize < 2 || keySize > MAX_KEY_BYTES) {
    throw entryInvalid('key size', { keySize });
  }
  return new RowStore(keySize);
}

function assertWithin(what: string, value: number, max: number): void {
  if (!(Number.isInteger(value) && value >= 0 && value <= max)) throw entryInvalid(what, { value, max });
}

/** Splits by the hash of the id's text, so that a blob never holds more than `maxEntries` or so (§7.3). */
function shardRows(store: RowStore, rows: Uint32Array, maxEntries: number): Uint32Array[] {
  const shardCount = Math.ceil(rows.length / maxEntries);
  if (shardCount <= 1) return [rows];
  const shardOf = new Uint32Array(rows.length);
  const sizes = new Uint32Array(shardCount);
  rows.forEach((row, index) => {
    const shard = textHash(store.segment(row).bytes, store.offset(row), store.keySize) % shardCount;
    shardOf[index] = shard;
    sizes[shard] = (sizes[shard] ?? 0) + 1;
  });
  const shards = Array.from(sizes, (size) => new Uint32Array(size));
  const filled = new Uint32Array(shardCount);
  rows.forEach((row, index) => {
    const shard = shardOf[index] ?? 0;
    const position = filled[shard] ?? 0;
    filled[shard] = position + 1;
    const target = shards[shard];
    if (target !== undefined) target[position] = row;
  });
  return shards.filter((shard) => shard.length > 0);
}

const HEX_DIGITS = Buffer.from('0123456789abcdef', 'latin1');

/** FNV-1a, 32 bits, of the content id in text form. */
export function textHash(bytes: Uint8Array, offset: number, keySize: number): number {
  let hash = 0x811c_9dc5;
  const prefix = bytes[offset] ?? 0;
  if (prefix !== 0) hash = Math.imul(hash ^ prefix, 0x0100_0193);
  for (let index = offset + 1; index < offset + keySize; index++) {
    const byte = bytes[index] ?? 0;
    hash = Math.imul(hash ^ (HEX_DIGITS[byte >> 4] ?? 0), 0x0100_0193);
    hash = Math.imul(hash ^ (HEX_DIGITS[byte & 15] ?? 0), 0x0100_0193);
  }
  return hash >>> 0;
}
