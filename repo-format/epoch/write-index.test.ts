import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createFaultyStorage, injectedError, type Fault } from '../../test/harness/faulty-storage.ts';
import { anEntry } from '../../test/harness/index-entries.ts';
import {
  createIndexRepository,
  indexBytes,
  namesIn,
  putEmpty,
  REFRESH_MS,
  type IndexRepository,
} from '../../test/harness/index-repository.ts';
import { toHex } from '../../base/hex.ts';
import type { BlobStorage } from '../blob/storage.ts';
import type { ContentId } from '../index/content-id.ts';
import { loadIndexSet } from './load-index.ts';
import { loadEpochSnapshot } from './snapshot.ts';
import { writeIndexShards } from './write-index.ts';

const signal = new AbortController().signal;
const SESSION = 's0123456789abcdef147';
const ENTRIES = ['00', '11', '22'].map((digits) => anEntry({ id: digits.repeat(16) as ContentId }));
const SHARDS = ENTRIES.map((entry) => indexBytes([entry]));

const write = (repository: IndexRepository, storage: BlobStorage = repository.storage) =>
  writeIndexShards({ ...repository, storage, sessionId: SESSION }, SHARDS, signal);

function expectedNames(repository: IndexRepository, epoch: number): string[] {
  return SHARDS.map((shard) => `xn${epoch}_${toHex(repository.hash.digest(shard))}-${SESSION}-c3`).sort();
}

async function found(repository: IndexRepository): Promise<string[]> {
  const { indexSet } = await loadIndexSet(repository, signal);
  return [...indexSet.iterate()].map((entry) => entry.id);
}

test('shards go to the write epoch, named by hash, session and count, and are found', async () => {
  const repository = createIndexRepository();
  await putEmpty(repository, 'xe1', 'xe4', 'xe3');
  const written = await write(repository);
  assert.deepEqual(written.map((blob) => blob.id).sort(), expectedNames(repository, 4));
  assert.deepEqual(await namesIn(repository.storage, 'xn'), expectedNames(repository, 4));
  assert.deepEqual(
    written.map((blob) => blob.id),
    SHARDS.map((shard) => `xn4_${toHex(repository.hash.digest(shard))}-${SESSION}-c3`),
  );
  assert.deepEqual(
    await found(repository),
    ENTRIES.map((entry) => entry.id),
  );
  assert.deepEqual(await writeIndexShards({ ...repository, sessionId: SESSION }, [], signal), []);
});

test('without epochs they are legacy blobs', async () => {
  const repository = createIndexRepository({ epochs: false });
  await write(repository);
  assert.deepEqual(
    await namesIn(repository.storage),
    expectedNames(repository, 0).map((name) => name.replace('xn0_', 'n').replace('-c3', '')),
  );
  assert.deepEqual(
    await found(repository),
    ENTRIES.map((entry) => entry.id),
  );
});

test('when the snapshot runs out between two shards, the rest goes on with a fresh one', async (t) => {
  const repository = createIndexRepository();
  const { storage, plan, calls } = createFaultyStorage(t, repository.storage);
  plan({ method: 'putBlob', when: 'after', callback: () => repository.clock.advance(REFRESH_MS) });
  await write(repository, storage);
  assert.deepEqual(await namesIn(repository.storage), expectedNames(repository, 0));
  assert.equal(calls.putBlob, 3, 'what was written into the same epoch is not written again');
});

for (const back of [true, false]) {
  test(`a clock that is set ${back ? 'back' : 'forward'} does not lengthen the time in which shards may be written`, async (t) => {
    const repository = createIndexRepository();
    const { storage, plan } = createFaultyStorage(t, repository.storage);
    const step = back ? [REFRESH_MS, -REFRESH_MS] : [REFRESH_MS];
    plan({
      method: 'putBlob',
      when: 'after',
      callback: async () => {
        for (const ms of step) repository.clock.advance(ms);
        await putEmpty(repository, 'xe1');
      },
    });
    await write(repository, storage);
    assert.deepEqual(await namesIn(repository.storage, 'xn'), expectedNames(repository, 1));
  });
}

