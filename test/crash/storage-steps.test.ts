// A backup is killed at every storage step, before, in the middle of and after it. Whatever was acknowledged must restore,
// whatever is listed must verify, and the next backup must simply work.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';

import { Engine } from '../harness/engine.ts';
import { runCommand } from '../harness/run-command.ts';
import { memoryFolder } from '../harness/scratch.ts';
import { SeededRandom } from '../harness/seeded-random.ts';
import { MOMENTS, type Moment } from '../harness/step-storage.ts';
import { changeSmallTree, makeSmallTree } from './small-tree.ts';
import type { VictimPlan } from './victim.ts';
import { Witness } from './witness.ts';

const VICTIM = fileURLToPath(new URL('victim.ts', import.meta.url));
const SEED = 11;
/** More writing steps than a backup of the small tree has. */
const MAX_STEPS = 60;

/** The snapshot's id, or undefined when the victim died. */
async function runVictim(plan: VictimPlan): Promise<string | undefined> {
  const result = await runCommand([process.execPath, VICTIM, JSON.stringify(plan)]);
  if (result.signal === 'SIGKILL' || result.code === 137) {
    return result.stdout === '' ? undefined : result.stdout.trim();
  }
  assert.equal(result.code, 0, result.stderr);
  return result.stdout.trim();
}

for (const moment of MOMENTS) {
  test(`killed ${moment} each storage step`, async (t) => {
    const deaths = await killAtEachStep(t, moment);
    assert.ok(deaths >= 5, `a backup has more storage steps than ${deaths}`);
    t.diagnostic(`${deaths} deaths`);
  });
}

async function killAtEachStep(t: TestContext, moment: Moment): Promise<number> {
  const folder = memoryFolder(t, 'crash');
  const random = new SeededRandom(SEED);
  const engine = new Engine({ folder, signal: t.signal });
  await engine.create();
  const path = join(folder, 'tree');
  makeSmallTree(path, random);
  const witness = new Witness(engine, folder);
  witness.acknowledge((await engine.backUp(path)).manifest.id, path);
  for (let step = 1; step < MAX_STEPS; step++) {
    changeSmallTree(path, random, step);
    const id = await runVictim({ folder, tree: path, step, moment });
    if (id !== undefined) witness.acknowledge(id, path);
    await witness.check(random);
    if (id !== undefined) {
      await finish(engine, witness, path, random);
      return step - 1;
    }
    if (step % 5 === 0) witness.acknowledge((await engine.backUp(path)).manifest.id, path);
  }
  throw new Error(`a backup still dies at step ${MAX_STEPS}`);
}

/** The repository is as good as ever, and the dead left no sessions behind. */
async function finish(engine: Engine, witness: Witness, path: string, random: SeededRandom): Promise<void> {
  changeSmallTree(path, random, 0);
  witness.acknowledge((await engine.backUp(path)).manifest.id, path);
  await witness.checkAll();
  const root = readdirSync(engine.repositoryPath);
  assert.ok(root.includes('kopia.repository.f'));
}
