import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newStorageStats } from '../../repo-format/index.ts';
import type { Message } from '../datapath/job.ts';
import { tellOfLife } from './signs-of-life.ts';

test('what the store answers is a sign of life, what it refuses or leaves open is none', (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const stats = newStorageStats();
  const sent: Message[] = [];
  const stop = tellOfLife(stats, (message) => sent.push(message));
  const signsAfter = (change: () => void): number => {
    change();
    sent.length = 0;
    t.mock.timers.tick(20_000);
    return sent.length;
  };
  assert.equal(
    signsAfter(() => undefined),
    0,
    'nothing was asked',
  );
  assert.equal(
    signsAfter(() => stats.get.requests++),
    1,
    'the first request of all',
  );
  for (let attempt = 0; attempt < 5; attempt++) {
    const retried = signsAfter(() => {
      stats.get.failures++;
      stats.get.requests++;
      stats.retries++;
    });
    assert.equal(retried, 0, 'it hangs, and is tried again');
  }
  assert.equal(
    signsAfter(() => (stats.blobsListed += 100)),
    1,
  );
  for (const verb of ['get', 'head', 'put', 'list', 'delete'] as const)
    assert.equal(
      signsAfter(() => stats[verb].requests++),
      1,
      verb,
    );
  stop();
  assert.equal(
    signsAfter(() => stats.put.requests++),
    0,
  );
});
