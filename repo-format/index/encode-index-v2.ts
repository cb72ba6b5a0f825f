// Encodes index version 2 (layout in index-v2.ts): packs and formats are numbered by first appearance in key order, and
// rows are as short as the largest values allow.
import { V2_FORMAT_SIZE, V2_HEADER_SIZE, V2_MIN_ENTRY_SIZE, V2_PACK_SIZE } from './index-v2.ts';
import { PackNames } from './pack-names.ts';
import {
  entryInvalid,
  ROW_DELETED_BIT,
  ROW_FORMAT_NUMBER,
  ROW_ORIGINAL_LENGTH,
  ROW_PACKED_LENGTH,
  ROW_PACK_NUMBER,
  ROW_PACK_OFFSET,
  ROW_TIMESTAMP,
  type IndexFormat,
  type SortedIndex,
} from './row-store.ts';

const MAX_SHORT_LENGTH = 1 << 24;
const MAX_LENGTH = 2 ** 28;
const MAX_PACK_OFFSET = 2 ** 30;
const MAX_SHORT_PACKS = 1 << 16;
const MAX_PACKS = 1 << 24;
const UNSEEN = 0xff;

/** What a first pass over the rows learns. */
interface Survey {
  readonly names: PackNames;
  /** Format numbers of the index by those of the builder. */
  readonly formatNumbers: Uint8Array;
  readonly formats: readonly IndexFormat[];
  readonly entrySize: number;
}

/** `tailBytes` zero bytes are left at the end for the caller to fill. */
export function encodeIndexV2(index: SortedIndex, tailBytes: number): Uint8Array {
  const { store, rows } = index;
  const survey = surveyRows(index);
  const { names, formats, entrySize } = survey;
  const packsAt = V2_HEADER_SIZE + rows.length * (store.keySize + entrySize);
  const formatsAt = packsAt + names.count * V2_PACK_SIZE;
  const namesAt = formatsAt + formats.length * V2_FORMAT_SIZE;
  const out = new Uint8Array(namesAt + names.sizeBytes + tailBytes);
  const view = new DataView(out.buffer);
  view.setUint8(0, 2);
  view.setUint8(1, store.keySize);
  view.setUint16(2, entrySize);
  view.setUint32(4, rows.length);
  view.setUint32(8, names.count);
  view.setUint8(12, formats.length);
  writeRows(index, survey, out, view);
  names.inOrder().forEach((pack, number) => {
    view.setUint8(packsAt + number * V2_PACK_SIZE, names.nameLength(pack));
    view.setUint32(packsAt + number * V2_PACK_SIZE + 1, namesAt + names.offsetOf(pack));
  });
  formats.forEach((format, number) => {
    const at = formatsAt + number * V2_FORMAT_SIZE;
    view.setUint32(at, format.compressionId);
    view.setUint8(at + 4, format.formatVersion);
    view.setUint8(at + 5, format.encryptionKeyId);
  });
  names.writeNames(out, namesAt);
  return out;
}

function surveyRows({ store, rows, packIds, formats }: SortedIndex): Survey {
  const names = new PackNames(packIds);
  const formatNumbers = new Uint8Array(256).fill(UNSEEN);
  const seenFormats: IndexFormat[] = [];
  let maxLength = 0;
  let maxOffset = 0;
  for (const row of rows) {
    const { bytes, view } = store.segment(row);
    const value = store.offset(row) + store.keySize;
    names.see(view.getUint32(value + ROW_PACK_NUMBER, true));
    const format = bytes[value + ROW_FORMAT_NUMBER] ?? 0;
    const description = formats[format];
    if (formatNumbers[format] === UNSEEN && description !== undefined) {
      formatNumbers[format] = seenFormats.push(description) - 1;
    }
    const packed = view.getUint32(value + ROW_PACKED_LENGTH, true);
    const original = view.getUint32(value + ROW_ORIGINAL_LENGTH, true);
    const offset = view.getUint32(value + ROW_PACK_OFFSET, true) % ROW_DELETED_BIT;
    if (packed > maxLength) maxLength = packed;
    if (original > maxLength) maxLength = original;
    if (offset > maxOffset) maxOffset = offset;
  }
  if (maxLength >= MAX_LENGTH) throw entryInvalid('a content is too long', { maxLength });
  if (maxOffset >= MAX_PACK_OFFSET) throw entryInvalid('a pack offset is too high', { maxOffset });
  if (names.count > MAX_PACKS) throw entryInvalid('too many packs', { packs: names.count });
  let entrySize = V2_MIN_ENTRY_SIZE;
  if (seenFormats.length > 1) entrySize = 17;
  if (names.count > MAX_SHORT_PACKS) entrySize = 18;
  if (maxLength >= MAX_SHORT_LENGTH) entrySize = 19;
  return { names, formatNumbers, formats: seenFormats, entrySize };
}

function writeRows({ store, rows }: SortedIndex, survey: Survey, out: Uint8Array, outView: DataView): void {
  const { names, formatNumbers, entrySize } = survey;
  const { keySize } = store;
  let to = V2_HEADER_SIZE;
  for (const row of rows) {
    const { bytes, view } = store.segment(row);
    const at = store.offset(row);
    const value = at + keySize;
    const original = view.getUint32(value + ROW_ORIGINAL_LENGTH, true);
    const packed = view.getUint32(value + ROW_PACKED_LENGTH, true);
    const pack = names.numberOf(view.getUint32(value + ROW_PACK_NUMBER, true));
    for (let byte = 0; byte < keySize; byte++) out[to + byte] = bytes[at + byte] ?? 0;
    to += keySize;
    outView.setUint32(to, view.getUint32(value + ROW_TIMESTAMP, true));
    outView.setUint32(to + 4, view.getUint32(value + ROW_PACK_OFFSET, true));
    outView.setUint16(to + 8, (original >>> 8) & 0xffff);
    outView.setUint8(to + 10, original & 0xff);
    outView.setUint16(to + 11, (packed >>> 8) & 0xffff);
    outView.setUint8(to + 13, packed & 0xff);
    outView.setUint16(to + 14, pack & 0xffff);
    if (entrySize >= 17) outView.setUint8(to + 16, formatNumbers[bytes[value + ROW_FORMAT_NUMBER] ?? 0] ?? 0);
    if (entrySize >= 18) outView.setUint8(to + 17, pack >>> 16);
    if (entrySize >= 19) outView.setUint8(to + 18, ((original >>> 24) << 4) | (packed >>> 24));
    to += entrySize;
  }
}
