// Opens the repository that Velero keeps for one namespace in a BackupStorageLocation, or makes it as Velero would.
import { join } from 'node:path';
import { hasCode } from '../../base/errors.ts';
import { toHex } from '../../base/hex.ts';
import type { BlobId } from '../blob/storage.ts';
import { WriteRecord } from '../blob/wrap/write-record.ts';
import type { Rollback } from '../epoch/last-seen.ts';
import { readFormatBlobs } from '../format/open-format.ts';
import { Repository, type RepositoryDeps } from '../repository.ts';
import { openLocationStorage, type LocationStorageDeps } from './location-storage.ts';
import type { RepositoryPasswords } from './location-secrets.ts';
import type { LocationStore } from './location-store.ts';
import { VELERO_HOST, VELERO_USER } from './velero-identity.ts';

export interface VeleroRepositoryOptions extends RepositoryPasswords {
  readonly readOnly: boolean;
  /** Below it every repository gets a folder of its own, by its unique id: caches, journals, what was last seen. */
  readonly cacheRoot?: string | undefined;
  readonly cacheBytes?: number | undefined;
  readonly memoryLimitBytes?: number | undefined;
  readonly onRollback?: (what: Rollback) => void;
}

export interface OpenedRepository {
  readonly repository: Repository;
  /** Asks the store for all that was written since: the ids of blobs that it confirmed and does not have. */
  readonly lostWrites: (signal: AbortSignal) => Promise<readonly BlobId[]>;
  /** The repository's own folder below the cache root. */
  readonly localFolder: string | undefined;
}

/**
 * Opens it with the password, or with the one before while it is being changed. `REPOSITORY_NOT_FOUND`, `PASSWORD_WRONG` and what the store answers.
 * The repository is the caller's to close.
 */
export async function openVeleroRepository(
  located: LocationStore,
  options: VeleroRepositoryOptions,
  deps: RepositoryDeps & LocationStorageDeps,
  signal: AbortSignal,
): Promise<OpenedRepository> {
  const { previousPassword } = options;
  try {
    return await openWith(located, options, deps, signal);
  } catch (error) {
    const isOther = hasCode(error, 'PASSWORD_WRONG') || hasCode(error, 'PASSWORD_CHANGE_INCOMPLETE');
    if (previousPassword === undefined || !isOther) throw error;
    deps.logger?.info('the repository still has the password before the last');
    return await openWith(located, { ...options, password: previousPassword }, deps, signal);
  }
}

async function openWith(
  located: LocationStore,
  options: VeleroRepositoryOptions,
  deps: RepositoryDeps & LocationStorageDeps,
  signal: AbortSignal,
): Promise<OpenedRepository> {
  const { password, readOnly, cacheRoot, cacheBytes, memoryLimitBytes, onRollback } = options;
  const record = new WriteRecord(await openLocationStorage(located, { readOnly }, deps, signal));
  const { storage } = record;
  try {
    const storedFormat = await readFormatBlobs(storage, signal);
    const localFolder = cacheRoot === undefined ? undefined : join(cacheRoot, toHex(storedFormat.formatBlob.uniqueId));
    const repository = await Repository.open(
      {
        storage,
        password,
        storedFormat,
        readOnly,
        username: VELERO_USER,
        hostname: VELERO_HOST,
        memoryLimitBytes,
        journalFolder: localFolder === undefined ? undefined : join(localFolder, 'sessions'),
        localFolder,
        ...(cacheBytes === undefined ? {} : { cacheBytes }),
        ...(onRollback === undefined ? {} : { onRollback }),
      },
      deps,
      signal,
    );
    return { repository, localFolder, lostWrites: (ended) => record.lost(ended) };
  } catch (error) {
    await storage.close();
    throw error;
  }
}
