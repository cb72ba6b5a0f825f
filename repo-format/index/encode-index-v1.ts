// Encodes index version 1 (layout in index-v1.ts). No compression, no encryption keys.
import { V1_ENTRY_SIZE, V1_HEADER_SIZE } from './index-v1.ts';
import { PackNames } from './pack-names.ts';
import {
  entryInvalid,
  ROW_FORMAT_NUMBER,
  ROW_PACKED_LENGTH,
  ROW_PACK_NUMBER,
  ROW_PACK_OFFSET,
  ROW_TIMESTAMP,
  type SortedIndex,
} from './row-store.ts';

/** `tailBytes` zero bytes are left at the end for the caller to fill. */
export function encodeIndexV1(index: SortedIndex, tailBytes: number): Uint8Array {
  const { store, rows, formats } = index;
  const { keySize } = store;
  const names = new PackNames(index.packIds);
  for (const row of rows) {
    const { view } = store.segment(row);
    names.see(view.getUint32(store.offset(row) + keySize + ROW_PACK_NUMBER, true));
  }
  const namesAt = V1_HEADER_SIZE + rows.length * (keySize + V1_ENTRY_SIZE);
  const out = new Uint8Array(namesAt + names.sizeBytes + tailBytes);
  const outView = new DataView(out.buffer);
  outView.setUint8(0, 1);
  outView.setUint8(1, keySize);
  outView.setUint16(2, V1_ENTRY_SIZE);
  outView.setUint32(4, rows.length);
  let to = V1_HEADER_SIZE;
  for (const row of rows) {
    const { bytes, view } = store.segment(row);
    const at = store.offset(row);
    const value = at + keySize;
    const format = formats[bytes[value + ROW_FORMAT_NUMBER] ?? 0];
    if (format === undefined || format.compressionId !== 0 || format.encryptionKeyId !== 0) {
      throw entryInvalid('version 1 holds neither compressed contents nor encryption keys');
    }
    const pack = view.getUint32(value + ROW_PACK_NUMBER, true);
    for (let byte = 0; byte < keySize; byte++) out[to + byte] = bytes[at + byte] ?? 0;
    to += keySize;
    outView.setUint32(to + 2, view.getUint32(value + ROW_TIMESTAMP, true));
    outView.setUint8(to + 6, format.formatVersion);
    outView.setUint8(to + 7, names.nameLength(pack));
    outView.setUint32(to + 8, namesAt + names.offsetOf(pack));
    outView.setUint32(to + 12, view.getUint32(value + ROW_PACK_OFFSET, true));
    outView.setUint32(to + 16, view.getUint32(value + ROW_PACKED_LENGTH, true));
    to += V1_ENTRY_SIZE;
  }
  names.writeNames(out, namesAt);
  return out;
}
