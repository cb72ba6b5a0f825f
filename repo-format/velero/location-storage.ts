// The blobs of a repository in a BackupStorageLocation.
import { hasCode, WindlassError } from '../../base/errors.ts';
import { openFilesystemStorage } from '../blob/filesystem.ts';
import { openObjectStore, type ObjectStoreDeps } from '../blob/object-store.ts';
import type { BlobStorage } from '../blob/storage.ts';
import { storageIsReadOnly } from '../blob/blob-errors.ts';
import { type LocationStore, storeOfLocation } from './location-store.ts';

export type LocationStorageDeps = ObjectStoreDeps;

export interface LocationStorageOptions {
  readonly readOnly: boolean;
  /** Makes the folder of a repository that is to be created; buckets must exist. */
  readonly create?: boolean;
  readonly maxRequests?: number;
}

/**
 * Opens what `located` says. `BLOB_READ_ONLY` where the location's access mode forbids what is asked, `REPOSITORY_NOT_FOUND` for a
 * folder that does not exist, `STORE_CREDENTIALS_FILE` for credentials that cannot be read.
 */
export async function openLocationStorage(
  { store, readOnly: isLocationReadOnly }: LocationStore,
  { readOnly, create = false, maxRequests }: LocationStorageOptions,
  deps: LocationStorageDeps,
  signal: AbortSignal,
): Promise<BlobStorage> {
  if (isLocationReadOnly && !readOnly) throw storageIsReadOnly('change it', 'the location, by its accessMode,');
  if (store.kind !== 'folder') return openObjectStore(storeOfLocation(store), { readOnly, maxRequests }, deps, signal);
  const { path } = store;
  try {
    const options = create ? ({ path, create: 'current' } as const) : { path, readOnly };
    return await openFilesystemStorage(options, { random: deps.random });
  } catch (cause) {
    if (!hasCode(cause, 'BLOB_ROOT_MISSING')) throw cause;
    throw new WindlassError(`no repository at ${path}`, { code: 'REPOSITORY_NOT_FOUND', context: { path }, cause });
  }
}
