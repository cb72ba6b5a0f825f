// Lists an open directory in large batches and stats its entries where their names already lie, in the kernel's own
// records: no string, no allocation and no copy for a name that is only looked at. Order is the file system's.

import { type Binding, binding } from '../posix/binding.ts';
import { AT_NO_AUTOMOUNT, AT_SYMLINK_NOFOLLOW, DT_UNKNOWN, type StatRecord, statAt } from '../posix/libc.ts';
import { getdents64 } from '../posix/data.ts';
import { statAddress } from '../posix/stat.ts';

export { StatRecord } from '../posix/libc.ts';

// struct linux_dirent64: 0 8 inode, 8 8 offset, 16 2 record length, 18 1 type, 19… name with NUL
const RECORD_LENGTH = 16;
const TYPE = 18;
const NAME = 19;
/** 24 bytes is the shortest record the kernel makes. */
const SHORTEST_RECORD = 24;

// 32 KiB, about 900 entries a call: from 16 to 256 KiB, listing a directory of 100,000 took the same time.
const DEFAULT_BUFFER_BYTES = 32_768;

/**
 * One directory at a time, batch by batch. Entries of a batch are numbered from 0 and valid until the next `next()`.
 * "." and ".." are left out.
 *
 *     reader.begin(fd);
 *     for (let n = reader.next(); n !== 0; n = reader.next()) { if (n < 0) …errno…; for (i < n) … }
 */
export class DirectoryReader {
  /** The kernel's records: name bytes of entry i are `bytes[nameStart[i] … nameEnd[i])`, followed by a NUL. */
  readonly bytes: Uint8Array;
  readonly nameStart: Int32Array;
  readonly nameEnd: Int32Array;
  /** DT_… of each entry; DT_UNKNOWN on file systems that do not say. */
  readonly types: Uint8Array;
  readonly #view: DataView;
  readonly #binding: Binding;
  readonly #address: number;
  #fd = -1;

  constructor(bufferBytes: number = DEFAULT_BUFFER_BYTES) {
    this.#binding = binding();
    // A Buffer of its own memory (not of Node's pool), because names are decoded from it by offset.
    this.bytes = Buffer.from(new ArrayBuffer(bufferBytes));
    this.#view = new DataView(this.bytes.buffer);
    this.#address = this.#binding.addressOf(this.bytes);
    const most = Math.ceil(bufferBytes / SHORTEST_RECORD);
    this.nameStart = new Int32Array(most);
    this.nameEnd = new Int32Array(most);
    this.types = new Uint8Array(most);
  }

  /** Starts on a directory opened for reading whose position is at its beginning. Does not own the descriptor. */
  begin(fd: number): void {
    this.#fd = fd;
  }

  /** The number of entries of the next batch, 0 after the last one, or a negative errno. HOT. */
  next(): number {
    for (;;) {
      const filled = getdents64(this.#fd, this.#address, this.bytes.length);
      if (filled <= 0) return filled;
      const count = this.#parse(filled);
      // A batch can consist of "." and ".." alone.
      if (count > 0) return count;
    }
  }

  /** Attributes of entry `i` of this batch, not following a symlink. 0 or a negative errno. HOT. */
  stat(i: number, out: StatRecord): number {
    const path = this.#address + (this.nameStart[i] as number);
    return statAddress(this.#binding, this.#fd, path, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, out);
  }

  /** A copy of the name of entry `i`. */
  name(i: number): Uint8Array {
    // Not slice(): of a Buffer that would be a view.
    return new Uint8Array(this.bytes.subarray(this.nameStart[i], this.nameEnd[i]));
  }

  #parse(filled: number): number {
    const { bytes, nameStart, nameEnd, types } = this;
    const view = this.#view;
    let count = 0;
    let at = 0;
    while (at < filled) {
      const length = view.getUint16(at + RECORD_LENGTH, true);
      const start = at + NAME;
      // Records are padded to 8 bytes and the padding is not cleared: the terminator is the first NUL of the last 8.
      let end = Math.max(start, at + length - 8);
      while (bytes[end] !== 0) end++;
      if (bytes[start] === 0x2e && (end === start + 1 || (end === start + 2 && bytes[start + 1] === 0x2e))) {
        at += length;
        continue;
      }
      nameStart[count] = start;
      nameEnd[count] = end;
      types[count] = bytes[at + TYPE] ?? DT_UNKNOWN;
      count++;
      at += length;
    }
    return count;
  }
}

/** Receives a name (bytes `[start, end)` of `buffer`, valid during the call only) and its DT_… type. */
export type NameSink = (buffer: Uint8Array, start: number, end: number, type: number) => void;

let shared: DirectoryReader | undefined;
let sharedBusy = false;

/** Lists `fd` to its end. 0, or a negative errno after which what was delivered is not the whole directory. HOT. */
export function readDirectory(fd: number, sink: NameSink): number {
  // A sink that lists another directory gets a reader of its own.
  const reader = sharedBusy ? new DirectoryReader() : (shared ??= new DirectoryReader());
  const outer = sharedBusy;
  sharedBusy = true;
  try {
    reader.begin(fd);
    for (let count = reader.next(); count !== 0; count = reader.next()) {
      if (count < 0) return count;
      for (let i = 0; i < count; i++) {
        sink(reader.bytes, reader.nameStart[i] as number, reader.nameEnd[i] as number, reader.types[i] as number);
      }
    }
    return 0;
  } finally {
    sharedBusy = outer;
  }
}

/** Attributes of `name` in `fd`, not following a symlink. 0 or a negative errno. HOT. */
export function statEntry(fd: number, name: Uint8Array | string, out: StatRecord): number {
  return statAt(fd, name, out);
}
