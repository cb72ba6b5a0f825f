// What a stored snapshot says of a tree, in the words of describe-tree.ts, so that a backup is compared with its source by
// deepEqual without a restore between them.
import { createHash } from 'node:crypto';

import { parseDirectory, type DirectoryEntry, type EntryExtra, type Repository } from '../../repo-format/index.ts';
import { parseObjectId } from '../../repo-format/object/object-id.ts';
import type { TreeDescription } from './describe-tree.ts';
import { nameText } from './tree-names.ts';

const READ_BYTES = 1 << 20;

type EntryDescription = TreeDescription[string];

interface Pending {
  readonly entry: DirectoryEntry;
  readonly path: string;
}

/** The root is '.'; names as in tree-names.ts. Deep trees are fine. */
export async function describeSnapshot(
  repository: Repository,
  root: DirectoryEntry,
  signal: AbortSignal,
): Promise<TreeDescription> {
  const result: Record<string, EntryDescription> = {};
  const firstPaths = new Map<string, string>();
  const stack: Pending[] = [{ entry: root, path: '.' }];
  for (let pending = stack.pop(); pending !== undefined; pending = stack.pop()) {
    const { entry, path } = pending;
    if (entry.type !== 'd') {
      result[path] = await describeOne(repository, entry, { path, firstPaths }, signal);
      continue;
    }
    const { entries, extra, exactTime } = parseDirectory(
      await repository.readObject(parseObjectId(entry.objectId), signal),
    );
    const { seconds, nanos } = exactTime ?? { seconds: entry.mtimeSeconds, nanos: entry.mtimeNanos };
    result[path] = { type: 'directory', ...common(entry), mtimeNs: nanoseconds(seconds, nanos), ...xattrsOf(extra) };
    const children = entries.map((child) => ({ child, raw: child.extra?.rawName ?? Buffer.from(child.name) }));
    // Popped from the end: in byte order of the real names, as describeTree walks.
    for (const { child, raw } of children.sort((a, b) => Buffer.compare(b.raw, a.raw))) {
      stack.push({ entry: child, path: path === '.' ? nameText(raw) : `${path}/${nameText(raw)}` });
    }
  }
  return result;
}

async function describeOne(
  repository: Repository,
  entry: DirectoryEntry,
  walk: { path: string; firstPaths: Map<string, string> },
  signal: AbortSignal,
): Promise<EntryDescription> {
  const { extra } = entry;
  const xattrs = xattrsOf(extra);
  const times = { mtimeNs: nanoseconds(entry.mtimeSeconds, entry.mtimeNanos) };
  const link = linkOf(entry, walk);
  if (entry.type === 's') {
    const target = await repository.readObject(parseObjectId(entry.objectId), signal);
    return { type: 'symlink', ...common(entry), ...times, target: nameText(target), ...xattrs, ...link };
  }
  if (extra?.special !== undefined) {
    const { type, major, minor } = extra.special;
    const device = type === 'char' || type === 'block' ? { device: `${major}:${minor}` } : {};
    return { type, ...common(entry), ...times, ...device, ...xattrs, ...link };
  }
  const reader = await repository.openObject(parseObjectId(entry.objectId), signal);
  const hash = createHash('sha256');
  for (let at = 0; at < reader.length; at += READ_BYTES) hash.update(await reader.read(at, READ_BYTES, signal));
  if (reader.length !== entry.size)
    throw new RangeError(`${walk.path}: ${entry.size} bytes promised, ${reader.length} stored`);
  const content = { size: entry.size, sha256: hash.digest('hex'), holes: extra?.sparse === true };
  return { type: 'file', ...common(entry), ...times, ...content, ...xattrs, ...link };
}

function common({ mode, uid, gid }: DirectoryEntry): Pick<EntryDescription, 'mode' | 'uid' | 'gid'> {
  return { mode: `0${mode.toString(8).padStart(3, '0')}`, uid, gid };
}

function nanoseconds(seconds: number, nanos: number): string {
  return String(BigInt(seconds) * 1_000_000_000n + BigInt(nanos));
}

function xattrsOf(extra: Pick<EntryExtra, 'xattrs'> | undefined): Pick<EntryDescription, 'xattrs'> {
  const { xattrs = [] } = extra ?? {};
  if (xattrs.length === 0) return {};
  return {
    xattrs: Object.fromEntries(xattrs.map(({ name, value }) => [nameText(name), Buffer.from(value).toString('hex')])),
  };
}

/** Entries of one group with one object are one file (docs/design/0001). */
function linkOf(
  { extra, objectId }: DirectoryEntry,
  { path, firstPaths }: { path: string; firstPaths: Map<string, string> },
): Pick<EntryDescription, 'hardLinkOf'> {
  if (extra?.link === undefined) return {};
  const group = `${extra.link} ${objectId}`;
  const first = firstPaths.get(group);
  if (first !== undefined) return { hardLinkOf: first };
  firstPaths.set(group, path);
  return {};
}
