// Makes a new repository: random keys, the version's own parameters, `kopia.blobcfg`, then `kopia.repository` (repository
// format §2.4, §2.5). Refuses a place that holds anything.
import { WindlassError } from '../../base/errors.ts';
import type { BlobStorage } from '../blob/storage.ts';
import { DEFAULT_ENCRYPTION } from '../crypto/content-cipher.ts';
import { DEFAULT_KEY_ALGORITHM, deriveFormatKey, KEY_BYTES } from '../crypto/key-derivation.ts';
import { DEFAULT_ECC_ALGORITHM } from '../ecc/error-correction.ts';
import { DEFAULT_HASH } from '../hash/keyed-hash.ts';
import { DEFAULT_SPLITTER, SPLITTERS } from '../splitter/splitter.ts';
import { applyRetention, requireRetention } from './apply-retention.ts';
import { type BlobConfig, encodeBlobConfig, NO_RETENTION } from './blob-config.ts';
import { DEFAULT_EPOCH_PARAMETERS, NO_EPOCH_PARAMETERS } from './epoch-parameters.ts';
import { BLOB_CONFIG_ID, encodeFormatBlob, FORMAT_BLOB_ID, sealFormatPart } from './format-blob.ts';
import { formatInvalid } from './json-members.ts';
import type { FormatDeps, OpenFormat } from './open-format.ts';
import { requirePassword } from './password-change.ts';
import {
  DEFAULT_MAX_PACK_SIZE_BYTES,
  encodeRepositoryConfig,
  MAX_PACK_SIZE_BYTES,
  MIN_PACK_SIZE_BYTES,
  parseRepositoryConfig,
} from './repository-config.ts';
import type { FormatVersion, RepositoryConfig } from './repository-config.ts';

export interface CreateFormatOptions {
  readonly password: string;
  readonly hash?: string;
  readonly encryption?: string;
  readonly splitter?: string;
  /** 3 unless older clients must read it. */
  readonly version?: FormatVersion;
  /** Only with an overhead above 0, and not in version 1. */
  readonly ecc?: string;
  readonly eccOverheadPercent?: number;
  readonly maxPackSizeBytes?: number;
  readonly keyAlgo?: string;
  /** Object lock, where the bucket has it: `GOVERNANCE` or `COMPLIANCE`, for a day at least. */
  readonly retention?: { readonly mode: string; readonly periodNs: bigint };
  /** Written beside the tool's name, for people who look. */
  readonly buildVersion?: string;
}

const UNIQUE_ID_BYTES = 32;
const SECRET_BYTES = 32;

/** `REPOSITORY_EXISTS` when any blob is there; `FORMAT_UNSUPPORTED`, `FORMAT_INVALID`, `PASSWORD_INVALID` for the options. */
export async function createFormat(
  storage: BlobStorage,
  options: CreateFormatOptions,
  deps: FormatDeps,
  signal: AbortSignal,
): Promise<OpenFormat> {
  requirePassword(options.password);
  const plaintext = encodeRepositoryConfig(newConfig(options, deps));
  // Read back before anything is stored: what would not open is refused here, by the very rules of opening.
  const config = parseRepositoryConfig(plaintext);
  const blobConfig = blobConfigOf(options);
  const plainBlobConfig = encodeBlobConfig(blobConfig);
  requireRetention(storage, blobConfig);
  await requireEmpty(storage, signal);
  applyRetention(storage, blobConfig);

  const uniqueId = deps.random.bytes(UNIQUE_ID_BYTES);
  const keyAlgo = options.keyAlgo ?? DEFAULT_KEY_ALGORITHM;
  const formatKey = await (deps.deriveKey ?? deriveFormatKey)(keyAlgo, options.password, uniqueId);
  const formatBlobBytes = encodeFormatBlob({
    uniqueId,
    keyAlgo,
    sealedConfig: sealFormatPart(plaintext, formatKey, uniqueId, deps.random),
    raw: { tool: 'windlass', buildVersion: options.buildVersion ?? '', buildInfo: '' },
  });
  const blobConfigBytes = sealFormatPart(plainBlobConfig, formatKey, uniqueId, deps.random);
  await storage.putBlob(BLOB_CONFIG_ID, blobConfigBytes, signal);
  await storage.putBlob(FORMAT_BLOB_ID, formatBlobBytes, signal);
  return { uniqueId, config, blobConfig, formatKey, formatBlobBytes };
}

function blobConfigOf({ retention }: CreateFormatOptions): BlobConfig {
  if (retention === undefined) return NO_RETENTION;
  return { ...NO_RETENTION, retentionMode: retention.mode, retentionPeriodNs: retention.periodNs };
}

function newConfig(options: CreateFormatOptions, deps: FormatDeps): RepositoryConfig {
  const version = options.version ?? 3;
  const splitter = options.splitter ?? DEFAULT_SPLITTER;
  if (!SPLITTERS.includes(splitter)) {
    throw new WindlassError(`splitter ${splitter} is not supported`, {
      code: 'FORMAT_UNSUPPORTED',
      context: { splitter },
    });
  }
  const maxPackSizeBytes = options.maxPackSizeBytes ?? DEFAULT_MAX_PACK_SIZE_BYTES;
  if (!(maxPackSizeBytes >= MIN_PACK_SIZE_BYTES && maxPackSizeBytes <= MAX_PACK_SIZE_BYTES)) {
    throw formatInvalid(`the maximum pack size is ${maxPackSizeBytes} bytes, not 10 to 120 MiB`);
  }
  const wantedOverhead = options.eccOverheadPercent ?? 0;
  if (!(Number.isInteger(wantedOverhead) && wantedOverhead >= 0 && wantedOverhead <= 100)) {
    throw formatInvalid(`the error correction overhead is ${wantedOverhead}, not 0 to 100 percent`);
  }
  const eccOverheadPercent = version === 1 ? 0 : wantedOverhead;
  return {
    version,
    hash: options.hash ?? DEFAULT_HASH,
    encryption: options.encryption ?? DEFAULT_ENCRYPTION,
    splitter,
    secret: deps.random.bytes(SECRET_BYTES),
    masterKey: deps.random.bytes(KEY_BYTES),
    maxPackSizeBytes,
    indexVersion: version === 1 ? 1 : 2,
    epochParameters: version === 1 ? NO_EPOCH_PARAMETERS : DEFAULT_EPOCH_PARAMETERS,
    enablePasswordChange: version !== 1,
    ecc: eccOverheadPercent > 0 ? (options.ecc ?? DEFAULT_ECC_ALGORITHM) : '',
    eccOverheadPercent,
    requiredFeatures: [],
    raw: {},
  };
}

/** A `kopia.blobcfg` all alone is what an interrupted creation leaves: nothing depends on it, so it does not count. */
async function requireEmpty(storage: BlobStorage, signal: AbortSignal): Promise<void> {
  for await (const { id } of storage.listBlobs('', signal)) {
    if (id === BLOB_CONFIG_ID) continue;
    throw new WindlassError(`${storage.displayName} already holds a repository or other blobs`, {
      code: 'REPOSITORY_EXISTS',
      context: { storage: storage.displayName, blobId: id },
    });
  }
}
