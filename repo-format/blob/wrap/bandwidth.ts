// How many bytes a second may pass at which time, and the bucket that holds callers to it.
import type { Clock } from '../../../base/clock.ts';

/** Bytes a second each way; undefined: as many as will. */
export interface Rates {
  readonly upBytesPerSecond: number | undefined;
  readonly downBytesPerSecond: number | undefined;
}

/** A time of the day, local. From `fromMinute` up to before `toMinute`, over midnight when that is the smaller one. */
export interface BandwidthWindow {
  readonly fromMinute: number;
  readonly toMinute: number;
  readonly rates: Rates;
}

export interface BandwidthSchedule {
  /** The first window that holds the time counts. */
  readonly windows: readonly BandwidthWindow[];
  /** At all other times. */
  readonly otherwise: Rates;
}

export function ratesAt(schedule: BandwidthSchedule, minuteOfDay: number): Rates {
  const window = schedule.windows.find(({ fromMinute, toMinute }) =>
    fromMinute < toMinute
      ? fromMinute <= minuteOfDay && minuteOfDay < toMinute
      : fromMinute <= minuteOfDay || minuteOfDay < toMinute,
  );
  return window?.rates ?? schedule.otherwise;
}

/** Minutes since midnight where this machine is. */
export function localMinuteOfDay(nowMs: number): number {
  const now = new Date(nowMs);
  return now.getHours() * 60 + now.getMinutes();
}

// What may pass at once after a quiet time. Enough to keep short requests from waiting, too little to be noticed.
const BURST_SECONDS = 0.25;
// One caller's share before it is another's turn, and before the rate is looked up again.
const SLICE_SECONDS = 0.25;
const MIN_SLICE_BYTES = 1024;

/**
 * A bucket into which bytes flow at a rate. Each caller takes its bytes in slices; the bucket may be overdrawn by them, and
 * who overdraws it waits until it is level again. So callers take turns, and the average holds however they come.
 */
export class TokenBucket {
  readonly #clock: Pick<Clock, 'monotonicMs' | 'sleep'>;
  readonly #rate: () => number | undefined;
  #level = 0;
  #atMs: number;

  /** `rate` is asked before each slice: bytes a second, undefined for no limit. */
  constructor(rate: () => number | undefined, clock: Pick<Clock, 'monotonicMs' | 'sleep'>) {
    this.#rate = rate;
    this.#clock = clock;
    this.#atMs = clock.monotonicMs();
  }

  /** Returns when `count` bytes may have passed. */
  async take(count: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    for (let left = count; left > 0;) {
      const rate = this.#rate();
      if (rate === undefined) return;
      const slice = Math.min(left, Math.max(MIN_SLICE_BYTES, Math.floor(rate * SLICE_SECONDS)));
      this.#fill(rate);
      this.#level -= slice;
      left -= slice;
      if (this.#level < 0) await this.#clock.sleep((-this.#level / rate) * 1000, signal);
    }
  }

  #fill(rate: number): void {
    const nowMs = this.#clock.monotonicMs();
    this.#level = Math.min(rate * BURST_SECONDS, this.#level + ((nowMs - this.#atMs) / 1000) * rate);
    this.#atMs = nowMs;
  }
}
