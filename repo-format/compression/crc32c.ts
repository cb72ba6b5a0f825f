// CRC-32C (Castagnoli) as S2 streams use it. Node offers only the IEEE polynomial, so this one is ours: eight bytes a step
// through eight tables.

const REVERSED_POLYNOMIAL = 0x82f63b78;

let tables: readonly Int32Array[] | undefined;

/** Table k holds the CRC of a byte followed by k zero bytes. */
function createTables(): readonly Int32Array[] {
  const all = Array.from({ length: 8 }, () => new Int32Array(256));
  const first = all[0] as Int32Array;
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? REVERSED_POLYNOMIAL : 0);
    first[byte] = crc;
  }
  for (let k = 1; k < 8; k++) {
    const previous = all[k - 1] as Int32Array;
    const table = all[k] as Int32Array;
    for (let byte = 0; byte < 256; byte++) {
      const crc = previous[byte] as number;
      table[byte] = (crc >>> 8) ^ (first[crc & 255] as number);
    }
  }
  return all;
}

/** HOT. The CRC of bytes [start, end). */
export function crc32c(bytes: Uint8Array, start: number, end: number): number {
  tables ??= createTables();
  const [t0, t1, t2, t3, t4, t5, t6, t7] = tables as readonly [
    Int32Array,
    Int32Array,
    Int32Array,
    Int32Array,
    Int32Array,
    Int32Array,
    Int32Array,
    Int32Array,
  ];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let crc = -1;
  let i = start;
  // The casts say what the loops guarantee: every index is inside its table.
  for (; i + 8 <= end; i += 8) {
    const low = view.getInt32(i, true) ^ crc;
    const high = view.getInt32(i + 4, true);
    crc =
      (t7[low & 255] as number) ^
      (t6[(low >>> 8) & 255] as number) ^
      (t5[(low >>> 16) & 255] as number) ^
      (t4[low >>> 24] as number) ^
      (t3[high & 255] as number) ^
      (t2[(high >>> 8) & 255] as number) ^
      (t1[(high >>> 16) & 255] as number) ^
      (t0[high >>> 24] as number);
  }
  for (; i < end; i++) crc = (crc >>> 8) ^ (t0[(crc ^ (bytes[i] as number)) & 255] as number);
  return ~crc >>> 0;
}
