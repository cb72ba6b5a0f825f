import assert from 'node:assert/strict';
import { test } from 'node:test';
import { goldenFormatBlob } from '../../test/harness/format-vectors.ts';
import { createTestClock } from '../../test/harness/test-clock.ts';
import { createMemoryStorage } from '../blob/memory.ts';
import type { BlobId, BlobStorage } from '../blob/storage.ts';
import { FORMAT_BLOB_ID } from './format-blob.ts';
import { findFormatCopy, restoreFormatBlob } from './format-recovery.ts';
import { encodeFormatReplica } from './format-replica.ts';

const { signal } = new AbortController();
const stored = goldenFormatBlob('v1', 'repository');

async function storageWith(blobs: Readonly<Record<string, Uint8Array>>): Promise<BlobStorage> {
  const storage = createMemoryStorage({ clock: createTestClock() });
  for (const [name, bytes] of Object.entries(blobs)) await storage.putBlob(name as BlobId, bytes, signal);
  return storage;
}

test('a lost format blob comes back from a pack', async () => {
  const storage = await storageWith({
    p0: new Uint8Array(0),
    p1: Uint8Array.of(255),
    p2: new Uint8Array(5000),
    p3: goldenFormatBlob('v1', 'pack'),
  });
  const copy = await findFormatCopy(storage, signal);
  assert.equal(copy?.blobId, 'p3');
  assert.deepEqual(copy?.bytes, stored);
  await restoreFormatBlob(storage, copy ?? assert.fail(), signal);
  assert.deepEqual(await storage.getBlob(FORMAT_BLOB_ID, undefined, signal), stored);
  await assert.rejects(restoreFormatBlob(storage, copy ?? assert.fail(), signal), { code: 'REPOSITORY_EXISTS' });
});

test('metadata packs, tails and backups serve too', async () => {
  const tail = Buffer.concat([Buffer.alloc(100_000, 1), encodeFormatReplica(stored)]);
  assert.deepEqual((await findFormatCopy(await storageWith({ q1: tail }), signal))?.bytes, stored);
  const backup = await storageWith({ p1: new Uint8Array(9), 'kopia.repository.backup.me': stored });
  assert.equal((await findFormatCopy(backup, signal))?.blobId, 'kopia.repository.backup.me');
});

test('what is no copy is not taken for one', async () => {
  const storage = await storageWith({
    p1: encodeFormatReplica(Uint8Array.of(1, 2, 3)),
    'kopia.repository.backup.me': stored.subarray(1),
    'kopia.repository.backup.big': new Uint8Array(1024 * 1024 + 1),
  });
  assert.equal(await findFormatCopy(storage, signal), undefined);
  const damaged = { blobId: FORMAT_BLOB_ID, bytes: stored.subarray(1) };
  await assert.rejects(restoreFormatBlob(storage, damaged, signal), { code: 'FORMAT_INVALID' });
});

test('a damaged format blob in place is replaced', async () => {
  const storage = await storageWith({ 'kopia.repository': stored.subarray(0, 100), p1: encodeFormatReplica(stored) });
  await restoreFormatBlob(storage, (await findFormatCopy(storage, signal)) ?? assert.fail(), signal);
  assert.deepEqual(await storage.getBlob(FORMAT_BLOB_ID, undefined, signal), stored);
});
