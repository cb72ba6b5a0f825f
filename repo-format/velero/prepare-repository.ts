// Brings a repository into the state in which Velero uses it, from whatever it is in (node-agent §6.3): made where there is none,
// set up where only Kopia's blobs are there, under the present password where it still has the one before. Unlike Velero's own test
// it opens the format with the password: a wrong one shows here and not in a backup.
import { hash } from 'node:crypto';
import { hasCode, WindlassError } from '../../base/errors.ts';
import type { BlobStorage } from '../blob/storage.ts';
import { BLOB_CONFIG_ID } from '../format/format-blob.ts';
import {
  type FormatDeps,
  type OpenFormat,
  openFormat,
  readFormatBlobs,
  type StoredFormat,
} from '../format/open-format.ts';
import { changePassword, finishPasswordChange } from '../format/password-change.ts';
import { Repository, type RepositoryDeps } from '../repository.ts';
import type { RepositoryPasswords } from './location-secrets.ts';
import { type LocationStorageDeps, openLocationStorage } from './location-storage.ts';
import type { LocationStore } from './location-store.ts';
import { openVeleroRepository } from './open-repository.ts';
import { VELERO_HOST, VELERO_USER } from './velero-identity.ts';
import { setUpForVelero, veleroState } from './velero-repository.ts';

export interface PrepareOptions extends RepositoryPasswords {
  /** Makes a repository where there is nothing at all. */
  readonly mayCreate: boolean;
  /** Changes the password where it is still the one before: once everybody who opens repositories knows both. */
  readonly mayRekey: boolean;
  /** Between full cycles of maintenance, in a repository that is set up here. */
  readonly fullIntervalNs?: bigint | undefined;
  /** From an earlier answer: while nothing has changed since, no key is derived again. */
  readonly seen?: string | undefined;
}

export interface PreparedRepository {
  readonly outcome: 'as-it-was' | 'created' | 'set-up' | 're-keyed';
  /** Could not be brought further: its location is read-only, or it has the password before and may not be changed. */
  readonly lacks?: 'set-up' | 'present-password';
  /** Of the format and the passwords; undefined after a change, so that it is read back the next time, and where something is lacking. */
  readonly seen?: string;
}

export type PrepareDeps = FormatDeps & RepositoryDeps & LocationStorageDeps;

/**
 * `REPOSITORY_NOT_FOUND` where none is and none may be made, `REPOSITORY_EXISTS` where other data is, `PASSWORD_WRONG` when neither
 * password opens it, `LOCATION_REPOSITORY_MISMATCH`, and what the store answers. Whatever it rejects with: doing it again goes on.
 */
export async function prepareVeleroRepository(
  located: LocationStore,
  options: PrepareOptions,
  deps: PrepareDeps,
  signal: AbortSignal,
): Promise<PreparedRepository> {
  const { readOnly } = located;
  const create = options.mayCreate && !readOnly;
  const storage = await openLocationStorage(located, { readOnly, create }, deps, signal);
  let isOpen = true;
  try {
    const stored = await readStored(storage, create, signal);
    if (stored !== undefined) return await prepareStored(located, { storage, stored }, options, deps, signal);
    await removeUnfinished(storage, signal);
    const { password } = options;
    const as = { password, username: VELERO_USER, hostname: VELERO_HOST };
    await using repository = await Repository.create({ ...as, storage }, deps, signal);
    isOpen = false; // it is the repository's now
    await setUpForVelero(repository, signal, options.fullIntervalNs);
    return { outcome: 'created' };
  } finally {
    if (isOpen) await storage.close();
  }
}

async function readStored(
  storage: BlobStorage,
  mayBeMissing: boolean,
  signal: AbortSignal,
): Promise<StoredFormat | undefined> {
  try {
    return await readFormatBlobs(storage, signal);
  } catch (error) {
    if (mayBeMissing && hasCode(error, 'REPOSITORY_NOT_FOUND')) return undefined;
    throw error;
  }
}

/** What a creation leaves that was cut off between its two blobs. Beside any other blob nothing is touched. */
async function removeUnfinished(storage: BlobStorage, signal: AbortSignal): Promise<void> {
  let others = 0;
  let hasConfig = false;
  for await (const { id } of storage.listBlobs('', signal)) {
    if (id === BLOB_CONFIG_ID) hasConfig = true;
    else if (++others > 0) break;
  }
  if (hasConfig && others === 0) await storage.deleteBlob(BLOB_CONFIG_ID, signal);
}

async function prepareStored(
  located: LocationStore,
  { storage, stored }: { readonly storage: BlobStorage; readonly stored: StoredFormat },
  options: PrepareOptions,
  deps: PrepareDeps,
  signal: AbortSignal,
): Promise<PreparedRepository> {
  const { readOnly } = located;
  const { password } = options;
  const state = await veleroState(storage, stored.formatBlob.uniqueId, signal);
  const seen = fingerprint(stored, options);
  if (state === 'set-up' && seen === options.seen) return { outcome: 'as-it-was', seen };
  const { format, opensWith } = await openEither(storage, stored, options, deps, signal);
  if (opensWith === 'previous') {
    if (readOnly || !options.mayRekey) return { outcome: 'as-it-was', lacks: 'present-password' };
    await changePassword(storage, format, password, deps, signal);
  } else if (!readOnly) await finishPasswordChange(storage, format, deps, signal);
  const wasRekeyed = opensWith === 'previous';
  if (state === 'set-up') return wasRekeyed ? { outcome: 're-keyed' } : { outcome: 'as-it-was', seen };
  if (readOnly) return { outcome: 'as-it-was', lacks: 'set-up' };
  const { repository } = await openVeleroRepository(located, { password, readOnly: false }, deps, signal);
  try {
    await setUpForVelero(repository, signal, options.fullIntervalNs);
  } finally {
    await repository.close();
  }
  return { outcome: wasRekeyed ? 're-keyed' : 'set-up' };
}

async function openEither(
  storage: BlobStorage,
  stored: StoredFormat,
  { password, previousPassword }: RepositoryPasswords,
  deps: PrepareDeps,
  signal: AbortSignal,
): Promise<{ readonly format: OpenFormat; readonly opensWith: 'present' | 'previous' }> {
  try {
    return { format: await openFormat(storage, password, deps, signal, stored), opensWith: 'present' };
  } catch (error) {
    if (previousPassword === undefined || !isPasswordError(error)) throw error;
  }
  try {
    return { format: await openFormat(storage, previousPassword, deps, signal, stored), opensWith: 'previous' };
  } catch (cause) {
    if (!isPasswordError(cause)) throw cause;
    throw new WindlassError('neither the password nor the one before it opens the repository', {
      code: 'PASSWORD_WRONG',
      cause,
    });
  }
}

/** The second one is what a change leaves that was cut off. */
function isPasswordError(error: unknown): boolean {
  return hasCode(error, 'PASSWORD_WRONG') || hasCode(error, 'PASSWORD_CHANGE_INCOMPLETE');
}

function fingerprint({ formatBlobBytes, blobConfigBytes }: StoredFormat, passwords: RepositoryPasswords): string {
  const { password, previousPassword = '' } = passwords;
  const parts = [
    formatBlobBytes,
    blobConfigBytes ?? new Uint8Array(),
    Buffer.from(password),
    Buffer.from(previousPassword),
  ];
  return hash('sha256', parts.map((part) => hash('sha256', part)).join());
}
