// So many at a time, in the order in which they asked. Waiting ends with the signal.

interface Waiter {
  admit(): void;
}

export class Semaphore {
  readonly #waiting = new Set<Waiter>();
  #free: number;

  constructor(places: number) {
    if (!Number.isSafeInteger(places) || places < 1) throw new RangeError(`${places} places`);
    this.#free = places;
  }

  /** Runs `work` in a place of its own; waits for one first. A waiter whose signal aborts leaves with the abort. */
  async run<Result>(work: () => Promise<Result>, signal: AbortSignal): Promise<Result> {
    signal.throwIfAborted();
    if (this.#free > 0) this.#free--;
    else await this.#wait(signal);
    try {
      return await work();
    } finally {
      this.#leave();
    }
  }

  #wait(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        this.#waiting.delete(waiter);
        reject(signal.reason as Error);
      };
      const waiter: Waiter = {
        admit: () => {
          signal.removeEventListener('abort', onAbort);
          resolve();
        },
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiting.add(waiter);
    });
  }

  /** The place goes to who waits longest, without being free in between. */
  #leave(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#free++;
      return;
    }
    this.#waiting.delete(next);
    next.admit();
  }
}
