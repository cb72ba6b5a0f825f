// The local caches as they lie on disk.
import { readdir, lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { hasCode } from '../../base/errors.ts';
import { isRepositoryCacheName } from '../cache-directory.ts';
import { cliError } from '../cli-errors.ts';
import type { CliContext } from '../context.ts';

/** What is kept: index blobs, metadata packs, data packs under way, and what is remembered of runs and of the repository. */
export const CACHE_KINDS = ['indexes', 'metadata', 'data', 'state'] as const;
export type CacheKind = (typeof CACHE_KINDS)[number];

export interface CacheSize {
  readonly files: number;
  readonly totalSize: number;
}

export interface CacheFolder extends CacheSize {
  readonly uniqueIDHex: string;
  readonly path: string;
  readonly kinds: Readonly<Record<CacheKind, CacheSize>>;
}

/** Of a file, from its place below the repository's folder. */
export function cacheKindOf(relativePath: string): CacheKind {
  const [folder] = relativePath.split('/', 1);
  if (folder === 'indexes') return 'indexes';
  if (folder === 'packs') return 'metadata';
  return folder === 'work' ? 'data' : 'state';
}

export function requireCacheRoot(context: CliContext): string {
  if (context.cacheRoot !== undefined) return context.cacheRoot;
  throw cliError('CLI_CACHE_DIRECTORY', 'no cache directory: give --cache-dir or set WINDLASS_CACHE_DIR or HOME');
}

/** The folders of repositories below `root`; none when there is no such folder. */
export async function listCacheFolders(root: string): Promise<CacheFolder[]> {
  const names = (await entriesOf(root)).filter((entry) => entry.isDirectory() && isRepositoryCacheName(entry.name));
  const folders: CacheFolder[] = [];
  for (const { name } of names)
    folders.push({ uniqueIDHex: name, path: join(root, name), ...(await measure(join(root, name))) });
  return folders;
}

async function measure(folder: string): Promise<Omit<CacheFolder, 'uniqueIDHex' | 'path'>> {
  const empty = { files: 0, totalSize: 0 };
  const kinds = { indexes: empty, metadata: empty, data: empty, state: empty };
  let all = empty;
  for await (const path of cacheFiles(folder)) {
    const kind = cacheKindOf(path);
    const size = await sizeOf(join(folder, path));
    const and = ({ files, totalSize }: CacheSize): CacheSize => ({ files: files + 1, totalSize: totalSize + size });
    kinds[kind] = and(kinds[kind]);
    all = and(all);
  }
  return { ...all, kinds };
}

/** Paths of all files, relative to `folder`. */
export async function* cacheFiles(folder: string): AsyncGenerator<string> {
  const pending = [''];
  for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
    for (const entry of await entriesOf(join(folder, path))) {
      const child = path === '' ? entry.name : `${path}/${entry.name}`;
      if (entry.isDirectory()) pending.push(child);
      else yield child;
    }
  }
}

/** A running backup may remove files while they are counted. */
async function entriesOf(path: string) {
  return readdir(path, { withFileTypes: true }).catch((error: unknown) => {
    if (hasCode(error, 'ENOENT')) return [];
    throw error;
  });
}

async function sizeOf(path: string): Promise<number> {
  return lstat(path).then(
    (stat) => stat.size,
    (error: unknown) => {
      if (hasCode(error, 'ENOENT')) return 0;
      throw error;
    },
  );
}
