// Where local state lives: `--cache-dir`, `WINDLASS_CACHE_DIR`, else under the XDG cache home. Each repository has a folder named by
// its unique id, so moving or renaming the repository keeps its cache and two repositories at one place never share one.
import { join, resolve } from 'node:path';

/** The root of all caches, or undefined where the environment names no home at all. */
export function cacheRoot(chosen: string | undefined, environment: NodeJS.ProcessEnv): string | undefined {
  const named = chosen ?? nonEmpty(environment['WINDLASS_CACHE_DIR']);
  if (named !== undefined) return resolve(named);
  const xdg = nonEmpty(environment['XDG_CACHE_HOME']);
  // The XDG specification says to ignore a relative one.
  if (xdg !== undefined && xdg.startsWith('/')) return join(xdg, 'windlass');
  const home = nonEmpty(environment['HOME']);
  return home === undefined ? undefined : join(home, '.cache', 'windlass');
}

export function repositoryCacheDirectory(root: string, uniqueIdHex: string): string {
  return join(root, uniqueIdHex);
}

/** Folders of repositories are told from everything else by their name. */
export function isRepositoryCacheName(name: string): boolean {
  return /^[0-9a-f]{32,128}$/.test(name);
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === undefined || text === '' ? undefined : text;
}
