// Removes the staging files that a killed session has left in a local store. They are not blobs, nobody lists them, and
// nobody else will ever remove them. Only for sessions known to be dead.
import { readdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { BLOB_FILE_SUFFIX } from '../blob/filesystem-layout.ts';
import type { LocalLayout } from '../blob/storage.ts';
import type { SessionId } from './session.ts';

/** Returns how many were removed. What cannot be read or removed is left: garbage, not a failure. */
export async function removeStagingFiles(layout: LocalLayout, sessionId: SessionId): Promise<number> {
  // Packs start with p or q, and so does the first shard folder of each.
  const depths = [layout.shards, ...layout.overrides.map(({ shards }) => shards)].map(({ length }) => length);
  return removeBelow(layout.rootPath, { sessionId, depth: Math.max(...depths), isRoot: true });
}

interface Walk {
  readonly sessionId: SessionId;
  readonly depth: number;
  readonly isRoot: boolean;
}

async function removeBelow(folder: string, walk: Walk): Promise<number> {
  const { sessionId, depth, isRoot } = walk;
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  let removed = 0;
  for (const entry of entries) {
    const path = join(folder, entry.name);
    if (entry.isDirectory() && depth > 0 && (!isRoot || /^[pq]/.test(entry.name))) {
      removed += await removeBelow(path, { sessionId, depth: depth - 1, isRoot: false });
    } else if (entry.isFile() && entry.name.includes(`-${sessionId}${BLOB_FILE_SUFFIX}.tmp.`)) {
      if (await removeFile(path)) removed++;
    }
  }
  return removed;
}

/** True when it is gone now and was not before. */
export async function removeFile(path: string): Promise<boolean> {
  return unlink(path).then(
    () => true,
    () => false,
  );
}
