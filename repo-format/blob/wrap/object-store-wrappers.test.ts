import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WindlassError } from '../../../base/errors.ts';
import { systemRandom } from '../../../base/random.ts';
import { openFilesystemStorage, type BlobId } from '../../index.ts';
import { createMemoryStorage } from '../memory.ts';
import type { BandwidthSchedule } from './bandwidth.ts';
import { newStorageStats } from './counting.ts';
import { scratchFolder } from '../../../test/harness/scratch.ts';
import { createFaultyStorage } from '../../../test/harness/faulty-storage.ts';
import { createTestClock } from '../../../test/harness/test-clock.ts';
import { SeededRandom } from '../../../test/harness/seeded-random.ts';
import { silentLogger } from '../../../base/logger.ts';
import { throttled, wrapObjectStore } from './object-store-wrappers.ts';

const signal = new AbortController().signal;
const id = 'p0123456789abcdef0123456789abcdef-s0123456789abcdef147' as BlobId;

function newDeps() {
  return {
    clock: createTestClock(),
    random: new SeededRandom(1),
    logger: silentLogger,
    storageStats: newStorageStats(),
  };
}

const RATE = 1 << 20;
const slowly: BandwidthSchedule = {
  windows: [],
  otherwise: { upBytesPerSecond: RATE, downBytesPerSecond: RATE },
};

test('attempts are counted one by one, failed ones are tried again, bytes sent twice are paid twice', async (t) => {
  const deps = newDeps();
  const faulty = createFaultyStorage(t, createMemoryStorage({ clock: deps.clock }));
  const busy = new WindlassError('busy', {
    code: 'BLOB_STORE_BUSY',
    retry: 'transient',
    context: { retryAfterMs: 5000 },
  });
  faulty.plan({ method: 'putBlob', error: busy });
  const storage = wrapObjectStore(faulty.storage, { readOnly: false, bandwidth: slowly }, deps);
  await storage.putBlob(id, new Uint8Array(10 << 20), signal);
  const { put, retries, bytesUp } = deps.storageStats;
  assert.deepEqual([put.requests, put.failures, retries, bytesUp], [2, 1, 1, 10 << 20]);
  assert.ok(deps.clock.monotonicMs() >= 24_000, 'twice ten seconds, and the wait between');
});

test('a store opened for reading refuses changes before they reach it', async (t) => {
  const deps = newDeps();
  const faulty = createFaultyStorage(t, createMemoryStorage({ clock: deps.clock }));
  const storage = wrapObjectStore(faulty.storage, { readOnly: true, maxRequests: 1 }, deps);
  await assert.rejects(storage.putBlob(id, new Uint8Array(1), signal), { code: 'BLOB_READ_ONLY' });
  assert.equal(faulty.calls.putBlob, 0);
});

test('a folder is used directly but for a limit, which holds for it too', async (t) => {
  const options = { path: scratchFolder(t), create: 'current' } as const;
  const folder = await openFilesystemStorage(options, { random: systemRandom });
  const deps = newDeps();
  assert.equal(throttled(folder, undefined, deps.clock), folder);
  const slow = throttled(folder, slowly, deps.clock);
  assert.equal(slow.localFiles, undefined);
  await slow.putBlob(id, new Uint8Array(10 << 20), signal);
  assert.ok(deps.clock.monotonicMs() >= 9_500);
});
