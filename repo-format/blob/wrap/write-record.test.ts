import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemRandom } from '../../../base/random.ts';
import { blobStorageSuite } from '../../../test/harness/blob-storage-suite.ts';
import { scratchFolder } from '../../../test/harness/scratch.ts';
import { createTestClock } from '../../../test/harness/test-clock.ts';
import { openFilesystemStorage } from '../filesystem.ts';
import { createMemoryStorage } from '../memory.ts';
import type { BlobId } from '../storage.ts';
import { WriteRecord } from './write-record.ts';

const signal = new AbortController().signal;
const ids = ['p1', 'p2', 'p3', 'x4'].map((name) => `${name}23456789abcdef0123456789abcdef-s01` as BlobId);

blobStorageSuite('recording wrapper over memory', async () => {
  return new WriteRecord(createMemoryStorage({ clock: createTestClock() })).storage;
});

blobStorageSuite('recording wrapper over a folder', async (t) => {
  const options = { path: scratchFolder(t), create: 'current' } as const;
  return new WriteRecord(await openFilesystemStorage(options, { random: systemRandom })).storage;
});

test('what was written and is gone or cut short is lost; what was deleted on purpose is not', async () => {
  const inner = createMemoryStorage({ clock: createTestClock() });
  const record = new WriteRecord(inner);
  const [first, second, third, fourth] = ids as [BlobId, BlobId, BlobId, BlobId];
  for (const id of ids) await record.storage.putBlob(id, new Uint8Array(100), signal);
  assert.deepEqual(await record.lost(signal), []);
  await record.storage.deleteBlob(first, signal);
  await inner.deleteBlob(second, signal);
  await inner.putBlob(third, new Uint8Array(99), signal);
  assert.deepEqual(await record.lost(signal), [second, third]);
  await record.storage.putBlob(second, new Uint8Array(100), signal);
  await record.storage.putBlob(third, new Uint8Array(100), signal);
  assert.deepEqual(await record.lost(signal), []);
  await inner.deleteBlob(fourth, signal);
  assert.deepEqual(await record.lost(signal), [fourth]);
});
