// One data mover started ahead while volumes wait for their turn: half of what a small volume takes is the start of its process.
import { heapMibOf, type PreparedMover, prepareMover, type ProcessOptions } from './mover-process.ts';
import type { Job } from './job.ts';

/** A spare that nobody wants is memory for nothing. */
const KEEP_MS = 15_000;

export class SpareMover {
  readonly #options: ProcessOptions;
  #spare: PreparedMover | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ProcessOptions) {
    this.#options = options;
  }

  /** Makes sure that one is there for a job of this budget. Ends by itself when it is not taken. */
  prepare(budget: Pick<Job, 'memoryLimitBytes'>): void {
    const heapMib = heapMibOf(budget);
    if (this.#spare?.heapMib !== heapMib) {
      this.close();
      const spare = prepareMover(heapMib, this.#options);
      this.#spare = spare;
      spare.child.once('close', () => this.#forget(spare));
      spare.child.once('error', () => this.#forget(spare));
    }
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.close(), KEEP_MS);
    this.#timer.unref();
  }

  /** The one that is there, for this job; it is the caller's now. */
  take(job: Job): PreparedMover | undefined {
    const spare = this.#spare;
    if (spare === undefined || spare.heapMib !== heapMibOf(job)) return undefined;
    this.#forget(spare);
    return spare;
  }

  close(): void {
    const spare = this.#spare;
    if (spare === undefined) return;
    this.#forget(spare);
    // Without a job it ends when its input does.
    spare.child.stdin.end();
  }

  #forget(spare: PreparedMover): void {
    if (this.#spare !== spare) return;
    clearTimeout(this.#timer);
    this.#spare = undefined;
  }
}
