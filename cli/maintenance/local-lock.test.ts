import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '../../base/logger.ts';
import { scratchFolder } from '../../test/harness/scratch.ts';
import { lockMaintenance } from './local-lock.ts';

test('one at a time, and the next one after it', async (t) => {
  const folder = scratchFolder(t);
  {
    await using first = await lockMaintenance(folder, silentLogger);
    assert.ok(first);
    assert.equal(await lockMaintenance(folder, silentLogger), undefined);
  }
  await using next = await lockMaintenance(folder, silentLogger);
  assert.ok(next);
});

test('where the folder cannot be had, maintenance goes on without a lock and says so', async () => {
  const warnings: string[] = [];
  const logger = { ...silentLogger, warn: (message: string) => void warnings.push(message) };
  await using lock = await lockMaintenance('/dev/null/cache', logger);
  assert.ok(lock);
  assert.deepEqual(warnings, ['going on without a lock on this machine']);
});
