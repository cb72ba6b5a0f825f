// One directory's entries with their facts. Two steps: `scan` lists and stats everything and fingerprints it as a whole,
// without making a single string; only when that does not settle the directory does `materialize` name and sort the
// entries. Records are reused from directory to directory: a listing is valid until the next `scan`.
import { compareNames } from '../../repo-format/index.ts';
import { ENOENT, type PathName, StatRecord } from '../posix/libc.ts';
import { DirectoryReader } from '../source/directory-reader.ts';
import { decodeName, standInNames } from '../source/names.ts';
import { addFingerprint, entryFingerprint, type Fingerprint, isRacy } from './change-hints.ts';

export class ListedEntry {
  /** As stored: valid UTF-8, unique in its directory. */
  name = '';
  /** The bytes of a name that is not UTF-8, for which `name` stands in. */
  rawName: Uint8Array | undefined;
  readonly stat = new StatRecord();
  /** 0, or why the entry could not be looked at. */
  errno = 0;
  readonly fingerprint: Fingerprint = { low: 0, high: 0 };
  nameStart = 0;
  nameEnd = 0;

  get isStandIn(): boolean {
    return this.rawName !== undefined;
  }

  /** What system calls take. */
  get path(): PathName {
    return this.rawName ?? this.name;
  }

  /** A copy of the name as the file system has it. */
  get nameBytes(): Uint8Array {
    return this.rawName ?? new Uint8Array(Buffer.from(this.name, 'utf8'));
  }
}

export interface ScanOptions {
  /** See `directorySeed`. */
  readonly seed: number;
  readonly withFingerprints: boolean;
  readonly nowMs: number;
}

export class Listing {
  /** Two, because names stay in a reader's buffer until it is known whether there is another batch. */
  #reader = new DirectoryReader();
  #otherReader = new DirectoryReader();
  readonly #pool: ListedEntry[] = [];
  #count = 0;
  /** Entries before this one have their names already. */
  #named = 0;
  #allAscii = true;
  #order: readonly ListedEntry[] = [];
  /** Of all entries together, whatever their order. */
  readonly fingerprint: Fingerprint = { low: 0, high: 0 };
  /** False when an entry may still change unseen, or could not be looked at. */
  isSteady = true;
  /** Names that were listed but gone when they were looked at. */
  vanished: string[] = [];

  /** Sorted by stored name; after `materialize`. */
  get entries(): readonly ListedEntry[] {
    return this.#order;
  }

  get count(): number {
    return this.#count;
  }

  /** In the order of the file system; names are not there yet. */
  *scanned(): IterableIterator<ListedEntry> {
    for (let i = 0; i < this.#count; i++) {
      const entry = this.#pool[i];
      if (entry !== undefined) yield entry;
    }
  }

  /** Names of the sub-directories; undefined when one of them is not UTF-8. Must be called before anything else is listed. */
  directoryNames(): string[] | undefined {
    const { bytes } = this.#reader;
    const names: string[] = [];
    for (let i = 0; i < this.#count; i++) {
      const entry = this.#pool[i];
      if (entry === undefined || !entry.stat.isDirectory) continue;
      const name = i < this.#named ? entry.name : decodeName(bytes, entry.nameStart, entry.nameEnd);
      if (name === undefined || name === '') return undefined;
      names.push(name);
    }
    return names;
  }

  /** Reads all of an open directory. 0, or the errno of the listing itself. HOT. */
  scan(fd: number, options: ScanOptions): number {
    this.#count = 0;
    this.#named = 0;
    this.#allAscii = true;
    this.#order = [];
    this.vanished = [];
    this.isSteady = true;
    this.fingerprint.low = 0;
    this.fingerprint.high = 0;
    this.#reader.begin(fd);
    this.#otherReader.begin(fd);
    for (;;) {
      const next = this.#otherReader;
      const batch = next.next();
      if (batch < 0) return -batch;
      if (batch === 0) return 0;
      this.#nameEntries();
      this.#otherReader = this.#reader;
      this.#reader = next;
      for (let i = 0; i < batch; i++) this.#look(i, options);
    }
  }

  #look(i: number, options: ScanOptions): void {
    const reader = this.#reader;
    const entry = this.#nextEntry();
    entry.rawName = undefined;
    entry.nameStart = reader.nameStart[i] ?? 0;
    entry.nameEnd = reader.nameEnd[i] ?? 0;
    entry.errno = -reader.stat(i, entry.stat);
    if (entry.errno !== 0) {
      this.isSteady = false;
      if (entry.errno !== ENOENT) return;
      this.vanished.push(Buffer.from(reader.name(i)).toString('utf8'));
      this.#count--;
      return;
    }
    if (!options.withFingerprints) return;
    entryFingerprint(options.seed, reader.bytes, entry.nameStart, entry.nameEnd, entry.stat, entry.fingerprint);
    addFingerprint(this.fingerprint, entry.fingerprint);
    if (isRacy(entry.stat, options.nowMs)) this.isSteady = false;
  }

  /** Names and sorts the entries. Must be called before anything else is listed. */
  materialize(): void {
    this.#nameEntries();
    const entries = this.#pool.slice(0, this.#count);
    const strange = entries.filter((entry) => entry.isStandIn);
    if (strange.length > 0) nameStrangers(strange, entries);
    // UTF-16 order is UTF-8 order as long as there are no surrogates; comparing ASCII needs no thought at all.
    this.#order = withoutRepeats(
      entries.sort(this.#allAscii ? (a, b) => (a.name < b.name ? -1 : 1) : (a, b) => compareNames(a.name, b.name)),
    );
  }

  #nameEntries(): void {
    const { bytes } = this.#reader;
    for (; this.#named < this.#count; this.#named++) {
      const entry = this.#pool[this.#named];
      if (entry === undefined) return;
      const { nameStart, nameEnd } = entry;
      const name = decodeName(bytes, nameStart, nameEnd);
      if (name === undefined) entry.rawName = new Uint8Array(bytes.subarray(nameStart, nameEnd));
      entry.name = name ?? '';
      // A byte for each unit: nothing but ASCII.
      if (name?.length !== nameEnd - nameStart) this.#allAscii = false;
    }
  }

  #nextEntry(): ListedEntry {
    let entry = this.#pool[this.#count];
    if (entry === undefined) this.#pool.push((entry = new ListedEntry()));
    this.#count++;
    return entry;
  }
}

/**
 * A file system may list a name twice when it is renamed away and back meanwhile; a directory object may not. A stand-in is
 * that of its bytes, so repeated bytes have got two, one of them numbered: nothing is lost, and the next run has it right.
 */
export function withoutRepeats<T extends { readonly name: string }>(sorted: readonly T[]): readonly T[] {
  const isRepeat = (entry: T, i: number): boolean => i > 0 && sorted[i - 1]?.name === entry.name;
  return sorted.some(isRepeat) ? sorted.filter((entry, i) => !isRepeat(entry, i)) : sorted;
}

/** Stand-ins must not depend on the order in which the file system lists, nor hide a real name. */
function nameStrangers(strange: readonly ListedEntry[], all: readonly ListedEntry[]): void {
  const taken = new Set(all.filter((entry) => !entry.isStandIn).map((entry) => entry.name));
  const names = standInNames(
    strange.map((entry) => entry.rawName ?? new Uint8Array(0)),
    (name) => taken.has(name),
  );
  strange.forEach((entry, i) => (entry.name = names[i]?.name ?? ''));
}
