// Opens a repository's format: `kopia.repository`, its sealed configuration, `kopia.blobcfg` (repository format §2, §10).
// Reads only. What is returned is trusted for a while and then read anew (§2.11, `refreshFormat`).
import type { Clock } from '../../base/clock.ts';
import { hasCode, WindlassError } from '../../base/errors.ts';
import { silentLogger } from '../../base/logger.ts';
import type { Logger } from '../../base/logger.ts';
import type { RandomSource } from '../../base/random.ts';
import type { BlobId, BlobStorage } from '../blob/storage.ts';
import { deriveFormatKey, hkdfSha256 } from '../crypto/key-derivation.ts';
import { applyRetention } from './apply-retention.ts';
import type { DeriveFormatKey } from '../crypto/key-derivation.ts';
import { directOpenSsl } from '../crypto/openssl.ts';
import { NO_RETENTION, parseBlobConfig } from './blob-config.ts';
import type { BlobConfig } from './blob-config.ts';
import {
  BLOB_CONFIG_ID,
  FORMAT_BLOB_ID,
  MAX_FORMAT_BLOB_BYTES,
  openFormatPart,
  parseFormatBlob,
  PASSWORD_NOTE_ID,
} from './format-blob.ts';
import type { FormatBlob } from './format-blob.ts';
import { formatInvalid } from './json-members.ts';
import { parseRepositoryConfig } from './repository-config.ts';
import type { RepositoryConfig } from './repository-config.ts';
import { requireFeatures } from './required-features.ts';
import { requireUnlocked } from './upgrade-lock.ts';

const PASSWORD_NOTE_KEY_BYTES = 32;

export interface FormatDeps {
  readonly clock: Pick<Clock, 'nowNs'>;
  readonly random: RandomSource;
  /** Hears of features that are not understood but not insisted on. */
  readonly logger?: Logger;
  /** For whoever has the key already: it takes a fifth of a second and 64 MiB. Tests give a cheap one. */
  readonly deriveKey?: DeriveFormatKey;
}

export interface OpenFormat {
  readonly uniqueId: Uint8Array;
  readonly config: RepositoryConfig;
  readonly blobConfig: BlobConfig;
  /** From the password. Base of the maintenance key where the password cannot change. */
  readonly formatKey: Uint8Array;
  /** `kopia.repository` exactly as stored. */
  readonly formatBlobBytes: Uint8Array;
  /** `kopia.blobcfg` is under the other password of a change that was cut off: other clients cannot open it before `finishPasswordChange`. */
  readonly interruptedChange?: true;
}

/**
 * Opens with a password; `known` saves reading the blobs again. `REPOSITORY_NOT_FOUND`, `PASSWORD_WRONG`, `PASSWORD_CHANGE_INCOMPLETE` (a crash left the two blobs
 * under different passwords), `REPOSITORY_LOCKED`, `FORMAT_UNSUPPORTED`, `FORMAT_INVALID`.
 */
export async function openFormat(
  storage: BlobStorage,
  password: string,
  deps: FormatDeps,
  signal: AbortSignal,
  known?: StoredFormat,
): Promise<OpenFormat> {
  const stored = known ?? (await readFormatBlobs(storage, signal));
  const { uniqueId, keyAlgo } = stored.formatBlob;
  const deriving = (deps.deriveKey ?? deriveFormatKey)(keyAlgo, password, uniqueId);
  // That takes 0.17 s on another thread. The library that contents are opened with is loaded and tried meanwhile.
  directOpenSsl();
  const formatKey = await deriving;
  signal.throwIfAborted();
  const format = await openStoredOrNoted(storage, stored, formatKey, signal);
  requireAdmission(format.config, deps);
  applyRetention(storage, format.blobConfig);
  return format;
}

/** As `openStored`; where a password change was cut off, by the note that it has left. */
async function openStoredOrNoted(
  storage: BlobStorage,
  stored: StoredFormat,
  formatKey: Uint8Array,
  signal: AbortSignal,
): Promise<OpenFormat> {
  try {
    return openStored(stored, formatKey);
  } catch (error) {
    if (!hasCode(error, 'PASSWORD_CHANGE_INCOMPLETE')) throw error;
    const note = await readSmallBlob(storage, PASSWORD_NOTE_ID, signal);
    const open = note === undefined ? undefined : openWithNote(stored, formatKey, note);
    if (open === undefined) throw error;
    return open;
  }
}

function openWithNote(stored: StoredFormat, formatKey: Uint8Array, note: Uint8Array): OpenFormat | undefined {
  const { uniqueId, sealedConfig } = stored.formatBlob;
  if (openFormatPart(sealedConfig, formatKey, uniqueId) === undefined) return undefined;
  const open = openStored({ ...stored, blobConfigBytes: undefined }, formatKey);
  const plaintext = openFormatPart(note, passwordNoteKey(open), uniqueId);
  if (plaintext === undefined) return undefined;
  return { ...open, blobConfig: parseBlobConfig(plaintext), interruptedChange: true };
}

