import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WindlassError } from '../../base/errors.ts';
import { silentLogger } from '../../base/logger.ts';
import type { MarkJob } from './job.ts';
import { startMover } from './mover-process.ts';

const job: MarkJob = {
  kind: 'mark',
  subject: {},
  volume: { root: '/nonexistent', names: ['pod'], isMount: true },
  restoreUid: 'r1',
  mark: { outcome: 'over', rootMode: 0o700 },
};
const options = { onMessage: () => undefined, environment: { PATH: '/usr/bin' }, logger: silentLogger };

test('what a mover fails with is what its result rejects with', async () => {
  await assert.rejects(startMover(job, options).result, { code: 'VOLUME_NOT_FOUND', retry: 'never' });
});

test('a mover that cannot be started says why, and may be tried again', async (t) => {
  const { execPath } = process;
  t.after(() => (process.execPath = execPath));
  process.execPath = '/nonexistent/node';
  await assert.rejects(startMover(job, options).result, (error: unknown) => {
    assert.ok(error instanceof WindlassError);
    assert.deepEqual([error.code, error.retry], ['MOVER_DIED', 'transient']);
    assert.match(String(error.cause), /ENOENT/);
    return true;
  });
});
