import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Logger } from '../../base/logger.ts';
import { silentLogger } from '../../base/logger.ts';
import { systemClock } from '../../base/clock.ts';
import { KubeError } from '../client/kube-error.ts';
import { runController, type ControllerOptions } from './controller.ts';
import { WorkQueue } from './work-queue.ts';

const random = { bytes: (length: number) => new Uint8Array(length) };

class RecordingQueue extends WorkQueue {
  readonly asked: (readonly [string, string, number])[] = [];

  override addAfter(key: string, delayMs: number): void {
    this.asked.push(['after', key, delayMs]);
    super.addAfter(key, 1);
  }
}

function openQueue(): RecordingQueue {
  return new RecordingQueue({ clock: systemClock, random }, { firstMs: 1000, maxMs: 8000 });
}

async function run(
  queue: WorkQueue,
  reconcile: (count: number) => ReturnType<ControllerOptions['reconcile']>,
  times: number,
  more: Partial<ControllerOptions> = {},
): Promise<void> {
  const stop = new AbortController();
  let count = 0;
  const options: ControllerOptions = {
    name: 'test',
    queue,
    workers: 1,
    clock: systemClock,
    logger: silentLogger,
    reconcile: async () => {
      if (++count === times) stop.abort();
      return reconcile(count);
    },
    ...more,
  };
  queue.add('a');
  await runController(options, stop.signal);
  assert.equal(count, times);
}

test('what fails is tried again, later each time, and forgotten when it succeeds', async () => {
  const queue = openQueue();
  const reconcile = async (count: number): Promise<{ requeueAfterMs: number } | undefined> => {
    if (count < 4) throw new Error('not yet');
    return count < 6 ? { requeueAfterMs: 5000 } : undefined;
  };
  await run(queue, reconcile, 6);
  assert.deepEqual(
    queue.asked.map(([, , delayMs]) => delayMs),
    [500, 1000, 2000, 5000, 5000],
  );
});

test('a server that asks to wait is not asked before', async () => {
  const queue = openQueue();
  const reconcile = async (count: number): Promise<undefined> => {
    if (count === 1) throw new KubeError('KUBE_TOO_MANY_REQUESTS', 'busy', { retryAfterMs: 9000 });
  };
  await run(queue, reconcile, 2);
  assert.deepEqual(queue.asked, [['after', 'a', 9000]]);
});

test('a conflict is no warning; every end is told to who counts', async () => {
  const queue = openQueue();
  const lines: string[] = [];
  const logger: Logger = { ...silentLogger, warn: () => lines.push('warn'), debug: () => lines.push('debug') };
  const told: unknown[] = [];
  const reconcile = async (count: number): Promise<undefined> => {
    if (count === 1) throw new KubeError('KUBE_CONFLICT', 'changed');
    if (count === 2) throw new Error('another');
  };
  await run(queue, reconcile, 3, { logger, onReconciled: (_durationMs, error) => told.push(error instanceof Error) });
  assert.deepEqual(lines, ['debug', 'warn']);
  assert.deepEqual(told, [true, true, false]);
});
