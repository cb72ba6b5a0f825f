// Whether a repository is one that Velero made: it leaves a blob of its own beside kopia's.
import { hasCode } from '../../base/errors.ts';
import type { BlobId, BlobStorage } from '../../repo-format/index.ts';

const VELERO_BLOB = 'udmrepo.Repository' as BlobId;

export async function isVeleroRepository(storage: BlobStorage, signal: AbortSignal): Promise<boolean> {
  try {
    await storage.getMetadata(VELERO_BLOB, signal);
    return true;
  } catch (error) {
    if (hasCode(error, 'BLOB_NOT_FOUND')) return false;
    throw error;
  }
}
