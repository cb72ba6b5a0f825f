// Changes the password: both format blobs are sealed anew under the new key, contents stay as they are (repository format
// §2.7), and repairs what an interrupted change leaves.
//
// Two blobs cannot be replaced at once, and each must open with the key of the other. Without retention there is an order in
// which every moment opens, for any client, because a missing `kopia.blobcfg` means "retention off":
//
//   delete kopia.blobcfg → put kopia.repository (new key) → put kopia.blobcfg (new key)
//
// With retention the blob must stay, or clients would write what is not protected. So its settings are noted first under a key
// that either password leads to:
//
//   put note → put kopia.blobcfg (new key) → put kopia.repository (new key) → delete note
//
// In between, the password that opens kopia.repository opens the repository, for us; the next one of us who opens it for writing
// finishes the work (`finishPasswordChange`), and until then Kopia fails. What Kopia itself leaves, when it is cut off between
// the two blobs, has no note and needs `repairPasswordChange`.
import { WindlassError } from '../../base/errors.ts';
import type { BlobStorage } from '../blob/storage.ts';
import { deriveFormatKey } from '../crypto/key-derivation.ts';
import { encodeBlobConfig, isRetentionEnabled, NO_RETENTION, parseBlobConfig } from './blob-config.ts';
import type { BlobConfig } from './blob-config.ts';
import {
  BLOB_CONFIG_ID,
  encodeFormatBlob,
  FORMAT_BLOB_ID,
  openFormatPart,
  parseFormatBlob,
  PASSWORD_NOTE_ID,
  sealFormatPart,
} from './format-blob.ts';
import { openStored, passwordNoteKey, readFormatBlobs } from './open-format.ts';
import type { FormatDeps, OpenFormat } from './open-format.ts';
import { encodeRepositoryConfig } from './repository-config.ts';

/** `PASSWORD_INVALID` for one that no client would take. */
export function requirePassword(password: string): void {
  if (password !== '') return;
  throw new WindlassError('the password is empty', { code: 'PASSWORD_INVALID' });
}

/**
 * After it resolves only the new password opens the repository; after it rejects, one of the two does (see above).
 * `PASSWORD_CHANGE_UNSUPPORTED` where packs carry the format blob; `FORMAT_STALE` when it changed since it was opened.
 */
export async function changePassword(
  storage: BlobStorage,
  open: OpenFormat,
  newPassword: string,
  deps: FormatDeps,
  signal: AbortSignal,
): Promise<OpenFormat> {
  requirePassword(newPassword);
  if (!open.config.enablePasswordChange) {
    throw new WindlassError('the password of this repository cannot be changed', {
      code: 'PASSWORD_CHANGE_UNSUPPORTED',
      context: { version: open.config.version },
    });
  }
  const formatBlob = parseFormatBlob(open.formatBlobBytes);
  const { uniqueId, keyAlgo } = formatBlob;
  const formatKey = await (deps.deriveKey ?? deriveFormatKey)(keyAlgo, newPassword, uniqueId);
  const plaintext = encodeRepositoryConfig(open.config);
  const sealedConfig = sealFormatPart(plaintext, formatKey, uniqueId, deps.random);
  const formatBlobBytes = encodeFormatBlob({ ...formatBlob, sealedConfig });
  const blobConfigBytes = sealBlobConfig(open.blobConfig, formatKey, uniqueId, deps);
  await requireCurrent(storage, open, signal);

  if (isRetentionEnabled(open.blobConfig)) {
    const note = sealBlobConfig(open.blobConfig, passwordNoteKey(open), uniqueId, deps);
    await storage.putBlob(PASSWORD_NOTE_ID, note, signal);
    await storage.putBlob(BLOB_CONFIG_ID, blobConfigBytes, signal);
    await storage.putBlob(FORMAT_BLOB_ID, formatBlobBytes, signal);
    // Somebody who opened the repository just now may have taken this change for one that was cut off.
    const stored = await storage.getBlob(BLOB_CONFIG_ID, undefined, signal);
    if (!Buffer.from(stored).equals(blobConfigBytes)) await storage.putBlob(BLOB_CONFIG_ID, blobConfigBytes, signal);
    await storage.deleteBlob(PASSWORD_NOTE_ID, signal);
  } else {
    await storage.deleteBlob(BLOB_CONFIG_ID, signal);
    await storage.putBlob(FORMAT_BLOB_ID, formatBlobBytes, signal);
    await storage.putBlob(BLOB_CONFIG_ID, blobConfigBytes, signal);
  }
  return { ...withoutMark(open), formatKey, formatBlobBytes };
}

