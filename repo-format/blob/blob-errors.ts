// The closed set of errors of the blob layer, and the one translation from system errors into it.
import { errorCode, isAbortError, WindlassError } from '../../base/errors.ts';
import type { BlobId, ByteRange } from './storage.ts';

export function blobNotFound(id: BlobId, cause?: unknown): WindlassError {
  return new WindlassError(`blob ${id} not found`, { code: 'BLOB_NOT_FOUND', context: { blobId: id }, cause });
}

export function blobInvalidRange(id: BlobId, range: ByteRange, blobLength: number): WindlassError {
  return new WindlassError(`range ${range.offset}+${range.length} is not inside blob ${id} of ${blobLength} bytes`, {
    code: 'BLOB_INVALID_RANGE',
    context: { blobId: id, offset: range.offset, length: range.length, blobLength },
  });
}

/** Checks a range against the length of its blob, in safe integers. */
export function assertRangeInside(id: BlobId, range: ByteRange, blobLength: number): void {
  const { offset, length } = range;
  const valid = Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0;
  if (!valid || offset + length > blobLength) throw blobInvalidRange(id, range, blobLength);
}

export function storageIsReadOnly(operation: string, displayName: string): WindlassError {
  return new WindlassError(`cannot ${operation}: ${displayName} is opened read-only`, {
    code: 'BLOB_READ_ONLY',
    context: { storage: displayName },
  });
}

export function layoutInvalid(reason: string, cause?: unknown): WindlassError {
  return new WindlassError(`invalid folder layout (.shards): ${reason}`, { code: 'BLOB_LAYOUT_INVALID', cause });
}

/** Which code a system error gets, and whether trying again may help. */
const SYSTEM_CODES: Readonly<Record<string, { code: string; retry: 'never' | 'transient'; what: string }>> = {
  ENOSPC: { code: 'BLOB_STORE_FULL', retry: 'never', what: 'no space left' },
  EDQUOT: { code: 'BLOB_STORE_FULL', retry: 'never', what: 'quota exceeded' },
  EFBIG: { code: 'BLOB_STORE_FULL', retry: 'never', what: 'file too large for the file system' },
  EACCES: { code: 'BLOB_ACCESS_DENIED', retry: 'never', what: 'permission denied' },
  EPERM: { code: 'BLOB_ACCESS_DENIED', retry: 'never', what: 'operation not permitted' },
  EROFS: { code: 'BLOB_ACCESS_DENIED', retry: 'never', what: 'read-only file system' },
  ELOOP: { code: 'BLOB_ACCESS_DENIED', retry: 'never', what: 'symbolic link in the place of a file' },
};

/**
 * Translates a failure of a file operation. Typed errors and aborts pass through untouched; what is not known is
 * `BLOB_IO`, worth another try.
 */
export function translateFileError(error: unknown, operation: string, id: BlobId | undefined, path: string): unknown {
  if (error instanceof WindlassError || isAbortError(error)) return error;
  const systemCode = errorCode(error);
  const subject = id === undefined ? path : `blob ${id}`;
  const known = systemCode === undefined ? undefined : SYSTEM_CODES[systemCode];
  const reason = known?.what ?? (error instanceof Error ? error.message : String(error));
  return new WindlassError(`cannot ${operation} ${subject}: ${reason}`, {
    code: known?.code ?? 'BLOB_IO',
    retry: known?.retry ?? 'transient',
    context: { blobId: id, path, systemCode },
    cause: error,
  });
}
