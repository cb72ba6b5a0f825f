import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { FetchGate } from './fetch-gate.ts';

const signal = new AbortController().signal;

test('neither more requests nor more bytes than allowed are under way, whatever comes', async () => {
  const gate = new FetchGate({ requests: 3, bytes: 100 });
  let [requests, bytes, mostRequests, mostBytes] = [0, 0, 0, 0];
  const sizes = [60, 30, 10, 10, 50, 50, 200, 1, 1, 1, 1, 99];
  await Promise.all(
    sizes.map((size) =>
      gate.run(size, { isUrgent: false, signal }, async () => {
        [requests, bytes] = [requests + 1, bytes + size];
        mostRequests = Math.max(mostRequests, requests);
        // One that is larger than all that is allowed runs alone.
        mostBytes = Math.max(mostBytes, requests === 1 ? 0 : bytes);
        await setImmediate();
        [requests, bytes] = [requests - 1, bytes - size];
      }),
    ),
  );
  assert.equal(mostRequests, 3);
  assert.ok(mostBytes <= 100, `${mostBytes}`);
});

test('urgent ones go first, and one that gives up lets others in', async () => {
  const gate = new FetchGate({ requests: 1, bytes: 100 });
  const order: string[] = [];
  let free = (): void => undefined;
  const first = gate.run(1, { isUrgent: false, signal }, () => new Promise<void>((resolve) => (free = resolve)));
  const controller = new AbortController();
  const note = (name: string) => async (): Promise<void> => void order.push(name);
  const gone = gate.run(1, { isUrgent: false, signal: controller.signal }, note('gone'));
  const later = gate.run(1, { isUrgent: false, signal }, note('later'));
  const urgent = gate.run(1, { isUrgent: true, signal }, note('urgent'));
  controller.abort();
  await assert.rejects(gone, { name: 'AbortError' });
  free();
  await Promise.all([first, later, urgent]);
  assert.deepEqual(order, ['urgent', 'later']);
});

test('a failure frees its place', async () => {
  const gate = new FetchGate({ requests: 1, bytes: 1 });
  await assert.rejects(gate.run(1, { isUrgent: false, signal }, () => Promise.reject(new Error('away'))));
  await gate.run(1, { isUrgent: false, signal }, () => Promise.resolve());
});
