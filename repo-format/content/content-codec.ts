// From stored bytes to plaintext (repository format §5.2): decrypt, then decompress as the index says, then check the
// length. The same steps on every thread.
import { decompress } from '../compression/compressor.ts';
import type { ContentCipher } from '../crypto/content-cipher.ts';
import type { KeyedHash } from '../hash/keyed-hash.ts';
import { contentKey, type ContentId } from '../index/content-id.ts';
import type { IndexEntry } from '../index/entry.ts';
import { contentCorrupt } from './content-errors.ts';

/** Contents are at most 2^28 bytes long (repository format §6.2). */
export const MAX_CONTENT_BYTES = 2 ** 28 - 1;

/** The initialisation vector of a content: the last 16 bytes of its hash, without the prefix letter. */
export function contentIv(id: ContentId): Uint8Array {
  const key = contentKey(id);
  return key.subarray(Math.max(1, key.length - 16));
}

/**
 * Opens the stored bytes of `entry`. Throws `CONTENT_CORRUPT`, naming pack, offset and length, when they are not what
 * was stored; never returns other bytes than those.
 * @param into receives what decrypting gives, when it fits; the result may be a view of it
 * @param iv {@link contentIv} of the entry's id, where the caller has it
 */
export function openContent(
  cipher: ContentCipher,
  entry: IndexEntry,
  sealed: Uint8Array,
  into?: Uint8Array,
  iv?: Uint8Array,
): Uint8Array {
  if (entry.encryptionKeyId !== 0) throw contentCorrupt(entry, `unknown encryption key ${entry.encryptionKeyId}`);
  let payload: Uint8Array;
  try {
    payload = cipher.open(iv ?? contentIv(entry.id), sealed, into);
  } catch (cause) {
    throw contentCorrupt(entry, 'failed authentication', cause);
  }
  if (entry.compressionId !== 0) payload = inflate(entry, payload);
  if (payload.length !== entry.originalLength) {
    throw contentCorrupt(entry, `opens to ${payload.length} bytes where ${entry.originalLength} were stored`);
  }
  return payload;
}

function inflate(entry: IndexEntry, payload: Uint8Array): Uint8Array {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  if (payload.length < 4 || view.getUint32(0) !== entry.compressionId) {
    throw contentCorrupt(entry, 'compression header does not match the index');
  }
  try {
    return decompress(entry.compressionId, payload.subarray(4), entry.originalLength, MAX_CONTENT_BYTES);
  } catch (cause) {
    throw contentCorrupt(entry, 'does not decompress', cause);
  }
}

/** Checks that `plain` has the hash its id says. The cipher's key depends on the id already; this is the belt to its braces. */
export function verifyContentHash(hash: KeyedHash, entry: IndexEntry, plain: Uint8Array): void {
  const digest = hash.digest(plain);
  const key = contentKey(entry.id);
  if (Buffer.compare(digest, key.subarray(1)) !== 0) throw contentCorrupt(entry, 'hash does not match its id');
}
