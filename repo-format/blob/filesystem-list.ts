// Walks a sharded folder for blobs (repository format §1.3). The name of a blob is its folders' names and its file's
// name joined; folders that cannot hold a wanted name are not entered. Links, odd files and invalid names are not blobs.
import type { Dirent } from 'node:fs';
import { lstat, opendir } from 'node:fs/promises';
import { join } from 'node:path';
import { hasCode } from '../../base/errors.ts';
import { assertBlobPrefix, isBlobId } from './blob-id.ts';
import { BLOB_FILE_SUFFIX } from './filesystem-layout.ts';
import type { BlobMetadata } from './storage.ts';

// As deep as the longest name split into single letters; a deeper tree is not a repository's.
const MAX_DEPTH = 255;

/** Folders are read as streams: memory does not grow with the number of blobs in one of them. */
export async function* listBlobFiles(
  rootPath: string,
  prefix: string,
  signal: AbortSignal,
): AsyncGenerator<BlobMetadata, void, void> {
  signal.throwIfAborted();
  assertBlobPrefix(prefix);
  yield* walk(rootPath, '', prefix, signal, 0);
}

async function* walk(
  path: string,
  nameSoFar: string,
  prefix: string,
  signal: AbortSignal,
  depth: number,
): AsyncGenerator<BlobMetadata, void, void> {
  if (depth > MAX_DEPTH) return;
  let directory;
  try {
    directory = await opendir(path);
  } catch (error) {
    // A shard folder may vanish during the walk; the root may not.
    if (depth > 0 && hasCode(error, 'ENOENT')) return;
    throw error;
  }
  const folders: string[] = [];
  for await (const entry of directory) {
    signal.throwIfAborted();
    const name = nameSoFar + entry.name;
    if (entry.isDirectory()) {
      if (name.startsWith(prefix) || prefix.startsWith(name)) folders.push(entry.name);
      continue;
    }
    const found = await blobOf(entry, path, name, prefix);
    if (found !== undefined) yield found;
  }
  for (const folder of folders) yield* walk(join(path, folder), nameSoFar + folder, prefix, signal, depth + 1);
}

async function blobOf(entry: Dirent, path: string, name: string, prefix: string): Promise<BlobMetadata | undefined> {
  if (!entry.isFile() || !name.endsWith(BLOB_FILE_SUFFIX)) return undefined;
  const id = name.slice(0, -BLOB_FILE_SUFFIX.length);
  if (!id.startsWith(prefix) || !isBlobId(id)) return undefined;
  try {
    const status = await lstat(join(path, entry.name));
    if (!status.isFile()) return undefined;
    return { id, length: status.size, timestampMs: Math.floor(status.mtimeMs) };
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined; // deleted since it was read
    throw error;
  }
}
