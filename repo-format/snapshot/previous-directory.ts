// A directory of an earlier snapshot, for deciding which files need not be read again (snapshots §5.3): look-up by name,
// comparison with the numbers of an lstat, no BigInt. Files that are asked for in the order of their names are compared
// as bytes (entry-cursor.ts); the object is parsed only when that does not serve, and for sub-directories.
import { TimestampReader } from '../../base/go-time.ts';
import { type ObjectId, isObjectId } from '../object/object-id.ts';
import { type DirectoryEntry, type EntryType, parseEntry, parseMode } from './directory-entry.ts';
import { corruptDirectory, parseDirectoryJson } from './directory-object.ts';
import type { ComposedEntry } from './entry-buffer.ts';
import { EntryCursor } from './entry-cursor.ts';
import type { EntryExtra } from './extra.ts';

/** The numbers of an lstat that decide. */
export interface ComparedStat {
  readonly type: EntryType;
  /** 07777 */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly mtimeSeconds: number;
  readonly mtimeNanos: number;
}

interface RawEntry {
  readonly name?: string;
  readonly type?: string;
  readonly mode?: string;
  readonly size?: number;
  readonly mtime?: string;
  readonly uid?: number;
  readonly gid?: number;
  readonly obj?: string;
  readonly windlass?: RawExtra;
}

interface RawExtra {
  readonly raw?: unknown;
  readonly special?: unknown;
  readonly changed?: unknown;
  readonly mtime?: unknown;
}

/** The object of a file that has not changed. */
export interface UnchangedEntry {
  readonly objectId: ObjectId;
  /** Facts that an lstat does not tell again (xattrs, hard link, holes…). */
  readonly extra: EntryExtra | undefined;
}

interface ParsedEntries {
  readonly entries: readonly RawEntry[];
  readonly byName: ReadonlyMap<string, number>;
  readonly byRawName: ReadonlyMap<string, number>;
}

const NO_ENTRIES: ParsedEntries = { entries: [], byName: new Map(), byRawName: new Map() };

export class PreviousDirectory {
  readonly #bytes: Uint8Array;
  readonly #cursor: EntryCursor;
  readonly #time = new TimestampReader();
  #parsed: ParsedEntries | undefined;

  private constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#cursor = new EntryCursor(bytes);
    if (!this.#cursor.isUsable) this.#parsed = parseEntries(bytes);
  }

  /**
   * Keeps `bytes`, which must stay as they are. `DIRECTORY_CORRUPT` when the object is not a directory, where that shows
   * at once; what shows later, and a bad entry, is only never a match.
   */
  static parse(bytes: Uint8Array): PreviousDirectory {
    return new PreviousDirectory(bytes);
  }

  get #all(): ParsedEntries {
    if (this.#parsed !== undefined) return this.#parsed;
    try {
      this.#parsed = parseEntries(this.#bytes);
    } catch {
      // By design: a directory that cannot be used costs the reading of its files again.
      this.#parsed = NO_ENTRIES;
    }
    return this.#parsed;
  }

