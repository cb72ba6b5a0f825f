// The closed set of failures of an API server, and the one translation from its answers into it.
import { errorCode, type RetryClass, WindlassError } from '../../base/errors.ts';

export type KubeErrorCode =
  | 'KUBE_NOT_FOUND'
  | 'KUBE_CONFLICT'
  | 'KUBE_ALREADY_EXISTS'
  | 'KUBE_FORBIDDEN'
  | 'KUBE_UNAUTHORIZED'
  | 'KUBE_GONE'
  | 'KUBE_TOO_MANY_REQUESTS'
  | 'KUBE_INVALID'
  | 'KUBE_UNAVAILABLE'
  | 'KUBE_CONFIG'
  | 'KUBE_LEASE_LOST';

const RETRIES: Readonly<Record<KubeErrorCode, RetryClass>> = {
  KUBE_NOT_FOUND: 'never',
  KUBE_CONFLICT: 'after-refresh',
  KUBE_ALREADY_EXISTS: 'never',
  KUBE_FORBIDDEN: 'never',
  KUBE_UNAUTHORIZED: 'transient',
  KUBE_GONE: 'after-refresh',
  KUBE_TOO_MANY_REQUESTS: 'transient',
  KUBE_INVALID: 'never',
  KUBE_UNAVAILABLE: 'transient',
  KUBE_CONFIG: 'never',
  KUBE_LEASE_LOST: 'never',
};

export class KubeError extends WindlassError {
  declare readonly code: KubeErrorCode;
  /** What the server asks to wait before the next try. */
  readonly retryAfterMs: number | undefined;

  constructor(
    code: KubeErrorCode,
    message: string,
    more: { status?: number; retryAfterMs?: number; cause?: unknown } = {},
  ) {
    super(message, {
      code,
      retry: RETRIES[code],
      context: { status: more.status, retryAfterMs: more.retryAfterMs },
      ...(more.cause === undefined ? {} : { cause: more.cause }),
    });
    this.name = 'KubeError';
    this.retryAfterMs = more.retryAfterMs;
  }
}

export interface Answer {
  readonly status: number;
  readonly body: string;
  readonly retryAfter?: string | undefined;
}

/** What a refused request means. `what` says which it was. */
export function refused(what: string, { status, body, retryAfter }: Answer): KubeError {
  const { reason, message } = parseStatus(body);
  const code = codeOf(status, reason);
  const seconds = Number(retryAfter);
  const wait = seconds > 0 && Number.isFinite(seconds) ? { retryAfterMs: seconds * 1000 } : {};
  return new KubeError(code, `${what}: ${message ?? `the API server answers ${status}`}`, { status, ...wait });
}

/** The request came to no answer. */
export function unreachable(what: string, cause: unknown): KubeError {
  const reason = errorCode(cause) ?? (cause instanceof Error ? cause.message : String(cause));
  return new KubeError('KUBE_UNAVAILABLE', `${what}: the API server cannot be reached: ${reason}`, { cause });
}

export function codeOf(status: number, reason: string | undefined): KubeErrorCode {
  switch (status) {
    case 401:
      return 'KUBE_UNAUTHORIZED';
    case 403:
      return 'KUBE_FORBIDDEN';
    case 404:
      return 'KUBE_NOT_FOUND';
    case 409:
      return reason === 'AlreadyExists' ? 'KUBE_ALREADY_EXISTS' : 'KUBE_CONFLICT';
    case 410:
      return 'KUBE_GONE';
    case 429:
      return 'KUBE_TOO_MANY_REQUESTS';
    default:
      return status >= 500 || status === 408 ? 'KUBE_UNAVAILABLE' : 'KUBE_INVALID';
  }
}

const MAX_MESSAGE_LENGTH = 500;

/** A `Status`, or a web page of whatever stands before the server. */
function parseStatus(body: string): { readonly reason?: string; readonly message?: string } {
  try {
    const { reason, message } = JSON.parse(body) as { reason?: unknown; message?: unknown };
    return {
      ...(typeof reason === 'string' ? { reason } : {}),
      ...(typeof message === 'string' ? { message: message.slice(0, MAX_MESSAGE_LENGTH) } : {}),
    };
  } catch {
    return {};
  }
}
