// Reads the index that every pack carries of itself (repository format §6.3, §6.4): for inspection, and for repair when
// index blobs are lost. Everything before the decryption is hostile input. Entries may point to other packs (deletions do),
// and may be out of date: contents that were deleted or moved later are still among them.
import { WindlassError } from '../../base/errors.ts';
import type { BlobId, BlobStorage } from '../blob/storage.ts';
import type { ContentCipher } from '../crypto/content-cipher.ts';
import { MAX_INDEX_BLOB_BYTES } from '../epoch/load-index.ts';
import type { IndexEntry } from '../index/entry.ts';
import { parseIndex } from '../index/parse-index.ts';
import { parsePostamble, type Postamble } from './pack-trailer.ts';

/** Read first, as Kopia does: holds the whole local index of a pack with few contents. */
const TAIL_BYTES = 8192;

/**
 * The entries of the pack's own index, in key order. `PACK_TRAILER_INVALID` when the end of the blob is no postamble (a
 * pack need not have one), `PACK_INDEX_CORRUPT` when the index it names does not open; both leave the contents readable
 * through other indexes. `BLOB_NOT_FOUND` when there is no such pack.
 */
export async function readLocalIndex(
  storage: BlobStorage,
  packId: BlobId,
  cipher: ContentCipher,
  signal: AbortSignal,
): Promise<IndexEntry[]> {
  const { length } = await storage.getMetadata(packId, signal);
  const tailOffset = Math.max(0, length - TAIL_BYTES);
  const tail = await storage.getBlob(packId, { offset: tailOffset, length: length - tailOffset }, signal);
  const postamble = parsePostamble(packId, tail, length);
  const { indexOffset, indexLength } = postamble;
  if (indexLength > MAX_INDEX_BLOB_BYTES)
    throw indexCorrupt(packId, postamble, new RangeError('too large for an index'));
  const start = indexOffset - tailOffset;
  const sealed =
    start >= 0
      ? tail.subarray(start, start + indexLength)
      : await storage.getBlob(packId, { offset: indexOffset, length: indexLength }, signal);
  try {
    return [...parseIndex(cipher.open(postamble.iv, sealed)).iterate()];
  } catch (cause) {
    throw indexCorrupt(packId, postamble, cause);
  }
}

function indexCorrupt(packId: BlobId, { indexOffset, indexLength }: Postamble, cause: unknown): WindlassError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new WindlassError(
    `local index of pack ${packId} at offset ${indexOffset}, length ${indexLength}, cannot be read: ${reason}`,
    { code: 'PACK_INDEX_CORRUPT', context: { packId, offset: indexOffset, length: indexLength }, cause },
  );
}
