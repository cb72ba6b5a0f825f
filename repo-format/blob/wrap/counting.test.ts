import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemRandom } from '../../../base/random.ts';
import { blobStorageSuite } from '../../../test/harness/blob-storage-suite.ts';
import { createFaultyStorage, injectedError } from '../../../test/harness/faulty-storage.ts';
import { scratchFolder } from '../../../test/harness/scratch.ts';
import { createTestClock } from '../../../test/harness/test-clock.ts';
import { openFilesystemStorage } from '../filesystem.ts';
import { createMemoryStorage } from '../memory.ts';
import type { BlobId } from '../storage.ts';
import { countingStorage, newStorageStats } from './counting.ts';

const signal = new AbortController().signal;

blobStorageSuite('counting wrapper over memory', async () => {
  const clock = createTestClock();
  return countingStorage(createMemoryStorage({ clock }), newStorageStats(), { clock });
});

blobStorageSuite('counting wrapper over a folder', async (t) => {
  const options = { path: scratchFolder(t), create: 'current' } as const;
  const folder = await openFilesystemStorage(options, { random: systemRandom });
  return countingStorage(folder, newStorageStats(), { clock: createTestClock() });
});

test('requests, bytes, failures and times are counted, cancelled calls are no failures', async (t) => {
  const clock = createTestClock();
  const faulty = createFaultyStorage(t, createMemoryStorage({ clock }));
  faulty.plan({ method: 'putBlob', error: injectedError(), skip: 1, callback: () => clock.advance(500) });
  faulty.plan({ method: 'getBlob', callback: () => clock.advance(20) });
  const stats = newStorageStats();
  const storage = countingStorage(faulty.storage, stats, { clock });
  const id = 'xn0_some-blob' as BlobId;
  await storage.putBlob(id, new Uint8Array(7), signal);
  await assert.rejects(storage.putBlob(id, new Uint8Array(7), signal), { code: 'BLOB_IO' });
  await storage.getBlob(id, { offset: 2, length: 3 }, signal);
  await assert.rejects(storage.getBlob(id, undefined, AbortSignal.abort()), { name: 'AbortError' });
  await storage.getMetadata(id, signal);
  for await (const blob of storage.listBlobs('xn', signal)) {
    assert.equal(blob.id, id);
    clock.advance(10_000); // the caller's time, not the store's
  }
  await storage.deleteBlob(id, signal);
  assert.deepEqual(stats, {
    get: { requests: 2, failures: 0, totalMs: 20, maxMs: 20 },
    head: { requests: 1, failures: 0, totalMs: 0, maxMs: 0 },
    put: { requests: 2, failures: 1, totalMs: 500, maxMs: 500 },
    list: { requests: 1, failures: 0, totalMs: 0, maxMs: 0 },
    delete: { requests: 1, failures: 0, totalMs: 0, maxMs: 0 },
    bytesUp: 7,
    bytesDown: 3,
    blobsListed: 1,
    retries: 0,
  });
});

test('a list that fails, and one that is left, are counted once', async (t) => {
  const clock = createTestClock();
  const faulty = createFaultyStorage(t, createMemoryStorage({ clock }));
  const stats = newStorageStats();
  const storage = countingStorage(faulty.storage, stats, { clock });
  for (const name of ['a', 'b', 'c']) await storage.putBlob(name as BlobId, new Uint8Array(1), signal);
  faulty.plan({ method: 'listBlobs', when: 'during', error: injectedError() });
  await assert.rejects(async () => {
    for await (const blob of storage.listBlobs('', signal)) assert.equal(blob.id, 'a');
  });
  for await (const blob of storage.listBlobs('', signal)) {
    assert.equal(blob.id, 'a');
    break;
  }
  assert.deepEqual([stats.list.requests, stats.list.failures, stats.blobsListed], [2, 1, 2]);
});
