// Checks blob names at the edge, so that nothing below ever joins a hostile string to a path or a key.
import { WindlassError } from '../../base/errors.ts';
import type { BlobId } from './storage.ts';

export const MAX_BLOB_ID_LENGTH = 255;

/** Printable ASCII without space, `/` and `\`. */
const BLOB_ID = /^[\x21-\x2e\x30-\x5b\x5d-\x7e]{1,255}$/;

export function isBlobId(name: string): name is BlobId {
  return BLOB_ID.test(name) && name !== '.' && name !== '..';
}

/** `BLOB_NAME_INVALID` when `name` cannot name a blob. */
export function parseBlobId(name: string): BlobId {
  if (isBlobId(name)) return name;
  throw new WindlassError(`invalid blob name ${JSON.stringify(name.slice(0, MAX_BLOB_ID_LENGTH))}`, {
    code: 'BLOB_NAME_INVALID',
  });
}

/** Throws `BLOB_NAME_INVALID`; for values that are branded but came from other code. */
export function assertBlobId(id: BlobId): void {
  parseBlobId(id);
}

/** A prefix to list is empty or could be a name itself; `BLOB_NAME_INVALID` otherwise. */
export function assertBlobPrefix(prefix: string): void {
  if (prefix !== '') parseBlobId(prefix);
}
