// What kopia's entries cannot carry: the member `windlass`, last in an entry or in a directory object, absent wherever
// nothing needs it (docs/design/0001-extra-members.md). Kopia ignores members it does not know.
import { compareUtf8, quoteGoString } from '../../base/go-json.ts';

export type SpecialType = 'fifo' | 'socket' | 'char' | 'block';

/** A FIFO, socket or device; its entry is an empty file for kopia. */
export interface SpecialFile {
  readonly type: SpecialType;
  /** Device numbers; 0 for FIFOs and sockets, where they are not stored. */
  readonly major: number;
  readonly minor: number;
}

export interface ExtendedAttribute {
  /** Bytes, because nothing obliges them to be UTF-8. */
  readonly name: Uint8Array;
  readonly value: Uint8Array;
}

/** Extra facts of one entry. Those of a directory itself are in its own object ({@link DirectoryExtra}), but for `rawName`. */
export interface EntryExtra {
  /** The name as the file system has it, when that is not UTF-8; `name` is then a stand-in. */
  readonly rawName?: Uint8Array;
  readonly special?: SpecialFile;
  /** Hard link group: entries of one snapshot with equal `link` and equal object are one file. */
  readonly link?: string;
  /** The file had holes: runs of zeros become holes again. */
  readonly sparse?: boolean;
  /** Sorted by name. */
  readonly xattrs?: readonly ExtendedAttribute[];
  /** Still changing after re-reads: what is stored may never have existed as a whole. */
  readonly changed?: boolean;
}

/** Counts over a whole subtree. */
export interface Consistency {
  readonly changed: number;
  readonly vanished: number;
}

/** Extra facts of a directory, in its own object, so that they also cover the root of a snapshot. */
export interface DirectoryExtra {
  readonly xattrs?: readonly ExtendedAttribute[];
  readonly consistency?: Consistency;
  /** Names in this directory that were listed but gone when they were read. */
  readonly vanished?: readonly string[];
}

/** `"windlass":{…}` of an entry, or '' when there is nothing to say. `exactTime` is given when `mtime` was clamped. */
export function encodeEntryExtra(extra: EntryExtra | undefined, exactTime: string | undefined): string {
  const members: string[] = [];
  if (extra?.rawName !== undefined) members.push(`"raw":"${toBase64(extra.rawName)}"`);
  if (extra?.special !== undefined) members.push(`"special":${encodeSpecial(extra.special)}`);
  if (extra?.link !== undefined) members.push(`"link":${quoteGoString(extra.link)}`);
  if (extra?.sparse === true) members.push('"sparse":true');
  if (exactTime !== undefined) members.push(`"mtime":"${exactTime}"`);
  if (extra?.xattrs !== undefined && extra.xattrs.length > 0) members.push(`"xattrs":${encodeXattrs(extra.xattrs)}`);
  if (extra?.changed === true) members.push('"changed":true');
  return members.length === 0 ? '' : `"windlass":{${members.join(',')}}`;
}

/** `"windlass":{…}` of a directory object, or ''. */
export function encodeDirectoryExtra(extra: DirectoryExtra | undefined, exactTime: string | undefined): string {
  const members: string[] = [];
  if (extra?.xattrs !== undefined && extra.xattrs.length > 0) members.push(`"xattrs":${encodeXattrs(extra.xattrs)}`);
  if (exactTime !== undefined) members.push(`"mtime":"${exactTime}"`);
  const counts = extra?.consistency;
  if (counts !== undefined && (counts.changed > 0 || counts.vanished > 0)) {
    members.push(`"consistency":{"changed":${counts.changed},"vanished":${counts.vanished}}`);
  }
  if (extra?.vanished !== undefined && extra.vanished.length > 0) {
    members.push(`"vanished":[${[...extra.vanished].sort(compareUtf8).map(quoteGoString).join(',')}]`);
  }
  return members.length === 0 ? '' : `"windlass":{${members.join(',')}}`;
}

function encodeSpecial(special: SpecialFile): string {
  if (special.type === 'fifo' || special.type === 'socket') return `{"type":"${special.type}"}`;
  return `{"type":"${special.type}","major":${special.major},"minor":${special.minor}}`;
}

function encodeXattrs(xattrs: readonly ExtendedAttribute[]): string {
  const sorted = [...xattrs].sort((a, b) => Buffer.compare(a.name, b.name));
  return `[${sorted.map(encodeXattr).join(',')}]`;
}

function encodeXattr({ name, value }: ExtendedAttribute): string {
  const text = decodeUtf8(name);
  const nameMember = text === undefined ? `"rawName":"${toBase64(name)}"` : `"name":${quoteGoString(text)}`;
  return `{${nameMember},"value":"${toBase64(value)}"}`;
}

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The text, or undefined when `bytes` is not UTF-8. */
function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return strictUtf8.decode(bytes);
  } catch {
    // Not UTF-8: exactly what was asked.
    return undefined;
  }
}

function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}

/** An extra member as read: the facts, and the exact time when `mtime` was clamped. */
export interface ParsedEntryExtra {
  readonly extra: EntryExtra;
  readonly exactTime: ExactTime | undefined;
}

export interface ParsedDirectoryExtra {
  readonly extra: DirectoryExtra;
  readonly exactTime: ExactTime | undefined;
}

