// Workers that take names from a queue and bring each object closer to what it should be. What fails is tried again, later each
// time; nothing that a reconciler throws ends the loop.
import type { Clock } from '../../base/clock.ts';
import { errorCode } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import { KubeError } from '../client/kube-error.ts';
import type { WorkQueue } from './work-queue.ts';

/** When to look again although nothing has changed. */
export type ReconcileResult = { readonly requeueAfterMs: number } | undefined;

export interface ControllerOptions {
  readonly name: string;
  readonly queue: WorkQueue;
  readonly workers: number;
  /** From the state of the world, never from what has just happened. Must return soon: long work goes on elsewhere. */
  readonly reconcile: (key: string, signal: AbortSignal) => Promise<ReconcileResult>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Told after each: for metrics. */
  readonly onReconciled?: (durationMs: number, error: unknown) => void;
}

/** Resolves when the signal has aborted and all workers have ended. */
export async function runController(options: ControllerOptions, signal: AbortSignal): Promise<void> {
  await Promise.all(Array.from({ length: options.workers }, () => work(options, signal)));
  options.queue.close();
}

async function work(options: ControllerOptions, signal: AbortSignal): Promise<void> {
  const { queue } = options;
  while (!signal.aborted) {
    let key: string;
    try {
      key = await queue.take(signal);
    } catch {
      return; // aborted
    }
    try {
      await reconcileOne(options, key, signal);
    } finally {
      queue.done(key);
    }
  }
}

async function reconcileOne(options: ControllerOptions, key: string, signal: AbortSignal): Promise<void> {
  const { name, queue, clock, logger, onReconciled } = options;
  const startedMs = clock.monotonicMs();
  try {
    const result = await options.reconcile(key, signal);
    queue.forget(key);
    if (result !== undefined) queue.addAfter(key, result.requeueAfterMs);
    onReconciled?.(clock.monotonicMs() - startedMs, undefined);
  } catch (error) {
    if (signal.aborted) return;
    onReconciled?.(clock.monotonicMs() - startedMs, error);
    // After a conflict somebody was faster: the next look decides anew, and nothing is wrong.
    const level = errorCode(error) === 'KUBE_CONFLICT' ? 'debug' : 'warn';
    logger[level]('reconciling failed; it will be tried again', {
      controller: name,
      key,
      code: errorCode(error) ?? 'UNKNOWN',
      error: error instanceof Error ? error.message : String(error),
      failures: queue.failures(key) + 1,
    });
    queue.addRateLimited(key, error instanceof KubeError ? error.retryAfterMs : undefined);
  }
}
