// Names of objects that somebody should look at, with the promises of client-go's queue: a name is in it once, is never with two
// workers, and one that is added while it is worked on comes again after.
import type { Clock } from '../../base/clock.ts';
import type { RandomSource } from '../../base/random.ts';
import { Backoff, type BackoffTimes } from '../../base/backoff.ts';

/** Node's timers take no more. Whoever asks for longer is asked once more in between. */
const MAX_TIMER_MS = 2 ** 31 - 1;
const BACKOFF: BackoffTimes = { firstMs: 200, maxMs: 120_000 };

export interface WorkQueueDeps {
  readonly clock: Clock;
  readonly random: RandomSource;
}

export class WorkQueue {
  readonly #deps: WorkQueueDeps;
  readonly #times: BackoffTimes;
  /** Waiting, in their order. */
  readonly #ready = new Set<string>();
  readonly #active = new Set<string>();
  readonly #again = new Set<string>();
  readonly #backoffs = new Map<string, Backoff>();
  /** Of each name the earliest time that it was asked for. */
  readonly #timers = new Map<string, { readonly atMs: number; readonly timer: NodeJS.Timeout }>();
  #isClosed = false;
  readonly #takers: ((key: string) => void)[] = [];

  constructor(deps: WorkQueueDeps, times: BackoffTimes = BACKOFF) {
    this.#deps = deps;
    this.#times = times;
  }

  /** Names that wait for a worker. */
  get length(): number {
    return this.#ready.size;
  }

  add(key: string): void {
    if (this.#active.has(key)) {
      this.#again.add(key);
      return;
    }
    const taker = this.#takers.shift();
    if (taker === undefined) {
      this.#ready.add(key);
      return;
    }
    this.#ready.delete(key);
    this.#active.add(key);
    taker(key);
  }

  addAfter(key: string, delayMs: number): void {
    if (delayMs <= 0) {
      this.add(key);
      return;
    }
    if (this.#isClosed) return;
    const waitMs = Math.min(delayMs, MAX_TIMER_MS);
    const atMs = this.#deps.clock.monotonicMs() + waitMs;
    const known = this.#timers.get(key);
    if (known !== undefined && known.atMs <= atMs) return;
    clearTimeout(known?.timer);
    const timer = setTimeout(() => {
      this.#timers.delete(key);
      this.add(key);
    }, waitMs);
    timer.unref();
    this.#timers.set(key, { atMs, timer });
  }

  /** Later each time, until the name is forgotten; not before `atLeastMs`. */
  addRateLimited(key: string, atLeastMs = 0): void {
    let backoff = this.#backoffs.get(key);
    if (backoff === undefined) this.#backoffs.set(key, (backoff = new Backoff(this.#times, this.#deps.random)));
    this.addAfter(key, Math.max(atLeastMs, backoff.nextMs()));
  }

  forget(key: string): void {
    this.#backoffs.delete(key);
  }

  failures(key: string): number {
    return this.#backoffs.get(key)?.failures ?? 0;
  }

  /** Waits for a name. It is the caller's until `done`. */
  async take(signal: AbortSignal): Promise<string> {
    signal.throwIfAborted();
    const [key] = this.#ready;
    if (key !== undefined) {
      this.#ready.delete(key);
      this.#active.add(key);
      return key;
    }
    return new Promise((resolve, reject) => {
      const taker = (given: string): void => {
        signal.removeEventListener('abort', onAbort);
        resolve(given);
      };
      const onAbort = (): void => {
        this.#takers.splice(this.#takers.indexOf(taker), 1);
        reject(signal.reason);
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#takers.push(taker);
    });
  }

  done(key: string): void {
    this.#active.delete(key);
    if (this.#again.delete(key)) this.add(key);
  }

  /** No timer adds anything any more. */
  close(): void {
    this.#isClosed = true;
    for (const { timer } of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }
}
