// Maintenance dies at every storage step that writes, of every task. Whatever snapshots need must still be there, and the
// cycles after that must finish the work.
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';

import type { BlobStorage } from '../../repo-format/blob/storage.ts';
import { MaintainedRepository } from '../harness/maintained-repository.ts';

const CRASH = 'the machine is gone';
/** More writing steps than the cycles below have. */
const MAX_STEPS = 200;
const CYCLES = 5;

/**
 * Does so many writing calls, the last one without telling; from then on every call fails. To die before a step leaves what
 * dying after the one before it leaves.
 */
function dyingStorage(storage: BlobStorage, steps: number): { readonly storage: BlobStorage; isDead(): boolean } {
  let left = steps;
  let dead = false;
  const alive = (): void => {
    if (dead) throw new Error(CRASH);
  };
  const write = async <T>(call: () => Promise<T>): Promise<T> => {
    alive();
    const result = await call();
    left--;
    if (left === 0) dead = true;
    alive();
    return result;
  };
  const read = <T>(call: () => Promise<T>): Promise<T> => {
    if (dead) return Promise.reject(new Error(CRASH));
    return call();
  };
  return {
    isDead: () => dead,
    storage: {
      ...storage,
      getBlob: (id, range, signal) => read(() => storage.getBlob(id, range, signal)),
      getMetadata: (id, signal) => read(() => storage.getMetadata(id, signal)),
      putBlob: (id, bytes, signal) => write(() => storage.putBlob(id, bytes, signal)),
      deleteBlob: (id, signal) => write(() => storage.deleteBlob(id, signal)),
      listBlobs: (prefix, signal) => {
        alive();
        return storage.listBlobs(prefix, signal);
      },
    },
  };
}

/** A repository in which the next cycles have something to do for every task. */
async function agedRepository(t: TestContext): Promise<{ repository: MaintainedRepository; kept: string[] }> {
  const repository = await MaintainedRepository.create(t);
  const text = (name: string): string => `${name} `.repeat(20_000);
  const first = await repository.store({ shared: text('shared'), gone: text('gone') });
  const second = await repository.store({ shared: text('shared'), folder: { kept: text('kept') } });
  await repository.delete(first);
  repository.passHours(25);
  // Marks; what follows comes back to something that is marked now.
  await repository.maintain();
  const third = await repository.store({ back: text('gone'), late: text('late') });
  return { repository, kept: [second, third] };
}

/** True when the cycles got through without the death. */
async function dieAt(t: TestContext, step: number): Promise<boolean> {
  const { repository, kept } = await agedRepository(t);
  const dying = dyingStorage(repository.storage, step);
  for (let cycle = 0; cycle < CYCLES; cycle++) {
    repository.passHours(25);
    const storage = dying.isDead() ? repository.storage : dying.storage;
    const failure = await repository.maintain({}, storage).then(
      () => undefined,
      (error: unknown) => error,
    );
    if (failure !== undefined) assert.ok(dying.isDead(), describeFailure(failure));
    assert.deepEqual((await repository.verify()).sort(), [...kept].sort());
  }
  // Whatever was left lying about goes in the end.
  for (let cycle = 0; cycle < CYCLES; cycle++) {
    repository.passHours(25);
    await repository.maintain();
  }
  assert.deepEqual((await repository.verify()).sort(), [...kept].sort());
  assert.deepEqual(await repository.blobs('s'), [], 'no markers of dead sessions are left');
  assert.ok((await repository.packBytes()) < 500_000, `${await repository.packBytes()} bytes are left`);
  return !dying.isDead();
}

test('maintenance that dies after each of its writing steps loses nothing and is made up for', async (t) => {
  for (let step = 1; step < MAX_STEPS; step++) {
    if (!(await dieAt(t, step))) continue;
    assert.ok(step > 40, `cycles have more writing steps than ${step}`);
    t.diagnostic(`${step - 1} deaths`);
    return;
  }
  assert.fail('the cycles have more steps than were tried');
});

function describeFailure(failure: unknown): string {
  return failure instanceof Error ? `${failure.message} ${failure.stack ?? ''}` : 'failed with something else';
}
