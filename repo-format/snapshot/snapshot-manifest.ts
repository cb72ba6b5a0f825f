// The manifest of a snapshot: its JSON, member by member as kopia writes it (snapshots §4.5). GC treats a manifest that kopia
// cannot decode as no snapshot and collects its data, so nothing here is lenient on the way out.
import { WindlassError } from '../../base/errors.ts';
import { compareUtf8, encodeStringMap, quoteGoString, splitJsonObject } from '../../base/go-json.ts';
import { formatTimestampNs, parseTimestampNs } from '../../base/go-time.ts';
import type { ManifestId } from '../manifest/manifest-entry.ts';
import { type DirectoryEntry, type EntryFields, encodeEntry, parseEntry } from './directory-entry.ts';
import { type SnapshotSource, encodeSource } from './source.ts';

export interface SnapshotStats {
  readonly totalSize: number;
  readonly excludedTotalSize: number;
  readonly fileCount: number;
  readonly cachedFiles: number;
  readonly nonCachedFiles: number;
  readonly dirCount: number;
  readonly excludedFileCount: number;
  readonly excludedDirCount: number;
  readonly ignoredErrorCount: number;
  readonly errorCount: number;
}

const STAT_NAMES = [
  'totalSize',
  'excludedTotalSize',
  'fileCount',
  'cachedFiles',
  'nonCachedFiles',
  'dirCount',
  'excludedFileCount',
  'excludedDirCount',
  'ignoredErrorCount',
  'errorCount',
] as const satisfies readonly (keyof SnapshotStats)[];

export const EMPTY_STATS: SnapshotStats = {
  totalSize: 0,
  excludedTotalSize: 0,
  fileCount: 0,
  cachedFiles: 0,
  nonCachedFiles: 0,
  dirCount: 0,
  excludedFileCount: 0,
  excludedDirCount: 0,
  ignoredErrorCount: 0,
  errorCount: 0,
};

/** Why a snapshot is not complete. */
export const INCOMPLETE_CHECKPOINT = 'checkpoint';
export const INCOMPLETE_CANCELED = 'canceled';

/** A snapshot to be saved. */
export interface NewSnapshot {
  readonly source: SnapshotSource;
  readonly description: string;
  readonly startTimeNs: bigint;
  readonly endTimeNs: bigint;
  readonly stats: SnapshotStats;
  readonly incomplete?: string | undefined;
  readonly rootEntry: EntryFields | null;
  /** Also become labels. User tags of the command line have the prefix `tag:` (see {@link userTagKey}). */
  readonly tags?: Readonly<Record<string, string>> | undefined;
  readonly pins?: readonly string[] | undefined;
}

/** A saved snapshot. */
export interface SnapshotManifest extends NewSnapshot {
  readonly id: ManifestId;
  readonly rootEntry: DirectoryEntry | null;
  readonly tags: Readonly<Record<string, string>>;
  readonly pins: readonly string[];
}

export function encodeSnapshotManifest(snapshot: NewSnapshot): string {
  const { source, description, startTimeNs, endTimeNs, stats, incomplete, rootEntry, tags, pins } = snapshot;
  const statMembers = STAT_NAMES.map((name) => `"${name}":${stats[name]}`);
  const incompleteMember = incomplete ? `,"incomplete":${quoteGoString(incomplete)}` : '';
  const tagsMember = tags && Object.keys(tags).length > 0 ? `,"tags":${encodeStringMap(tags)}` : '';
  const pinsMember = pins && pins.length > 0 ? `,"pins":${encodeStrings(pins)}` : '';
  return (
    `{"id":"","source":${encodeSource(source)},"description":${quoteGoString(description)},` +
    `"startTime":"${formatTimestampNs(startTimeNs)}","endTime":"${formatTimestampNs(endTimeNs)}",` +
    `"stats":{${statMembers.join(',')}}${incompleteMember},` +
    `"rootEntry":${rootEntry === null ? 'null' : encodeEntry(rootEntry)}${tagsMember}${pinsMember}}`
  );
}

function encodeStrings(strings: readonly string[]): string {
  return `[${strings.map(quoteGoString).join(',')}]`;
}

/** `SNAPSHOT_CORRUPT` when the JSON is not a snapshot that kopia could decode. */
export function parseSnapshotManifest(id: ManifestId, dataJson: string): SnapshotManifest {
  const raw = parseObject(id, dataJson);
  const { rootEntry, tags, pins } = raw;
  const root = rootEntry === undefined || rootEntry === null ? null : parseEntry(rootEntry);
  if (typeof root === 'string') throw corruptSnapshot(id, `root entry: ${root}`);
  const incomplete = text(id, raw, 'incomplete');
  return {
    id,
    source: parseSource(id, raw['source']),
    description: text(id, raw, 'description'),
    startTimeNs: time(id, raw, 'startTime'),
    endTimeNs: time(id, raw, 'endTime'),
    stats: parseStats(id, raw['stats']),
    ...(incomplete === '' ? {} : { incomplete }),
    rootEntry: root,
    tags: parseTags(id, tags),
    pins: parsePins(id, pins),
  };
}

