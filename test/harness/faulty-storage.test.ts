import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { createMemoryStorage } from '../../repo-format/blob/memory.ts';
import type { BlobId } from '../../repo-format/blob/storage.ts';
import { blobStorageSuite } from './blob-storage-suite.ts';
import { createFaultyStorage, injectedError, type FaultyStorage } from './faulty-storage.ts';
import { createTestClock } from './test-clock.ts';

const signal = new AbortController().signal;
const ID = 'xe1' as BlobId;
const failing = { code: 'BLOB_IO' };

function faulty(t: TestContext): FaultyStorage {
  return createFaultyStorage(t, createMemoryStorage({ clock: createTestClock() }));
}

blobStorageSuite('faulty storage without faults', async (t) => faulty(t).storage);

test('a fault that is never reached fails the test', (t) => {
  // A context of our own: the check it registers would fail this very test.
  const after: (() => void)[] = [];
  const context = { after: (hook: () => void) => after.push(hook) } as unknown as TestContext;
  const { plan, assertAllHit } = faulty(context);
  assertAllHit();
  plan({ method: 'putBlob', error: injectedError() });
  assert.throws(assertAllHit, /before putBlob: 1 of 1 not reached/);
  assert.equal(after.length, 1);
  assert.throws(() => after[0]?.());
  t.diagnostic('checked at the end of each test');
});

test('a change fails before and during without effect, after it with all of it', async (t) => {
  for (const [when, stored] of [
    ['before', false],
    ['during', false],
    ['after', true],
  ] as const) {
    const { storage, plan, calls } = faulty(t);
    plan({ method: 'putBlob', when, error: injectedError() });
    await assert.rejects(storage.putBlob(ID, new Uint8Array(3), signal), failing);
    const bytes = await storage.getBlob(ID, undefined, signal).catch(() => undefined);
    assert.equal(bytes !== undefined, stored, when);
    await storage.putBlob(ID, new Uint8Array(3), signal);
    assert.equal(calls.putBlob, 2);
    plan({ method: 'deleteBlob', when, error: injectedError() });
    await assert.rejects(storage.deleteBlob(ID, signal), failing);
    const left = await storage.getMetadata(ID, signal).catch(() => undefined);
    assert.equal(left === undefined, stored, when);
  }
});

test('a list is cut off in the middle, a read loses its result', async (t) => {
  const { storage, plan } = faulty(t);
  for (const name of ['xe1', 'xe2', 'xe3']) await storage.putBlob(name as BlobId, new Uint8Array(1), signal);
  plan(
    { method: 'listBlobs', when: 'during', error: injectedError() },
    { method: 'getBlob', when: 'during', error: injectedError() },
  );
  const seen: string[] = [];
  await assert.rejects(async () => {
    for await (const blob of storage.listBlobs('xe', signal)) seen.push(blob.id);
  }, failing);
  assert.deepEqual(seen, ['xe1']);
  await assert.rejects(storage.getBlob(ID, undefined, signal), failing);
  assert.equal((await storage.getBlob(ID, undefined, signal)).length, 1);
});

test('faults are skipped, repeated and matched as planned, and call back first', async (t) => {
  const { storage, plan } = faulty(t);
  const events: string[] = [];
  plan({
    method: 'putBlob',
    skip: 1,
    times: 2,
    matching: (name) => name.startsWith('p'),
    callback: (name) => void events.push(name),
    error: injectedError(),
  });
  for (const name of ['p1', 'q1', 'p2', 'q2', 'p3', 'p4']) {
    await storage.putBlob(name as BlobId, new Uint8Array(1), signal).catch(() => events.push('failed'));
  }
  assert.deepEqual(events, ['p2', 'failed', 'p3', 'failed']);
});

test('the test clock passes time by sleeping and by being looked at', async () => {
  const clock = createTestClock(1000);
  assert.equal(clock.nowMs(), 1000);
  await clock.sleep(250, signal);
  assert.deepEqual(
    [clock.nowMs(), clock.nowNs(), clock.monotonicMs(), clock.sleepsMs],
    [1250, 1_250_000_000n, 250, [250]],
  );
  clock.stepMs = 10;
  assert.deepEqual([clock.nowMs(), clock.nowMs()], [1250, 1260]);
  clock.stepMs = 0;
  clock.advance(-5000);
  assert.deepEqual([clock.nowMs(), clock.monotonicMs()], [-3730, 270]);
  await assert.rejects(clock.sleep(1, AbortSignal.abort()), { name: 'AbortError' });
});
