// Tries again what may succeed later. The only owner of retries: adapters make one attempt and classify its failure
// (`WindlassError.retry`), nothing above repeats a call.
//
// - `transient`: waits, with full jitter, twice as long each time, and never less than the store asked for;
// - `after-refresh`: asks for new credentials, once an operation, and tries at once;
// - `never`, and what is no error of ours: goes to the caller as it is.
//
// A read that broke off is read again as a whole: the store's word that it is still the same blob would cost as much as
// the bytes saved. Blobs are overwritten only by equal bytes, so a put whose answer was lost is simply repeated.
import type { Clock } from '../../../base/clock.ts';
import { isAbortError, WindlassError } from '../../../base/errors.ts';
import type { RandomSource } from '../../../base/random.ts';
import type { BlobMetadata, BlobStorage } from '../storage.ts';
import { ListResumption } from './list-resumption.ts';
import { retentionMembers } from './retention-members.ts';

export interface RetryOptions {
  /** Attempts of an operation, the first included. */
  readonly attempts?: number;
  /** Bound of the first wait; doubled for each further one. */
  readonly firstDelayMs?: number;
  readonly maxDelayMs?: number;
  /**
   * No attempt begins this long after the first one failed. One that is under way is not ended by it: a large blob on a slow
   * line, or one that waits for its turn below a limit, is no failure, and adapters end what stalls.
   */
  readonly deadlineMs?: number;
}

/** A failed attempt that is followed by another one. */
export interface RetryEvent {
  /** `getBlob`, `listBlobs` … */
  readonly operation: string;
  /** Blob or prefix. */
  readonly subject: string;
  readonly error: WindlassError;
  readonly delayMs: number;
}

export interface RetryDeps {
  readonly clock: Pick<Clock, 'monotonicMs' | 'sleep'>;
  readonly random: RandomSource;
  /** Makes the adapter ask its provider's credential chain anew. Without it the adapter does so by itself, with the next call. */
  readonly refreshCredentials?: (signal: AbortSignal) => Promise<void>;
  readonly onRetry?: (event: RetryEvent) => void;
}

const DEFAULTS: Required<RetryOptions> = {
  attempts: 10,
  firstDelayMs: 100,
  maxDelayMs: 30_000,
  // Ten attempts that each end by the idle limit of a minute fit in.
  deadlineMs: 15 * 60_000,
};

/** What one operation went through so far. */
interface Trouble {
  readonly firstFailureMs: number;
  readonly failures: number;
  readonly hasRefreshed: boolean;
}

type Verdict = { readonly next: 'give-up' | 'refresh' } | { readonly next: 'wait'; readonly delayMs: number };

/** What to do after failure number `failures`. `fraction` is a random number below 1. */
export function judgeFailure(
  error: WindlassError,
  trouble: Trouble & { readonly nowMs: number },
  options: Required<RetryOptions>,
  fraction: number,
): Verdict {
  if (trouble.failures >= options.attempts) return { next: 'give-up' };
  if (error.retry === 'after-refresh') return { next: trouble.hasRefreshed ? 'give-up' : 'refresh' };
  if (error.retry === 'never') return { next: 'give-up' };
  const bound = Math.min(options.maxDelayMs, options.firstDelayMs * 2 ** (trouble.failures - 1));
  const asked = error.context['retryAfterMs'];
  // Jitter comes on top of what was asked: all who were turned away at once must not come back at once.
  const delayMs = bound * fraction + (typeof asked === 'number' && asked > 0 ? asked : 0);
  const isTooLate = trouble.nowMs + delayMs - trouble.firstFailureMs > options.deadlineMs;
  return isTooLate ? { next: 'give-up' } : { next: 'wait', delayMs };
}

