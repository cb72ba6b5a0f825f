// Waiting for what happens elsewhere: asked again and again, with a generous limit that only a broken run meets.
import { setTimeout } from 'node:timers/promises';

export interface WaitOptions {
  readonly timeoutMs?: number;
  readonly everyMs?: number;
  /** What to say besides when it never comes. */
  readonly explain?: () => string | Promise<string>;
}

const DEFAULT_TIMEOUT_MS = 120_000;
const DEFAULT_EVERY_MS = 200;

/** Asks until the answer is something; throws, naming what was waited for, when it never is. */
export async function waitFor<T>(
  what: string,
  ask: () => T | undefined | Promise<T | undefined>,
  { timeoutMs = DEFAULT_TIMEOUT_MS, everyMs = DEFAULT_EVERY_MS, explain = () => '' }: WaitOptions = {},
): Promise<T> {
  const until = performance.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (performance.now() > until) {
      throw new Error(`waited ${timeoutMs / 1000} s in vain for ${what}\n${await explain()}`.trimEnd());
    }
    await setTimeout(everyMs);
  }
}