/** Puts both blobs under the key that opens `kopia.repository`, after a change that was cut off. Needs no password. */
export async function finishPasswordChange(
  storage: BlobStorage,
  open: OpenFormat,
  deps: Pick<FormatDeps, 'random'>,
  signal: AbortSignal,
): Promise<OpenFormat> {
  if (open.interruptedChange !== true) return open;
  const blobConfigBytes = sealBlobConfig(open.blobConfig, open.formatKey, open.uniqueId, deps);
  await storage.putBlob(BLOB_CONFIG_ID, blobConfigBytes, signal);
  await storage.deleteBlob(PASSWORD_NOTE_ID, signal);
  return withoutMark(open);
}

function withoutMark({ interruptedChange: _, ...open }: OpenFormat): OpenFormat {
  return open;
}

export interface PasswordChangeRepair {
  /** The one that opens `kopia.repository`; it stays the password. */
  readonly password: string;
  /** The one that the change was about to set (or replace): it saves the retention settings, if there were any. */
  readonly otherPassword?: string;
}

/**
 * Puts a `kopia.blobcfg` under the key of `kopia.repository`, keeping its settings where `otherPassword` opens it. Without
 * that, settings are lost and retention is off afterwards: the caller asks first. Does nothing where nothing is wrong.
 */
export async function repairPasswordChange(
  storage: BlobStorage,
  { password, otherPassword }: PasswordChangeRepair,
  deps: FormatDeps,
  signal: AbortSignal,
): Promise<OpenFormat> {
  const stored = await readFormatBlobs(storage, signal);
  const { uniqueId, keyAlgo } = stored.formatBlob;
  const derive = deps.deriveKey ?? deriveFormatKey;
  const formatKey = await derive(keyAlgo, password, uniqueId);
  // Without the blob in the way: this password must open the configuration itself.
  const open = openStored({ ...stored, blobConfigBytes: undefined }, formatKey);
  const { blobConfigBytes } = stored;
  if (blobConfigBytes === undefined) return open;
  const intact = openFormatPart(blobConfigBytes, formatKey, uniqueId);
  if (intact !== undefined) return { ...open, blobConfig: parseBlobConfig(intact) };

  let blobConfig: BlobConfig = NO_RETENTION;
  if (otherPassword !== undefined) {
    const plaintext = openFormatPart(blobConfigBytes, await derive(keyAlgo, otherPassword, uniqueId), uniqueId);
    if (plaintext === undefined) {
      throw new WindlassError('the other password does not open kopia.blobcfg', { code: 'PASSWORD_WRONG' });
    }
    blobConfig = parseBlobConfig(plaintext);
  }
  await storage.putBlob(BLOB_CONFIG_ID, sealBlobConfig(blobConfig, formatKey, uniqueId, deps), signal);
  return { ...open, blobConfig };
}

function sealBlobConfig(
  blobConfig: BlobConfig,
  formatKey: Uint8Array,
  uniqueId: Uint8Array,
  deps: Pick<FormatDeps, 'random'>,
): Uint8Array {
  return sealFormatPart(encodeBlobConfig(blobConfig), formatKey, uniqueId, deps.random);
}

/** Nothing in the format stops two writers; what can be seen of it is seen here. */
async function requireCurrent(storage: BlobStorage, open: OpenFormat, signal: AbortSignal): Promise<void> {
  const { formatBlobBytes } = await readFormatBlobs(storage, signal);
  if (Buffer.from(formatBlobBytes).equals(open.formatBlobBytes)) return;
  throw new WindlassError('kopia.repository was changed by someone else', {
    code: 'FORMAT_STALE',
    retry: 'after-refresh',
  });
}
