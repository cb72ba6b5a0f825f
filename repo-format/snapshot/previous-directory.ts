// A directory of an earlier snapshot, for deciding which files need not be read again (snapshots §5.3): look-up by name,
// comparison with the numbers of an lstat, no BigInt and no garbage for an entry.
import { TimestampReader } from '../../base/go-time.ts';
import { type ObjectId, isObjectId } from '../object/object-id.ts';
import { type DirectoryEntry, type EntryType, parseEntry, parseMode } from './directory-entry.ts';
import { corruptDirectory, parseDirectoryJson } from './directory-object.ts';
import type { DirectoryExtra } from './extra.ts';
import type { DirectorySummary } from './summary.ts';

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

export class PreviousDirectory {
  readonly summary: DirectorySummary | undefined;
  readonly extra: DirectoryExtra;
  readonly #entries: readonly RawEntry[];
  readonly #byName: ReadonlyMap<string, number>;
  readonly #byRawName: ReadonlyMap<string, number>;
  readonly #time = new TimestampReader();

  private constructor(bytes: Uint8Array) {
    const document = parseDirectoryJson(bytes);
    this.summary = document.summary;
    this.extra = document.extra;
    const byName = new Map<string, number>();
    const byRawName = new Map<string, number>();
    document.entries.forEach((item, index) => {
      if (typeof item !== 'object' || item === null) throw corruptDirectory(`entry ${index} is not an object`);
      const { name, windlass } = item as RawEntry;
      // A stand-in name is no name of the file system: such an entry is found by its bytes alone.
      if (typeof windlass?.raw === 'string') byRawName.set(windlass.raw, index);
      else if (typeof name === 'string') byName.set(name, index);
    });
    this.#entries = document.entries as readonly RawEntry[];
    this.#byName = byName;
    this.#byRawName = byRawName;
  }

  /** `DIRECTORY_CORRUPT` when the object is not a directory; a bad entry in it is only never a match. */
  static parse(bytes: Uint8Array): PreviousDirectory {
    return new PreviousDirectory(bytes);
  }

  get entryCount(): number {
    return this.#entries.length;
  }

  /** HOT. The entry's number, or -1. For names that are UTF-8. */
  find(name: string): number {
    return this.#byName.get(name) ?? -1;
  }

  /** The entry's number, or -1. For names that are not UTF-8. */
  findRaw(rawName: Uint8Array): number {
    if (this.#byRawName.size === 0) return -1;
    return this.#byRawName.get(Buffer.from(rawName).toString('base64')) ?? -1;
  }

  /**
   * HOT. Whether the file is what it was by kopia's rule: equal type, mode, owner, size and time, to the nanosecond.
   * Never true for an entry that was still changing when it was saved, nor for FIFOs, sockets and devices.
   */
  isUnchanged(index: number, stat: ComparedStat): boolean {
    const entry = this.#entries[index];
    if (entry === undefined || entry.type !== stat.type) return false;
    if ((entry.size ?? 0) !== stat.size || (entry.uid ?? 0) !== stat.uid || (entry.gid ?? 0) !== stat.gid) return false;
    if (parseModeOf(entry) !== stat.mode || this.objectId(index) === undefined) return false;
    const extra = entry.windlass;
    if (extra !== undefined) {
      if (extra === null || extra.special !== undefined || extra.changed !== undefined) return false;
      if (extra.mtime !== undefined) return this.#isExactTime(index, stat);
    }
    return this.#isTime(entry.mtime, stat.mtimeSeconds, stat.mtimeNanos);
  }

  #isTime(text: unknown, seconds: number, nanos: number): boolean {
    if (text === undefined) return seconds === 0 && nanos === 0;
    return (
      typeof text === 'string' && this.#time.read(text) && this.#time.seconds === seconds && this.#time.nanos === nanos
    );
  }

  #isExactTime(index: number, stat: ComparedStat): boolean {
    const entry = this.entry(index);
    return entry?.mtimeSeconds === stat.mtimeSeconds && entry.mtimeNanos === stat.mtimeNanos;
  }

  /** The whole entry, checked; undefined when there is none or it is malformed. */
  entry(index: number): DirectoryEntry | undefined {
    const raw = this.#entries[index];
    const entry = raw === undefined ? undefined : parseEntry(raw);
    return typeof entry === 'string' ? undefined : entry;
  }

  /** HOT. The object of a sub-directory, or of a file after `isUnchanged`. Undefined when there is none. */
  objectId(index: number): ObjectId | undefined {
    const id = this.#entries[index]?.obj;
    return typeof id === 'string' && isObjectId(id) ? id : undefined;
  }

  /** True for entries with facts that an lstat does not tell again (xattrs, hard link, holes…). */
  hasExtra(index: number): boolean {
    return this.#entries[index]?.windlass !== undefined;
  }

  /** Numbers of the sub-directories, which come first. */
  *subdirectories(): Generator<number> {
    for (let i = 0; i < this.#entries.length; i++) {
      if (this.#entries[i]?.type === 'd') yield i;
    }
  }
}

function parseModeOf(entry: RawEntry): number | undefined {
  if (entry.mode === undefined) return 0;
  return typeof entry.mode === 'string' ? parseMode(entry.mode) : undefined;
}
