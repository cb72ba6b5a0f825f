import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { WindlassError, type RetryClass } from '../../../base/errors.ts';
import type { RandomSource } from '../../../base/random.ts';
import { blobStorageSuite } from '../../../test/harness/blob-storage-suite.ts';
import { createFaultyStorage, type FaultyStorage } from '../../../test/harness/faulty-storage.ts';
import { createTestClock, type TestClock } from '../../../test/harness/test-clock.ts';
import { createMemoryStorage } from '../memory.ts';
import type { BlobId, BlobStorage } from '../storage.ts';
import { retryingStorage, type RetryDeps, type RetryEvent, type RetryOptions } from './retrying.ts';

const signal = new AbortController().signal;
const id = 'p0123456789abcdef0123456789abcdef-s0123456789abcdef147' as BlobId;
const bytes = new TextEncoder().encode('some bytes');

/** Always the same fraction of the bound. */
const randomAt = (fraction: number): RandomSource => ({
  bytes: (length) => new Uint8Array(length).fill(Math.floor(fraction * 256)),
});

interface Subject {
  readonly storage: BlobStorage;
  readonly faulty: FaultyStorage;
  readonly clock: TestClock;
  readonly events: RetryEvent[];
}

async function open(t: TestContext, options: RetryOptions = {}, deps: Partial<RetryDeps> = {}): Promise<Subject> {
  const clock = createTestClock();
  const faulty = createFaultyStorage(t, createMemoryStorage({ clock }));
  const events: RetryEvent[] = [];
  const storage = retryingStorage(faulty.storage, options, {
    clock,
    random: randomAt(0.5),
    onRetry: (event) => events.push(event),
    ...deps,
  });
  await storage.putBlob(id, bytes, signal);
  return { storage, faulty, clock, events };
}

function failure(code: string, retry: RetryClass, retryAfterMs?: number): WindlassError {
  return new WindlassError(`planned ${code}`, { code, retry, context: { retryAfterMs } });
}

const busy = (retryAfterMs?: number): WindlassError => failure('BLOB_STORE_BUSY', 'transient', retryAfterMs);
const expired = failure('BLOB_CREDENTIALS_EXPIRED', 'after-refresh');

blobStorageSuite('retrying wrapper over memory', async () =>
  retryingStorage(
    createMemoryStorage({ clock: createTestClock() }),
    {},
    { clock: createTestClock(), random: randomAt(0.5) },
  ),
);

test('every operation is tried again, with waits that double up to a bound', async (t) => {
  const { storage, faulty, clock, events } = await open(t);
  for (const method of ['getBlob', 'getMetadata', 'putBlob', 'deleteBlob', 'listBlobs'] as const) {
    faulty.plan({ method, error: busy(), times: 9 });
  }
  assert.deepEqual(await storage.getBlob(id, undefined, signal), bytes);
  assert.deepEqual(clock.sleepsMs, [50, 100, 200, 400, 800, 1600, 3200, 6400, 12_800].map(scaled));
  assert.equal((await storage.getMetadata(id, signal)).length, bytes.length);
  assert.equal((await storage.putBlob(id, bytes, signal)).length, bytes.length);
  for await (const blob of storage.listBlobs('', signal)) assert.equal(blob.id, id);
  await storage.deleteBlob(id, signal);
  assert.equal(events.length, 5 * 9);
  assert.deepEqual(
    [events[0]?.operation, events[0]?.subject, events[0]?.error.code],
    ['getBlob', id, 'BLOB_STORE_BUSY'],
  );
});

/** 128 of 256 in each of four bytes is a hair more than a half. */
function scaled(half: number): number {
  return half * 2 * (0x80808080 / 2 ** 32);
}

test('the longest wait is bounded', async (t) => {
  const { storage, faulty, clock } = await open(t, { attempts: 14 });
  faulty.plan({ method: 'getBlob', error: busy(), times: 13 });
  await storage.getBlob(id, undefined, signal);
  assert.equal(clock.sleepsMs.at(-1), scaled(15_000));
});

