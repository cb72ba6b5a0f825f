// Every call to the storage fails once, before, in the middle of, or after its effect. The backup either succeeds all the
// same or fails with the storage's error; the repository stays good, and the next backup works.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';

import { hasCode, WindlassError } from '../../base/errors.ts';
import { Engine } from '../harness/engine.ts';
import { memoryFolder } from '../harness/scratch.ts';
import { SeededRandom } from '../harness/seeded-random.ts';
import { MOMENTS, StepStorage, type Moment, type StorageMethod } from '../harness/step-storage.ts';
import { changeSmallTree, makeSmallTree } from './small-tree.ts';
import { Witness } from './witness.ts';

const FAULT = 'TEST_STORAGE_FAULT';
const ALL_METHODS: readonly StorageMethod[] = [
  'getBlob',
  'getMetadata',
  'putBlob',
  'listBlobs',
  'deleteBlob',
  'commitStaged',
  'freeBytes',
];
const MAX_STEPS = 120;

for (const moment of MOMENTS) {
  test(`each storage call of a backup fails ${moment}`, async (t) => {
    const tally = await failEachCall(t, moment);
    t.diagnostic(`${tally.failed} backups failed, ${tally.survived} got over it`);
    assert.ok(tally.failed > 10);
  });
}

async function failEachCall(t: TestContext, moment: Moment): Promise<{ failed: number; survived: number }> {
  const folder = memoryFolder(t, 'faults');
  const random = new SeededRandom(21);
  const engine = new Engine({ folder, signal: t.signal });
  await engine.create();
  const path = join(folder, 'tree');
  makeSmallTree(path, random);
  const witness = new Witness(engine, folder);
  const tally = { failed: 0, survived: 0 };
  for (let step = 1; step < MAX_STEPS; step++) {
    changeSmallTree(path, random, step);
    const { id, reached } = await backUpWithFault(folder, path, step, moment, t.signal);
    if (id !== undefined) witness.acknowledge(id, path);
    if (reached) tally[id === undefined ? 'failed' : 'survived']++;
    await witness.check(random);
    if (!reached) {
      await witness.checkAll();
      return tally;
    }
    // Nothing kept in memory may help: snapshots grow from what the folder holds.
    if (step % 10 === 0) witness.acknowledge((await engine.backUp(path)).manifest.id, path);
  }
  throw new Error(`a backup makes more than ${MAX_STEPS} storage calls`);
}

async function backUpWithFault(
  folder: string,
  path: string,
  step: number,
  moment: Moment,
  signal: AbortSignal,
): Promise<{ id: string | undefined; reached: boolean }> {
  let faulty: StepStorage | undefined;
  const engine = new Engine({
    folder,
    signal,
    wrapStorage: (storage) => (faulty = new StepStorage(storage, { methods: ALL_METHODS, step, moment, act: fail })),
  });
  try {
    const result = await engine.backUp(path);
    return { id: result.manifest.id, reached: faulty?.reached !== undefined };
  } catch (error) {
    assert.ok(carriesFault(error), `step ${step}: ${String(error)}`);
    return { id: undefined, reached: true };
  }
}

function fail(): never {
  throw new WindlassError('planned fault', { code: FAULT, retry: 'never' });
}

function carriesFault(error: unknown): boolean {
  if (hasCode(error, FAULT)) return true;
  return error instanceof Error && error.cause !== undefined && carriesFault(error.cause);
}
