import assert from 'node:assert/strict';
import { truncateSync } from 'node:fs';
import { test } from 'node:test';
import { systemRandom } from '../../base/random.ts';
import { scratchFolder } from '../../test/harness/scratch.ts';
import { openFilesystemStorage } from './filesystem.ts';
import type { BlobId } from './storage.ts';

test('a blob far larger than any of a repository is refused, not read into memory', async (t) => {
  const { signal } = t;
  const options = { path: scratchFolder(t), create: 'current' } as const;
  const storage = await openFilesystemStorage(options, { random: systemRandom });
  const id = 'p0123456789abcdef0123456789abcdef-s01' as BlobId;
  await storage.putBlob(id, new Uint8Array(1), signal);
  truncateSync(storage.localFiles?.pathOf(id) ?? '', 2 ** 40);
  await assert.rejects(storage.getBlob(id, undefined, signal), { code: 'BLOB_IO' });
  await assert.rejects(storage.getBlob(id, { offset: 0, length: 2 ** 31 }, signal), { code: 'BLOB_IO' });
  assert.equal((await storage.getBlob(id, { offset: 2 ** 39, length: 10 }, signal)).length, 10);
});
