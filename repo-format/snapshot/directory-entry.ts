// One entry of a directory object, with exactly the bytes kopia writes for it (snapshots §3.1, §3.2) and, where needed, our
// extra member at its end.
import { quoteGoString } from '../../base/go-json.ts';
import { TimestampReader, clampToInt64Ns, fitsInt64Ns, formatTimestamp, fromNs, toNs } from '../../base/go-time.ts';
import { type ObjectId, isObjectId, parseObjectId } from '../object/object-id.ts';
import { type EntryExtra, encodeEntryExtra, formatExactTime, parseEntryExtra } from './extra.ts';
import { type DirectorySummary, encodeSummary, parseSummary } from './summary.ts';

/** File, directory, symlink. FIFOs, sockets and devices are `f` with `extra.special`. */
export type EntryType = 'f' | 'd' | 's';

/** What is known of an entry, on plain numbers: what `encodeEntry` takes, so that a walk makes no BigInt a file. */
export interface EntryFields {
  /** Valid UTF-8 when encoded; a stand-in when `extra.rawName` is set. */
  readonly name: string;
  readonly type: EntryType;
  /** Unix permission bits with setuid, setgid, sticky: 07777. */
  readonly mode: number;
  /** Bytes of a file or of a symlink's target; absent or 0 for directories. */
  readonly size?: number;
  /** Seconds since 1970, rounded down, and 0…999,999,999 nanoseconds. */
  readonly mtimeSeconds: number;
  readonly mtimeNanos: number;
  readonly uid: number;
  readonly gid: number;
  readonly objectId: ObjectId | '';
  /** Directories only. */
  readonly summary?: DirectorySummary | undefined;
  readonly extra?: EntryExtra | undefined;
}

/** An entry as read from a repository. */
export interface DirectoryEntry extends EntryFields {
  readonly size: number;
  readonly mtimeNs: bigint;
}

/** `mtimeNs` on demand: few readers want it, and there is one entry a file. */
class Entry implements DirectoryEntry {
  readonly name: string;
  readonly type: EntryType;
  readonly mode: number;
  readonly size: number;
  readonly mtimeSeconds: number;
  readonly mtimeNanos: number;
  readonly uid: number;
  readonly gid: number;
  readonly objectId: ObjectId | '';
  readonly summary: DirectorySummary | undefined;
  readonly extra: EntryExtra | undefined;

  constructor(fields: EntryFields) {
    this.name = fields.name;
    this.type = fields.type;
    this.mode = fields.mode;
    this.size = fields.size ?? 0;
    this.mtimeSeconds = fields.mtimeSeconds;
    this.mtimeNanos = fields.mtimeNanos;
    this.uid = fields.uid;
    this.gid = fields.gid;
    this.objectId = fields.objectId;
    this.summary = fields.summary;
    this.extra = fields.extra;
  }

  get mtimeNs(): bigint {
    return toNs(this.mtimeSeconds, this.mtimeNanos);
  }
}

export function createEntry(fields: EntryFields): DirectoryEntry {
  return new Entry(fields);
}

/** As {@link createEntry}, from nanoseconds. */
export function createEntryAtNs(
  fields: Omit<EntryFields, 'mtimeSeconds' | 'mtimeNanos'> & { readonly mtimeNs: bigint },
): DirectoryEntry {
  const { seconds, nanos } = fromNs(fields.mtimeNs);
  return new Entry({ ...fields, mtimeSeconds: seconds, mtimeNanos: nanos });
}

// Go keeps setuid, setgid and sticky outside the permission bits, and the format inherited that (snapshots §3.2).
const GO_SETUID = 1 << 23;
const GO_SETGID = 1 << 22;
const GO_STICKY = 1 << 20;

/** `"mode":"0644",` of each plain permission, made once: there are few and each is used for every file. */
const modeTexts = new Map<number, string>();

/** `,"mode":"0644"`; nothing for 0. */
export function modeMember(mode: number): string {
  if (mode === 0) return '';
  let text = modeTexts.get(mode);
  if (text === undefined) {
    text = `,"mode":"${formatMode(mode)}"`;
    if (modeTexts.size < 4096) modeTexts.set(mode, text);
  }
  return text;
}

/** The stored form of Unix permission bits (07777): `0755`, `04000777` for a sticky directory. */
export function formatMode(mode: number): string {
  const special = (mode & 0o4000 ? GO_SETUID : 0) | (mode & 0o2000 ? GO_SETGID : 0) | (mode & 0o1000 ? GO_STICKY : 0);
  return `0${((mode & 0o777) | special).toString(8)}`;
}

/** Unix permission bits of a stored mode, by Go's rules for numbers; undefined when it is not a number. */
export function parseMode(text: string): number | undefined {
  const cached = parsedModes.get(text);
  if (cached !== undefined) return cached;
  const value = parseGoInteger(text);
  if (value === undefined) return undefined;
  const mode =
    (value & 0o777) |
    (value & GO_SETUID ? 0o4000 : 0) |
    (value & GO_SETGID ? 0o2000 : 0) |
    (value & GO_STICKY ? 0o1000 : 0);
  if (parsedModes.size < 4096) parsedModes.set(text, mode);
  return mode;
}

