import assert from 'node:assert/strict';
import { test } from 'node:test';
import { injectedError } from '../../test/harness/faulty-storage.ts';
import { createIndexRepository, putEmpty } from '../../test/harness/index-repository.ts';
import { createFakeRun, planTask, runTask } from '../../test/harness/maintenance-run.ts';
import type { BlobStorage } from '../blob/storage.ts';
import { extendRetentionTask, formatGoDuration } from './extend-retention.ts';

const signal = new AbortController().signal;
const HOUR_NS = 3600n * 1_000_000_000n;
const blobConfig = { retentionMode: 'GOVERNANCE', retentionPeriodNs: 720n * HOUR_NS, raw: {} };
const parameters = { extendObjectLocks: true };
const LOCKED = ['kopia.repository', 'kopia.blobcfg', 'p1', 'q2', 'xn0_1', 'xe1', 'n3'];

test('what the format wants locked is locked for its period from now, and nothing else', async () => {
  const repository = createIndexRepository();
  await putEmpty(repository, ...LOCKED, 'kopia.maintenance', 's1-s1', '_log_1', 'm4');
  const extended: string[] = [];
  const storage: BlobStorage = {
    ...repository.storage,
    async extendRetention(id, retention) {
      assert.deepEqual(retention, { mode: 'GOVERNANCE', periodMs: 720 * 3600 * 1000 });
      extended.push(id);
    },
  };
  const run = createFakeRun(repository, { storage, blobConfig, parameters });
  const stats = { toExtendBlobCount: 7, extendedBlobCount: 7, retentionPeriod: '720h0m0s' };
  assert.deepEqual(await runTask(extendRetentionTask, run, signal), stats);
  assert.deepEqual(extended.sort(), LOCKED.toSorted());
});

test('one failure fails the task; without locks there is nothing to do, without a store for them an error', async () => {
  const repository = createIndexRepository();
  await putEmpty(repository, ...LOCKED);
  const storage: BlobStorage = {
    ...repository.storage,
    async extendRetention(id) {
      if (id === 'q2') throw injectedError();
    },
  };
  await assert.rejects(
    runTask(extendRetentionTask, createFakeRun(repository, { storage, blobConfig, parameters }), signal),
    {
      code: 'BLOB_IO',
    },
  );
  const unwanted = await extendRetentionTask.plan(createFakeRun(repository, { blobConfig }), signal);
  assert.equal(unwanted.kind, 'skip');
  assert.equal(await runTask(extendRetentionTask, createFakeRun(repository, { parameters }), signal), null);
  await assert.rejects(planTask(extendRetentionTask, createFakeRun(repository, { blobConfig, parameters }), signal), {
    code: 'RETENTION_UNSUPPORTED',
  });
});

test('durations are as Go prints them', () => {
  const rows: [bigint, string][] = [
    [720n * HOUR_NS, '720h0m0s'],
    [90_000_000_000n, '1m30s'],
    [1_500_000_000n, '1.5s'],
  ];
  for (const [ns, text] of rows) assert.equal(formatGoDuration(ns), text);
});
