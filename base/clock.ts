// Time as a parameter. Only composition roots use `systemClock`.
import { setTimeout as delay } from 'node:timers/promises';

export interface Clock {
  /** Unix time in milliseconds. */
  nowMs(): number;
  /** Unix time in nanoseconds, as fine as the platform tells. */
  nowNs(): bigint;
  /** Milliseconds since an arbitrary start; never goes back. */
  monotonicMs(): number;
  /** Waits; rejects with `AbortError` when `signal` aborts. */
  sleep(durationMs: number, signal: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  nowNs: () => wallTimeNs(Date.now(), performance.timeOrigin + performance.now()),
  monotonicMs: () => performance.now(),
  sleep: async (durationMs, signal) => {
    await delay(durationMs, undefined, { signal });
  },
};

// Two readings of agreeing clocks, one of them rounded down to a millisecond.
const MAX_APART_MS = 2;

/**
 * The finer of two readings of the time, while they agree. `fineMs` counts on from the start of the process: it knows
 * nothing of a clock that was set since, nor, on Linux, of the time that the machine slept.
 */
export function wallTimeNs(wallMs: number, fineMs: number): bigint {
  const isFollowing = Math.abs(fineMs - wallMs) <= MAX_APART_MS;
  return isFollowing ? BigInt(Math.round(fineMs * 1000)) * 1000n : BigInt(wallMs) * 1_000_000n;
}
