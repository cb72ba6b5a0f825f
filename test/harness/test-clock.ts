// A clock that only tests move: frozen, stepped by hand, or a little on with every look. Sleeping takes no time but passes
// it, so that retry loops run at once and their waits can be checked.
import type { Clock } from '../../base/clock.ts';

export interface TestClock extends Clock {
  /** Moves on; negative durations set the wall clock back. */
  advance(durationMs: number): void;
  /** Every look at the time moves it on by this much afterwards. */
  stepMs: number;
  /** Durations slept so far. */
  readonly sleepsMs: readonly number[];
}

export const TEST_CLOCK_START_MS = Date.UTC(2026, 10, 20, 12);

export function createTestClock(startMs: number = TEST_CLOCK_START_MS): TestClock {
  let nowMs = startMs;
  let monotonicMs = 0;
  const sleepsMs: number[] = [];
  const advance = (durationMs: number): void => {
    nowMs += durationMs;
    monotonicMs += Math.max(0, durationMs);
  };
  const look = <Value>(value: Value): Value => {
    advance(clock.stepMs);
    return value;
  };
  const clock: TestClock = {
    stepMs: 0,
    sleepsMs,
    advance,
    nowMs: () => look(nowMs),
    nowNs: () => look(BigInt(Math.floor(nowMs)) * 1_000_000n),
    monotonicMs: () => look(monotonicMs),
    async sleep(durationMs, signal) {
      signal.throwIfAborted();
      sleepsMs.push(durationMs);
      advance(durationMs);
    },
  };
  return clock;
}
