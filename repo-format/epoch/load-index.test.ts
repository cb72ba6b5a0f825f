import assert from 'node:assert/strict';
import { readdirSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { silentLogger } from '../../base/logger.ts';
import { systemRandom } from '../../base/random.ts';
import { createFaultyStorage } from '../../test/harness/faulty-storage.ts';
import { anEntry } from '../../test/harness/index-entries.ts';
import {
  createIndexRepository,
  putEmpty,
  putIndex,
  type IndexRepository,
} from '../../test/harness/index-repository.ts';
import { memoryFolder } from '../../test/harness/scratch.ts';
import type { BlobId, BlobStorage } from '../blob/storage.ts';
import { CacheFolder } from '../blob/wrap/cache-folder.ts';
import { CachedStorage } from '../blob/wrap/cached.ts';
import type { ContentId } from '../index/content-id.ts';
import { openBlob, sealBlob } from './encrypted-blob.ts';
import { activeLegacyBlobs, parseCompactionLog } from './legacy.ts';
import { loadIndexSet } from './load-index.ts';
import { LEGACY_POISON_BLOB } from './names.ts';

const signal = new AbortController().signal;
const A = anEntry({ id: 'aa'.repeat(16) as ContentId });
const B = anEntry({ id: 'bb'.repeat(16) as ContentId });
const C = anEntry({ id: 'cc'.repeat(16) as ContentId });

async function ids(repository: IndexRepository): Promise<string[]> {
  const { indexSet } = await loadIndexSet(repository, signal);
  return [...indexSet.iterate()].map((entry) => entry.id);
}

async function putLog(
  repository: IndexRepository,
  inputs: readonly BlobId[],
  outputs: readonly BlobId[],
): Promise<BlobId> {
  const list = (names: readonly BlobId[]): object[] =>
    names.map((id) => ({ id, length: 1, timestamp: '2026-11-20T00:00:00Z' }));
  const json = JSON.stringify({ inputMetadata: list(inputs), outputMetadata: list(outputs) });
  const { id, bytes } = sealBlob(repository, 'm', '', new TextEncoder().encode(json));
  await repository.storage.putBlob(id, bytes, signal);
  return id;
}

test('an empty repository has an empty index', async () => {
  for (const epochs of [true, false]) assert.deepEqual(await ids(createIndexRepository({ epochs })), []);
});

test('with epochs, legacy blobs are not even read', async () => {
  const repository = createIndexRepository();
  await putIndex(repository, 'n', 's1', [A]);
  await putEmpty(repository, LEGACY_POISON_BLOB, 'm00112233', 'n00112233');
  await putIndex(repository, 'xn0_', 's1-c1', [B]);
  assert.deepEqual(await ids(repository), [B.id]);
});

test('without epochs, compacted blobs are left out once their outputs are there', async () => {
  const repository = createIndexRepository({ epochs: false });
  const a = await putIndex(repository, 'n', 's1', [A]);
  const b = await putIndex(repository, 'n', 's2', [B]);
  const ab = await putIndex(repository, 'n', '', [A, { ...B, timestampSeconds: B.timestampSeconds + 1 }]);
  await putEmpty(repository, LEGACY_POISON_BLOB);
  await putLog(repository, [a, b], [ab]);
  const { blobIds, epochSnapshot } = await loadIndexSet(repository, signal);
  assert.deepEqual(blobIds, [ab]);
  assert.equal(epochSnapshot, undefined);
  await putIndex(repository, 'n', 's3', [C]);
  assert.deepEqual(await ids(repository), [A.id, B.id, C.id]);
  await repository.storage.deleteBlob(ab, signal);
  assert.deepEqual(await ids(repository), [A.id, B.id, C.id], 'the inputs count again');
});

test('logs are judged by the whole listing: outputs of one may be inputs of the next', () => {
  const blobs = ['n1', 'n2', 'n3', 'n4'].map((name) => ({ id: name as BlobId, length: 1, timestampMs: 0 }));
  const names = (logs: { inputs: string[]; outputs: string[] }[]): string[] =>
    activeLegacyBlobs(blobs, logs).map((blob) => blob.id);
  const first = { inputs: ['n1'], outputs: ['n2'] };
  const second = { inputs: ['n2', 'gone'], outputs: ['n3'] };
  for (const logs of [
    [first, second],
    [second, first],
  ])
    assert.deepEqual(names(logs), ['n3', 'n4']);
  assert.deepEqual(names([{ inputs: ['n1'], outputs: ['n2', 'missing'] }]), ['n1', 'n2', 'n3', 'n4']);
  assert.deepEqual(names([]), ['n1', 'n2', 'n3', 'n4']);
});

test('a log that vanished is no log, one that cannot be read is an error', async (t) => {
  const repository = createIndexRepository({ epochs: false });
  const a = await putIndex(repository, 'n', 's1', [A]);
  const log = await putLog(repository, [a], [a]);
  const faulty = createFaultyStorage(t, repository.storage);
  faulty.plan({
    method: 'getBlob',
    matching: (name) => name === log,
    callback: () => repository.storage.deleteBlob(log, signal),
  });
  const { blobIds } = await loadIndexSet({ ...repository, storage: faulty.storage }, signal);
  assert.deepEqual(blobIds, [a]);
  for (const text of [
    '',
    '[]',
    '1',
    'null',
    '{"inputMetadata":{}}',
    '{"inputMetadata":[1]}',
    '{"inputMetadata":[{"id":1}]}',
  ]) {
    assert.throws(
      () => parseCompactionLog('m1' as BlobId, new TextEncoder().encode(text)),
      { code: 'INDEX_CORRUPT' },
      text,
    );
  }
  assert.throws(() => parseCompactionLog('m1' as BlobId, new Uint8Array([0x22, 0xff, 0x22])), {
    code: 'INDEX_CORRUPT',
  });
  const odd = '{"INPUTMETADATA":[{"ID":"n1","x":1}],"outputmetadata":null}';
  assert.deepEqual(parseCompactionLog('m1' as BlobId, new TextEncoder().encode(odd)), { inputs: ['n1'], outputs: [] });
});

test('a blob that was compacted between listing and reading makes it list again', async (t) => {
  const repository = createIndexRepository();
  const { storage, clock } = repository;
  await putEmpty(repository, 'xe5');
  const old = await putIndex(repository, 'xn0_', 's1-c1', [A]);
  const faulty = createFaultyStorage(t, storage);
  faulty.plan({
    method: 'getBlob',
    matching: (name) => name === old,
    callback: async () => {
      await putIndex(repository, 'xs0_', 's9-c1', [A]);
      await storage.deleteBlob(old, signal);
    },
  });
  const { indexSet, blobIds } = await loadIndexSet({ ...repository, storage: faulty.storage }, signal);
  assert.match(blobIds[0] ?? '', /^xs0_/);
  assert.deepEqual([...indexSet.iterate()], [A]);
  assert.deepEqual(clock.sleepsMs, [100]);
});

test('a listed blob that stays missing is an error after ten attempts', async (t) => {
  const repository = createIndexRepository();
  const lost = await putIndex(repository, 'xn0_', 's1-c1', [A]);
  const faulty = createFaultyStorage(t, repository.storage);
  const elsewhere = createIndexRepository();
  const error = await elsewhere.storage.getBlob(lost, undefined, signal).catch((reason: unknown) => reason);
  faulty.plan({ method: 'getBlob', error, times: 10 });
  await assert.rejects(loadIndexSet({ ...repository, storage: faulty.storage }, signal), { code: 'INDEX_BLOB_LOST' });
  assert.deepEqual(repository.clock.sleepsMs, [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600]);
});

test('damage names the blob: every truncation and every flipped byte', async () => {
  const repository = createIndexRepository();
  const { storage } = repository;
  const id = await putIndex(repository, 'xn0_', 's1-c1', [A, B]);
  const sealed = await storage.getBlob(id, undefined, signal);
  const damaged = [
    ...Array.from({ length: sealed.length }, (_, length) => sealed.slice(0, length)),
    ...Array.from(sealed, (byte, at) => sealed.with(at, byte ^ 0x40)),
  ];
  for (const bytes of damaged) {
    await storage.putBlob(id, bytes, signal);
    await assert.rejects(
      loadIndexSet(repository, signal),
      (error: { code?: string; context?: object; message?: string }) => {
        assert.equal(error.code, 'BLOB_CORRUPT');
        assert.deepEqual(error.context, { blobId: id, offset: 0, length: bytes.length });
        return error.message?.includes(id) === true;
      },
    );
  }
});

test('a blob that opens but is no index, or has no hash in its name, is an error', async () => {
  const repository = createIndexRepository();
  const { id, bytes } = sealBlob(repository, 'xn0_', 's1-c1', new TextEncoder().encode('not an index'));
  await repository.storage.putBlob(id, bytes, signal);
  await assert.rejects(loadIndexSet(repository, signal), {
    code: 'INDEX_CORRUPT',
    context: { blobId: id, offset: 0, length: bytes.length },
  });
  for (const name of ['xn0_foo', 'xn0_-s1-c1', `xn0_${'g'.repeat(32)}`]) {
    assert.throws(() => openBlob(repository.cipher, name as BlobId, bytes), { code: 'BLOB_CORRUPT' });
  }
});

test('an earlier set saves reading its blobs again', async (t) => {
  const repository = createIndexRepository();
  const first = await putIndex(repository, 'xn0_', 's1-c1', [A]);
  const gone = await putIndex(repository, 'xn0_', 's2-c1', [B]);
  const before = await loadIndexSet(repository, signal);
  await repository.storage.deleteBlob(gone, signal);
  await putIndex(repository, 'xn0_', 's3-c1', [C]);
  const faulty = createFaultyStorage(t, repository.storage);
  const after = await loadIndexSet({ ...repository, storage: faulty.storage }, signal, before.indexSet);
  assert.equal(faulty.calls.getBlob, 1);
  assert.ok(after.blobIds.includes(first) && !after.blobIds.includes(gone));
  assert.deepEqual([...after.indexSet.iterate()], [A, C]);
});

test('damage is reported at once, even when another blob has vanished', async (t) => {
  const repository = createIndexRepository();
  const [first, second] = [
    await putIndex(repository, 'xn0_', 's1-c1', [A]),
    await putIndex(repository, 'xn0_', 's2-c1', [B]),
  ];
  await repository.storage.putBlob(second, new Uint8Array(40), signal);
  const faulty = createFaultyStorage(t, repository.storage);
  const { storage } = repository;
  faulty.plan({
    method: 'getBlob',
    matching: (name) => name === first,
    callback: () => storage.deleteBlob(first, signal),
  });
  const damaged = loadIndexSet({ ...repository, storage: faulty.storage }, signal);
  await assert.rejects(damaged, { code: 'BLOB_CORRUPT' });
  assert.deepEqual(repository.clock.sleepsMs, []);
});

test('a copy that does not open is dropped, and the store asked once more', async () => {
  const repository = createIndexRepository();
  const id = await putIndex(repository, 'xn0_', 's0123456789abcdef147-c1', [anEntry()]);
  const { storage } = repository;
  let copies = 1;
  const withCopy: BlobStorage = Object.assign(Object.create(storage) as BlobStorage, {
    getBlob: async (...args: Parameters<BlobStorage['getBlob']>) => {
      const bytes = await storage.getBlob(...args);
      return copies > 0 ? bytes.fill(1) : bytes;
    },
    dropCached: (dropped: string) => dropped === id && copies-- > 0,
  });
  const { indexSet } = await loadIndexSet({ ...repository, storage: withCopy }, signal);
  assert.equal(indexSet.rowCount, 1);
  copies = 2;
  await assert.rejects(loadIndexSet({ ...repository, storage: withCopy }, signal), { code: 'BLOB_CORRUPT' });
});

test('many small blobs are kept in few cache files, and a torn one only costs requests', async (t) => {
  const repository = createIndexRepository();
  const expected: string[] = [];
  for (let n = 0; n < 100; n++) {
    const id = (n + 16).toString(16).padStart(32, '0') as ContentId;
    expected.push(id);
    await putIndex(repository, 'xn0_', `s${n}-c1`, [anEntry({ id })]);
  }
  const folder = join(memoryFolder(t, 'bundles'), 'cache');
  const faulty = createFaultyStorage(t, repository.storage);
  const open = async (): Promise<number> => {
    const deps = { clock: repository.clock, random: systemRandom, logger: silentLogger };
    const cache = CacheFolder.open({ path: folder, limitBytes: 1 << 30, key: new Uint8Array(16) }, deps);
    assert.ok(cache !== undefined);
    const before = faulty.calls.getBlob ?? 0;
    const { indexSet } = await loadIndexSet(
      { ...repository, storage: new CachedStorage(faulty.storage, cache) },
      t.signal,
    );
    assert.deepEqual([...indexSet.iterate()].map((entry) => entry.id).sort(), expected);
    return (faulty.calls.getBlob ?? 0) - before;
  };
  assert.equal(await open(), 100);
  assert.deepEqual(readdirSync(folder), ['bundle-0.f']);
  assert.equal(await open(), 0);
  truncateSync(join(folder, 'bundle-0.f'), 500);
  assert.equal(await open(), 100);
  assert.equal(await open(), 0);
});
