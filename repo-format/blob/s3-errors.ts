// Translates what the S3 library throws into the blob layer's own errors. Nothing of the library's objects is kept.
import { errorCode, WindlassError } from '../../base/errors.ts';
import { networkFailure, storeFailure, type StoreFailureCode } from './blob-errors.ts';

/** S3's own words, as Amazon and the stores that speak like it use them. */
const CODES: Readonly<Record<string, StoreFailureCode>> = {
  AccessDenied: 'BLOB_ACCESS_DENIED',
  AllAccessDisabled: 'BLOB_ACCESS_DENIED',
  AccountProblem: 'BLOB_ACCESS_DENIED',
  SignatureDoesNotMatch: 'BLOB_ACCESS_DENIED',
  InvalidAccessKeyId: 'BLOB_ACCESS_DENIED',
  InvalidToken: 'BLOB_ACCESS_DENIED',
  XAdminUserNotFound: 'BLOB_ACCESS_DENIED', // versitygw's word for an unknown key, with a status of 404
  ExpiredToken: 'BLOB_CREDENTIALS_EXPIRED',
  ExpiredTokenException: 'BLOB_CREDENTIALS_EXPIRED',
  TokenRefreshRequired: 'BLOB_CREDENTIALS_EXPIRED',
  CredentialsProviderError: 'BLOB_CREDENTIALS_MISSING',
  TokenProviderError: 'BLOB_CREDENTIALS_MISSING',
  NoSuchBucket: 'BLOB_BUCKET_MISSING',
  InvalidBucketName: 'BLOB_BUCKET_MISSING',
  SlowDown: 'BLOB_STORE_BUSY',
  SlowDownRead: 'BLOB_STORE_BUSY',
  SlowDownWrite: 'BLOB_STORE_BUSY',
  RequestLimitExceeded: 'BLOB_STORE_BUSY',
  TooManyRequests: 'BLOB_STORE_BUSY',
  Throttling: 'BLOB_STORE_BUSY',
  ThrottlingException: 'BLOB_STORE_BUSY',
  BandwidthLimitExceeded: 'BLOB_STORE_BUSY',
  OperationAborted: 'BLOB_STORE_BUSY', // of two puts of one name at once
  InternalError: 'BLOB_STORE_UNAVAILABLE',
  ServiceUnavailable: 'BLOB_STORE_BUSY',
  RequestTimeout: 'BLOB_TIMEOUT',
  TimeoutError: 'BLOB_TIMEOUT',
  AbortError: 'BLOB_STORE_UNAVAILABLE',
  BadDigest: 'BLOB_TRUNCATED',
  IncompleteBody: 'BLOB_TRUNCATED',
  XAmzContentSHA256Mismatch: 'BLOB_TRUNCATED',
  XAmzContentChecksumMismatch: 'BLOB_TRUNCATED',
  ChecksumMismatch: 'BLOB_TRUNCATED',
  RequestTimeTooSkewed: 'BLOB_CLOCK_SKEW',
  ObjectLocked: 'BLOB_LOCKED',
  QuotaExceeded: 'BLOB_STORE_FULL',
  InsufficientCapacity: 'BLOB_STORE_FULL',
  InsufficientStorage: 'BLOB_STORE_FULL',
  XMinioStorageFull: 'BLOB_STORE_FULL',
  XMinioAdminBucketQuotaExceeded: 'BLOB_STORE_FULL',
};

/** Where there is no word, as in the answer to a HEAD. */
const STATUSES: Readonly<Record<number, StoreFailureCode>> = {
  401: 'BLOB_ACCESS_DENIED',
  403: 'BLOB_ACCESS_DENIED',
  408: 'BLOB_TIMEOUT',
  429: 'BLOB_STORE_BUSY',
  500: 'BLOB_STORE_UNAVAILABLE',
  502: 'BLOB_STORE_UNAVAILABLE',
  503: 'BLOB_STORE_BUSY',
  504: 'BLOB_TIMEOUT',
  507: 'BLOB_STORE_FULL',
  509: 'BLOB_STORE_BUSY',
};