const parsedModes = new Map<string, number>();

/** As Go's base detection reads it: leading `0` or `0o` octal, `0x` hexadecimal, `0b` binary, else decimal; 32 bits. */
function parseGoInteger(text: string): number | undefined {
  const match = /^(-?)(?:0[oO]?([0-7]+)|(0[xX][0-9a-fA-F]+|0[bB][01]+|0|[1-9][0-9]*))$/.exec(text);
  if (match === null || text.length > 40) return undefined;
  const magnitude = match[2] === undefined ? Number(match[3]) : Number.parseInt(match[2], 8);
  const value = match[1] === '-' ? -magnitude : magnitude;
  return value >= -(2 ** 31) && value < 2 ** 31 ? value : undefined;
}

/** HOT. The entry's JSON text, as it stands between the commas of a directory object. */
export function encodeEntry(entry: EntryFields): string {
  const { name, type, size, uid, gid, summary } = entry;
  let seconds = entry.mtimeSeconds;
  let nanos = entry.mtimeNanos;
  let exactTime: string | undefined;
  if (!fitsInt64Ns(seconds, nanos)) {
    // A directory's exact time is in its own object, so that it is said once and also for the root.
    if (type !== 'd') exactTime = formatExactTime(seconds, nanos);
    ({ seconds, nanos } = clampToInt64Ns(seconds, nanos));
  }
  let text = name === '' ? `{"type":"${type}"` : `{"name":${quoteGoString(name)},"type":"${type}"`;
  text += modeMember(entry.mode);
  if (size !== undefined && size !== 0 && type !== 'd') text += `,"size":${size}`;
  if (seconds !== 0 || nanos !== 0) text += `,"mtime":"${formatTimestamp(seconds, nanos)}"`;
  if (uid !== 0) text += `,"uid":${uid}`;
  if (gid !== 0) text += `,"gid":${gid}`;
  text += `,"obj":"${entry.objectId}"`;
  if (summary !== undefined) text += `,"summ":${encodeSummary(summary)}`;
  if (entry.extra !== undefined || exactTime !== undefined) {
    const extra = encodeEntryExtra(entry.extra, exactTime);
    if (extra !== '') text += `,${extra}`;
  }
  return `${text}}`;
}

const timeReader = new TimestampReader();

/** An entry from parsed JSON; a string says what is wrong with it. */
export function parseEntry(value: unknown): DirectoryEntry | string {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'it is not an object';
  // Own members of a JSON object; the casts below are each followed by a check.
  const raw = value as Record<string, unknown>;
  const name = raw['name'] ?? '';
  const type = raw['type'] ?? '';
  const modeText = raw['mode'] ?? '0';
  const size = raw['size'] ?? 0;
  const uid = raw['uid'] ?? 0;
  const gid = raw['gid'] ?? 0;
  if (typeof name !== 'string') return 'its name is not a string';
  if (type !== 'f' && type !== 'd' && type !== 's') return 'its type is not known';
  const mode = typeof modeText === 'string' ? parseMode(modeText) : undefined;
  if (mode === undefined) return 'its mode is not a number';
  if (!isCount(size)) return 'its size is not a possible number';
  if (!isUint32(uid) || !isUint32(gid)) return 'its owner is not a possible number';
  const objectId = readObjectId(raw['obj']);
  if (objectId === undefined) return 'its object id is malformed';
  const summary = raw['summ'] === undefined || raw['summ'] === null ? undefined : parseSummary(raw['summ']);
  if (summary === undefined && raw['summ'] !== undefined && raw['summ'] !== null) return 'its summary is malformed';
  if (!readTime(raw['mtime'])) return 'its modification time is malformed';
  let mtimeSeconds = timeReader.seconds;
  let mtimeNanos = timeReader.nanos;
  let extra: EntryExtra | undefined;
  if (raw['windlass'] !== undefined) {
    const parsed = parseEntryExtra(raw['windlass']);
    if (parsed === undefined) return 'its extra member is malformed';
    extra = parsed.extra;
    if (parsed.exactTime !== undefined) ({ seconds: mtimeSeconds, nanos: mtimeNanos } = parsed.exactTime);
  }
  return new Entry({ name, type, mode, size, mtimeSeconds, mtimeNanos, uid, gid, objectId, summary, extra });
}

function readTime(value: unknown): boolean {
  if (value === undefined || value === null) {
    timeReader.seconds = 0;
    timeReader.nanos = 0;
    return true;
  }
  return typeof value === 'string' && timeReader.read(value);
}

function readObjectId(value: unknown): ObjectId | '' | undefined {
  if (typeof value !== 'string') return undefined;
  if (value === '' || isObjectId(value)) return value as ObjectId | '';
  try {
    return parseObjectId(value);
  } catch {
    // The caller names the entry.
    return undefined;
  }
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function isUint32(value: unknown): value is number {
  return isCount(value) && value <= 0xffffffff;
}