function parseObject(id: ManifestId, json: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (cause) {
    throw corruptSnapshot(id, 'it is not JSON', cause);
  }
  if (!isRecord(value)) throw corruptSnapshot(id, 'it is not an object');
  return value;
}

function text(id: ManifestId, raw: Record<string, unknown>, name: string): string {
  const value = raw[name] ?? '';
  if (typeof value !== 'string') throw corruptSnapshot(id, `${name} is not a string`);
  return value;
}

function time(id: ManifestId, raw: Record<string, unknown>, name: string): bigint {
  const value = raw[name];
  if (value === undefined || value === null) return 0n;
  const ns = typeof value === 'string' ? parseTimestampNs(value) : undefined;
  if (ns === undefined) throw corruptSnapshot(id, `${name} is not a time`);
  return ns;
}

function parseSource(id: ManifestId, value: unknown): SnapshotSource {
  if (!isRecord(value)) throw corruptSnapshot(id, 'it has no source');
  return { host: text(id, value, 'host'), userName: text(id, value, 'userName'), path: text(id, value, 'path') };
}

function parseStats(id: ManifestId, value: unknown): SnapshotStats {
  const raw = isRecord(value) ? value : {};
  const stats: Record<keyof SnapshotStats, number> = { ...EMPTY_STATS };
  for (const name of STAT_NAMES) {
    const number = raw[name] ?? 0;
    if (typeof number !== 'number' || !Number.isInteger(number)) throw corruptSnapshot(id, `${name} is not a number`);
    stats[name] = number;
  }
  return stats;
}

function parseTags(id: ManifestId, value: unknown): Readonly<Record<string, string>> {
  if (value === undefined || value === null) return {};
  if (!isRecord(value) || !Object.values(value).every((tag) => typeof tag === 'string')) {
    throw corruptSnapshot(id, 'its tags are malformed');
  }
  return value as Record<string, string>;
}

function parsePins(id: ManifestId, value: unknown): readonly string[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value) || !value.every((pin) => typeof pin === 'string')) {
    throw corruptSnapshot(id, 'its pins are malformed');
  }
  return value as string[];
}

function corruptSnapshot(id: ManifestId, reason: string, cause?: unknown): WindlassError {
  return new WindlassError(`snapshot ${id} cannot be read: ${reason}`, {
    code: 'SNAPSHOT_CORRUPT',
    context: { manifestId: id },
    cause,
  });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export interface SnapshotChanges {
  readonly description?: string;
  readonly pins?: readonly string[];
}

/**
 * The manifest with some members changed and all others as they were written, known or not: another version's members,
 * and numbers that a JavaScript number cannot hold, survive.
 */
export function rewriteSnapshotManifest(dataJson: string, changes: SnapshotChanges): string {
  const replaced = new Map<string, string | undefined>([['id', '""']]);
  if (changes.description !== undefined) replaced.set('description', quoteGoString(changes.description));
  if (changes.pins !== undefined)
    replaced.set('pins', changes.pins.length > 0 ? encodeStrings(changes.pins) : undefined);
  const members = splitJsonObject(dataJson).flatMap(({ key, raw }) => {
    if (!replaced.has(key)) return [`${quoteGoString(key)}:${raw}`];
    const value = replaced.get(key);
    replaced.delete(key);
    return value === undefined ? [] : [`${quoteGoString(key)}:${value}`];
  });
  for (const [key, value] of replaced) {
    if (value !== undefined) members.push(`${quoteGoString(key)}:${value}`);
  }
  return `{${members.join(',')}}`;
}

/** Pins after adding and removing some: sorted, each once. */
export function changePins(pins: readonly string[], add: readonly string[], remove: readonly string[]): string[] {
  const removed = new Set(remove);
  return [...new Set([...pins, ...add])].filter((pin) => !removed.has(pin)).sort(compareUtf8);
}

const USER_TAG_PREFIX = 'tag:';

/** The stored key of a tag that a user gave on the command line, as kopia's command line stores it. */
export function userTagKey(name: string): string {
  return `${USER_TAG_PREFIX}${name}`;
}

/** The tags that a user gave, without the prefix. */
export function userTags(tags: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(tags).flatMap(([key, value]) =>
      key.startsWith(USER_TAG_PREFIX) ? [[key.slice(USER_TAG_PREFIX.length), value]] : [],
    ),
  );
}
