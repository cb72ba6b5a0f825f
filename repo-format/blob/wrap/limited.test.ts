import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemRandom } from '../../../base/random.ts';
import { blobStorageSuite } from '../../../test/harness/blob-storage-suite.ts';
import { scratchFolder } from '../../../test/harness/scratch.ts';
import { createTestClock } from '../../../test/harness/test-clock.ts';
import { openFilesystemStorage } from '../filesystem.ts';
import { createMemoryStorage } from '../memory.ts';
import type { BlobId, BlobStorage } from '../storage.ts';
import { limitedStorage } from './limited.ts';

const signal = new AbortController().signal;
const ONE = { reads: 1, writes: 1, lists: 1 };

blobStorageSuite('limiting wrapper over memory', async () =>
  limitedStorage(createMemoryStorage({ clock: createTestClock() }), ONE),
);

blobStorageSuite('limiting wrapper over a folder', async (t) => {
  const options = { path: scratchFolder(t), create: 'current' } as const;
  return limitedStorage(await openFilesystemStorage(options, { random: systemRandom }), ONE);
});

/** Counts the calls under way of each kind. */
function watched(inner: BlobStorage): { storage: BlobStorage; most: Record<'reads' | 'writes', number> } {
  const most = { reads: 0, writes: 0 };
  const now = { reads: 0, writes: 0 };
  const through = async <T>(kind: 'reads' | 'writes', call: () => Promise<T>): Promise<T> => {
    most[kind] = Math.max(most[kind], ++now[kind]);
    await new Promise((resolve) => setImmediate(resolve));
    try {
      return await call();
    } finally {
      now[kind]--;
    }
  };
  const storage: BlobStorage = {
    ...inner,
    getBlob: (id, range, s) => through('reads', () => inner.getBlob(id, range, s)),
    getMetadata: (id, s) => through('reads', () => inner.getMetadata(id, s)),
    putBlob: (id, bytes, s) => through('writes', () => inner.putBlob(id, bytes, s)),
    deleteBlob: (id, s) => through('writes', () => inner.deleteBlob(id, s)),
  };
  return { storage, most };
}

test('reads and writes have their own numbers of places, and use them', async () => {
  const { storage: inner, most } = watched(createMemoryStorage({ clock: createTestClock() }));
  const storage = limitedStorage(inner, { reads: 3, writes: 2, lists: 1 });
  const ids = Array.from({ length: 12 }, (_, i) => `blob-${i}` as BlobId);
  await Promise.all(ids.map((id) => storage.putBlob(id, new Uint8Array(1), signal)));
  await Promise.all([
    ...ids.map((id) => storage.getBlob(id, undefined, signal)),
    ...ids.map((id) => storage.getMetadata(id, signal)),
  ]);
  await Promise.all(ids.map((id) => storage.deleteBlob(id, signal)));
  assert.deepEqual(most, { reads: 3, writes: 2 });
});

test('a list within a list, and work on what is listed, need no second place', async () => {
  const storage = limitedStorage(createMemoryStorage({ clock: createTestClock() }), ONE);
  for (const name of ['a', 'b']) await storage.putBlob(name as BlobId, new Uint8Array(1), signal);
  const seen: string[] = [];
  for await (const outer of storage.listBlobs('', signal)) {
    for await (const inner of storage.listBlobs('', signal)) {
      await storage.getBlob(inner.id, undefined, signal);
      seen.push(outer.id + inner.id);
    }
  }
  assert.deepEqual(seen, ['aa', 'ab', 'ba', 'bb']);
});

test('leaving a list early ends the list below', async () => {
  const inner = createMemoryStorage({ clock: createTestClock() });
  let ended = 0;
  const storage = limitedStorage(
    {
      ...inner,
      async *listBlobs(prefix, s) {
        try {
          yield* inner.listBlobs(prefix, s);
        } finally {
          ended++;
        }
      },
    },
    ONE,
  );
  for (const name of ['a', 'b']) await storage.putBlob(name as BlobId, new Uint8Array(1), signal);
  for await (const blob of storage.listBlobs('', signal)) {
    assert.equal(blob.id, 'a');
    break;
  }
  assert.equal(ended, 1);
});
