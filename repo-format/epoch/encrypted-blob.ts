// Blobs encrypted as a whole (repository format §1.5): indexes, session markers, compaction logs. The name is the hash of
// the plaintext; its last 32 hex digits are the iv, whatever prefix an epoch put in front later.
import { WindlassError } from '../../base/errors.ts';
import { parseHex, toHex } from '../../base/hex.ts';
import type { BlobId } from '../blob/storage.ts';
import { parseBlobId } from '../blob/blob-id.ts';
import type { ContentCipher } from '../crypto/content-cipher.ts';
import type { KeyedHash } from '../hash/keyed-hash.ts';

export interface SealDeps {
  readonly cipher: ContentCipher;
  readonly hash: KeyedHash;
}

export interface SealedBlob {
  readonly id: BlobId;
  readonly bytes: Uint8Array;
}

const IV_HEX_DIGITS = 32;

/** Named `prefix`, hash of the plaintext, `-` and `suffix` unless that is empty. */
export function sealBlob(deps: SealDeps, prefix: string, suffix: string, plaintext: Uint8Array): SealedBlob {
  const hash = deps.hash.digest(plaintext);
  const id = parseBlobId(prefix + toHex(hash) + (suffix === '' ? '' : `-${suffix}`));
  const sealed = new Uint8Array(deps.cipher.maxSealedBytes(plaintext.length));
  const length = deps.cipher.sealInto(hash.slice(-IV_HEX_DIGITS / 2), plaintext, sealed, 0);
  return { id, bytes: sealed.subarray(0, length) };
}

/** The plaintext of blob `id`, in `into` when it fits. `BLOB_CORRUPT` when it does not open: bytes or name changed, or another repository's. */
export function openBlob(cipher: ContentCipher, id: BlobId, sealed: Uint8Array, into?: Uint8Array): Uint8Array {
  try {
    return cipher.open(ivOfName(id), sealed, into);
  } catch (error) {
    throw blobCorrupt(id, sealed.length, error);
  }
}

/** `BLOB_CORRUPT` when the name holds no iv. */
export function ivOfName(id: BlobId): Uint8Array {
  const [base = ''] = id.split('-', 1);
  const iv = base.length < IV_HEX_DIGITS ? undefined : parseHex(base.slice(-IV_HEX_DIGITS));
  if (iv === undefined) {
    throw new WindlassError(`the name of blob ${id} does not hold its hash`, {
      code: 'BLOB_CORRUPT',
      context: { blobId: id },
    });
  }
  return iv;
}

function blobCorrupt(id: BlobId, length: number, cause: unknown): WindlassError {
  return new WindlassError(`blob ${id} (offset 0, length ${length}) does not open: it was changed or damaged`, {
    code: 'BLOB_CORRUPT',
    context: { blobId: id, offset: 0, length },
    cause,
  });
}
