// The command is killed at random moments, again and again, on one repository. Whatever it acknowledged restores, and at the
// end a real kopia, where there is one, finds nothing to complain about.
import assert from 'node:assert/strict';
import { readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';

import { findKopia, KopiaClient } from '../harness/kopia-client.ts';
import { memoryFolder } from '../harness/scratch.ts';
import { SeededRandom } from '../harness/seeded-random.ts';
import { describeTree, type TreeDescription } from '../harness/tree.ts';
import { WindlassClient } from '../harness/windlass-command.ts';
import { changeSmallTree, makeSmallTree } from './small-tree.ts';

const ROUNDS = Number(process.env['WINDLASS_CRASH_ROUNDS'] ?? 120);
const SEED = Number(process.env['WINDLASS_CRASH_SEED'] ?? 1);
/** All rounds verify by listing; every this many the whole repository is verified and a snapshot restored. */
const CHECK_EVERY = 15;
const PASSWORD = 'crash-password';

interface Acknowledged {
  readonly id: string;
  readonly tree: TreeDescription;
}

test(`${ROUNDS} backups killed at random moments, seed ${SEED}`, async (t) => {
  const folder = memoryFolder(t, 'kills');
  const repository = join(folder, 'repository');
  const windlass = new WindlassClient({ repository, cacheFolder: join(folder, 'cache'), password: PASSWORD });
  await windlass.ok('repository', 'create');
  const random = new SeededRandom(SEED);
  const tree = join(folder, 'tree');
  makeSmallTree(tree, random);
  const acknowledged: Acknowledged[] = [];
  let longestMs = 0;
  let killed = 0;
  for (let round = 0; round < ROUNDS; round++) {
    changeSmallTree(tree, random, round);
    const startedMs = performance.now();
    const delayMs = round % 10 === 0 ? undefined : random.below(longestMs * 1.1);
    const id = await backUpOrDie(windlass, tree, delayMs);
    if (id !== undefined) acknowledged.push({ id, tree: describeTree(tree) });
    else killed++;
    if (delayMs === undefined) longestMs = performance.now() - startedMs;
    if (round % CHECK_EVERY === CHECK_EVERY - 1) await check(windlass, acknowledged, folder, random);
  }
  t.diagnostic(`${killed} killed, ${acknowledged.length} acknowledged`);
  assert.ok(killed > ROUNDS / 4);
  for (const one of acknowledged) await restoreAndCompare(windlass, one, folder);
  await kopiaAgrees(t, folder, repository);
  assert.ok(strayFiles(repository) < ROUNDS * 4, 'what the dead leave behind is bounded');
});

/** The snapshot's id when the command said so before it was killed. */
async function backUpOrDie(
  windlass: WindlassClient,
  tree: string,
  delayMs: number | undefined,
): Promise<string | undefined> {
  const args = ['snapshot', 'create', tree, '--source', 'user@host:/data', '--json'];
  let timer: NodeJS.Timeout | undefined;
  const result = await windlass.run(args, {
    onStart: (child) => {
      if (delayMs !== undefined) timer = setTimeout(() => child.kill('SIGKILL'), delayMs);
    },
  });
  clearTimeout(timer);
  if (result.signal === null) assert.equal(result.code, 0, result.stderr);
  return result.stdout.trimEnd().endsWith('}') ? (JSON.parse(result.stdout) as { id: string }).id : undefined;
}

async function check(
  windlass: WindlassClient,
  acknowledged: readonly Acknowledged[],
  folder: string,
  random: SeededRandom,
): Promise<void> {
  const listed = new Set(((await windlass.json('snapshot', 'list', '--all')) as { id: string }[]).map(({ id }) => id));
  for (const { id } of acknowledged) assert.ok(listed.has(id), `acknowledged snapshot ${id} is listed`);
  await windlass.ok('snapshot', 'verify');
  await restoreAndCompare(windlass, random.pick(acknowledged), folder);
}

async function restoreAndCompare(windlass: WindlassClient, one: Acknowledged, folder: string): Promise<void> {
  const target = join(folder, 'restored');
  await windlass.ok('snapshot', 'restore', one.id, target);
  assert.deepEqual(describeTree(target), one.tree);
  rmSync(target, { recursive: true });
}

async function kopiaAgrees(t: TestContext, folder: string, repository: string): Promise<void> {
  const program = findKopia();
  if (program === undefined) return t.diagnostic('no kopia here to ask');
  const kopia = new KopiaClient({ program, folder: join(folder, 'kopia'), repository, password: PASSWORD });
  await kopia.connect();
  await kopia.ok('maintenance', 'set', '--owner=me');
  await kopia.disableMaintenance();
  await kopia.quiet('content', 'verify', '--full');
  await kopia.quiet('snapshot', 'verify', '--verify-files-percent=100');
  await kopia.quiet('maintenance', 'run', '--full', '--safety=none');
  await kopia.quiet('snapshot', 'verify', '--verify-files-percent=100');
}

/** Files of the repository that are not blobs. */
function strayFiles(repository: string): number {
  const names = readdirSync(repository, { recursive: true, encoding: 'utf8' });
  return names.filter((name) => !name.endsWith('.f') && statSync(join(repository, name)).isFile()).length;
}
