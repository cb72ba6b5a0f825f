// Walks a sharded folder for blobs (repository format §1.3). The name of a blob is its folders' names and its file's
// name joined; folders that cannot hold a wanted name are not entered. Links, odd files and invalid names are not blobs.
import { lstat, type Stats } from 'node:fs';
import { opendir } from 'node:fs/promises';
import { join } from 'node:path';
import { hasCode } from '../../base/errors.ts';
import { assertBlobPrefix, isBlobId } from './blob-id.ts';
import { BLOB_FILE_SUFFIX } from './filesystem-layout.ts';
import type { BlobId, BlobMetadata } from './storage.ts';

// As deep as the longest name split into single letters; a deeper tree is not a repository's.
const MAX_DEPTH = 255;
/** Files looked at at once: enough to hide what waiting for one costs. */
const STATUS_BATCH = 64;

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
  let batch: string[] = [];
  for await (const entry of directory) {
    signal.throwIfAborted();
    const name = nameSoFar + entry.name;
    if (entry.isDirectory()) {
      if (name.startsWith(prefix) || prefix.startsWith(name)) folders.push(entry.name);
    } else if (entry.isFile() && blobIdOf(name, prefix) !== undefined) {
      batch.push(entry.name);
      if (batch.length < STATUS_BATCH) continue;
      yield* oneByOne(await blobsOf(batch, path, nameSoFar, prefix), signal);
      batch = [];
    }
  }
  yield* oneByOne(await blobsOf(batch, path, nameSoFar, prefix), signal);
  for (const folder of folders) yield* walk(join(path, folder), nameSoFar + folder, prefix, signal, depth + 1);
}

/** Whoever takes them may abort in between. */
function* oneByOne(blobs: readonly BlobMetadata[], signal: AbortSignal): Generator<BlobMetadata, void, void> {
  for (const blob of blobs) {
    signal.throwIfAborted();
    yield blob;
  }
}

function blobIdOf(name: string, prefix: string): BlobId | undefined {
  if (!name.endsWith(BLOB_FILE_SUFFIX)) return undefined;
  const id = name.slice(0, -BLOB_FILE_SUFFIX.length);
  return id.startsWith(prefix) && isBlobId(id) ? id : undefined;
}

/** Looks at many files at once, and waits once for them all. */
async function blobsOf(
  fileNames: readonly string[],
  path: string,
  nameSoFar: string,
  prefix: string,
): Promise<BlobMetadata[]> {
  const statuses = await statusesOf(fileNames.map((name) => join(path, name)));
  return fileNames.flatMap((fileName, at) => {
    const id = blobIdOf(nameSoFar + fileName, prefix);
    const status = statuses[at];
    if (id === undefined || status?.isFile() !== true) return [];
    return [{ id, length: status.size, timestampMs: Math.floor(status.mtimeMs) }];
  });
}

/** Undefined for what was deleted meanwhile. */
function statusesOf(paths: readonly string[]): Promise<(Stats | undefined)[]> {
  return new Promise((resolve, reject) => {
    const statuses: (Stats | undefined)[] = [];
    let left = paths.length;
    if (left === 0) resolve(statuses);
    paths.forEach((path, at) =>
      lstat(path, (error, status) => {
        if (error !== null && error.code !== 'ENOENT') return reject(error);
        statuses[at] = error === null ? status : undefined;
        if (--left === 0) resolve(statuses);
      }),
    );
  });
}
