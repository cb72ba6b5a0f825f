// The disk of the repository fills up during a backup: a clear error, earlier snapshots untouched, and once there is room
// again the next backup works. Uses a small memory file system where one may be mounted (as root), else a store that says no.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { hasCode, WindlassError } from '../../base/errors.ts';
import { Engine } from '../harness/engine.ts';
import { memoryFolder } from '../harness/scratch.ts';
import { SeededRandom } from '../harness/seeded-random.ts';
import { StepStorage } from '../harness/step-storage.ts';
import { WindlassClient } from '../harness/windlass-command.ts';
import { makeSmallTree } from './small-tree.ts';
import { Witness } from './witness.ts';

const MIB = 1 << 20;

function mountSmallDisk(path: string, sizeMiB: number): boolean {
  mkdirSync(path);
  return spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${sizeMiB}m`, 'tmpfs', path]).status === 0;
}

test('a real full disk', async (t) => {
  const mounts: string[] = [];
  // Hooks run in the order they are registered: the mount goes before the folder that holds it.
  t.after(() => mounts.forEach((path) => spawnSync('umount', [path])));
  const folder = memoryFolder(t, 'full');
  const disk = join(folder, 'disk');
  mounts.push(disk);
  if (!mountSmallDisk(disk, 16)) return t.skip('a small file system cannot be mounted here (needs root)');
  const repository = join(disk, 'repository');
  const windlass = new WindlassClient({ repository, cacheFolder: join(folder, 'cache'), password: 'full-disk' });
  await windlass.ok('repository', 'create');
  const random = new SeededRandom(3);
  const tree = join(folder, 'tree');
  makeSmallTree(tree, random);
  const { id } = (await windlass.json('snapshot', 'create', tree)) as { id: string };
  writeFileSync(join(tree, 'too-large'), random.bytes(40 * MIB));
  const failed = await windlass.run(['snapshot', 'create', tree]);
  assert.equal(failed.code, 1, failed.stderr);
  assert.match(failed.stderr, /BLOB_STORE_FULL/);
  assert.equal(
    failed.stderr
      .trim()
      .split('\n')
      .filter((line) => line.includes('BLOB_STORE_FULL')).length,
    1,
  );
  await windlass.ok('snapshot', 'verify');
  await windlass.ok('snapshot', 'restore', id, join(folder, 'restored'), '--verify');
  // The failed backup gave its unfinished files back: what is free again suffices for a small one.
  rmSync(join(tree, 'too-large'));
  writeFileSync(join(tree, 'small'), random.bytes(100_000));
  await windlass.ok('snapshot', 'create', tree);
  spawnSync('mount', ['-o', 'remount,size=120m', disk]);
  writeFileSync(join(tree, 'too-large'), random.bytes(40 * MIB));
  await windlass.ok('snapshot', 'create', tree);
  await windlass.ok('snapshot', 'verify');
});

test('a store that is full from any write on', async (t) => {
  const folder = memoryFolder(t, 'full');
  const random = new SeededRandom(4);
  const good = new Engine({ folder, signal: t.signal });
  await good.create();
  const tree = join(folder, 'tree');
  makeSmallTree(tree, random);
  const witness = new Witness(good, folder);
  witness.acknowledge((await good.backUp(tree)).manifest.id, tree);
  for (let step = 1; step <= 4; step++) {
    writeFileSync(join(tree, 'changed'), random.bytes(50_000));
    const full = new Engine({
      folder,
      signal: t.signal,
      wrapStorage: (storage) =>
        new StepStorage(storage, { methods: ['putBlob', 'commitStaged'], step, moment: 'during', act: sayFull }),
    });
    await assert.rejects(full.backUp(tree), (error) => hasCode(error, 'BLOB_STORE_FULL'));
    await witness.check(random);
  }
  witness.acknowledge((await good.backUp(tree)).manifest.id, tree);
  await witness.checkAll();
});

function sayFull(): never {
  throw new WindlassError('no space left where the repository is', { code: 'BLOB_STORE_FULL', retry: 'never' });
}
