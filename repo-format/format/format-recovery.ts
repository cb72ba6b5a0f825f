// Brings back a lost or damaged `kopia.repository` from the copies that may exist: the backup of an upgrade, or a replica
// in a pack of a repository whose password cannot change (repository format §1.2, §2.8).
import { hasCode, WindlassError } from '../../base/errors.ts';
import type { BlobId, BlobMetadata, BlobStorage } from '../blob/storage.ts';
import { FORMAT_BACKUP_PREFIX, FORMAT_BLOB_ID, MAX_FORMAT_BLOB_BYTES, parseFormatBlob } from './format-blob.ts';
import { recoverFormatBlob, recoverFormatBlobFromTail, REPLICA_SEARCH_BYTES } from './format-replica.ts';

export interface FormatCopy {
  readonly blobId: BlobId;
  readonly bytes: Uint8Array;
}

// Either every pack of a repository has a replica or none: a handful tells, a damaged one among them included.
const PACKS_TO_TRY = 16;

/** The best copy there is, parsed once to be sure it is one; undefined without any. A backup may predate an upgrade. */
export async function findFormatCopy(storage: BlobStorage, signal: AbortSignal): Promise<FormatCopy | undefined> {
  for (const prefix of ['p', 'q']) {
    let tried = 0;
    for await (const pack of storage.listBlobs(prefix, signal)) {
      if (tried++ === PACKS_TO_TRY) break;
      const bytes = await replicaIn(storage, pack, signal);
      if (bytes !== undefined && isFormatBlob(bytes)) return { blobId: pack.id, bytes };
    }
  }
  for await (const { id, length } of storage.listBlobs(FORMAT_BACKUP_PREFIX, signal)) {
    if (length > MAX_FORMAT_BLOB_BYTES) continue;
    const bytes = await storage.getBlob(id, undefined, signal);
    if (isFormatBlob(bytes)) return { blobId: id, bytes };
  }
  return undefined;
}

/** Puts the copy in place. `REPOSITORY_EXISTS` while a readable `kopia.repository` is there. */
export async function restoreFormatBlob(storage: BlobStorage, copy: FormatCopy, signal: AbortSignal): Promise<void> {
  parseFormatBlob(copy.bytes);
  if (await hasReadableFormatBlob(storage, signal)) {
    throw new WindlassError('kopia.repository is there and readable', { code: 'REPOSITORY_EXISTS' });
  }
  await storage.putBlob(FORMAT_BLOB_ID, copy.bytes, signal);
}

async function hasReadableFormatBlob(storage: BlobStorage, signal: AbortSignal): Promise<boolean> {
  try {
    const { length } = await storage.getMetadata(FORMAT_BLOB_ID, signal);
    return length <= MAX_FORMAT_BLOB_BYTES && isFormatBlob(await storage.getBlob(FORMAT_BLOB_ID, undefined, signal));
  } catch (error) {
    if (hasCode(error, 'BLOB_NOT_FOUND')) return false;
    throw error;
  }
}

async function replicaIn(
  storage: BlobStorage,
  pack: BlobMetadata,
  signal: AbortSignal,
): Promise<Uint8Array | undefined> {
  const length = Math.min(pack.length, REPLICA_SEARCH_BYTES);
  const head = await storage.getBlob(pack.id, { offset: 0, length }, signal);
  const found = recoverFormatBlob(head);
  if (found !== undefined) return found;
  const tail = await storage.getBlob(pack.id, { offset: pack.length - length, length }, signal);
  return recoverFormatBlobFromTail(tail);
}

function isFormatBlob(bytes: Uint8Array): boolean {
  try {
    parseFormatBlob(bytes);
    return true;
  } catch {
    return false; // any reason not to parse makes it no format blob
  }
}
