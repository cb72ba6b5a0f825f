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
  nowNs: () => BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000)) * 1000n,
  monotonicMs: () => performance.now(),
  sleep: async (durationMs, signal) => {
    await delay(durationMs, undefined, { signal });
  },
};
