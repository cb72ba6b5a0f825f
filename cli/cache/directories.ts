// The local caches as they lie on disk.
import { readdir, lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { hasCode } from '../../base/errors.ts';
import { isRepositoryCacheName } from '../cache-directory.ts';
import { cliError } from '../cli-errors.ts';
import type { CliContext } from '../context.ts';

export interface CacheFolder {
  readonly uniqueIDHex: string;
  readonly path: string;
  readonly files: number;
  readonly totalSize: number;
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

async function measure(folder: string): Promise<{ files: number; totalSize: number }> {
  let [files, totalSize] = [0, 0];
  const pending = [folder];
  for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
    for (const entry of await entriesOf(path)) {
      const child = join(path, entry.name);
      if (entry.isDirectory()) pending.push(child);
      else [files, totalSize] = [files + 1, totalSize + (await sizeOf(child))];
    }
  }
  return { files, totalSize };
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
