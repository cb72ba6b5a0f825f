import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemRandom } from '../../../base/random.ts';
import { blobStorageSuite } from '../../../test/harness/blob-storage-suite.ts';
import { scratchFolder } from '../../../test/harness/scratch.ts';
import { createTestClock } from '../../../test/harness/test-clock.ts';
import { openFilesystemStorage } from '../filesystem.ts';
import { createMemoryStorage } from '../memory.ts';
import type { BlobId } from '../storage.ts';
import type { BandwidthSchedule } from './bandwidth.ts';
import { throttledStorage } from './throttled.ts';

const signal = new AbortController().signal;
const id = 'p0123456789abcdef0123456789abcdef-s0123456789abcdef147' as BlobId;
const always = (up: number | undefined, down: number | undefined): BandwidthSchedule => ({
  windows: [],
  otherwise: { upBytesPerSecond: up, downBytesPerSecond: down },
});

blobStorageSuite('throttling wrapper over memory', async () => {
  const clock = createTestClock();
  return throttledStorage(createMemoryStorage({ clock }), always(100_000, 100_000), { clock });
});

test('uploads and downloads each keep to their own rate', async () => {
  const clock = createTestClock();
  const storage = throttledStorage(createMemoryStorage({ clock }), always(1000, 5000), { clock });
  const timed = async (work: () => Promise<unknown>): Promise<number> => {
    const startMs = clock.monotonicMs();
    await work();
    return Math.round(clock.monotonicMs() - startMs);
  };
  assert.equal(await timed(() => storage.putBlob(id, new Uint8Array(10_000), signal)), 10_000);
  // What flowed in while the upload waited passes at once: a quarter of a second's worth.
  assert.equal(await timed(() => storage.getBlob(id, undefined, signal)), 1750);
  assert.equal(await timed(() => storage.getBlob(id, { offset: 100, length: 500 }, signal)), 100);
  assert.equal(await timed(() => storage.getMetadata(id, signal)), 0);
  assert.equal(await timed(() => storage.deleteBlob(id, signal)), 0);
});

test('the time of the day decides', async () => {
  const clock = createTestClock();
  const rates = { upBytesPerSecond: 1000, downBytesPerSecond: undefined };
  const schedule = {
    windows: [{ fromMinute: 480, toMinute: 1080, rates }],
    otherwise: always(undefined, undefined).otherwise,
  };
  let minute = 479;
  const storage = throttledStorage(createMemoryStorage({ clock }), schedule, { clock, minuteOfDay: () => minute });
  await storage.putBlob(id, new Uint8Array(10_000), signal);
  await storage.getBlob(id, undefined, signal);
  assert.deepEqual(clock.sleepsMs, []);
  minute = 480;
  await storage.putBlob(id, new Uint8Array(10_000), signal);
  assert.notDeepEqual(clock.sleepsMs, []);
});

test('a folder under it is read and written through it, never directly', async (t) => {
  const options = { path: scratchFolder(t), create: 'current' } as const;
  const folder = await openFilesystemStorage(options, { random: systemRandom });
  const storage = throttledStorage(folder, always(1, 1), { clock: createTestClock() });
  assert.notEqual(folder.localFiles, undefined);
  assert.equal(storage.localFiles, undefined);
});