test('a snapshot from before is used while three quarters of its validity are left, and not a moment longer', async (t) => {
  const repository = createIndexRepository();
  const epochSnapshot = await loadEpochSnapshot(repository, signal);
  for (const [advanceMs, lists] of [
    [REFRESH_MS / 4, 1],
    [1, 7],
  ] as const) {
    repository.clock.advance(advanceMs);
    const { storage, calls } = createFaultyStorage(t, repository.storage);
    await writeIndexShards({ ...repository, storage, sessionId: SESSION, epochSnapshot }, SHARDS, signal);
    assert.equal(calls.listBlobs, lists);
  }
  await putEmpty(repository, 'xe1', 'xe2');
  const old = { ...repository, sessionId: SESSION, epochSnapshot: await loadEpochSnapshot(repository, signal) };
  await putEmpty(repository, 'xe3', 'xe4');
  await assert.rejects(writeIndexShards(old, SHARDS, signal), { code: 'EPOCH_WRITE_TOO_SLOW' });
  assert.deepEqual(await namesIn(repository.storage, 'xn2'), []);
});

test('when the epoch advanced meanwhile, all shards move to the new one', async (t) => {
  const repository = createIndexRepository();
  const { storage, plan } = createFaultyStorage(t, repository.storage);
  plan({
    method: 'putBlob',
    when: 'after',
    skip: 1,
    callback: async () => {
      repository.clock.advance(REFRESH_MS);
      await putEmpty(repository, 'xe1');
    },
  });
  const written = await write(repository, storage);
  assert.deepEqual(written.map((blob) => blob.id).sort(), expectedNames(repository, 1));
  assert.deepEqual(await namesIn(repository.storage, 'xn'), expectedNames(repository, 1));
});

test('an epoch that begins while shards are written does not matter, two of them fail the flush', async (t) => {
  for (const [advance, fails] of [
    [1, false],
    [2, true],
  ] as const) {
    const repository = createIndexRepository();
    const { storage, plan } = createFaultyStorage(t, repository.storage);
    plan({ method: 'putBlob', when: 'after', skip: 2, callback: () => putEmpty(repository, `xe${advance}`) });
    if (fails) {
      plan({ method: 'deleteBlob', error: injectedError(), skip: 1 });
      await assert.rejects(write(repository, storage), { code: 'EPOCH_WRITE_TOO_SLOW' });
      assert.equal((await namesIn(repository.storage, 'xn')).length, 1, 'removing them is best effort');
    } else {
      await write(repository, storage);
      assert.deepEqual(
        await found(repository),
        ENTRIES.map((entry) => entry.id),
      );
    }
  }
});

test('a write that never fits into a snapshot is an error, not an endless loop', async (t) => {
  const repository = createIndexRepository();
  const { storage, plan } = createFaultyStorage(t, repository.storage);
  const epochOf = (): number => Math.floor(repository.clock.nowMs() / REFRESH_MS) % 1_000_000;
  plan({
    method: 'putBlob',
    when: 'after',
    times: 10,
    callback: async () => {
      repository.clock.advance(REFRESH_MS);
      await putEmpty(repository, `xe${epochOf()}`);
    },
  });
  await assert.rejects(write(repository, storage), { code: 'EPOCH_WRITE_TOO_SLOW' });
});

test('a failing storage fails the flush and never reports success', async (t) => {
  const faults: Fault[] = (['before', 'during', 'after'] as const).flatMap((when) => [
    { method: 'listBlobs', when, error: injectedError() },
    ...[0, 1, 2].map((skip): Fault => ({ method: 'putBlob', when, skip, error: injectedError() })),
    { method: 'listBlobs', when, skip: 6, error: injectedError() },
  ]);
  for (const fault of faults) {
    const repository = createIndexRepository();
    const { storage, plan } = createFaultyStorage(t, repository.storage);
    plan(fault);
    await assert.rejects(write(repository, storage), { code: 'BLOB_IO' });
    // What is visible all the same is whole.
    const visible = await found(repository);
    assert.ok(visible.every((id) => ENTRIES.some((entry) => entry.id === id)));
    await write(repository);
    assert.deepEqual(
      await found(repository),
      ENTRIES.map((entry) => entry.id),
    );
  }
});