/** Passes no local files through: their calls do not go over a network. Closing closes the wrapped storage. */
export function retryingStorage(inner: BlobStorage, options: RetryOptions, deps: RetryDeps): BlobStorage {
  const limits = { ...DEFAULTS, ...options };
  const refresh = sharedRefresh(deps.refreshCredentials);
  const operation = (name: string, subject: string): Operation =>
    new Operation({ name, subject, limits, refresh }, deps);

  async function* list(prefix: string, signal: AbortSignal): AsyncGenerator<BlobMetadata, void, void> {
    const resumption = new ListResumption();
    let persistence = operation('listBlobs', prefix);
    for (;;) {
      try {
        for await (const blob of inner.listBlobs(prefix, signal)) {
          if (!resumption.isNew(blob.id)) continue;
          yield blob;
          // A list that gets on starts afresh: a long one may be interrupted more often than a short one.
          if (persistence.hasFailed) persistence = operation('listBlobs', prefix);
        }
        return;
      } catch (error) {
        await persistence.afterFailure(error, signal);
        resumption.startAgain(error);
      }
    }
  }

  return {
    displayName: inner.displayName,
    getBlob: (id, range, signal) => operation('getBlob', id).run(() => inner.getBlob(id, range, signal), signal),
    getMetadata: (id, signal) => operation('getMetadata', id).run(() => inner.getMetadata(id, signal), signal),
    putBlob: (id, bytes, signal) => operation('putBlob', id).run(() => inner.putBlob(id, bytes, signal), signal),
    listBlobs: list,
    deleteBlob: (id, signal) => operation('deleteBlob', id).run(() => inner.deleteBlob(id, signal), signal),
    ...retentionMembers(inner, (id, request, signal) => operation('extendRetention', id).run(request, signal)),
    freeBytes: (signal) => operation('freeBytes', '').run(() => inner.freeBytes(signal), signal),
    close: () => inner.close(),
  };
}

type Refresh = (signal: AbortSignal) => Promise<void>;

/** Many operations find their credentials expired at the same moment: they share one refresh. */
function sharedRefresh(refresh: Refresh | undefined): Refresh | undefined {
  if (refresh === undefined) return undefined;
  let running: Promise<void> | undefined;
  return async (signal) => {
    // Not the signal of whoever came first: the others still want it.
    running ??= refresh(new AbortController().signal).finally(() => {
      running = undefined;
    });
    await untilAborted(running, signal);
  };
}

async function untilAborted<Result>(promise: Promise<Result>, signal: AbortSignal): Promise<Result> {
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

interface OperationSpec {
  readonly name: string;
  readonly subject: string;
  readonly limits: Required<RetryOptions>;
  readonly refresh: Refresh | undefined;
}

class Operation {
  readonly #spec: OperationSpec;
  readonly #deps: RetryDeps;
  #failures = 0;
  #firstFailureMs: number | undefined;
  #hasRefreshed = false;

  constructor(spec: OperationSpec, deps: RetryDeps) {
    this.#spec = spec;
    this.#deps = deps;
  }

  get hasFailed(): boolean {
    return this.#failures > 0;
  }

  async run<Result>(attempt: () => Promise<Result>, signal: AbortSignal): Promise<Result> {
    for (;;) {
      try {
        return await attempt();
      } catch (error) {
        await this.afterFailure(error, signal);
      }
    }
  }

  /** Returns when it is time for another attempt; throws when there is none. */
  async afterFailure(error: unknown, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (isAbortError(error) || !(error instanceof WindlassError)) throw error;
    this.#failures++;
    const { clock, random, onRetry } = this.#deps;
    const { limits, name, subject, refresh } = this.#spec;
    const nowMs = clock.monotonicMs();
    this.#firstFailureMs ??= nowMs;
    const trouble = {
      firstFailureMs: this.#firstFailureMs,
      nowMs,
      failures: this.#failures,
      hasRefreshed: this.#hasRefreshed,
    };
    const verdict = judgeFailure(error, trouble, limits, randomFraction(random));
    if (verdict.next === 'give-up') throw this.#givenUp(error);
    const delayMs = verdict.next === 'wait' ? verdict.delayMs : 0;
    onRetry?.({ operation: name, subject, error, delayMs });
    if (verdict.next === 'wait') {
      await clock.sleep(delayMs, signal);
      return;
    }
    try {
      await refresh?.(signal);
      this.#hasRefreshed = true;
    } catch (refreshError) {
      // What gives out credentials may be as busy as the store: the same rules hold for it.
      await this.afterFailure(refreshError, signal);
    }
  }

  /** The last failure, saying how long it was tried. */
  #givenUp(error: WindlassError): WindlassError {
    if (this.#failures === 1) return error;
    return new WindlassError(`${error.message}, ${this.#failures} times`, {
      code: error.code,
      retry: error.retry,
      context: { ...error.context, attempts: this.#failures },
      cause: error.cause,
    });
  }
}

/** Uniform, at least 0 and below 1. */
function randomFraction(random: RandomSource): number {
  const [a = 0, b = 0, c = 0, d = 0] = random.bytes(4);
  return (a * 2 ** 24 + b * 2 ** 16 + c * 2 ** 8 + d) / 2 ** 32;
}