/** From a secret that is the same under either password. */
export function passwordNoteKey({ config, uniqueId }: Pick<OpenFormat, 'config' | 'uniqueId'>): Uint8Array {
  const secret = config.masterKey.length > 0 ? config.masterKey : config.secret;
  return hkdfSha256(secret, uniqueId, 'windlass password change', PASSWORD_NOTE_KEY_BYTES);
}

/**
 * Reads the blobs anew under the key already derived. Algorithms and keys stay as first loaded; version, pack size, index
 * version, epoch parameters, lock and features are fresh. `PASSWORD_WRONG` when the password was changed meanwhile.
 */
export async function refreshFormat(
  storage: BlobStorage,
  open: OpenFormat,
  deps: FormatDeps,
  signal: AbortSignal,
): Promise<OpenFormat> {
  const stored = await readFormatBlobs(storage, signal);
  if (!Buffer.from(stored.formatBlob.uniqueId).equals(open.uniqueId)) {
    throw formatInvalid('another repository has taken the place of this one');
  }
  const fresh = openStored(stored, open.formatKey);
  requireAdmission(fresh.config, deps);
  applyRetention(storage, fresh.blobConfig);
  const { hash, encryption, splitter, secret, masterKey, ecc, eccOverheadPercent, enablePasswordChange } = open.config;
  const immutable = { hash, encryption, splitter, secret, masterKey, ecc, eccOverheadPercent, enablePasswordChange };
  const config = { ...fresh.config, ...immutable };
  return { ...fresh, config };
}

export interface StoredFormat {
  readonly formatBlob: FormatBlob;
  readonly formatBlobBytes: Uint8Array;
  /** Undefined when there is none. */
  readonly blobConfigBytes: Uint8Array | undefined;
}

/** Both blobs, unopened. `REPOSITORY_NOT_FOUND` without `kopia.repository`. */
export async function readFormatBlobs(storage: BlobStorage, signal: AbortSignal): Promise<StoredFormat> {
  const [formatBlobBytes, blobConfigBytes] = await Promise.all([
    readSmallBlob(storage, FORMAT_BLOB_ID, signal),
    readSmallBlob(storage, BLOB_CONFIG_ID, signal),
  ]);
  if (formatBlobBytes === undefined) {
    throw new WindlassError(`no repository in ${storage.displayName}`, {
      code: 'REPOSITORY_NOT_FOUND',
      context: { storage: storage.displayName },
    });
  }
  return { formatBlob: parseFormatBlob(formatBlobBytes), formatBlobBytes, blobConfigBytes };
}

/** Decrypts both blobs under one key. */
export function openStored(stored: StoredFormat, formatKey: Uint8Array): OpenFormat {
  const { formatBlob, formatBlobBytes, blobConfigBytes } = stored;
  const { uniqueId, sealedConfig } = formatBlob;
  const plainConfig = openFormatPart(sealedConfig, formatKey, uniqueId);
  const plainBlobConfig =
    blobConfigBytes === undefined ? undefined : openFormatPart(blobConfigBytes, formatKey, uniqueId);
  if (plainConfig === undefined) {
    throw plainBlobConfig === undefined
      ? new WindlassError('the password does not open the repository', { code: 'PASSWORD_WRONG' })
      : passwordChangeIncomplete('kopia.blobcfg, but not kopia.repository');
  }
  if (blobConfigBytes !== undefined && plainBlobConfig === undefined) {
    throw passwordChangeIncomplete('kopia.repository, but not kopia.blobcfg');
  }
  return {
    uniqueId,
    config: parseRepositoryConfig(plainConfig),
    blobConfig: plainBlobConfig === undefined ? NO_RETENTION : parseBlobConfig(plainBlobConfig),
    formatKey,
    formatBlobBytes,
  };
}

function passwordChangeIncomplete(opens: string): WindlassError {
  return new WindlassError(`the password opens ${opens}: a password change was interrupted, or a blob is damaged`, {
    code: 'PASSWORD_CHANGE_INCOMPLETE',
    context: { opens },
  });
}

function requireAdmission(config: RepositoryConfig, deps: FormatDeps): void {
  requireUnlocked(config.upgradeLock, deps.clock.nowNs());
  requireFeatures(config.requiredFeatures, deps.logger ?? silentLogger);
}

/** Undefined when missing. The length is asked first: nobody makes us read gigabytes under the name of a small blob. */
async function readSmallBlob(storage: BlobStorage, id: BlobId, signal: AbortSignal): Promise<Uint8Array | undefined> {
  try {
    const { length } = await storage.getMetadata(id, signal);
    if (length > MAX_FORMAT_BLOB_BYTES) throw formatInvalid(`${id} has ${length} bytes`);
    return await storage.getBlob(id, undefined, signal);
  } catch (error) {
    if (hasCode(error, 'BLOB_NOT_FOUND')) return undefined;
    throw error;
  }
}
