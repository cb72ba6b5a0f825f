// Windlass and kopia on one repository: in turns, at the same time, and with kopia's maintenance collecting beneath us.
import assert from 'node:assert/strict';
import { globSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { scanTree } from '../harness/scan-tree.ts';
import {
  backUpByKopia,
  backUpByWindlass,
  createByKopia,
  createByWindlass,
  kopiaVerifiesAll,
  listByKopia,
  listByWindlass,
  openPair,
  type Pair,
  type SnapshotJson,
} from './pair.ts';
import { changePlainTree, makePlainTree } from './source-tree.ts';

const SMALL = 300_000;

async function assertSameLists(pair: Pair): Promise<SnapshotJson[]> {
  const byId = (a: SnapshotJson, b: SnapshotJson): number => (a.id < b.id ? -1 : 1);
  const plain = (list: readonly SnapshotJson[]): unknown[] =>
    [...list].sort(byId).map(({ id, source, startTime, endTime, rootEntry, pins, tags, description }) => ({
      id,
      source,
      startTime,
      endTime,
      rootEntry,
      pins: pins ?? [],
      tags: tags ?? {},
      description,
    }));
  const theirs = await listByKopia(pair.kopia);
  assert.deepEqual(plain(await listByWindlass(pair.windlass)), plain(theirs));
  return theirs;
}

async function connectKopia(pair: Pair): Promise<void> {
  await pair.kopia.connect();
  await pair.kopia.ok('maintenance', 'set', '--owner=me');
  await pair.kopia.disableMaintenance();
  // Or either program would let old snapshots of these tests expire.
  await pair.kopia.ok('policy', 'set', '--global', '--keep-latest=1000');
}

for (const formatVersion of [1, 2, 3]) {
  test(`twenty turns on a version ${formatVersion} repository, with deletions and pins by either`, async (t) => {
    const pair = openPair(t);
    await createByWindlass(pair.windlass, { formatVersion });
    await connectKopia(pair);
    makePlainTree(pair.tree, 1, SMALL);
    const taken: SnapshotJson[] = [];
    for (let turn = 0; turn < 20; turn++) {
      if (turn > 0 && turn % 2 === 0) changePlainTree(pair.tree, turn);
      const ours = turn % 2 === 0;
      taken.push(ours ? await backUpByWindlass(pair.windlass, pair.tree) : await backUpByKopia(pair.kopia, pair.tree));
      const before = taken.at(-2);
      if (!ours) assert.equal(taken.at(-1)?.rootEntry.obj, before?.rootEntry.obj);
    }
    await pair.windlass.ok('snapshot', 'delete', taken[3]?.id ?? '');
    await pair.kopia.ok('snapshot', 'delete', taken[4]?.id ?? '', '--delete');
    await pair.windlass.ok('snapshot', 'pin', taken[5]?.id ?? '', 'by-windlass');
    await pair.kopia.ok('snapshot', 'pin', taken[6]?.id ?? '', '--add=by-kopia');
    const left = await assertSameLists(pair);
    assert.deepEqual(left.flatMap((snapshot) => snapshot.pins ?? []).sort(), ['by-kopia', 'by-windlass']);
    await pair.windlass.ok('snapshot', 'verify');
    await kopiaVerifiesAll(pair.kopia);
  });
}

for (const creator of ['windlass', 'kopia'] as const) {
  test(`four writers of both kinds at the same time, repository by ${creator}`, async (t) => {
    const pair = openPair(t);
    if (creator === 'windlass') await createByWindlass(pair.windlass, {});
    else await createByKopia(pair.kopia, {});
    await connectKopia(pair);
    const otherKopia = pair.anotherKopia('kopia-2');
    await otherKopia.connect();
    const otherWindlass = pair.anotherWindlass('windlass-2');
    const trees = [0, 1, 2, 3].map((n) => join(pair.folder, `tree-${n}`));
    // Two trees are equal: writers race to store the same contents.
    for (const [n, tree] of trees.entries()) makePlainTree(tree, n >> 1, 2_000_000);
    const expected: (readonly [SnapshotJson, string[]])[] = [];
    for (let round = 0; round < 3; round++) {
      const [a, b, c, d] = trees as [string, string, string, string];
      const taken = await Promise.all([
        backUpByWindlass(pair.windlass, a),
        backUpByKopia(pair.kopia, b),
        backUpByWindlass(otherWindlass, c),
        backUpByKopia(otherKopia, d),
      ]);
      for (const [n, snapshot] of taken.entries()) expected.push([snapshot, scanTree(trees[n] ?? '')]);
      for (const [n, tree] of trees.entries()) changePlainTree(tree, 10 * round + n);
    }
    assert.equal((await assertSameLists(pair)).length, 12);
    for (const [n, [snapshot, lines]] of expected.entries()) {
      const target = pair.target(`restored-${n}`);
      await pair.windlass.ok('snapshot', 'restore', snapshot.id, target);
      assert.deepEqual(scanTree(target), lines);
      rmSync(target, { recursive: true });
    }
    await pair.windlass.ok('snapshot', 'verify');
    await kopiaVerifiesAll(pair.kopia);
  });
}

for (const safety of ['full', 'none'] as const) {
  test(`kopia's full maintenance with safety ${safety} between our backups`, async (t) => {
    const pair = openPair(t);
    await createByWindlass(pair.windlass, {});
    await connectKopia(pair);
    makePlainTree(pair.tree, 5, SMALL);
    const kept: (readonly [SnapshotJson, string[]])[] = [];
    for (let round = 0; round < 4; round++) {
      const lost = await backUpByWindlass(pair.windlass, pair.tree);
      const removed = scanTree(pair.tree);
      changePlainTree(pair.tree, round);
      const stays = await backUpByWindlass(pair.windlass, pair.tree);
      kept.push([stays, scanTree(pair.tree)]);
      await (round % 2 === 0
        ? pair.windlass.ok('snapshot', 'delete', lost.id)
        : pair.kopia.ok('snapshot', 'delete', lost.id, '--delete'));
      await pair.kopia.quiet('maintenance', 'run', '--full', `--safety=${safety}`);
      await kopiaVerifiesAll(pair.kopia);
      assert.ok(removed.length > 0);
    }
    // What maintenance collected is stored anew by a client whose cache still knows it.
    rmSync(join(pair.tree, 'large.bin'));
    const without = await backUpByWindlass(pair.windlass, pair.tree);
    kept.push([without, scanTree(pair.tree)]);
    for (const [snapshot] of kept.slice(0, -1)) await pair.windlass.ok('snapshot', 'delete', snapshot.id);
    await pair.kopia.quiet('maintenance', 'run', '--full', `--safety=${safety}`);
    await pair.kopia.quiet('maintenance', 'run', '--full', `--safety=${safety}`);
    makePlainTree(join(pair.folder, 'again'), 5, SMALL);
    const again = await backUpByWindlass(pair.windlass, join(pair.folder, 'again'));
    for (const [snapshot, lines] of [kept.at(-1), [again, scanTree(join(pair.folder, 'again'))] as const].filter(
      (x) => x !== undefined,
    )) {
      const target = pair.target(`restored-${snapshot.id}`);
      await pair.windlass.ok('snapshot', 'restore', snapshot.id, target, '--verify');
      assert.deepEqual(scanTree(target), lines);
    }
    await pair.windlass.ok('snapshot', 'verify');
    await kopiaVerifiesAll(pair.kopia);
    await assertSameLists(pair);
  });
}

test('maintenance with full safety runs while we write', async (t) => {
  const pair = openPair(t);
  await createByKopia(pair.kopia, {});
  await connectKopia(pair);
  makePlainTree(pair.tree, 6, 2_000_000);
  const snapshots: SnapshotJson[] = [];
  for (let round = 0; round < 3; round++) {
    changePlainTree(pair.tree, round);
    const [taken] = await Promise.all([
      backUpByWindlass(pair.windlass, pair.tree),
      pair.kopia.quiet('maintenance', 'run', '--full', '--safety=full'),
    ]);
    snapshots.push(taken);
  }
  const target = pair.target('restored');
  await pair.windlass.ok('snapshot', 'restore', snapshots.at(-1)?.id ?? '', target);
  assert.deepEqual(scanTree(target), scanTree(pair.tree));
  await pair.windlass.ok('snapshot', 'verify');
  await kopiaVerifiesAll(pair.kopia);
});

test('packs that were lost are stored again by the next backup, and kopia finds everything whole', async (t) => {
  const pair = openPair(t);
  await createByKopia(pair.kopia, {});
  await connectKopia(pair);
  makePlainTree(pair.tree, 8, 30_000_000);
  const first = await backUpByKopia(pair.kopia, pair.tree);
  for (const path of globSync('p/**/*.f', { cwd: pair.repository })) rmSync(join(pair.repository, path));
  assert.equal((await pair.windlass.run(['snapshot', 'verify'])).code, 1);
  const second = await backUpByWindlass(pair.windlass, pair.tree);
  await pair.windlass.ok('snapshot', 'verify');
  const fresh = pair.anotherKopia('fresh');
  await fresh.connect();
  await kopiaVerifiesAll(fresh);
  for (const { id } of [first, second]) {
    const target = pair.target(id);
    await pair.windlass.ok('snapshot', 'restore', id, target);
    assert.deepEqual(scanTree(target), scanTree(pair.tree));
  }
});

test('a password changed by either is the password for both', async (t) => {
  const pair = openPair(t);
  await createByWindlass(pair.windlass, {});
  makePlainTree(pair.tree, 7, SMALL);
  const snapshot = await backUpByWindlass(pair.windlass, pair.tree);
  await connectKopia(pair);
  await pair.kopia.ok('repository', 'change-password', '--new-password=second');
  assert.equal((await pair.windlass.run(['snapshot', 'list'])).code, 12, 'the old password is wrong now');
  const second = pair.anotherWindlass('second', 'second');
  await second.ok('snapshot', 'verify');
  const passwordFile = join(pair.folder, 'third-password');
  writeFileSync(passwordFile, 'third\n');
  await second.ok('repository', 'change-password', '--new-password-file', passwordFile);
  const thirdKopia = pair.anotherKopia('third-kopia', 'third');
  await thirdKopia.connect();
  await kopiaVerifiesAll(thirdKopia);
  const target = pair.target('restored');
  await pair.anotherWindlass('third', 'third').ok('snapshot', 'restore', snapshot.id, target);
  assert.deepEqual(scanTree(target), scanTree(pair.tree));
});
