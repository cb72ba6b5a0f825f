import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { systemClock } from '../../base/clock.ts';
import { RemoteStorage, type RemoteOptions } from '../../test/harness/remote-storage.ts';
import { memoryFolder } from '../../test/harness/scratch.ts';
import { FetchGate } from './fetch-gate.ts';
import { blobPath } from './filesystem-layout.ts';
import { createMemoryStorage } from './memory.ts';
import { PackParts } from './pack-parts.ts';
import type { BlobId } from './storage.ts';

const PACK_BYTES = 4 << 20;
const id = (number: number): BlobId => `p${number}` as BlobId;
const part = (start: number, end: number) => [{ start, end }];

async function open(
  t: TestContext,
  { budgetBytes = 1 << 30, ...options }: RemoteOptions & { readonly budgetBytes?: number } = {},
): Promise<{ parts: PackParts; store: RemoteStorage; path: (number: number) => string }> {
  const inner = createMemoryStorage({ clock: systemClock });
  for (let number = 0; number < 6; number++) {
    await inner.putBlob(id(number), new Uint8Array(PACK_BYTES).fill(number + 1), t.signal);
  }
  const store = new RemoteStorage(inner, options);
  const gate = new FetchGate({ requests: 4, bytes: 64 << 20 });
  const folder = join(memoryFolder(t, 'parts'), 'parts');
  const parts = new PackParts({ path: folder, budgetBytes }, { storage: store, gate }, t.signal);
  t.after(() => parts.close());
  return { parts, store, path: (number) => blobPath(parts.layout, id(number)) };
}

test('a part lies where it lies in the pack, and is read once', async (t) => {
  const { parts, store, path } = await open(t);
  await Promise.all([parts.acquire(id(2), part(1000, 2000)), parts.acquire(id(2), part(1200, 1500))]);
  assert.equal(store.requests.get, 1);
  const bytes = readFileSync(path(2));
  assert.deepEqual([bytes.length, bytes[999], bytes[1000], bytes[1999]], [2000, 0, 3, 3]);
  await parts.acquire(id(2), part(3 << 20, 4 << 20));
  assert.equal(store.requests.get, 2);
  assert.equal(readFileSync(path(2))[(3 << 20) + 1], 3);
});

test('what is expected comes with the first part, and goes after the last use', async (t) => {
  const { parts, store, path } = await open(t);
  parts.expect([{ packId: id(1), wanted: part(0, PACK_BYTES), uses: 3 }]);
  await parts.acquire(id(1), part(0, 10));
  await parts.acquire(id(1), part(100, 200));
  assert.equal(store.requests.get, 1);
  parts.release(id(1), 2);
  assert.ok(existsSync(path(1)));
  parts.release(id(1), 1);
  await waitFor(() => !existsSync(path(1)));
});

test('what does not fit waits until something goes; a lane that stands still does not', async (t) => {
  const { parts, store } = await open(t, { budgetBytes: PACK_BYTES * 2 });
  const whole = part(0, PACK_BYTES);
  await Promise.all([parts.acquire(id(0), whole), parts.acquire(id(1), whole)]);
  let isThere = false;
  const third = parts.acquire(id(2), whole).then(() => (isThere = true));
  const fourth = parts.acquire(id(3), whole);
  for (let i = 0; i < 20; i++) await setImmediate();
  assert.equal(isThere, false);
  parts.urge(id(3));
  await fourth;
  assert.equal(isThere, false);
  assert.equal(parts.mostBytes, PACK_BYTES * 3);
  parts.release(id(0), 1);
  parts.release(id(1), 1);
  await third;
  assert.equal(store.requests.get, 4);
});

test('a pack that is missing, or shorter than expected, is as it is in the store', async (t) => {
  const { parts, path } = await open(t);
  await parts.acquire(id(77), part(0, 100));
  assert.equal(existsSync(path(77)), false);
  await parts.acquire(id(4), part(PACK_BYTES - 10, PACK_BYTES + 10));
  assert.equal(readFileSync(path(4)).length, PACK_BYTES);
});

test('a failure of the store is told to whoever wants the pack, and the next one tries again', async (t) => {
  let failures = 1;
  const before = (): void => {
    if (failures-- > 0) throw Object.assign(new Error('away'), { code: 'BLOB_STORE_UNAVAILABLE' });
  };
  const { parts } = await open(t, { before });
  await assert.rejects(parts.acquire(id(1), part(0, 10)), { code: 'BLOB_STORE_UNAVAILABLE' });
  await parts.acquire(id(1), part(0, 10));
});

test('closing tells everybody', async (t) => {
  const { parts } = await open(t, { budgetBytes: PACK_BYTES });
  await parts.acquire(id(0), part(0, PACK_BYTES));
  const waiting = assert.rejects(parts.acquire(id(1), part(0, PACK_BYTES)), { name: 'AbortError' });
  await parts.close();
  await waiting;
});

async function waitFor(isSo: () => boolean): Promise<void> {
  while (!isSo()) await setImmediate();
}
