// Where a blob lives in a sharded folder (repository format §1.3): pure, so that worker threads use it as well.
// Names are split, not hashed: pb44774003741144… with shards [1,3] is p/b44/774003741144….f
import { join } from 'node:path';
import { WindlassError } from '../../base/errors.ts';
import { assertBlobId } from './blob-id.ts';
import type { BlobId, LocalLayout } from './storage.ts';

export const BLOB_FILE_SUFFIX = '.f';
/** Names up to this many bytes stay in the root, unless `.shards` says otherwise. */
export const DEFAULT_MAX_NON_SHARDED_LENGTH = 20;
/** What repositories without a `.shards` file use. */
export const LEGACY_SHARDS: readonly number[] = [3, 3];
/** What new repositories of format version 2 and later use. */
export const CURRENT_SHARDS: readonly number[] = [1, 3];

/** Relative path components of the blob's file. Blob names are ASCII, so characters are bytes. */
export function blobPathParts(layout: LocalLayout, id: BlobId): string[] {
  assertBlobId(id);
  if (id.length <= layout.maxNonShardedLength) return [id + BLOB_FILE_SUFFIX];
  const shards = layout.overrides.find((override) => id.startsWith(override.prefix))?.shards ?? layout.shards;
  const parts: string[] = [];
  let rest: string = id;
  for (const size of shards) {
    if (rest.length <= size) break;
    if (size > 0) parts.push(rest.slice(0, size));
    rest = rest.slice(size);
  }
  for (const part of parts) {
    // A hostile name such as `..xxxx` must not climb out of the root.
    if (part === '.' || part === '..') {
      throw new WindlassError(`blob name ${id} cannot be stored in this folder layout`, {
        code: 'BLOB_NAME_INVALID',
        context: { blobId: id },
      });
    }
  }
  parts.push(rest + BLOB_FILE_SUFFIX);
  return parts;
}

/** Absolute path of the blob's file. */
export function blobPath(layout: LocalLayout, id: BlobId): string {
  return join(layout.rootPath, ...blobPathParts(layout, id));
}
