// The one error shape of the project: a stable code, a retry class, loggable context, a cause. It crosses worker
// borders as plain JSON. Codes are documented in docs/errors.md.

/** Whether doing the same thing again can help: never, later, or once stale state was read anew. */
export type RetryClass = 'never' | 'transient' | 'after-refresh';

/** Flat and loggable. Never secrets, never contents. */
export type ErrorContext = Readonly<Record<string, string | number | boolean | null | undefined>>;

export interface WindlassErrorOptions {
  readonly code: string;
  readonly retry?: RetryClass;
  readonly context?: ErrorContext;
  readonly cause?: unknown;
}

/** What crosses a thread or process border in place of an error object. */
export interface SerializedError {
  readonly name: string;
  readonly message: string;
  readonly code: string;
  readonly retry: RetryClass;
  readonly context: ErrorContext;
  readonly cause?: SerializedError;
}

export class WindlassError extends Error {
  readonly code: string;
  readonly retry: RetryClass;
  readonly context: ErrorContext;

  constructor(message: string, options: WindlassErrorOptions) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'WindlassError';
    this.code = options.code;
    this.retry = options.retry ?? 'never';
    this.context = options.context ?? {};
  }

  toJSON(): SerializedError {
    return serializeError(this);
  }
}

/** Flattens any thrown value for a border crossing; system errors keep their `code` (`ENOSPC`…). */
export function serializeError(error: unknown): SerializedError {
  if (error instanceof WindlassError) {
    return {
      name: error.name,
      message: error.message,
      code: error.code,
      retry: error.retry,
      context: error.context,
      ...(error.cause === undefined ? {} : { cause: serializeError(error.cause) }),
    };
  }
  if (error instanceof Error) {
    return {
      name: error.name,
      message: error.message,
      code: errorCode(error) ?? 'UNKNOWN',
      retry: 'never',
      context: {},
    };
  }
  return { name: 'Error', message: String(error), code: 'UNKNOWN', retry: 'never', context: {} };
}

/** The inverse of {@link serializeError}. An abort comes back as an `AbortError`, everything else as a `WindlassError`. */
export function deserializeError(data: SerializedError): Error {
  if (data.name === 'AbortError') return new DOMException(data.message, 'AbortError');
  return new WindlassError(data.message, {
    code: data.code,
    retry: data.retry,
    context: data.context,
    ...(data.cause === undefined ? {} : { cause: deserializeError(data.cause) }),
  });
}

const MAX_CAUSES = 10;

/** An error and all that caused it, in one line: `message: cause: its cause`. What has been said already is not said twice. */
export function explainError(error: unknown): string {
  const said: string[] = [];
  let next: unknown = error;
  for (let depth = 0; next !== undefined && next !== null && depth < MAX_CAUSES; depth++) {
    const text = messageOf(next).replaceAll(/\s+/g, ' ').trim();
    if (text !== '' && !said.some((before) => before.includes(text))) said.push(text);
    next = next instanceof Error ? next.cause : undefined;
  }
  return said.length === 0 ? 'an error without a message' : said.join(': ');
}

/** Node's error of a connection that was tried at several addresses has its reasons in a list, and no message. */
function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.message !== '' || !(error instanceof AggregateError)) return error.message;
  return [...new Set(error.errors.map(messageOf))].join(', ');
}

/** The `code` of a `WindlassError` or of a system error, else undefined. */
export function errorCode(error: unknown): string | undefined {
  if (typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string')
    return error.code;
  return undefined;
}

/** True when `error` carries `code`. Compare codes, never messages. */
export function hasCode(error: unknown, code: string): boolean {
  return errorCode(error) === code;
}

/** Cancellation is not failure: callers pass these through untouched. */
export function isAbortError(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError';
}
