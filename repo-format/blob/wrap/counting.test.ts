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
import { countingStorage } from './counting.ts';

const signal = new AbortController().signal;

blobStorageSuite(
  'counting wrapper over memory',
  async () => countingStorage(createMemoryStorage({ clock: createTestClock() })).storage,
);

blobStorageSuite('counting wrapper over a folder', async (t) => {
  const options = { path: scratchFolder(t), create: 'current' } as const;
  return countingStorage(await openFilesystemStorage(options, { random: systemRandom })).storage;
});

test('calls, bytes and failures are counted, cancelled calls are no failures', async (t) => {
  const faulty = createFaultyStorage(t, createMemoryStorage({ clock: createTestClock() }));
  faulty.plan({ method: 'putBlob', error: injectedError(), skip: 1 });
  const { storage, counts } = countingStorage(faulty.storage);
  const id = 'xn0_some-blob' as BlobId;
  await storage.putBlob(id, new Uint8Array(7), signal);
  await assert.rejects(storage.putBlob(id, new Uint8Array(7), signal), { code: 'BLOB_IO' });
  await storage.getBlob(id, { offset: 2, length: 3 }, signal);
  await assert.rejects(storage.getBlob(id, undefined, AbortSignal.abort()), { name: 'AbortError' });
  for await (const blob of storage.listBlobs('xn', signal)) assert.equal(blob.id, id);
  assert.deepEqual(counts.putBlob, { calls: 2, failures: 1, bytes: 7 });
  assert.deepEqual(counts.getBlob, { calls: 2, failures: 0, bytes: 3 });
  assert.deepEqual(counts.listBlobs, { calls: 1, failures: 0, bytes: 1 });
  assert.deepEqual(counts.deleteBlob, { calls: 0, failures: 0, bytes: 0 });
});
