// Translates the answers of Google Cloud Storage's JSON API, and failures on the way to it, into the blob layer's own errors.
import { errorCode, isAbortError, WindlassError } from '../../base/errors.ts';
import { networkFailure, storeFailure, type StoreFailureCode } from './blob-errors.ts';
import type { HttpResponse } from './http-client.ts';

/** The API's own words. */
const REASONS: Readonly<Record<string, StoreFailureCode>> = {
  required: 'BLOB_CREDENTIALS_MISSING', // a caller without a name
  authError: 'BLOB_CREDENTIALS_EXPIRED',
  rateLimitExceeded: 'BLOB_STORE_BUSY',
  userRateLimitExceeded: 'BLOB_STORE_BUSY',
  quotaExceeded: 'BLOB_STORE_FULL',
  backendError: 'BLOB_STORE_UNAVAILABLE',
  internalError: 'BLOB_STORE_UNAVAILABLE',
  retentionPolicyNotMet: 'BLOB_LOCKED',
  objectUnderActiveHold: 'BLOB_LOCKED',
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

export interface GcsRequest {
  readonly operation: string;
  readonly subject: string;
}

/** An answer that is no success. */
export function gcsAnswerFailure(answer: HttpResponse, { operation, subject }: GcsRequest): WindlassError {
  const { status, headers } = answer;
  const { reason, message } = gcsErrorFacts(answer);
  // All that a changed body is told.
  const isDamaged = status === 400 && /(MD5|CRC32C|hash).*(match|differ)/i.test(message);
  const code =
    (isDamaged ? 'BLOB_TRUNCATED' : undefined) ?? REASONS[reason] ?? STATUSES[status] ?? 'BLOB_STORE_REFUSED';
  const retryAfter = String(headers['retry-after'] ?? '');
  return storeFailure(code, {
    operation,
    subject,
    storeCode: reason === '' ? undefined : reason,
    httpStatus: status,
    retryAfterMs: /^\d{1,5}$/.test(retryAfter) ? Number(retryAfter) * 1000 : undefined,
  });
}

export interface GcsErrorFacts {
  readonly reason: string;
  /** For telling failures apart, never for showing. */
  readonly message: string;
}

export function gcsErrorFacts({ body }: HttpResponse): GcsErrorFacts {
  const text = Buffer.from(body.buffer, body.byteOffset, body.length).toString('utf8');
  try {
    const { error } = JSON.parse(text) as { error?: { message?: unknown; errors?: { reason?: unknown }[] } };
    const reason = error?.errors?.[0]?.reason;
    const message = error?.message;
    return { reason: typeof reason === 'string' ? reason : '', message: typeof message === 'string' ? message : text };
  } catch {
    // Reads of an object are refused in plain words.
    return { reason: '', message: text };
  }
}

/** Failures of the network. Aborts and typed errors pass through untouched. */
export function translateGcsError(error: unknown, { operation, subject }: GcsRequest, hasAnswered: boolean): unknown {
  if (error instanceof WindlassError || isAbortError(error)) return error;
  const systemCode = errorCode(error);
  const found = systemCode === undefined ? undefined : networkFailure(systemCode);
  const code = found === 'BLOB_STORE_UNKNOWN' && hasAnswered ? 'BLOB_STORE_UNAVAILABLE' : found;
  return storeFailure(code ?? 'BLOB_STORE_REFUSED', { operation, subject, storeCode: systemCode });
}

/**
 * Failures of asking for a token. The library's messages may quote what is in a credentials file. Once a token was good, what gave it has
 * been replaced or is being replaced: the file is worth another look.
 */
export function translateGcsAuthError(
  error: unknown,
  { operation, subject }: GcsRequest,
  hasAnswered: boolean,
): unknown {
  if (isAbortError(error)) return error;
  const details = { operation, subject, storeCode: errorCode(error) };
  const code = gcsAuthFailure(error);
  const isChanged = hasAnswered && (code === 'BLOB_CREDENTIALS_MISSING' || code === 'BLOB_ACCESS_DENIED');
  if (isChanged) return storeFailure('BLOB_CREDENTIALS_EXPIRED', { ...details, storeCode: 'TokenRefused' });
  if (error instanceof WindlassError) return error;
  return storeFailure(code, code === 'BLOB_ACCESS_DENIED' ? { ...details, storeCode: 'TokenRefused' } : details);
}

function gcsAuthFailure(error: unknown): StoreFailureCode {
  if (error instanceof WindlassError) return error.code as StoreFailureCode;
  const message = error instanceof Error ? error.message : '';
  const systemCode = errorCode(error);
  const network = systemCode === undefined ? undefined : networkFailure(systemCode);
  if (network !== undefined) return network;
  if (/default credentials/i.test(message) || systemCode === 'ENOENT' || systemCode === 'EACCES') {
    return 'BLOB_CREDENTIALS_MISSING';
  }
  return /iat|clock|timeframe/i.test(message) ? 'BLOB_CLOCK_SKEW' : 'BLOB_ACCESS_DENIED';
}
