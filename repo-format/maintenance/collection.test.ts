// Mark, move, drop and delete together, over simulated days.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WindlassError } from '../../base/errors.ts';
import { MaintainedRepository } from '../../test/harness/maintained-repository.ts';
import type { BlobId, BlobStorage } from '../blob/storage.ts';

const noise = (seed: string, kilobytes = 64): string => {
  let text = '';
  for (let i = 0; text.length < kilobytes << 10; i++) text += `${seed} ${i} ${Math.imul(i + 1, 0x9e37_79b1) >>> 0}\n`;
  return text;
};

test('the bytes of a deleted snapshot are back within days, and what it shares stays', async (t) => {
  const repository = await MaintainedRepository.create(t);
  const kept = await repository.store({ shared: noise('shared'), 'only-kept': noise('kept') });
  const beforeBytes = await repository.packBytes();
  const gone = await repository.store({ shared: noise('shared'), 'only-gone': noise('gone', 512) });
  const fullBytes = await repository.packBytes();
  await repository.delete(gone);
  const sizes: number[] = [];
  for (let day = 1; day <= 8; day++) {
    repository.passHours(24.1);
    await repository.maintain();
    assert.deepEqual(await repository.verify(), [kept]);
    sizes.push(await repository.packBytes());
  }
  t.diagnostic(`${beforeBytes} → ${fullBytes} → ${sizes.join(' ')}`);
  assert.ok((sizes.at(-1) ?? Infinity) < beforeBytes * 1.2);
  assert.ok((sizes[0] ?? 0) >= fullBytes);
});

test('without safety, what nobody needs is gone at once', async (t) => {
  const repository = await MaintainedRepository.create(t);
  const kept = await repository.store({ shared: noise('shared'), 'only-kept': noise('kept') });
  const beforeBytes = await repository.packBytes();
  const gone = await repository.store({ shared: noise('shared'), 'only-gone': noise('gone', 512) });
  await repository.delete(gone);
  await repository.maintain({ safety: 'none' });
  assert.deepEqual(await repository.verify(), [kept]);
  assert.ok((await repository.packBytes()) < beforeBytes * 1.2, `${beforeBytes} → ${await repository.packBytes()}`);
});

test('on a full store what is garbage already goes first, else it is said how many bytes are needed', async (t) => {
  const repository = await MaintainedRepository.create(t);
  const kept = await repository.store({ kept: noise('kept') });
  let limitBytes = 0;
  const storage: BlobStorage = {
    ...repository.storage,
    putBlob: async (id, bytes, signal) => {
      if ((await repository.packBytes()) <= limitBytes) return repository.storage.putBlob(id, bytes, signal);
      throw new WindlassError('no space left', { code: 'BLOB_STORE_FULL' });
    },
  };
  await assert.rejects(repository.maintain({}, storage), (error: WindlassError) => {
    assert.equal(error.code, 'MAINTENANCE_STORE_FULL');
    assert.ok(Number(error.context['neededBytes']) > 50);
    return true;
  });
  // A pack that no index names, of a session long dead.
  const orphan = `p${'0'.repeat(32)}-s0011223344556677145` as BlobId;
  await repository.storage.putBlob(orphan, new Uint8Array(1_000_000), t.signal);
  limitBytes = 1_000_000;
  repository.passHours(25);
  await repository.store({ kept: noise('kept') });
  await repository.maintain({}, storage);
  assert.deepEqual(await repository.blobs('p000000'), []);
  assert.ok((await repository.verify()).includes(kept));
});

test('what a collection marks while a writer begins to use it again is brought back, and never dropped', async (t) => {
  const repository = await MaintainedRepository.create(t);
  const tree = { back: noise('back'), folder: { too: noise('too') } };
  await repository.delete(await repository.store(tree));
  repository.passHours(25);
  // It finds everything stored already, just before the collection marks it.
  await using writer = await repository.open();
  await repository.maintain();
  const id = await repository.storeWith(writer, tree);
  for (let day = 0; day < 6; day++) {
    repository.passHours(25);
    await repository.maintain();
    assert.deepEqual(await repository.verify(), [id]);
  }
});
