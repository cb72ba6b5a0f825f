// The closed set of errors of the blob layer, and the one translation from system errors into it.
import { errorCode, isAbortError, WindlassError } from '../../base/errors.ts';
import type { BlobId, ByteRange } from './storage.ts';

export function blobNotFound(id: BlobId, cause?: unknown): WindlassError {
  return new WindlassError(`blob ${id} not found`, { code: 'BLOB_NOT_FOUND', context: { blobId: id }, cause });
}

export function blobInvalidRange(id: BlobId, range: ByteRange, blobLength: number | undefined): WindlassError {
  const of = blobLength === undefined ? '' : ` of ${blobLength} bytes`;
  return new WindlassError(`range ${range.offset}+${range.length} is not inside blob ${id}${of}`, {
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

/** Whether an answer says that it is exactly this range: then fewer bytes are an answer cut short, not a shorter blob. */
export function isRangeTold(contentRange: string | string[] | undefined, { offset, length }: ByteRange): boolean {
  return String(contentRange).startsWith(`bytes ${offset}-${offset + length - 1}/`);
}

export function storageIsReadOnly(operation: string, displayName: string): WindlassError {
  return new WindlassError(`cannot ${operation}: ${displayName} is opened read-only`, {
    code: 'BLOB_READ_ONLY',
    context: { storage: displayName },
  });
}

/** The file that is to give the store's credentials is of no use. To a provider's library it is only that there are none. */
export function credentialsFileError(path: string, reason: string, cause?: unknown): WindlassError {
  return new WindlassError(`the credentials file ${path} ${reason}`, {
    code: 'STORE_CREDENTIALS_FILE',
    context: { path },
    cause,
  });
}

/** `file`: `.shards` of a folder, `.storageconfig` of a bucket. */
export function layoutInvalid(reason: string, cause?: unknown, file = '.shards'): WindlassError {
  return new WindlassError(`invalid layout (${file}): ${reason}`, { code: 'BLOB_LAYOUT_INVALID', cause });
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

/** What a store behind a network can answer besides success; each provider's adapter translates into these alone. */
const STORE_FAILURES = {
  BLOB_ACCESS_DENIED: { retry: 'never', what: 'access denied' },
  BLOB_CREDENTIALS_EXPIRED: { retry: 'after-refresh', what: 'the credentials have expired or are no longer known' },
  BLOB_CREDENTIALS_MISSING: { retry: 'never', what: 'there are no credentials for the store' },
  BLOB_BUCKET_MISSING: { retry: 'never', what: 'the bucket or container does not exist' },
  BLOB_STORE_BUSY: { retry: 'transient', what: 'the store is busy' },
  BLOB_STORE_UNAVAILABLE: { retry: 'transient', what: 'the store cannot be reached or fails' },
  BLOB_STORE_UNKNOWN: { retry: 'never', what: 'there is no such host' },
  BLOB_STORE_REFUSED: { retry: 'never', what: 'the store refuses the request' },
  BLOB_STORE_FULL: { retry: 'never', what: 'no space left, or the quota is exceeded' },
  BLOB_TIMEOUT: { retry: 'transient', what: 'the store did not answer in time' },
  BLOB_TRUNCATED: { retry: 'transient', what: 'bytes were lost or changed on the way' },
  BLOB_LOCKED: { retry: 'never', what: 'the blob is kept by object lock' },
  BLOB_CLOCK_SKEW: { retry: 'never', what: 'the clocks of this machine and of the store differ too much' },
  BLOB_TLS_UNTRUSTED: { retry: 'never', what: "the store's certificate is not trusted" },
} as const;

export type StoreFailureCode = keyof typeof STORE_FAILURES;

export interface StoreFailureDetails {
  /** `read`, `write`, `list` … */
  readonly operation: string;
  /** A blob's name, or what else it was about. */
  readonly subject: string;
  /** The store's own word for it; anything but plain words is left out. */
  readonly storeCode?: string | undefined;
  readonly httpStatus?: number | undefined;
  readonly requestId?: string | undefined;
  /** When the store asks to be left alone for a time. */
  readonly retryAfterMs?: number | undefined;
}

/** No cause: what SDKs attach to theirs (requests, headers, keys) must not reach a log. */
export function storeFailure(code: StoreFailureCode, details: StoreFailureDetails): WindlassError {
  const { retry, what } = STORE_FAILURES[code];
  const { operation, subject, httpStatus, retryAfterMs } = details;
  const storeCode = plainWord(details.storeCode);
  const said = [storeCode, httpStatus].filter((part) => part !== undefined).join(' ');
  return new WindlassError(`cannot ${operation} ${subject}: ${what}${said === '' ? '' : ` (${said})`}`, {
    code,
    retry,
    context: { subject, storeCode, httpStatus, requestId: plainWord(details.requestId), retryAfterMs },
  });
}

function plainWord(text: string | undefined): string | undefined {
  return text !== undefined && /^[\w.:/+=-]{1,128}$/.test(text) ? text : undefined;
}

/** What a failed connection is, by the system's or OpenSSL's name for it; undefined for names that say nothing of that. */
export function networkFailure(systemCode: string): StoreFailureCode | undefined {
  if (systemCode === CUT_SHORT) return 'BLOB_TRUNCATED';
  if (TIMEOUT_CODES.has(systemCode)) return 'BLOB_TIMEOUT';
  if (NETWORK_CODES.has(systemCode)) return 'BLOB_STORE_UNAVAILABLE';
  if (systemCode === 'ENOTFOUND') return 'BLOB_STORE_UNKNOWN';
  if (TRUST_CODES.has(systemCode) || systemCode.startsWith('ERR_TLS_')) return 'BLOB_TLS_UNTRUSTED';
  if (systemCode === 'EPROTO' || systemCode.startsWith('ERR_SSL_')) return 'BLOB_STORE_REFUSED';
  return undefined;
}

/** Ours, in the place of a system's name, for a body that ended too soon. */
export const CUT_SHORT = 'TooShort';

const TIMEOUT_CODES = new Set(['ETIMEDOUT', 'ESOCKETTIMEDOUT', 'UND_ERR_CONNECT_TIMEOUT', 'UND_ERR_BODY_TIMEOUT']);
const NETWORK_CODES = new Set([
  'ECONNRESET',
  'ECONNREFUSED',
  'ECONNABORTED',
  'EPIPE',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ENETDOWN',
  'UND_ERR_SOCKET',
  'ERR_STREAM_PREMATURE_CLOSE',
]);
const TRUST_CODES = new Set([
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'CERT_UNTRUSTED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);
