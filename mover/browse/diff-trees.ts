// Compares two trees of snapshots. Directories with one object id are equal without being read, so the cost follows the differences.
import { compareNames, type DirectoryEntry, type EntryExtra, type Repository } from '../../repo-format/index.ts';
import { listTree } from './list-tree.ts';
import { joinPath, readDirectory, type ResolvedEntry } from './resolve-path.ts';

export type ChangedField = 'type' | 'content' | 'size' | 'mode' | 'owner' | 'mtime' | 'extra';

export interface Difference {
  readonly path: string;
  readonly change: 'added' | 'removed' | 'changed';
  /** What differs; empty unless `change` is `changed`. */
  readonly fields: readonly ChangedField[];
  readonly before: DirectoryEntry | undefined;
  readonly after: DirectoryEntry | undefined;
}

/** Differences from `before` to `after`, by path. What is in an added or removed directory is given entry by entry. */
export async function* diffTrees(
  repository: Repository,
  before: ResolvedEntry,
  after: ResolvedEntry,
  signal: AbortSignal,
): AsyncGenerator<Difference, void, undefined> {
  yield* diffEntries(repository, '', before, after, signal);
}

async function* diffEntries(
  repository: Repository,
  path: string,
  before: ResolvedEntry,
  after: ResolvedEntry,
  signal: AbortSignal,
): AsyncGenerator<Difference, void, undefined> {
  signal.throwIfAborted();
  const fields = changedFields(before.entry, after.entry);
  if (fields.length > 0) yield { path, change: 'changed', fields, before: before.entry, after: after.entry };
  const bothDirectories = before.entry.type === 'd' && after.entry.type === 'd';
  if (bothDirectories && before.entry.objectId === after.entry.objectId) return;
  const left = await namesOf(repository, before, signal);
  const right = await namesOf(repository, after, signal);
  const names = [...new Set([...left.keys(), ...right.keys()])].sort(compareNames);
  for (const name of names) {
    const [a, b] = [left.get(name), right.get(name)];
    const child = joinPath(path, name);
    if (a !== undefined && b !== undefined) {
      const inside = (parent: ResolvedEntry, entry: DirectoryEntry): ResolvedEntry => ({
        entry,
        path: joinPath(parent.path, name),
      });
      yield* diffEntries(repository, child, inside(before, a), inside(after, b), signal);
    } else if (a !== undefined) yield* wholeSubtree(repository, { entry: a, path: child }, 'removed', signal);
    else if (b !== undefined) yield* wholeSubtree(repository, { entry: b, path: child }, 'added', signal);
  }
}

async function namesOf(
  repository: Repository,
  at: ResolvedEntry,
  signal: AbortSignal,
): Promise<Map<string, DirectoryEntry>> {
  if (at.entry.type !== 'd') return new Map();
  const { entries } = await readDirectory(repository, at, signal);
  return new Map(entries.map((entry) => [entry.name, entry]));
}

async function* wholeSubtree(
  repository: Repository,
  top: ResolvedEntry,
  change: 'added' | 'removed',
  signal: AbortSignal,
): AsyncGenerator<Difference, void, undefined> {
  const difference = ({ entry, path }: ResolvedEntry): Difference => ({
    path,
    change,
    fields: [],
    before: change === 'removed' ? entry : undefined,
    after: change === 'added' ? entry : undefined,
  });
  yield difference(top);
  if (top.entry.type !== 'd') return;
  for await (const found of listTree(repository, top, { recursive: true }, signal)) yield difference(found);
}

/** For directories, what is in them does not count: it is compared entry by entry. */
function changedFields(a: DirectoryEntry, b: DirectoryEntry): ChangedField[] {
  const fields: ChangedField[] = [];
  if (a.type !== b.type) fields.push('type');
  else if (a.type !== 'd' && a.objectId !== b.objectId) fields.push('content');
  if (a.type !== 'd' && b.type !== 'd' && a.size !== b.size) fields.push('size');
  if (a.mode !== b.mode) fields.push('mode');
  if (a.uid !== b.uid || a.gid !== b.gid) fields.push('owner');
  if (a.mtimeSeconds !== b.mtimeSeconds || a.mtimeNanos !== b.mtimeNanos) fields.push('mtime');
  if (describeExtra(a.extra) !== describeExtra(b.extra)) fields.push('extra');
  return fields;
}

/** Equal text for equal facts. Link groups are inode numbers, which say nothing across two points in time. */
function describeExtra(extra: EntryExtra | undefined): string {
  if (extra === undefined) return '';
  const { rawName, special, sparse, xattrs } = extra;
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
  const attributes = xattrs?.map(({ name, value }) => `${hex(name)}=${hex(value)}`).join(',') ?? '';
  const text = JSON.stringify([
    rawName === undefined ? '' : hex(rawName),
    special ?? null,
    sparse === true,
    attributes,
  ]);
  return text === '["",null,false,""]' ? '' : text;
}
