// Bounds what is fetched at a time: requests, because more of them than that gain nothing, and bytes, because each is held
// in memory until it is in its file. Whoever waits is let in in order, except that urgent ones (a lane stands still) go first.

export interface FetchLimits {
  readonly requests: number;
  readonly bytes: number;
}

interface Waiter {
  readonly bytes: number;
  readonly isUrgent: boolean;
  readonly enter: () => void;
}

export class FetchGate {
  readonly #limits: FetchLimits;
  #requests = 0;
  #bytes = 0;
  #waiting: Waiter[] = [];

  constructor(limits: FetchLimits) {
    this.#limits = limits;
  }

  /** Runs `work` when there is room for `bytes` more. One that is larger than the limit runs alone. */
  async run<Result>(
    bytes: number,
    options: { readonly isUrgent: boolean; readonly signal: AbortSignal },
    work: () => Promise<Result>,
  ): Promise<Result> {
    await this.#enter(bytes, options);
    try {
      return await work();
    } finally {
      this.#requests--;
      this.#bytes -= bytes;
      this.#admit();
    }
  }

  async #enter(bytes: number, { isUrgent, signal }: { isUrgent: boolean; signal: AbortSignal }): Promise<void> {
    signal.throwIfAborted();
    if (this.#waiting.length === 0 && this.#hasRoom(bytes)) {
      this.#take(bytes);
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const waiter: Waiter = {
        bytes,
        isUrgent,
        enter: () => {
          signal.removeEventListener('abort', onAbort);
          this.#take(bytes);
          resolve();
        },
      };
      const onAbort = (): void => {
        this.#waiting = this.#waiting.filter((other) => other !== waiter);
        reject(signal.reason as Error);
        this.#admit();
      };
      signal.addEventListener('abort', onAbort, { once: true });
      const at = isUrgent ? this.#waiting.findIndex((other) => !other.isUrgent) : -1;
      this.#waiting.splice(at < 0 ? this.#waiting.length : at, 0, waiter);
      this.#admit();
    });
  }

  #hasRoom(bytes: number): boolean {
    if (this.#requests === 0) return true;
    return this.#requests < this.#limits.requests && this.#bytes + bytes <= this.#limits.bytes;
  }

  #take(bytes: number): void {
    this.#requests++;
    this.#bytes += bytes;
  }

  #admit(): void {
    for (let [next] = this.#waiting; next !== undefined && this.#hasRoom(next.bytes); [next] = this.#waiting) {
      this.#waiting.shift();
      next.enter();
    }
  }
}
