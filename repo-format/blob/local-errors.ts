// Failures of the files that stand on this machine for blobs of a remote store: a full disk here is not a full store.
import { hasCode, WindlassError } from '../../base/errors.ts';
import { translateFileError } from './blob-errors.ts';
import type { BlobId } from './storage.ts';

/** As `translateFileError`, with `LOCAL_DISK_FULL` where the disk of this machine is full. */
export function translateLocalError(error: unknown, operation: string, id: BlobId, path: string): unknown {
  const translated = translateFileError(error, operation, id, path);
  if (!hasCode(translated, 'BLOB_STORE_FULL')) return translated;
  return new WindlassError(`no space left on this machine to ${operation} blob ${id} at ${path}`, {
    code: 'LOCAL_DISK_FULL',
    context: { blobId: id, path },
    cause: error,
  });
}
