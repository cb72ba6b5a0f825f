// One directory's entries with their facts, sorted by the name they are stored under. Records are reused from directory
// to directory: a listing is valid until the next `load`.
import { DirectoryReader } from '../source/directory-reader.ts';
import { decodeName, standInNames } from '../source/names.ts';
import { ENOENT, StatRecord } from '../posix/libc.ts';
import { compareNames } from '../../repo-format/index.ts';

export interface ListedEntry {
  /** As stored: valid UTF-8, unique in its directory. */
  name: string;
  /** As the file system has it. */
  nameBytes: Uint8Array;
  /** True when `name` stands in for bytes that are not UTF-8. */
  isStandIn: boolean;
  readonly stat: StatRecord;
  /** 0, or why the entry could not be looked at. */
  errno: number;
}

/** No NUL, no `/`: the kernel's own. Plain ASCII needs no decoder. */
function asciiName(bytes: Uint8Array, start: number, end: number): string | undefined {
  for (let i = start; i < end; i++) if ((bytes[i] ?? 0x80) >= 0x80) return undefined;
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('latin1');
}

export class Listing {
  readonly #reader = new DirectoryReader();
  readonly #pool: ListedEntry[] = [];
  #count = 0;
  #order: ListedEntry[] = [];
  /** Names that were listed but gone when they were looked at. */
  vanished: string[] = [];

  /** Sorted by stored name. */
  get entries(): readonly ListedEntry[] {
    return this.#order;
  }

  /** Reads all of an open directory. 0, or the errno of the listing itself. */
  load(fd: number): number {
    this.#count = 0;
    this.vanished = [];
    let allAscii = true;
    const strange: ListedEntry[] = [];
    const reader = this.#reader;
    reader.begin(fd);
    for (;;) {
      const batch = reader.next();
      if (batch < 0) return -batch;
      if (batch === 0) break;
      for (let i = 0; i < batch; i++) {
        const start = reader.nameStart[i] ?? 0;
        const end = reader.nameEnd[i] ?? 0;
        const entry = this.#nextEntry();
        entry.nameBytes = reader.name(i);
        entry.isStandIn = false;
        const ascii = asciiName(reader.bytes, start, end);
        const name = ascii ?? decodeName(entry.nameBytes);
        if (ascii === undefined) allAscii = false;
        entry.errno = -reader.stat(i, entry.stat);
        entry.name = name ?? '';
        if (name === undefined) {
          entry.isStandIn = true;
          strange.push(entry);
        }
        if (entry.errno === ENOENT) {
          this.vanished.push(name ?? Buffer.from(entry.nameBytes).toString('latin1'));
          if (name === undefined) strange.pop();
          this.#count--;
        }
      }
    }
    if (strange.length > 0) this.#nameStrangers(strange);
    this.#order = this.#pool.slice(0, this.#count);
    // UTF-16 order is UTF-8 order as long as there are no surrogates; comparing ASCII needs no thought at all.
    this.#order.sort(allAscii ? (a, b) => (a.name < b.name ? -1 : 1) : (a, b) => compareNames(a.name, b.name));
    return 0;
  }

  /** Stand-ins must not depend on the order in which the file system lists, nor hide a real name. */
  #nameStrangers(strange: ListedEntry[]): void {
    const taken = new Set(this.#pool.slice(0, this.#count).map((entry) => entry.name));
    const names = standInNames(
      strange.map((entry) => entry.nameBytes),
      (name) => taken.has(name),
    );
    strange.forEach((entry, i) => (entry.name = names[i]?.name ?? ''));
  }

  #nextEntry(): ListedEntry {
    let entry = this.#pool[this.#count];
    if (entry === undefined) {
      entry = { name: '', nameBytes: new Uint8Array(0), isStandIn: false, stat: new StatRecord(), errno: 0 };
      this.#pool.push(entry);
    }
    this.#count++;
    return entry;
  }
}
