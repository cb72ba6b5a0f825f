import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Semaphore } from './semaphore.ts';

const signal = new AbortController().signal;

/** Work that ends when told to. */
function gate(): { readonly work: () => Promise<string>; readonly open: () => void; readonly started: () => boolean } {
  const { promise, resolve } = Promise.withResolvers<string>();
  let started = false;
  const work = (): Promise<string> => {
    started = true;
    return promise;
  };
  return { work, open: () => resolve('done'), started: () => started };
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('as many as there are places run, the others in order', async () => {
  const semaphore = new Semaphore(2);
  const gates = [gate(), gate(), gate(), gate()];
  const runs = gates.map(({ work }) => semaphore.run(work, signal));
  await settle();
  assert.deepEqual(
    gates.map((each) => each.started()),
    [true, true, false, false],
  );
  gates[1]?.open();
  await settle();
  assert.deepEqual(
    gates.map((each) => each.started()),
    [true, true, true, false],
  );
  for (const each of gates) each.open();
  assert.deepEqual(await Promise.all(runs), ['done', 'done', 'done', 'done']);
  assert.equal(await semaphore.run(async () => 'free again', signal), 'free again');
});

test('failed work frees its place', async () => {
  const semaphore = new Semaphore(1);
  await assert.rejects(
    semaphore.run(() => Promise.reject(new Error('failed')), signal),
    /failed/,
  );
  assert.equal(await semaphore.run(async () => 'next', signal), 'next');
});

test('who stops waiting takes no place', async () => {
  const semaphore = new Semaphore(1);
  const first = gate();
  const running = semaphore.run(first.work, signal);
  const controller = new AbortController();
  const second = gate();
  const waiting = semaphore.run(second.work, controller.signal);
  const third = semaphore.run(async () => 'third', signal);
  controller.abort();
  await assert.rejects(waiting, { name: 'AbortError' });
  first.open();
  assert.equal(await third, 'third');
  assert.equal(await running, 'done');
  assert.equal(second.started(), false);
  await assert.rejects(semaphore.run(second.work, controller.signal), { name: 'AbortError' });
  assert.equal(second.started(), false);
});

test('no places is a mistake', () => {
  assert.throws(() => new Semaphore(0), RangeError);
  assert.throws(() => new Semaphore(1.5), RangeError);
});
