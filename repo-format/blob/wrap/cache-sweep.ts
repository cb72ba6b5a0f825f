// Keeps a cache folder below its limit: least recently used files go first, what was used a moment ago stays. Also removes
// what killed processes left half written.
import { lstat, readdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { BLOB_FILE_SUFFIX } from '../filesystem-layout.ts';

/** A use is noted in a file's own time, at most so often. */
export const TOUCH_AFTER_MS = 10 * 60 * 1000;
/** Files younger than this stay whatever the limit: somebody may be about to read them. */
export const MIN_AGE_MS = 10 * 60 * 1000;
/** Nobody writes one file for so long. */
const LEFTOVER_AGE_MS = 3600 * 1000;
/** Sweeping goes on to this share of the limit, so that not every new file makes another. */
const TARGET = 0.9;

export interface CachedFile {
  readonly path: string;
  readonly sizeBytes: number;
  /** Last use, Unix ms. */
  readonly usedMs: number;
}

export interface CacheLimits {
  readonly limitBytes: number;
  readonly nowMs: number;
}

/** What has to go, least recently used first. A time in the future is as good as a very old one. */
export function planSweep(files: readonly CachedFile[], { limitBytes, nowMs }: CacheLimits): CachedFile[] {
  let total = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  if (total <= limitBytes) return [];
  const age = ({ usedMs }: CachedFile): number => Math.abs(nowMs - usedMs);
  const victims: CachedFile[] = [];
  for (const file of files.toSorted((a, b) => age(b) - age(a))) {
    if (total <= limitBytes * TARGET || age(file) < MIN_AGE_MS) break;
    victims.push(file);
    total -= file.sizeBytes;
  }
  return victims;
}

/** Several processes may sweep at once: a file that has gone already is fine. */
export async function sweepCache(path: string, limits: CacheLimits): Promise<void> {
  const files: CachedFile[] = [];
  for await (const file of filesBelow(path)) {
    if (file.path.endsWith(BLOB_FILE_SUFFIX)) files.push(file);
    else if (isLeftover(file, limits.nowMs)) await unlink(file.path).catch(() => undefined);
  }
  for (const victim of planSweep(files, limits)) await unlink(victim.path).catch(() => undefined);
}

function isLeftover({ path, usedMs }: CachedFile, nowMs: number): boolean {
  return /\.tmp\.[0-9a-f]+$/.test(path) && Math.abs(nowMs - usedMs) > LEFTOVER_AGE_MS;
}

async function* filesBelow(path: string): AsyncGenerator<CachedFile> {
  const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
  for (const entry of entries) {
    const child = join(path, entry.name);
    if (entry.isDirectory()) yield* filesBelow(child);
    else {
      const status = await lstat(child).catch(() => undefined);
      if (status !== undefined) yield { path: child, sizeBytes: status.size, usedMs: status.mtimeMs };
    }
  }
}
