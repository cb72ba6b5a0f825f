import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { SpareMover } from './spare-mover.ts';
import type { MarkJob } from './job.ts';

const job = (memoryLimitBytes: number): MarkJob => ({
  kind: 'mark',
  subject: {},
  volume: { root: '/nonexistent', names: [], isMount: false },
  memoryLimitBytes,
  restoreUid: 'r',
  mark: { outcome: 'over', rootMode: 0o700 },
});
const environment = { PATH: process.env['PATH'] };

test('a spare is for one job of its budget, and ends when nobody takes it', async () => {
  const spares = new SpareMover({ environment });
  assert.equal(spares.take(job(256 << 20)), undefined);
  spares.prepare({ memoryLimitBytes: 256 << 20 });
  assert.equal(spares.take(job(512 << 20)), undefined, 'its heap would be too small');
  const taken = spares.take(job(256 << 20));
  assert.ok(taken !== undefined);
  assert.equal(spares.take(job(256 << 20)), undefined, 'there was one');
  const ended = new Promise((resolve) => taken.child.once('close', resolve));
  taken.child.stdin.end();
  await ended;
});

test('of another budget it makes room for a new one; closed or dead it is no spare any more', async () => {
  const spares = new SpareMover({ environment });
  spares.prepare({ memoryLimitBytes: 256 << 20 });
  spares.prepare({ memoryLimitBytes: 512 << 20 });
  const taken = spares.take(job(512 << 20));
  assert.ok(taken !== undefined);
  taken.child.kill('SIGKILL');
  spares.prepare({ memoryLimitBytes: 256 << 20 });
  spares.close();
  assert.equal(spares.take(job(256 << 20)), undefined);
  spares.prepare({ memoryLimitBytes: 128 << 20 });
  const dying = spares.take(job(128 << 20));
  assert.ok(dying !== undefined);
  dying.child.kill('SIGKILL');
  while (dying.child.signalCode === null) await delay(10);
  assert.equal(spares.take(job(128 << 20)), undefined);
});
