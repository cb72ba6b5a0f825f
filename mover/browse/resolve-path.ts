// From a snapshot and a path within it to the entry there. Reads one directory object a level.
import { WindlassError, hasCode } from '../../base/errors.ts';
import {
  parseDirectory,
  type DirectoryEntry,
  type ParsedDirectory,
  type Repository,
  type SnapshotManifest,
} from '../../repo-format/index.ts';

export interface ResolvedEntry {
  readonly entry: DirectoryEntry;
  /** `/`-separated from the snapshot's root; empty for the root itself. */
  readonly path: string;
}

/** `SNAPSHOT_INCOMPLETE` for a manifest without a root, as an interrupted run of another program may leave. */
export function rootEntryOf(manifest: SnapshotManifest): DirectoryEntry {
  if (manifest.rootEntry !== null) return manifest.rootEntry;
  throw new WindlassError(`snapshot ${manifest.id} has no root entry`, {
    code: 'SNAPSHOT_INCOMPLETE',
    context: { manifestId: manifest.id },
  });
}

/** Reads the directory object of `entry`; `path` names it in errors. */
export async function readDirectory(
  repository: Repository,
  { entry, path }: ResolvedEntry,
  signal: AbortSignal,
): Promise<ParsedDirectory> {
  if (entry.objectId === '') return { entries: [], summary: undefined, extra: {}, exactTime: undefined };
  const bytes = await repository.readObject(entry.objectId, signal);
  try {
    return parseDirectory(bytes);
  } catch (cause) {
    if (!hasCode(cause, 'DIRECTORY_CORRUPT')) throw cause;
    throw new WindlassError(`directory ${path === '' ? '/' : path} (object ${entry.objectId}) cannot be used`, {
      code: 'DIRECTORY_CORRUPT',
      context: { path, objectId: entry.objectId },
      cause,
    });
  }
}

/**
 * The entry at `subPath`; the root for an empty one. Leading, doubled and trailing slashes do not count.
 *
 * `ENTRY_NOT_FOUND` when there is none, `ENTRY_NOT_DIRECTORY` when the path goes through something else. Names that hold a slash
 * themselves, as snapshots of block volumes by Velero do, are found too.
 */
export async function resolvePath(
  repository: Repository,
  manifest: SnapshotManifest,
  subPath: string,
  signal: AbortSignal,
): Promise<ResolvedEntry> {
  let current: ResolvedEntry = { entry: rootEntryOf(manifest), path: '' };
  let rest = trimSlashes(subPath);
  while (rest !== '') {
    if (current.entry.type !== 'd')
      throw pathError('ENTRY_NOT_DIRECTORY', `${current.path} is not a directory`, manifest, subPath);
    const { entries } = await readDirectory(repository, current, signal);
    const step = findStep(entries, rest);
    if (step === undefined)
      throw pathError('ENTRY_NOT_FOUND', `${trimSlashes(subPath)} does not exist`, manifest, subPath);
    current = { entry: step.entry, path: joinPath(current.path, step.entry.name) };
    rest = step.rest;
  }
  return current;
}

export function joinPath(directory: string, name: string): string {
  return directory === '' ? name : `${directory}/${name}`;
}

function findStep(
  entries: readonly DirectoryEntry[],
  rest: string,
): { entry: DirectoryEntry; rest: string } | undefined {
  const slash = rest.indexOf('/');
  const first = slash < 0 ? rest : rest.slice(0, slash);
  const plain = entries.find((entry) => entry.name === first);
  if (plain !== undefined) return { entry: plain, rest: slash < 0 ? '' : trimSlashes(rest.slice(slash)) };
  for (const entry of entries) {
    if (!entry.name.includes('/')) continue;
    const name = trimSlashes(entry.name);
    if (rest === name) return { entry, rest: '' };
    if (rest.startsWith(`${name}/`)) return { entry, rest: trimSlashes(rest.slice(name.length)) };
  }
  return undefined;
}

function trimSlashes(path: string): string {
  let start = 0;
  let end = path.length;
  while (start < end && path[start] === '/') start++;
  while (end > start && path[end - 1] === '/') end--;
  return path.slice(start, end);
}

function pathError(code: string, what: string, manifest: SnapshotManifest, path: string): WindlassError {
  return new WindlassError(`${what} in snapshot ${manifest.id}`, { code, context: { manifestId: manifest.id, path } });
}