test('the last failure is told with its code and how often it was tried', async (t) => {
  const { storage, faulty } = await open(t);
  faulty.plan({ method: 'getBlob', error: busy(), times: 10 });
  await assert.rejects(storage.getBlob(id, undefined, signal), (error: WindlassError) => {
    assert.equal(error.message, 'planned BLOB_STORE_BUSY, 10 times');
    assert.deepEqual([error.code, error.retry, error.context['attempts']], ['BLOB_STORE_BUSY', 'transient', 10]);
    return true;
  });
  assert.equal(faulty.calls.getBlob, 10);
});

test('what never helps, and what is no error of ours, is told as it is', async (t) => {
  const { storage, faulty, clock } = await open(t);
  const denied = failure('BLOB_ACCESS_DENIED', 'never');
  const bug = new TypeError('a bug');
  for (const error of [denied, bug]) {
    faulty.plan({ method: 'putBlob', error });
    await assert.rejects(storage.putBlob(id, bytes, signal), (thrown) => thrown === error);
  }
  assert.deepEqual(clock.sleepsMs, []);
});

test('the wait is as long as the store asks for, and some jitter', async (t) => {
  const { storage, faulty, clock } = await open(t);
  faulty.plan({ method: 'getBlob', error: busy(7000) });
  await storage.getBlob(id, undefined, signal);
  assert.deepEqual(clock.sleepsMs, [7000 + scaled(50)]);
});

test('no attempt begins after the deadline, and none is waited for that would', async (t) => {
  const { storage, faulty, clock } = await open(t, { deadlineMs: 60_000 });
  faulty.plan({ method: 'getBlob', error: busy(3_600_000) });
  await assert.rejects(storage.getBlob(id, undefined, signal), { code: 'BLOB_STORE_BUSY' });
  assert.deepEqual(clock.sleepsMs, []);
  faulty.plan({ method: 'getBlob', error: busy(), callback: () => clock.advance(25_000), times: 4 });
  await assert.rejects(storage.getBlob(id, undefined, signal), { code: 'BLOB_STORE_BUSY' });
  assert.equal(clock.sleepsMs.length, 3);
});

test('an attempt that took longer than the deadline may be followed by another', async (t) => {
  const { storage, faulty, clock } = await open(t, { deadlineMs: 60_000 });
  faulty.plan({ method: 'putBlob', error: busy(), callback: () => clock.advance(3_600_000) });
  await storage.putBlob(id, bytes, signal);
  assert.equal(faulty.calls.putBlob, 3);
});

test('the signal ends the waiting', async (t) => {
  const controller = new AbortController();
  const { storage, faulty } = await open(t, {}, { onRetry: () => controller.abort() });
  faulty.plan({ method: 'getBlob', error: busy() });
  await assert.rejects(storage.getBlob(id, undefined, controller.signal), { name: 'AbortError' });
  assert.equal(faulty.calls.getBlob, 1);
});

test('a failure of a cancelled call is the cancellation', async (t) => {
  const controller = new AbortController();
  const { storage, faulty, events } = await open(t);
  faulty.plan({ method: 'getBlob', error: busy(), callback: () => controller.abort() });
  await assert.rejects(storage.getBlob(id, undefined, controller.signal), { name: 'AbortError' });
  assert.deepEqual(events, []);
});

test('a put whose answer was lost is repeated', async (t) => {
  const { storage, faulty } = await open(t);
  const another = 'q0123456789abcdef0123456789abcdef-s0123456789abcdef147' as BlobId;
  faulty.plan({ method: 'putBlob', when: 'after', error: busy() });
  assert.equal((await storage.putBlob(another, bytes, signal)).length, bytes.length);
  assert.deepEqual(await storage.getBlob(another, undefined, signal), bytes);
});

test('a body that broke off is read again', async (t) => {
  const { storage, faulty } = await open(t);
  faulty.plan({ method: 'getBlob', when: 'during', error: failure('BLOB_TRUNCATED', 'transient'), times: 2 });
  assert.deepEqual(await storage.getBlob(id, { offset: 5, length: 3 }, signal), bytes.slice(5, 8));
});

