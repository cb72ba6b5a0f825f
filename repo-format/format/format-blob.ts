// `kopia.repository`, the outside: plain JSON around the sealed configuration, and the sealing itself, which
// `kopia.blobcfg` shares (repository format §2.1, §2.2).
import type { RandomSource } from '../../base/random.ts';
import { encodeGoJson, quoteGoString } from '../../base/go-json.ts';
import type { ExactJsonObject } from '../../base/go-json.ts';
import { WindlassError } from '../../base/errors.ts';
import type { BlobId } from '../blob/storage.ts';
import { AEAD_OVERHEAD_BYTES, openAead, sealAeadInto } from '../crypto/aead.ts';
import { NONCE_BYTES } from '../crypto/direct-crypto.ts';
import { deriveFormatSealing } from '../crypto/key-derivation.ts';
import { bytesMember, formatInvalid, parseObject, stringMember, toBase64, withUnknownMembers } from './json-members.ts';

// The format's own names, known to be valid.
export const FORMAT_BLOB_ID = 'kopia.repository' as BlobId;
export const BLOB_CONFIG_ID = 'kopia.blobcfg' as BlobId;
/** There only while a password changes, or after a change that was interrupted; clients that do not know it pass it by. */
export const PASSWORD_NOTE_ID = 'kopia.blobcfg.note' as BlobId;
export const FORMAT_BACKUP_PREFIX = 'kopia.repository.backup.';

/** A real one has about 1.5 KB. More than this is not read into memory. */
export const MAX_FORMAT_BLOB_BYTES = 1024 * 1024;

const FORMAT_ENCRYPTION = 'AES256_GCM';
const MIN_UNIQUE_ID_BYTES = 16;
const MAX_UNIQUE_ID_BYTES = 1024;

export interface FormatBlob {
  /** 32 random bytes: salt of every derivation, and the identity of the repository wherever it lies. */
  readonly uniqueId: Uint8Array;
  readonly keyAlgo: string;
  readonly sealedConfig: Uint8Array;
  /** As stored, with the writer's own words (`tool`, `buildVersion`, `buildInfo`). */
  readonly raw: ExactJsonObject;
}

/** Says nothing about the password: the sealed part is not opened. */
export function parseFormatBlob(bytes: Uint8Array): FormatBlob {
  if (bytes.length > MAX_FORMAT_BLOB_BYTES) throw formatInvalid(`kopia.repository has ${bytes.length} bytes`);
  const raw = parseObject(bytes, 'kopia.repository');
  const encryption = stringMember(raw, 'encryption');
  if (encryption !== FORMAT_ENCRYPTION) {
    throw new WindlassError(`format encryption ${encryption} is not supported`, {
      code: 'FORMAT_UNSUPPORTED',
      context: { encryption },
    });
  }
  const uniqueId = bytesMember(raw, 'uniqueID');
  if (uniqueId.length < MIN_UNIQUE_ID_BYTES || uniqueId.length > MAX_UNIQUE_ID_BYTES) {
    throw formatInvalid(`the unique id has ${uniqueId.length} bytes`);
  }
  const sealedConfig = bytesMember(raw, 'encryptedBlockFormat');
  if (sealedConfig.length < AEAD_OVERHEAD_BYTES) throw formatInvalid('the sealed configuration is missing or cut');
  return { uniqueId, keyAlgo: stringMember(raw, 'keyAlgo'), sealedConfig, raw };
}

/** Indented by two spaces with a final newline, as every writer has it. */
export function encodeFormatBlob(blob: FormatBlob): Uint8Array {
  const members = withUnknownMembers(
    {
      tool: stringMember(blob.raw, 'tool'),
      buildVersion: stringMember(blob.raw, 'buildVersion'),
      buildInfo: stringMember(blob.raw, 'buildInfo'),
      uniqueID: toBase64(blob.uniqueId),
      keyAlgo: blob.keyAlgo,
      encryption: FORMAT_ENCRYPTION,
      encryptedBlockFormat: toBase64(blob.sealedConfig),
    },
    blob.raw,
  );
  const lines = Object.entries(members).map(
    ([key, value]) => `  ${quoteGoString(key)}: ${encodeGoJson(value ?? null)}`,
  );
  return new Uint8Array(Buffer.from(`{\n${lines.join(',\n')}\n}\n`, 'utf8'));
}

/** Seals the configuration or the blob configuration under a fresh nonce. */
export function sealFormatPart(
  plaintext: Uint8Array,
  formatKey: Uint8Array,
  uniqueId: Uint8Array,
  random: RandomSource,
): Uint8Array {
  const { key, aad } = deriveFormatSealing(formatKey, uniqueId);
  const sealed = new Uint8Array(plaintext.length + AEAD_OVERHEAD_BYTES);
  sealAeadInto({ name: 'aes-256-gcm', key, nonce: random.bytes(NONCE_BYTES), aad }, plaintext, sealed, 0);
  return sealed;
}

/** Undefined when the key is not the one (or the bytes are damaged, which looks the same) or there is no room for a tag. */
export function openFormatPart(
  sealed: Uint8Array,
  formatKey: Uint8Array,
  uniqueId: Uint8Array,
): Uint8Array | undefined {
  if (sealed.length < AEAD_OVERHEAD_BYTES) return undefined;
  return openAead({ name: 'aes-256-gcm', ...deriveFormatSealing(formatKey, uniqueId) }, sealed);
}
