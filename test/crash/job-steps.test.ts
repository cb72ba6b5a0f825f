// A copy and a repair are killed at every writing storage step, before, in the middle of and after it. What is listed by then must
// be whole, the same work begun again must finish, and what it leaves must be what an undisturbed run leaves.
import assert from 'node:assert/strict';
import { cpSync, globSync, mkdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';

import type { Repository } from '../../repo-format/index.ts';
import { Engine } from '../harness/engine.ts';
import { runCommand } from '../harness/run-command.ts';
import { memoryFolder } from '../harness/scratch.ts';
import { SeededRandom } from '../harness/seeded-random.ts';
import { MOMENTS, type Moment } from '../harness/step-storage.ts';
import { describeTree, removeTree, type TreeDescription } from '../harness/tree.ts';
import { type Job, type JobPlan, runJob } from './job-victim.ts';
import { changeSmallTree, makeSmallTree } from './small-tree.ts';

const VICTIM = fileURLToPath(new URL('job-victim.ts', import.meta.url));
const SEED = 5;
const SNAPSHOTS = 2;
/** More writing steps than either job has. */
const MAX_STEPS = 60;

interface Stored {
  /** The engine's folder. */
  readonly folder: string;
  /** What each snapshot holds, oldest first. */
  readonly trees: readonly TreeDescription[];
  /** As the last snapshot has it. */
  readonly tree: string;
}

async function store(t: TestContext): Promise<Stored> {
  const folder = memoryFolder(t, 'job-source');
  const random = new SeededRandom(SEED);
  const engine = new Engine({ folder });
  await engine.create();
  const tree = join(folder, 'tree');
  makeSmallTree(tree, random);
  const trees: TreeDescription[] = [];
  for (let round = 0; round < SNAPSHOTS; round++) {
    changeSmallTree(tree, random, round);
    await engine.backUp(tree);
    trees.push(describeTree(tree));
  }
  return { folder, trees, tree };
}

async function isKilled(plan: JobPlan): Promise<boolean> {
  const result = await runCommand([process.execPath, VICTIM, JSON.stringify(plan)]);
  if (result.signal === 'SIGKILL' || result.code === 137) return true;
  assert.equal(result.code, 0, result.stderr);
  assert.equal(result.stdout, 'done\n');
  return false;
}

/** Each time on a fresh copy of `original`. Answers the number of deaths. */
async function killAtEachStep(
  t: TestContext,
  { original, job, moment }: { readonly original: string; readonly job: Job; readonly moment: Moment },
  check: (engine: Engine, isOver: boolean) => Promise<void>,
): Promise<number> {
  const folder = memoryFolder(t, 'job');
  for (let step = 1; step < MAX_STEPS; step++) {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder);
    cpSync(join(original, 'repository'), join(folder, 'repository'), { recursive: true, preserveTimestamps: true });
    const killed = await isKilled({ folder, job, step, moment });
    const engine = new Engine({ folder, signal: t.signal });
    await check(engine, false);
    await runJob(engine, job);
    await check(engine, true);
    if (!killed) return step - 1;
  }
  throw new Error(`the work still dies at step ${MAX_STEPS}`);
}

async function restoredTrees(engine: Engine, folder: string): Promise<TreeDescription[]> {
  const found: TreeDescription[] = [];
  for (const manifest of await engine.list()) {
    const target = join(folder, 'restored');
    await engine.restore(manifest, target);
    found.push(describeTree(target));
    removeTree(target);
  }
  return found;
}

/** Live contents but for manifests, whose bytes have times in them. */
async function contentsOf(engine: Engine): Promise<string[]> {
  await using repository: Repository = await engine.open(true);
  const live = repository.contents.indexSet.iterate();
  return [...live]
    .filter(({ id, deleted }) => !deleted && !id.startsWith('m'))
    .map(({ id }) => id)
    .sort();
}

/** Oldest first. The folders of a blob's file are the beginning of its name. */
function blobFiles(folder: string, prefix: string): string[] {
  const repository = join(folder, 'repository');
  const paths = globSync('**/*.f', { cwd: repository }).filter((path) => path.replaceAll('/', '').startsWith(prefix));
  const files = paths.map((path) => join(repository, path));
  return files.sort((a, b) => statSync(a).mtimeMs - statSync(b).mtimeMs);
}

for (const moment of MOMENTS) {
  test(`a copy killed ${moment} each storage step goes on, and stores each content once`, async (t) => {
    const source = await store(t);
    const empty = memoryFolder(t, 'job-target');
    await new Engine({ folder: empty }).create();
    const job: Job = { kind: 'copy', fromFolder: source.folder };
    const undisturbed = memoryFolder(t, 'job-undisturbed');
    cpSync(join(empty, 'repository'), join(undisturbed, 'repository'), { recursive: true });
    const witness = new Engine({ folder: undisturbed });
    await runJob(witness, job);
    const expected = await contentsOf(witness);
    const deaths = await killAtEachStep(t, { original: empty, job, moment }, async (engine, isOver) => {
      await engine.verify();
      if (!isOver) return;
      assert.deepEqual(await restoredTrees(engine, undisturbed), source.trees);
      assert.deepEqual(await contentsOf(engine), expected);
    });
    t.diagnostic(`${deaths} deaths`);
    assert.ok(deaths >= 5, `a copy has more storage steps than ${deaths}`);
  });

  test(`a repair killed ${moment} each storage step goes on, and what can be healed is`, async (t) => {
    const { folder, trees, tree } = await store(t);
    assert.ok(blobFiles(folder, 'xn').length >= SNAPSHOTS);
    // The first index blob is rebuilt from packs, and what the last pack of files held is healed from the tree.
    rmSync(blobFiles(folder, 'xn')[0] ?? '');
    rmSync(blobFiles(folder, 'p').at(-1) ?? '');
    const job: Job = { kind: 'repair', healFrom: tree };
    const deaths = await killAtEachStep(t, { original: folder, job, moment }, async (engine, isOver) => {
      // Until then something is missing, which must not keep anybody from listing.
      const listed = await engine.list();
      if (!isOver) return;
      assert.equal(listed.length, SNAPSHOTS);
      await engine.verify();
      assert.deepEqual(await restoredTrees(engine, folder), trees);
    });
    t.diagnostic(`${deaths} deaths`);
    assert.ok(deaths >= 2, `a repair has more storage steps than ${deaths}`);
  });
}
