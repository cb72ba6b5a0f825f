// Translates what Azure Blob Storage and its library throw into the blob layer's own errors. Of the library's objects only a few
// members are looked at: its messages repeat signed strings and tokens.
import { errorCode, isAbortError, WindlassError } from '../../base/errors.ts';
import { blobInvalidRange, blobNotFound, networkFailure, storeFailure, type StoreFailureCode } from './blob-errors.ts';
import type { BlobId, ByteRange } from './storage.ts';

/** Azure's own words. */
const CODES: Readonly<Record<string, StoreFailureCode>> = {
  AccountIsDisabled: 'BLOB_ACCESS_DENIED',
  AuthenticationFailed: 'BLOB_ACCESS_DENIED',
  AuthorizationFailure: 'BLOB_ACCESS_DENIED',
  AuthorizationPermissionMismatch: 'BLOB_ACCESS_DENIED',
  InsufficientAccountPermissions: 'BLOB_ACCESS_DENIED',
  InvalidAuthenticationInfo: 'BLOB_CREDENTIALS_EXPIRED', // a token that is out of date
  NoAuthenticationInformation: 'BLOB_CREDENTIALS_MISSING',
  ContainerNotFound: 'BLOB_BUCKET_MISSING',
  ContainerBeingDeleted: 'BLOB_BUCKET_MISSING',
  ContainerDisabled: 'BLOB_BUCKET_MISSING',
  ServerBusy: 'BLOB_STORE_BUSY',
  InternalError: 'BLOB_STORE_UNAVAILABLE',
  OperationTimedOut: 'BLOB_TIMEOUT',
  Md5Mismatch: 'BLOB_TRUNCATED',
  PARSE_ERROR: 'BLOB_TRUNCATED', // the library's own word for an answer that broke off
  BlobImmutableDueToPolicy: 'BLOB_LOCKED',
  BlobImmutableDueToLegalHold: 'BLOB_LOCKED',
  LeaseIdMissing: 'BLOB_LOCKED',
};

const STATUSES: Readonly<Record<number, StoreFailureCode>> = {
  401: 'BLOB_CREDENTIALS_EXPIRED',
  403: 'BLOB_ACCESS_DENIED',
  408: 'BLOB_TIMEOUT',
  429: 'BLOB_STORE_BUSY',
  500: 'BLOB_STORE_UNAVAILABLE',
  502: 'BLOB_STORE_UNAVAILABLE',
  503: 'BLOB_STORE_BUSY',
  504: 'BLOB_TIMEOUT',
};

export interface AzureRequest {
  readonly operation: string;
  readonly subject: string;
  readonly blobId?: BlobId | undefined;
  readonly range?: ByteRange | undefined;
  /** The store has answered before: the address and the keys were right. */
  readonly hasAnswered: boolean;
}

/** Typed errors pass through untouched. The caller has looked at its signal: an abort is the library's word for a broken connection. */
export function translateAzureError(error: unknown, request: AzureRequest): unknown {
  if (error instanceof WindlassError) return error;
  const { operation, subject, blobId, range } = request;
  if (isAbortError(error)) return storeFailure('BLOB_STORE_UNAVAILABLE', { operation, subject });
  const { word, detail, httpStatus, requestId, retryAfterMs } = azureErrorFacts(error);
  const code = codeOf(word, detail, httpStatus, request.hasAnswered);
  if (code === undefined && httpStatus === 404 && blobId !== undefined) return blobNotFound(blobId);
  if (code === undefined && httpStatus === 416 && blobId !== undefined && range !== undefined) {
    return blobInvalidRange(blobId, range, undefined);
  }
  return storeFailure(code ?? 'BLOB_STORE_REFUSED', {
    operation,
    subject,
    storeCode: word,
    httpStatus,
    requestId,
    retryAfterMs,
  });
}

function codeOf(
  word: string | undefined,
  detail: string,
  httpStatus: number | undefined,
  hasAnswered: boolean,
): StoreFailureCode | undefined {
  if (word === 'AuthenticationFailed') {
    // One word for a clock that is wrong, a signature that has run out and a key that is none.
    if (/date header|RequestTimeTooSkewed/i.test(detail)) return 'BLOB_CLOCK_SKEW';
    if (hasAnswered || /not valid in the specified time frame|expir/i.test(detail)) return 'BLOB_CREDENTIALS_EXPIRED';
  }
  if (word === 'AuthorizationFailure' && hasAnswered) return 'BLOB_CREDENTIALS_EXPIRED';
  if (word === 'ENOTFOUND' && hasAnswered) return 'BLOB_STORE_UNAVAILABLE';
  if (word === 'REQUEST_SEND_ERROR') return 'BLOB_STORE_UNAVAILABLE';
  const named = word === undefined ? undefined : (CODES[word] ?? networkFailure(word));
  return named ?? (httpStatus === undefined ? undefined : STATUSES[httpStatus]);
}

interface AzureErrorFacts {
  readonly word: string | undefined;
  /** For telling failures apart, never for showing. */
  readonly detail: string;
  readonly httpStatus: number | undefined;
  readonly requestId: string | undefined;
  readonly retryAfterMs: number | undefined;
}

function azureErrorFacts(error: unknown): AzureErrorFacts {
  const details = memberOf(error, 'details');
  const word = memberOf(details, 'errorCode') ?? errorCode(error);
  const httpStatus = memberOf(error, 'statusCode');
  const headers = memberOf(memberOf(error, 'response'), 'headers') as { get?: (name: string) => unknown } | undefined;
  const header = (name: string): string => textOf(headers?.get?.(name));
  const retryAfter = header('retry-after');
  const reason = memberOf(details, 'authenticationErrorDetail') ?? memberOf(details, 'AuthenticationErrorDetail');
  return {
    word: typeof word === 'string' ? word : undefined,
    detail: `${textOf(reason)} ${error instanceof Error ? error.message : ''}`,
    httpStatus: typeof httpStatus === 'number' ? httpStatus : undefined,
    requestId: header('x-ms-request-id'),
    retryAfterMs: /^\d{1,5}$/.test(retryAfter) ? Number(retryAfter) * 1000 : undefined,
  };
}

function memberOf(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined;
  return (value as Readonly<Record<string, unknown>>)[name];
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** A token was refused or could not be asked for. Once one was good, what gave it has been replaced: the credentials are read anew. */
export function azureTokenFailure(error: unknown, hasAnswered: boolean): unknown {
  const changes = ['BLOB_ACCESS_DENIED', 'BLOB_CREDENTIALS_MISSING'];
  if (!hasAnswered || !(error instanceof WindlassError) || !changes.includes(error.code)) return error;
  return storeFailure('BLOB_CREDENTIALS_EXPIRED', {
    operation: 'open',
    subject: "the account's identity",
    storeCode: 'TokenRefused',
  });
}
