// One S2 block: the decoded length, then literals and copies (repository format §5.4). Greedy: a table maps the hash of
// four bytes to where they were last seen; a candidate that matches is stretched both ways and written as a copy.
import { TAG_COPY_1, TAG_COPY_2, TAG_COPY_4, TAG_LITERAL } from './s2-framing.ts';

/** Encodes data [start, end) into target [from, to) and returns the bytes written, or 0 when they do not fit. */
export type EncodeS2Block = (
  data: Uint8Array,
  start: number,
  end: number,
  target: Uint8Array,
  from: number,
  to: number,
) => number;

const MIN_MATCH_BYTES = 4;
// Matching reads up to 8 bytes at a position; the last bytes of a block are literals.
const TAIL_BYTES = 8;
// After this many bytes (as a power of two) without a match, the search takes one byte more per step: random data costs little.
const SKIP_SHIFT = [0, 5, 7] as const;
const TABLE_BITS = [0, 14, 16] as const;
// The longest element that can follow a match: copy 4 and a repeat, with tags and lengths.
const MAX_MATCH_ELEMENT_BYTES = 10;
const MAX_LITERAL_HEADER_BYTES = 5;

export function createS2BlockEncoder(level: number): EncodeS2Block {
  const tableBits = TABLE_BITS[level] ?? TABLE_BITS[1];
  const skipShift = SKIP_SHIFT[level] ?? SKIP_SHIFT[1];
  const hashShift = 32 - tableBits;
  const table = new Int32Array(1 << tableBits);
  const insertAll = level > 1;

  return function encodeBlock(data, start, end, target, from, to) {
    const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
    const limit = end - TAIL_BYTES;
    table.fill(-1);
    let out = writeVarint(target, from, end - start);
    let literalStart = start;
    let lastOffset = 0;
    let position = start;
    while (position < limit) {
      const word = view.getInt32(position, true);
      const slot = Math.imul(word, 0x9e3779b1) >>> hashShift;
      let candidate = table[slot] as number;
      table[slot] = position;
      if (lastOffset !== 0 && view.getInt32(position - lastOffset, true) === word) candidate = position - lastOffset;
      else if (candidate < 0 || view.getInt32(candidate, true) !== word) {
        position += 1 + ((position - literalStart) >> skipShift);
        continue;
      }
      // Backwards over the pending literal, then forwards.
      let matchStart = position;
      const offset = position - candidate;
      while (matchStart > literalStart && candidate > start && data[matchStart - 1] === data[candidate - 1]) {
        matchStart--;
        candidate--;
      }
      const matchEnd = matchLimit(view, data, position + MIN_MATCH_BYTES, offset, end);
      const literalLength = matchStart - literalStart;
      if (out + literalLength + MAX_LITERAL_HEADER_BYTES + MAX_MATCH_ELEMENT_BYTES > to) return 0;
      if (literalLength > 0) out = writeLiteral(data, literalStart, matchStart, target, out);
      out = writeCopy(target, out, offset, matchEnd - matchStart, offset === lastOffset);
      lastOffset = offset;
      literalStart = matchEnd;
      const insertEnd = matchEnd < limit ? matchEnd : limit;
      const step = insertAll ? 1 : Math.max(1, matchEnd - 2 - position);
      for (let i = position + step; i < insertEnd; i += step) {
        table[Math.imul(view.getInt32(i, true), 0x9e3779b1) >>> hashShift] = i;
      }
      position = matchEnd;
    }
    const rest = end - literalStart;
    if (out + rest + MAX_LITERAL_HEADER_BYTES > to) return 0;
    if (rest > 0) out = writeLiteral(data, literalStart, end, target, out);
    return out - from;
  };
}

/** HOT. The first index from `position` on that differs from its counterpart `offset` bytes before, at most `end`. */
function matchLimit(view: DataView, data: Uint8Array, position: number, offset: number, end: number): number {
  let i = position;
  while (i + 4 <= end && view.getInt32(i, true) === view.getInt32(i - offset, true)) i += 4;
  while (i < end && data[i] === data[i - offset]) i++;
  return i;
}

function writeVarint(target: Uint8Array, at: number, value: number): number {
  let out = at;
  let rest = value;
  for (; rest >= 0x80; rest >>>= 7) target[out++] = (rest & 0x7f) | 0x80;
  target[out++] = rest;
  return out;
}

function writeLiteral(data: Uint8Array, start: number, end: number, target: Uint8Array, at: number): number {
  const length = end - start;
  const code = length - 1;
  let out = at;
  if (code < 60) {
    target[out++] = (code << 2) | TAG_LITERAL;
  } else {
    const lengthBytes = code < 0x100 ? 1 : code < 0x10000 ? 2 : 3;
    target[out++] = ((59 + lengthBytes) << 2) | TAG_LITERAL;
    for (let rest = code, i = 0; i < lengthBytes; i++, rest >>>= 8) target[out++] = rest;
  }
  if (length > 48) target.set(data.subarray(start, end), out);
  else for (let i = 0; i < length; i++) target[out + i] = data[start + i] as number;
  return out + length;
}

/** A copy of `length` ≥ 4 bytes. `repeats` says that the last copy had the same offset, which then need not be written. */
function writeCopy(target: Uint8Array, at: number, offset: number, length: number, repeats: boolean): number {
  if (repeats) return writeRepeat(target, at, length);
  let out = at;
  // What one element cannot hold follows as a repeat, which is at least 4 bytes long.
  const first = length <= 64 ? length : length < 64 + MIN_MATCH_BYTES ? 60 : 64;
  if (offset < 2048 && length < 12) {
    target[out++] = ((offset >> 8) << 5) | ((length - 4) << 2) | TAG_COPY_1;
    target[out++] = offset;
    return out;
  }
  target[out++] = ((first - 1) << 2) | (offset < 0x10000 ? TAG_COPY_2 : TAG_COPY_4);
  target[out++] = offset;
  target[out++] = offset >>> 8;
  if (offset >= 0x10000) {
    target[out++] = offset >>> 16;
    target[out++] = offset >>> 24;
  }
  return first < length ? writeRepeat(target, out, length - first) : out;
}

/** A copy from where the last one came from: copy 1 with offset 0, whose length codes 5 … 7 announce more bytes. */
function writeRepeat(target: Uint8Array, at: number, length: number): number {
  const code = length < 9 ? length - 4 : length < 264 ? 5 : length < 65796 ? 6 : 7;
  let out = at;
  target[out++] = (code << 2) | TAG_COPY_1;
  target[out++] = 0;
  if (code < 5) return out;
  let rest = length - (code === 5 ? 8 : code === 6 ? 260 : 65540);
  for (let i = 5; i <= code; i++, rest >>>= 8) target[out++] = rest;
  return out;
}
