// Every call to the storage fails once, before, in the middle of, or after its effect. Whatever happens: no index blob
// mentions a pack that is not durable, nothing acknowledged is lost, and no staging file stays.
import assert from 'node:assert/strict';
import { openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { WindlassError } from '../../base/errors.ts';
import {
  type ContentRepository,
  type ContentRepositoryOptions,
  createContentRepository,
} from '../../test/harness/content-repository.ts';
import {
  createFaultyStorage,
  type FaultMethod,
  type FaultMoment,
  type FaultyStorage,
  injectedError,
} from '../../test/harness/faulty-storage.ts';
import { memoryFolder } from '../../test/harness/scratch.ts';
import { SeededRandom } from '../../test/harness/seeded-random.ts';
import type { BlobId, BlobStorage } from '../blob/storage.ts';
import { putBytes } from '../crypto/content-cipher.ts';
import { openBlob } from '../epoch/encrypted-blob.ts';
import type { ContentId } from '../index/content-id.ts';
import { parseIndex } from '../index/parse-index.ts';
import type { ContentManager } from './content-manager.ts';
import { GrowingPack } from './growing-pack.ts';

const METHODS: readonly FaultMethod[] = [
  'getBlob',
  'getMetadata',
  'putBlob',
  'listBlobs',
  'deleteBlob',
  'commitStaged',
];
const WRITING_METHODS: readonly FaultMethod[] = ['putBlob', 'deleteBlob', 'commitStaged'];
const MOMENTS: readonly FaultMoment[] = ['before', 'during', 'after'];

/** Refuses, as a failed test, an index blob that mentions bytes which are not stored. */
function guardIndexes(repository: ContentRepository): BlobStorage {
  const { storage, cipher } = repository;
  return {
    ...bound(storage),
    async putBlob(id, bytes, signal) {
      if (/^(xn|n)/.test(id)) {
        for (const entry of parseIndex(openBlob(cipher, id, bytes)).iterate()) {
          const { length } = await storage.getMetadata(entry.packId, signal);
          assert.ok(length >= entry.packOffset + entry.packedLength, `${id} mentions more of ${entry.packId}`);
        }
      }
      return storage.putBlob(id, bytes, signal);
    },
  };
}

/** A class's methods do not survive spreading. */
function bound(storage: BlobStorage): BlobStorage {
  const { localFiles } = storage;
  return {
    displayName: storage.displayName,
    getBlob: (...all) => storage.getBlob(...all),
    getMetadata: (...all) => storage.getMetadata(...all),
    putBlob: (...all) => storage.putBlob(...all),
    listBlobs: (...all) => storage.listBlobs(...all),
    deleteBlob: (...all) => storage.deleteBlob(...all),
    freeBytes: (...all) => storage.freeBytes(...all),
    close: () => storage.close(),
    ...(localFiles === undefined ? {} : { localFiles }),
  };
}

interface Acknowledged {
  readonly contents: Map<ContentId, Buffer>;
  /** At least one of them is live: while one replaces the other, either may be. */
  oneOf: readonly ContentId[];
}

/** Two flushes, with everything a client does; notes what each has acknowledged. */
async function work(manager: ContentManager, seed: number, done: Acknowledged, signal: AbortSignal): Promise<void> {
  const random = new SeededRandom(seed);
  const backend = manager.manifestBackend();
  let old: ContentId | undefined;
  for (let round = 0; round < 2; round++) {
    const written = new Map<ContentId, Buffer>();
    for (let n = 0; n < 4; n++) {
      const bytes = random.bytes(150 + n);
      written.set(await manager.write(n === 3 ? 'k' : '', bytes, 'none', signal), bytes);
    }
    const manifest = await backend.writeContent('m', random.bytes(20), 'none', signal);
    if (old !== undefined) {
      done.oneOf = [old, manifest];
      await backend.deleteContent(old, signal);
    }
    await backend.flush(signal);
    for (const [id, bytes] of written) done.contents.set(id, bytes);
    done.oneOf = [manifest];
    old = manifest;
    const [first] = written.keys();
    if (first !== undefined) await manager.readContent(first, signal);
    await manager.refresh(signal);
  }
}

async function assertKept(
  repository: ContentRepository,
  done: Acknowledged,
  signal: AbortSignal,
  what: string,
): Promise<void> {
  const reader = await repository.open({ readOnly: true });
  for (const [id, bytes] of done.contents) {
    assert.deepEqual(Buffer.from(await reader.readContent(id, signal)), bytes, what);
  }
  const live = await reader.manifestBackend().listManifestContents(signal);
  assert.ok(done.oneOf.length === 0 || done.oneOf.some((id) => live.includes(id)), `${what}: manifests`);
  // Nothing indexed is missing either, acknowledged or not.
  for (const { id } of reader.indexSet.iterate()) await reader.readContent(id, signal);
  await reader.close();
}

function isPlanned(error: unknown): boolean {
  if (!(error instanceof WindlassError)) return false;
  return error.code === 'BLOB_IO' || isPlanned(error.cause);
}

interface Run {
  readonly repository: ContentRepository;
  readonly faulty: FaultyStorage;
  readonly manager: ContentManager;
}

async function openRun(t: TestContext, options: ContentRepositoryOptions, owner: string): Promise<Run> {
  const repository = await createContentRepository(t, options);
  const faulty = createFaultyStorage(t, guardIndexes(repository));
  return { repository, faulty, manager: await repository.open({ storage: faulty.storage, owner }) };
}

async function failOnce(
  t: TestContext,
  options: ContentRepositoryOptions,
  fault: { method: FaultMethod; when: FaultMoment; skip: number },
): Promise<'failed' | 'survived'> {
  const what = `${fault.when} ${fault.method} ${fault.skip + 1}`;
  const { repository, faulty, manager } = await openRun(t, options, 'first');
  const done: Acknowledged = { contents: new Map(), oneOf: [] };
  faulty.plan({ ...fault, error: injectedError() });
  let outcome: 'failed' | 'survived' = 'survived';
  try {
    await work(manager, 1, done, t.signal);
  } catch (error) {
    assert.ok(isPlanned(error), `${what}: ${String(error)}`);
    outcome = 'failed';
  }
  faulty.assertAllHit();
  await assertKept(repository, done, t.signal, what);
  await assertRetryable(manager, what, t.signal);
  await manager.close();
  assert.deepEqual(repository.stagingFiles(), [], what);
  const next = await repository.open({ owner: 'second', gone: ['first'] });
  await work(next, 1, done, t.signal);
  await assertKept(repository, done, t.signal, `${what}, again`);
  await next.close();
  assert.deepEqual(repository.stagingFiles(), [], what);
  return outcome;
}

/** Trying again either works, with all that was written, or says that it cannot. */
async function assertRetryable(manager: ContentManager, what: string, signal: AbortSignal): Promise<void> {
  try {
    await manager.flush(signal);
    const id = await manager.write('', Buffer.from(what), 'none', signal);
    await manager.flush(signal);
    assert.equal(Buffer.from(await manager.readContent(id, signal)).toString(), what);
  } catch (error) {
    assert.ok(error instanceof WindlassError, String(error));
    assert.ok(error.code === 'SESSION_FAILED' || isPlanned(error), `${what}: ${error.code}`);
    await assert.rejects(manager.flush(signal), { code: 'SESSION_FAILED' });
    await assert.rejects(manager.write('', Buffer.from('more'), 'none', signal), { code: 'SESSION_FAILED' });
  }
}

async function countCalls(t: TestContext, options: ContentRepositoryOptions): Promise<Record<FaultMethod, number>> {
  const { faulty, manager } = await openRun(t, options, 'counting');
  const atOpen = { ...faulty.calls };
  await work(manager, 1, { contents: new Map(), oneOf: [] }, t.signal);
  const counts = { ...faulty.calls };
  for (const method of METHODS) counts[method] -= atOpen[method];
  return counts;
}

// Listing folders is slow and is the blob layer's own business; what counts on files is the writing.
for (const { options, methods } of [
  { options: { kind: 'memory', packBytes: 250 }, methods: METHODS },
  { options: { kind: 'memory', packBytes: 250, version: 1 }, methods: WRITING_METHODS },
  { options: { kind: 'filesystem', packBytes: 250 }, methods: WRITING_METHODS },
] as const) {
  for (const when of MOMENTS) {
    test(`each storage call fails ${when}: ${JSON.stringify(options)}`, async (t) => {
      const counts = await countCalls(t, options);
      const tally = { failed: 0, survived: 0 };
      for (const method of methods) {
        for (let skip = 0; skip < counts[method]; skip++) tally[await failOnce(t, options, { method, when, skip })]++;
      }
      t.diagnostic(`${tally.failed} runs failed, ${tally.survived} got over it`);
      assert.ok(tally.failed >= 8 && tally.survived > 0);
    });
  }
}

test('a full store says so, and the next run with room again has everything', async (t) => {
  for (const [method, matching] of [
    ['putBlob', (name: string) => name.startsWith('s')],
    ['commitStaged', () => true],
    ['putBlob', (name: string) => name.startsWith('xn')],
  ] as const) {
    const { repository, faulty, manager } = await openRun(t, { kind: 'filesystem', packBytes: 250 }, 'first');
    const done: Acknowledged = { contents: new Map(), oneOf: [] };
    const full = new WindlassError('cannot write: no space left', { code: 'BLOB_STORE_FULL' });
    faulty.plan({ method, matching, error: full });
    await assert.rejects(work(manager, 1, done, t.signal), { code: 'BLOB_STORE_FULL' });
    await manager.close();
    assert.deepEqual(repository.stagingFiles(), []);
    await work(await repository.open({ owner: 'second', gone: ['first'] }), 1, done, t.signal);
    await assertKept(repository, done, t.signal, method);
  }
});

test('a failed pack fails every later flush and write', async (t) => {
  const { repository, faulty, manager } = await openRun(t, { kind: 'memory', packBytes: 100 }, 'first');
  faulty.plan({ method: 'putBlob', matching: (name) => name.startsWith('p'), error: injectedError() });
  await manager.startSession(t.signal);
  manager.writer.write('', new Uint8Array(200), 'none');
  await assert.rejects(
    manager.storeFullPacks(t.signal).then(() => manager.flush(t.signal)),
    { code: 'BLOB_IO' },
  );
  for (let n = 0; n < 2; n++) {
    await assert.rejects(manager.flush(t.signal), (error) => {
      assert.ok(error instanceof WindlassError && error.code === 'SESSION_FAILED');
      assert.ok(isPlanned(error.cause));
      return true;
    });
    await assert.rejects(manager.write('', new Uint8Array(1), 'none', t.signal), { code: 'SESSION_FAILED' });
    assert.throws(() => manager.throwIfFailed(), { code: 'SESSION_FAILED' });
  }
  assert.deepEqual(await repository.blobNames('xn'), []);
});

test('packs that were stored before a failure serve the next run', async (t) => {
  const { repository, faulty, manager } = await openRun(t, { kind: 'filesystem', packBytes: 100 }, 'first');
  for (let n = 0; n < 5; n++) await manager.write('', new SeededRandom(n).bytes(200), 'none', t.signal);
  faulty.plan({ method: 'commitStaged', error: injectedError() });
  await manager.write('', new SeededRandom(5).bytes(200), 'none', t.signal).catch(() => undefined);
  await assert.rejects(manager.flush(t.signal));
  await manager.close();
  const next = await repository.open({ owner: 'second', gone: ['first'] });
  await next.startSession(t.signal);
  assert.equal(next.adoptedPacks, 5);
});

test('an interrupted flush is no damage, only not done', async (t) => {
  const { repository, faulty, manager } = await openRun(t, { kind: 'memory', packBytes: 250 }, 'first');
  const done: Acknowledged = { contents: new Map(), oneOf: [] };
  const stop = new AbortController();
  faulty.plan({ method: 'putBlob', matching: (name) => name.startsWith('xn'), callback: () => stop.abort() });
  await assert.rejects(work(manager, 1, done, stop.signal), { name: 'AbortError' });
  assert.deepEqual(await repository.blobNames('xn'), []);
  assert.ok((await manager.flush(t.signal)).contents > 0);
});

test('a marker and journal that cannot be removed do not fail the flush', async (t) => {
  const { repository, faulty, manager } = await openRun(t, { kind: 'memory' }, 'first');
  const id = await manager.write('', Buffer.from('x'), 'none', t.signal);
  faulty.plan({ method: 'deleteBlob', error: injectedError() });
  assert.equal((await manager.flush(t.signal)).contents, 1);
  assert.equal((await repository.blobNames('s')).length, 1);
  assert.ok((await repository.loadIndex()).findContent(id) !== undefined);
});

test('a staging file on a full disk keeps the pack as it was', { skip: process.platform !== 'linux' }, (t) => {
  const stagingPath = join(memoryFolder(t), 'gone');
  const place = { open: () => ({ fd: openSync('/dev/full', 'r+'), stagingPath }) };
  const deps = { place, buffer: new Uint8Array(100), keySize: 17 };
  const id = 'p0-s0' as BlobId;
  assert.throws(() => GrowingPack.create('p', id, new Uint8Array(101), deps), { code: 'BLOB_STORE_FULL' });
  const pack = GrowingPack.create('p', id, new Uint8Array(0), deps);
  assert.equal(pack.reserve(40), 0);
  pack.advance(40);
  for (let attempt = 0; attempt < 2; attempt++) {
    assert.throws(() => pack.flush(), { code: 'BLOB_STORE_FULL' });
    assert.equal(pack.length, 40);
    assert.throws(() => pack.reserve(61), { code: 'BLOB_STORE_FULL' });
    assert.equal(pack.reserve(60), 40);
  }
  pack.discard();
});

test('the beginning of a content that did not fit on the disk is forgotten', (t) => {
  const stagingPath = join(memoryFolder(t), 'pack');
  const fd = openSync(stagingPath, 'wx+');
  const deps = { place: { open: () => ({ fd, stagingPath }) }, buffer: new Uint8Array(100), keySize: 17 };
  const pack = GrowingPack.create('p', 'p0-s0' as BlobId, new Uint8Array(30).fill(1), deps);
  putBytes(pack, new Uint8Array(20).fill(2));
  pack.rewind(30);
  assert.equal(pack.length, 30);
  putBytes(pack, new Uint8Array(40).fill(3));
  putBytes(pack, new Uint8Array(250).fill(4));
  pack.rewind(70);
  assert.equal(pack.length, 70);
  putBytes(pack, new Uint8Array(300).fill(5));
  pack.flush();
  const expected = Buffer.concat([Buffer.alloc(30, 1), Buffer.alloc(40, 3), Buffer.alloc(300, 5)]);
  assert.deepEqual(readFileSync(stagingPath), expected);
  pack.discard();
});
