// In which order a lane works off the jobs of a window.
import type { PlanWindow } from './window.ts';

/** Which of the lanes this is, counted from 0. */
export interface LanePlace {
  readonly index: number;
  readonly count: number;
}

/**
 * The jobs of a window for one lane, each taken by it alone: first those of its own stretch of the plan, in order, then what
 * the others have not come to, from the far end. Neighbouring jobs often write one file, and the kernel lets only one
 * thread at a time write into a file: lanes side by side would wait for each other.
 */
export function* takeJobs(window: PlanWindow, { index, count }: LanePlace): Generator<number> {
  const { jobCount } = window;
  const start = Math.floor((jobCount * index) / count);
  const end = Math.floor((jobCount * (index + 1)) / count);
  for (let job = start; job < end; job++) if (window.takeJob(job)) yield job;
  for (let job = jobCount - 1; job >= 0; job--) if (window.takeJob(job)) yield job;
}
