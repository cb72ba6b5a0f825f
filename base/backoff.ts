// Waiting times that double, with half of each left to chance so that many who fail at once do not come back at once.
import type { RandomSource } from './random.ts';

export interface BackoffTimes {
  readonly firstMs: number;
  readonly maxMs: number;
}

export class Backoff {
  readonly #times: BackoffTimes;
  readonly #random: RandomSource;
  #failures = 0;

  constructor(times: BackoffTimes, random: RandomSource) {
    this.#times = times;
    this.#random = random;
  }

  get failures(): number {
    return this.#failures;
  }

  /** For one more failure. */
  nextMs(): number {
    const { firstMs, maxMs } = this.#times;
    const fullMs = Math.min(maxMs, firstMs * 2 ** Math.min(30, this.#failures++));
    const chance = (this.#random.bytes(1)[0] ?? 0) / 255;
    return fullMs / 2 + (fullMs / 2) * chance;
  }

  reset(): void {
    this.#failures = 0;
  }
}