/** Words that mean something else once requests with the same client have succeeded. */
const AFTER_SUCCESS: Partial<Record<string, StoreFailureCode>> = {
  InvalidAccessKeyId: 'BLOB_CREDENTIALS_EXPIRED',
  InvalidToken: 'BLOB_CREDENTIALS_EXPIRED',
  SignatureDoesNotMatch: 'BLOB_CREDENTIALS_EXPIRED', // another secret for the same key
  XAdminUserNotFound: 'BLOB_CREDENTIALS_EXPIRED',
  CredentialsProviderError: 'BLOB_CREDENTIALS_EXPIRED',
  TokenProviderError: 'BLOB_CREDENTIALS_EXPIRED',
  ENOTFOUND: 'BLOB_STORE_UNAVAILABLE',
};

export interface S3Request {
  readonly operation: string;
  readonly subject: string;
  /** The store has answered before: the address and the keys were right. */
  readonly hasAnswered: boolean;
}

/** Typed errors pass through untouched. The caller has looked at its signal: an abort is the library's word for a broken connection. */
export function translateS3Error(error: unknown, { operation, subject, hasAnswered }: S3Request): unknown {
  if (error instanceof WindlassError) return error;
  const { name, httpStatus, requestId, retryAfterMs } = s3ErrorFacts(error);
  const systemCode = errorCode(error);
  const words = [name, systemCode].filter((word) => word !== undefined);
  const changed = hasAnswered ? words.map((word) => AFTER_SUCCESS[word]).find((code) => code !== undefined) : undefined;
  const code =
    changed ??
    // The library calls a reset connection a time-out, too: the system's own word comes first.
    (systemCode === undefined ? undefined : networkFailure(systemCode)) ??
    CODES[name] ??
    (systemCode === undefined ? undefined : CODES[systemCode]) ??
    (httpStatus === undefined ? undefined : STATUSES[httpStatus]) ??
    'BLOB_STORE_REFUSED';
  const storeCode = GENERIC_NAMES.has(name) ? systemCode : name;
  return storeFailure(code, { operation, subject, storeCode, httpStatus, requestId, retryAfterMs });
}

const GENERIC_NAMES = new Set(['Error', 'TimeoutError', 'Unknown', 'UnknownError', '403', 'Forbidden']);

export interface S3ErrorFacts {
  readonly name: string;
  readonly httpStatus: number | undefined;
  readonly requestId: string | undefined;
  readonly retryAfterMs: number | undefined;
  readonly bucketRegion: string | undefined;
}

/** The few members of a library's error that are looked at. */
export function s3ErrorFacts(error: unknown): S3ErrorFacts {
  const name = error instanceof Error ? error.name : 'Unknown';
  const metadata = memberOf(error, '$metadata');
  const httpStatus = memberOf(metadata, 'httpStatusCode');
  const requestId = memberOf(metadata, 'requestId');
  const headers = memberOf(memberOf(error, '$response'), 'headers');
  const retryAfter = memberOf(headers, 'retry-after');
  const bucketRegion = memberOf(headers, 'x-amz-bucket-region');
  return {
    name,
    httpStatus: typeof httpStatus === 'number' ? httpStatus : undefined,
    requestId: typeof requestId === 'string' ? requestId : undefined,
    retryAfterMs:
      typeof retryAfter === 'string' && /^\d{1,5}$/.test(retryAfter) ? Number(retryAfter) * 1000 : undefined,
    bucketRegion: typeof bucketRegion === 'string' && /^[a-z0-9-]{1,64}$/.test(bucketRegion) ? bucketRegion : undefined,
  };
}

function memberOf(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined;
  return (value as Readonly<Record<string, unknown>>)[name];
}
