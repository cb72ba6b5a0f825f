// Takes index blobs that do not open out of the way of every client, without losing their bytes.
import { hasCode } from '../../base/errors.ts';
import type { BlobId, BlobStorage } from '../blob/storage.ts';

/** In front of the names of blobs put aside; no client of the format looks there. */
export const ASIDE_PREFIX = '_damaged_';

/** First the copy, then the deletion: after a kill in between it is done again. */
export async function putAside(storage: BlobStorage, id: BlobId, signal: AbortSignal): Promise<void> {
  try {
    const bytes = await storage.getBlob(id, undefined, signal);
    await storage.putBlob(`${ASIDE_PREFIX}${id}` as BlobId, bytes, signal);
  } catch (error) {
    if (!hasCode(error, 'BLOB_NOT_FOUND')) throw error;
  }
  await storage.deleteBlob(id, signal);
}
