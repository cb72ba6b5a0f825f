// Directory objects: `{"stream":"kopia:directory","entries":[…],"summary":{…}}` and a newline (snapshots §3). Equal trees give
// equal bytes, hence one object id, in kopia and here.
import { WindlassError } from '../../base/errors.ts';
import { compareUtf8 } from '../../base/go-json.ts';
import { fitsInt64Ns } from '../../base/go-time.ts';
import { type DirectoryEntry, parseEntry } from './directory-entry.ts';
import {
  type DirectoryExtra,
  type ExactTime,
  encodeDirectoryExtra,
  formatExactTime,
  parseDirectoryExtra,
} from './extra.ts';
import { type DirectorySummary, encodeSummary, parseSummary } from './summary.ts';

export const DIRECTORY_PREFIX = 'k';
const STREAM = 'kopia:directory';
/** How every directory object begins; its list of entries, or null, follows. */
export const DIRECTORY_HEAD = `{"stream":"${STREAM}","entries":`;

export interface DirectoryParts {
  /** Texts by `encodeEntry`, each group sorted by name with {@link compareNames}. */
  readonly dirEntryTexts: readonly string[];
  readonly otherEntryTexts: readonly string[];
  readonly summary: DirectorySummary;
  readonly extra?: DirectoryExtra | undefined;
  /** The directory's own time; written (as extra member) only when it is one that `mtime` of an entry cannot hold. */
  readonly mtimeSeconds?: number;
  readonly mtimeNanos?: number;
}

/** The order of names within the directories and within the others: by UTF-8 bytes. */
export function compareNames(a: string, b: string): number {
  return compareUtf8(a, b);
}

/** HOT. The plaintext of a directory object. An empty directory has `null` for its entries, as Go writes a nil slice. */
export function encodeDirectory(parts: DirectoryParts): Uint8Array {
  const { dirEntryTexts, otherEntryTexts } = parts;
  const separator = dirEntryTexts.length > 0 && otherEntryTexts.length > 0 ? ',' : '';
  const isEmpty = dirEntryTexts.length === 0 && otherEntryTexts.length === 0;
  const entries = isEmpty ? 'null' : `[${dirEntryTexts.join(',')}${separator}${otherEntryTexts.join(',')}]`;
  return Buffer.from(`${DIRECTORY_HEAD}${entries}${directoryTail(parts)}`, 'utf8');
}

/** What follows the entries of a directory object. */
export function directoryTail(parts: Omit<DirectoryParts, 'dirEntryTexts' | 'otherEntryTexts'>): string {
  const { summary, mtimeSeconds = 0, mtimeNanos = 0 } = parts;
  const exactTime = fitsInt64Ns(mtimeSeconds, mtimeNanos) ? undefined : formatExactTime(mtimeSeconds, mtimeNanos);
  const extra = encodeDirectoryExtra(parts.extra, exactTime);
  return `,"summary":${encodeSummary(summary)}${extra === '' ? '' : `,${extra}`}}\n`;
}

export interface ParsedDirectory {
  /** In stored order. Names are as stored: hostile until checked. */
  readonly entries: readonly DirectoryEntry[];
  readonly summary: DirectorySummary | undefined;
  readonly extra: DirectoryExtra;
  /** The directory's own time when an entry's `mtime` cannot hold it. */
  readonly exactTime: ExactTime | undefined;
}

/** Reads a directory object; `DIRECTORY_CORRUPT` when kopia or we could not have written it. */
export function parseDirectory(bytes: Uint8Array): ParsedDirectory {
  const document = parseDirectoryJson(bytes);
  const entries: DirectoryEntry[] = [];
  for (const item of document.entries) {
    const entry = parseEntry(item);
    if (typeof entry === 'string') throw corruptDirectory(`entry ${entries.length}: ${entry}`);
    entries.push(entry);
  }
  return { entries, summary: document.summary, extra: document.extra, exactTime: document.exactTime };
}

/** The document with its entries still untyped; shared with `PreviousDirectory`, which reads few of them. */
export function parseDirectoryJson(
  bytes: Uint8Array,
): Omit<ParsedDirectory, 'entries'> & { entries: readonly unknown[] } {
  let document: unknown;
  try {
    document = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'));
  } catch (cause) {
    throw corruptDirectory('it is not JSON', cause);
  }
  if (typeof document !== 'object' || document === null) throw corruptDirectory('it is not an object');
  // Own members of a JSON object, each checked below.
  const { stream, entries = null, summary: rawSummary = null, windlass } = document as Record<string, unknown>;
  if (stream !== STREAM) throw corruptDirectory('its stream is not a directory');
  if (entries !== null && !Array.isArray(entries)) throw corruptDirectory('its entries are not a list');
  const summary = rawSummary === null ? undefined : parseSummary(rawSummary);
  if (rawSummary !== null && summary === undefined) throw corruptDirectory('its summary is malformed');
  const parsed = windlass === undefined ? { extra: {}, exactTime: undefined } : parseDirectoryExtra(windlass);
  if (parsed === undefined) throw corruptDirectory('its extra member is malformed');
  return { entries: (entries ?? []) as readonly unknown[], summary, extra: parsed.extra, exactTime: parsed.exactTime };
}

export function corruptDirectory(reason: string, cause?: unknown): WindlassError {
  return new WindlassError(`directory object cannot be used: ${reason}`, { code: 'DIRECTORY_CORRUPT', cause });
}