test('expired credentials are refreshed once an operation, and tried at once', async (t) => {
  let refreshed = 0;
  const refreshCredentials = async (): Promise<void> => {
    refreshed++;
  };
  const { storage, faulty, clock } = await open(t, {}, { refreshCredentials });
  faulty.plan({ method: 'getBlob', error: expired });
  assert.deepEqual(await storage.getBlob(id, undefined, signal), bytes);
  assert.deepEqual([refreshed, clock.sleepsMs], [1, []]);
  faulty.plan({ method: 'getBlob', error: expired, times: 2 });
  await assert.rejects(storage.getBlob(id, undefined, signal), { code: 'BLOB_CREDENTIALS_EXPIRED' });
  assert.equal(refreshed, 2);
});

test('operations that find their credentials expired together share one refresh', async (t) => {
  let refreshed = 0;
  const refreshCredentials = async (): Promise<void> => {
    refreshed++;
    await new Promise((resolve) => setImmediate(resolve));
  };
  const { storage, faulty } = await open(t, {}, { refreshCredentials });
  faulty.plan({ method: 'getBlob', error: expired, times: 5 });
  await Promise.all(Array.from({ length: 5 }, () => storage.getBlob(id, undefined, signal)));
  assert.equal(refreshed, 1);
});

test('an adapter that refreshes by itself is asked once more', async (t) => {
  const { storage, faulty, clock } = await open(t);
  faulty.plan({ method: 'getBlob', error: expired });
  assert.deepEqual(await storage.getBlob(id, undefined, signal), bytes);
  faulty.plan({ method: 'getBlob', error: expired, times: 2 });
  await assert.rejects(storage.getBlob(id, undefined, signal), { code: 'BLOB_CREDENTIALS_EXPIRED' });
  assert.deepEqual(clock.sleepsMs, []);
});

test('a refresh that fails for now is tried again, one that never will is told', async (t) => {
  const outcomes = [busy(), undefined, failure('BLOB_CREDENTIALS_MISSING', 'never')];
  const refreshCredentials = async (): Promise<void> => {
    const outcome = outcomes.shift();
    if (outcome !== undefined) throw outcome;
  };
  const { storage, faulty } = await open(t, {}, { refreshCredentials });
  faulty.plan({ method: 'getBlob', error: expired, times: 2 });
  assert.deepEqual(await storage.getBlob(id, undefined, signal), bytes);
  faulty.plan({ method: 'getBlob', error: expired });
  await assert.rejects(storage.getBlob(id, undefined, signal), { code: 'BLOB_CREDENTIALS_MISSING' });
});

test('a list that broke off goes on without telling a blob twice', async (t) => {
  const { storage, faulty } = await open(t);
  const names = [id as string];
  for (let i = 0; i < 5; i++) {
    names.push(`xn${9 - i}_blob`);
    await storage.putBlob(names.at(-1) as BlobId, bytes, signal);
  }
  faulty.plan({ method: 'listBlobs', when: 'during', error: busy() });
  faulty.plan({ method: 'listBlobs', when: 'after', error: busy(), skip: 1 });
  const told: string[] = [];
  for await (const blob of storage.listBlobs('', signal)) told.push(blob.id);
  assert.deepEqual(told, names);
  assert.equal(faulty.calls.listBlobs, 3);
});

test('a list that gets on may be interrupted more often than a call may fail', async (t) => {
  const { storage, faulty, clock } = await open(t, { attempts: 3 });
  await storage.putBlob('a' as BlobId, bytes, signal);
  await storage.putBlob('b' as BlobId, bytes, signal);
  await storage.deleteBlob(id, signal);
  // Two failures, a blob; two failures, a blob; and so on.
  faulty.plan({ method: 'listBlobs', error: busy(), times: 2 });
  faulty.plan({ method: 'listBlobs', when: 'during', error: busy(), skip: 2 });
  faulty.plan({ method: 'listBlobs', when: 'after', error: busy(), skip: 3, times: 2 });
  const told: string[] = [];
  for await (const blob of storage.listBlobs('', signal)) told.push(blob.id);
  assert.deepEqual(told, ['a', 'b']);
  assert.equal(clock.sleepsMs.length, 5);
});
