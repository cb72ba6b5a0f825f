import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { createTestClock } from '../../test/harness/test-clock.ts';
import { WorkQueue } from './work-queue.ts';

const signal = new AbortController().signal;
// No chance in it: each wait is exactly half of its full length.
const random = { bytes: (length: number) => new Uint8Array(length) };

function openQueue(t?: TestContext): WorkQueue {
  t?.mock.timers.enable({ apis: ['setTimeout'] });
  return new WorkQueue({ clock: createTestClock(), random }, { firstMs: 100, maxMs: 1000 });
}

test('a name is in the queue once, in the order of its first adding', async () => {
  const queue = openQueue();
  for (const key of ['a', 'b', 'a', 'c', 'b']) queue.add(key);
  assert.equal(queue.length, 3);
  assert.deepEqual([await queue.take(signal), await queue.take(signal), await queue.take(signal)], ['a', 'b', 'c']);
});

test('a name that is added while it is worked on comes again, after', async () => {
  const queue = openQueue();
  queue.add('a');
  await queue.take(signal);
  queue.add('a');
  queue.add('a');
  assert.equal(queue.length, 0);
  queue.done('a');
  assert.equal(queue.length, 1);
  assert.equal(await queue.take(signal), 'a');
  queue.done('a');
  assert.equal(queue.length, 0);
});

test('who waits gets the next name; a name given to one is not given to another', async () => {
  const queue = openQueue();
  const waiting = [queue.take(signal), queue.take(signal)];
  queue.add('a');
  queue.add('a');
  queue.add('b');
  assert.deepEqual(await Promise.all(waiting), ['a', 'b']);
});

test('waiting ends with its signal, and takes nothing with it', async () => {
  const queue = openQueue();
  const stop = new AbortController();
  const waiting = queue.take(stop.signal);
  stop.abort(new Error('enough'));
  await assert.rejects(waiting, /enough/);
  queue.add('a');
  assert.equal(await queue.take(signal), 'a');
  await assert.rejects(queue.take(stop.signal), /enough/);
});

test('of several times asked for, the earliest counts', (t) => {
  const queue = openQueue(t);
  queue.addAfter('a', 500);
  queue.addAfter('a', 200);
  queue.addAfter('a', 900);
  t.mock.timers.tick(199);
  assert.equal(queue.length, 0);
  t.mock.timers.tick(1);
  assert.equal(queue.length, 1);
  t.mock.timers.tick(1000);
  assert.equal(queue.length, 1);
});

test('a failing name waits twice as long each time, up to the limit, until it is forgotten', (t) => {
  const queue = openQueue(t);
  const waits: number[] = [];
  for (let failure = 0; failure < 6; failure++) {
    queue.addRateLimited('a');
    let waitMs = 0;
    while (queue.length === 0) {
      t.mock.timers.tick(1);
      waitMs++;
    }
    waits.push(waitMs);
    void queue.take(signal);
    queue.done('a');
  }
  assert.deepEqual(waits, [50, 100, 200, 400, 500, 500]);
  assert.equal(queue.failures('a'), 6);
  queue.forget('a');
  assert.equal(queue.failures('a'), 0);
});

test('a server that asks for more time gets it', (t) => {
  const queue = openQueue(t);
  queue.addRateLimited('a', 7000);
  t.mock.timers.tick(6999);
  assert.equal(queue.length, 0);
  t.mock.timers.tick(1);
  assert.equal(queue.length, 1);
});

test('a time beyond what timers can do is not now', (t) => {
  const queue = openQueue(t);
  queue.addAfter('a', 2 ** 40);
  t.mock.timers.tick(1_000_000);
  assert.equal(queue.length, 0);
});

test('after closing no timer adds anything', (t) => {
  const queue = openQueue(t);
  queue.addAfter('a', 10);
  queue.close();
  queue.addAfter('b', 10);
  t.mock.timers.tick(100);
  assert.equal(queue.length, 0);
});

test('many workers and many adders never have one name twice', async () => {
  const queue = openQueue();
  const stop = new AbortController();
  const active = new Set<string>();
  const worked = new Map<string, number>();
  const worker = async (): Promise<void> => {
    for (;;) {
      const key = await queue.take(stop.signal).catch(() => undefined);
      if (key === undefined) return;
      assert.ok(!active.has(key));
      active.add(key);
      await new Promise(setImmediate);
      active.delete(key);
      worked.set(key, (worked.get(key) ?? 0) + 1);
      queue.done(key);
    }
  };
  const workers = Array.from({ length: 5 }, worker);
  for (let round = 0; round < 200; round++) {
    queue.add(`k${round % 7}`);
    if (round % 3 === 0) await new Promise(setImmediate);
  }
  while (queue.length > 0 || active.size > 0) await new Promise(setImmediate);
  stop.abort();
  await Promise.all(workers);
  assert.equal(worked.size, 7);
});