export interface ExactTime {
  readonly seconds: number;
  readonly nanos: number;
}

/** Undefined when the member is not what this version writes; unknown members inside are ignored. */
export function parseEntryExtra(value: unknown): ParsedEntryExtra | undefined {
  if (!isRecord(value)) return undefined;
  const { raw, special, link, sparse, changed } = value;
  const rawName = raw === undefined ? undefined : parseBase64(raw);
  const parsedSpecial = special === undefined ? undefined : parseSpecial(special);
  const xattrs = value['xattrs'] === undefined ? undefined : parseXattrs(value['xattrs']);
  const exactTime = value['mtime'] === undefined ? undefined : parseExactTime(value['mtime']);
  const isMalformed =
    (raw !== undefined && (rawName === undefined || !isFileName(rawName))) ||
    (special !== undefined && parsedSpecial === undefined) ||
    (link !== undefined && typeof link !== 'string') ||
    (sparse !== undefined && typeof sparse !== 'boolean') ||
    (changed !== undefined && typeof changed !== 'boolean') ||
    (value['xattrs'] !== undefined && xattrs === undefined) ||
    (value['mtime'] !== undefined && exactTime === undefined);
  if (isMalformed) return undefined;
  return {
    extra: {
      ...(rawName === undefined ? {} : { rawName }),
      ...(parsedSpecial === undefined ? {} : { special: parsedSpecial }),
      ...(typeof link === 'string' ? { link } : {}),
      ...(sparse === true ? { sparse } : {}),
      ...(xattrs === undefined ? {} : { xattrs }),
      ...(changed === true ? { changed } : {}),
    },
    exactTime,
  };
}

export function parseDirectoryExtra(value: unknown): ParsedDirectoryExtra | undefined {
  if (!isRecord(value)) return undefined;
  const xattrs = value['xattrs'] === undefined ? undefined : parseXattrs(value['xattrs']);
  const exactTime = value['mtime'] === undefined ? undefined : parseExactTime(value['mtime']);
  const consistency = value['consistency'] === undefined ? undefined : parseConsistency(value['consistency']);
  const vanished = value['vanished'];
  const isMalformed =
    (value['xattrs'] !== undefined && xattrs === undefined) ||
    (value['mtime'] !== undefined && exactTime === undefined) ||
    (value['consistency'] !== undefined && consistency === undefined) ||
    (vanished !== undefined && !isStringArray(vanished));
  if (isMalformed) return undefined;
  return {
    extra: {
      ...(xattrs === undefined ? {} : { xattrs }),
      ...(consistency === undefined ? {} : { consistency }),
      ...(isStringArray(vanished) ? { vanished } : {}),
    },
    exactTime,
  };
}

function parseSpecial(value: unknown): SpecialFile | undefined {
  if (!isRecord(value)) return undefined;
  const { type, major = 0, minor = 0 } = value;
  if (type !== 'fifo' && type !== 'socket' && type !== 'char' && type !== 'block') return undefined;
  if (!isUint32(major) || !isUint32(minor)) return undefined;
  return { type, major, minor };
}

function parseXattrs(value: unknown): ExtendedAttribute[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const result: ExtendedAttribute[] = [];
  for (const item of value as unknown[]) {
    if (!isRecord(item)) return undefined;
    const name = typeof item['name'] === 'string' ? Buffer.from(item['name'], 'utf8') : parseBase64(item['rawName']);
    const bytes = parseBase64(item['value']);
    // A NUL would end the name early on its way to the kernel.
    if (name === undefined || name.length === 0 || name.includes(0) || bytes === undefined) return undefined;
    result.push({ name: new Uint8Array(name), value: bytes });
  }
  return result;
}

function parseConsistency(value: unknown): Consistency | undefined {
  if (!isRecord(value)) return undefined;
  const { changed = 0, vanished = 0 } = value;
  return isCount(changed) && isCount(vanished) ? { changed, vanished } : undefined;
}

/** `-62135596800.000000001`: seconds since 1970, rounded down, and nine digits of nanoseconds. */
export function formatExactTime(seconds: number, nanos: number): string {
  return `${seconds}.${String(nanos).padStart(9, '0')}`;
}

function parseExactTime(value: unknown): ExactTime | undefined {
  const match = typeof value === 'string' ? /^(-?[0-9]{1,16})\.([0-9]{9})$/.exec(value) : null;
  if (match === null) return undefined;
  const seconds = Number(match[1]);
  return Number.isSafeInteger(seconds) ? { seconds, nanos: Number(match[2]) } : undefined;
}

function parseBase64(value: unknown): Uint8Array | undefined {
  if (typeof value !== 'string' || value.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(value)) return undefined;
  return new Uint8Array(Buffer.from(value, 'base64'));
}

/** What a directory can hold: not empty, no `/`, no NUL, not `.` or `..`. */
function isFileName(name: Uint8Array): boolean {
  if (name.length === 0 || name.includes(0x2f) || name.includes(0)) return false;
  return !(name[0] === 0x2e && (name.length === 1 || (name.length === 2 && name[1] === 0x2e)));
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isStringArray(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function isUint32(value: unknown): value is number {
  return isCount(value) && value <= 0xffffffff;
}
