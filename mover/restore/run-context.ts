// What the parts of one restore share.
import { WindlassError, errorCode } from '../../base/errors.ts';
import type { Clock } from '../../base/clock.ts';
import type { DirectoryEntry, ObjectId } from '../../repo-format/index.ts';
import { S_IFBLK, S_IFCHR, S_IFIFO, S_IFLNK, S_IFREG, S_IFSOCK } from '../posix/libc.ts';
import { type AttributePolicy, type AttributeWriter, encodeXattrs } from './attributes.ts';
import type { ContentFinder } from './content-pieces.ts';
import type { OverwriteRule, WantedEntry } from './existing-entry.ts';
import { encodeName, type TemporaryNames } from './entry-name.ts';
import type { LaneControl } from './lane.ts';
import type { ReceiptBuilder } from './receipt.ts';
import type { DirectoryHandles } from './target-directory.ts';

/** Whether runs of zeros become holes. */
export type SparseRule = 'as-stored' | 'always' | 'never';

export interface RunContext {
  readonly finder: ContentFinder;
  /** All bytes of a directory object or another small one. At once where packs are local files: most of them wait for nothing. */
  readonly readSmallObject: (id: ObjectId, signal: AbortSignal) => Uint8Array | Promise<Uint8Array>;
  /** A small object will be read. */
  readonly wantSoon: (id: ObjectId) => void;
  readonly handles: DirectoryHandles;
  readonly receipt: ReceiptBuilder;
  readonly policy: AttributePolicy;
  readonly attributes: AttributeWriter;
  readonly control: LaneControl;
  readonly temporaryNames: TemporaryNames;
  readonly overwrite: OverwriteRule;
  readonly deleteExtra: boolean;
  /** Keys of names directly below the root that are not restored, and not touched. */
  readonly leftOut: ReadonlySet<string>;
  readonly sparse: SparseRule;
  readonly dryRun: boolean;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** An entry of the snapshot with its name and attributes in the form that the kernel wants. */
export interface PlannedEntry extends WantedEntry {
  readonly name: Uint8Array;
  readonly source: DirectoryEntry;
  readonly xattrs: Uint8Array | undefined;
}

const SPECIAL_TYPE = { fifo: S_IFIFO, socket: S_IFSOCK, char: S_IFCHR, block: S_IFBLK } as const;

/** The bytes of an entry's name: the raw ones where the stored name is a stand-in. */
export function entryName(entry: DirectoryEntry): Uint8Array {
  return entry.extra?.rawName ?? encodeName(entry.name);
}

/** @param name as {@link entryName} gives it, checked */
export function plannedEntry(entry: DirectoryEntry, name: Uint8Array): PlannedEntry {
  const special = entry.extra?.special;
  const type = special !== undefined ? SPECIAL_TYPE[special.type] : entry.type === 's' ? S_IFLNK : S_IFREG;
  return {
    name,
    source: entry,
    mode: type | (entry.mode & 0o7777),
    uid: entry.uid,
    gid: entry.gid,
    size: special === undefined ? entry.size : 0,
    mtimeSeconds: entry.mtimeSeconds,
    mtimeNanoseconds: entry.mtimeNanos,
    deviceMajor: special?.major ?? 0,
    deviceMinor: special?.minor ?? 0,
    xattrs: encodeXattrs(entry.extra?.xattrs),
  };
}

/** Ends the restore when `error` says that the target takes no more: `RESTORE_NO_SPACE`, `RESTORE_READ_ONLY`. */
export function throwIfFull(error: unknown, path: string): void {
  const errno = errorCode(error);
  const code = errno === undefined ? undefined : fullCode(errno);
  if (code !== undefined) throw targetFull(code, path, errno ?? '', error);
}

/** The code for an errno after which nothing more can be written, else undefined. */
export function fullCode(errno: string): string | undefined {
  if (errno === 'ENOSPC' || errno === 'EDQUOT') return 'RESTORE_NO_SPACE';
  return errno === 'EROFS' ? 'RESTORE_READ_ONLY' : undefined;
}

export function targetFull(code: string, path: string, errno: string, cause?: unknown): WindlassError {
  return new WindlassError(`${path}: the target takes no more (${errno})`, { code, context: { path, errno }, cause });
}