  get #entries(): readonly RawEntry[] {
    return this.#all.entries;
  }

  get entryCount(): number {
    return this.#entries.length;
  }

  /** HOT. The entry's number, or -1. For names that are UTF-8. */
  find(name: string): number {
    return this.#all.byName.get(name) ?? -1;
  }

  /** The entry's number, or -1. For names that are not UTF-8. */
  findRaw(rawName: Uint8Array): number {
    const { byRawName } = this.#all;
    if (byRawName.size === 0) return -1;
    return byRawName.get(Buffer.from(rawName).toString('base64')) ?? -1;
  }

  /**
   * HOT. The entry with this name when it is what `wanted` says, by kopia's rule (see {@link isUnchanged}); undefined
   * otherwise. `wanted` and `stat` tell the same. Fast for names in ascending order, and true for any.
   */
  findUnchanged(name: string, wanted: ComposedEntry, stat: ComparedStat): UnchangedEntry | undefined {
    const cursor = this.#cursor;
    if (cursor.isUsable) {
      const at = cursor.seek(wanted);
      if (at >= 0) {
        const id = cursor.takeSame(at, wanted);
        if (id !== '') return isObjectId(id) ? { objectId: id, extra: undefined } : undefined;
        return this.#unchangedText(cursor.takeText(at), stat);
      }
      if (cursor.isUsable) return undefined;
    }
    return this.unchangedAt(this.find(name), stat);
  }

  /** The entry with this number when it is what it was; undefined otherwise, and for −1. */
  unchangedAt(index: number, stat: ComparedStat): UnchangedEntry | undefined {
    const entry = this.#entries[index];
    return entry !== undefined && this.#isSame(entry, stat) ? unchanged(entry) : undefined;
  }

  #unchangedText(text: string, stat: ComparedStat): UnchangedEntry | undefined {
    let entry: RawEntry;
    try {
      // Checked member by member below.
      entry = JSON.parse(text) as RawEntry;
    } catch {
      return undefined; // by design: the file is read again
    }
    // A stand-in name is no name of the file system.
    if (typeof entry.windlass?.raw === 'string') return undefined;
    return this.#isSame(entry, stat) ? unchanged(entry) : undefined;
  }

  /**
   * Whether the file is what it was by kopia's rule: equal type, mode, owner, size and time, to the nanosecond.
   * Never true for an entry that was still changing when it was saved, nor for FIFOs, sockets and devices.
   */
  isUnchanged(index: number, stat: ComparedStat): boolean {
    return this.unchangedAt(index, stat) !== undefined;
  }

  #isSame(entry: RawEntry, stat: ComparedStat): boolean {
    if (entry.type !== stat.type) return false;
    if ((entry.size ?? 0) !== stat.size || (entry.uid ?? 0) !== stat.uid || (entry.gid ?? 0) !== stat.gid) return false;
    if (parseModeOf(entry) !== stat.mode || objectIdOf(entry) === undefined) return false;
    const extra = entry.windlass;
    if (extra !== undefined) {
      if (extra === null || extra.special !== undefined || extra.changed !== undefined) return false;
      if (extra.mtime !== undefined) return isExactTime(entry, stat);
    }
    return this.#isTime(entry.mtime, stat.mtimeSeconds, stat.mtimeNanos);
  }

  #isTime(text: unknown, seconds: number, nanos: number): boolean {
    if (text === undefined) return seconds === 0 && nanos === 0;
    return (
      typeof text === 'string' && this.#time.read(text) && this.#time.seconds === seconds && this.#time.nanos === nanos
    );
  }

  /** The whole entry, checked; undefined when there is none or it is malformed. */
  entry(index: number): DirectoryEntry | undefined {
    const raw = this.#entries[index];
    const entry = raw === undefined ? undefined : parseEntry(raw);
    return typeof entry === 'string' ? undefined : entry;
  }

  /** The object of a sub-directory, or of a file after `isUnchanged`. Undefined when there is none. */
  objectId(index: number): ObjectId | undefined {
    const entry = this.#entries[index];
    return entry === undefined ? undefined : objectIdOf(entry);
  }
}

function parseEntries(bytes: Uint8Array): ParsedEntries {
  const document = parseDirectoryJson(bytes);
  const byName = new Map<string, number>();
  const byRawName = new Map<string, number>();
  document.entries.forEach((item, index) => {
    if (typeof item !== 'object' || item === null) throw corruptDirectory(`entry ${index} is not an object`);
    const { name, windlass } = item as RawEntry;
    // A stand-in name is no name of the file system: such an entry is found by its bytes alone.
    if (typeof windlass?.raw === 'string') byRawName.set(windlass.raw, index);
    else if (typeof name === 'string') byName.set(name, index);
  });
  return { entries: document.entries as readonly RawEntry[], byName, byRawName };
}

function objectIdOf({ obj }: RawEntry): ObjectId | undefined {
  return typeof obj === 'string' && isObjectId(obj) ? obj : undefined;
}

/** Of an entry that `#isSame` has accepted. */
function unchanged(entry: RawEntry): UnchangedEntry | undefined {
  const objectId = objectIdOf(entry);
  if (objectId === undefined) return undefined;
  if (entry.windlass === undefined) return { objectId, extra: undefined };
  const parsed = parseEntry(entry);
  return { objectId, extra: typeof parsed === 'string' ? undefined : parsed.extra };
}

function isExactTime(raw: RawEntry, stat: ComparedStat): boolean {
  const entry = parseEntry(raw);
  if (typeof entry === 'string') return false;
  return entry.mtimeSeconds === stat.mtimeSeconds && entry.mtimeNanos === stat.mtimeNanos;
}

function parseModeOf(entry: RawEntry): number | undefined {
  if (entry.mode === undefined) return 0;
  return typeof entry.mode === 'string' ? parseMode(entry.mode) : undefined;
}
