import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WindlassError } from '../base/errors.ts';
import { systemRandom } from '../base/random.ts';
import { openFilesystemStorage, type BlobId } from '../repo-format/index.ts';
import { createMemoryStorage } from '../repo-format/blob/memory.ts';
import { newStorageStats } from '../repo-format/blob/wrap/counting.ts';
import { scratchFolder } from '../test/harness/scratch.ts';
import { createFaultyStorage } from '../test/harness/faulty-storage.ts';
import { createTestClock } from '../test/harness/test-clock.ts';
import { SeededRandom } from '../test/harness/seeded-random.ts';
import { silentLogger } from '../base/logger.ts';
import { parseBandwidthLimit } from './bandwidth-limit.ts';
import type { CliContext, GlobalOptions } from './context.ts';
import { throttled, wrapObjectStore } from './wrap-storage.ts';

const signal = new AbortController().signal;
const id = 'p0123456789abcdef0123456789abcdef-s0123456789abcdef147' as BlobId;

function contextWith(
  options: Partial<GlobalOptions>,
): CliContext & { readonly clock: ReturnType<typeof createTestClock> } {
  const partial = {
    clock: createTestClock(),
    random: new SeededRandom(1),
    logger: silentLogger,
    storageStats: newStorageStats(),
    options: { logLevel: 'silent' as const, ...options },
  };
  return partial as unknown as ReturnType<typeof contextWith>; // all that wrapping looks at
}

test('attempts are counted one by one, failed ones are tried again, bytes sent twice are paid twice', async (t) => {
  const context = contextWith({ bwlimit: parseBandwidthLimit('1MiB/s') });
  const faulty = createFaultyStorage(t, createMemoryStorage({ clock: context.clock }));
  const busy = new WindlassError('busy', {
    code: 'BLOB_STORE_BUSY',
    retry: 'transient',
    context: { retryAfterMs: 5000 },
  });
  faulty.plan({ method: 'putBlob', error: busy });
  const storage = wrapObjectStore(context, faulty.storage, { readOnly: false });
  await storage.putBlob(id, new Uint8Array(10 << 20), signal);
  const { put, retries, bytesUp } = context.storageStats;
  assert.deepEqual([put.requests, put.failures, retries, bytesUp], [2, 1, 1, 10 << 20]);
  assert.ok(context.clock.monotonicMs() >= 24_000, 'twice ten seconds, and the wait between');
});

test('a store opened for reading refuses changes before they reach it', async (t) => {
  const context = contextWith({ maxRequests: 1 });
  const faulty = createFaultyStorage(t, createMemoryStorage({ clock: context.clock }));
  const storage = wrapObjectStore(context, faulty.storage, { readOnly: true });
  await assert.rejects(storage.putBlob(id, new Uint8Array(1), signal), { code: 'BLOB_READ_ONLY' });
  assert.equal(faulty.calls.putBlob, 0);
});

test('a folder is used directly but for a limit, which holds for it too', async (t) => {
  const options = { path: scratchFolder(t), create: 'current' } as const;
  const folder = await openFilesystemStorage(options, { random: systemRandom });
  assert.equal(throttled(contextWith({}), folder), folder);
  const context = contextWith({ bwlimit: parseBandwidthLimit('1MiB/s') });
  const slow = throttled(context, folder);
  assert.equal(slow.localFiles, undefined);
  await slow.putBlob(id, new Uint8Array(10 << 20), signal);
  assert.ok(context.clock.monotonicMs() >= 9_500);
});
