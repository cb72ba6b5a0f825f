// What kopia's entries cannot hold (hard links, devices, attributes, names that are not UTF-8, holes, far times) travels in our
// extra members. Stock kopia must not stumble over them: it restores and verifies such a snapshot without an error.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  ftruncateSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';

import { scanTree } from '../harness/scan-tree.ts';
import { backUpByKopia, backUpByWindlass, createByWindlass, kopiaVerifiesAll, openPair, type Pair } from './pair.ts';
import { makePlainTree } from './source-tree.ts';

const LONG_NAME = 'n'.repeat(255);

/** Everything this user may make; answers what had to be left out. */
async function makeSpecialTree(t: TestContext, path: string): Promise<void> {
  makePlainTree(path, 3, 200_000);
  const bytes = (name: string): Buffer => Buffer.concat([Buffer.from(`${path}/`), Buffer.from(name, 'latin1')]);
  writeFileSync(bytes('caf\xe9'), 'latin1 name');
  writeFileSync(bytes('caf\xe8'), 'another');
  mkdirSync(bytes('d\xffr'));
  writeFileSync(bytes('d\xffr/\xfe'), 'below');
  writeFileSync(join(path, 'caf%E9'), 'a name like a stand-in');
  writeFileSync(join(path, LONG_NAME), 'long');
  linkSync(join(path, 'noise.bin'), join(path, 'dir/hard-link'));
  linkSync(join(path, 'noise.bin'), join(path, 'many/hard-link'));
  const sparse = openSync(join(path, 'sparse'), 'w');
  writeSync(sparse, 'start', 0);
  writeSync(sparse, 'middle', 5 << 20);
  ftruncateSync(sparse, 10 << 20);
  closeSync(sparse);
  writeFileSync(join(path, 'far-future'), 'x');
  utimesSync(join(path, 'far-future'), 13_000_000_000, 13_000_000_000);
  const run = (...argv: string[]): boolean => spawnSync(argv[0] ?? '', argv.slice(1)).status === 0;
  assert.ok(run('mkfifo', join(path, 'fifo')));
  if (!run('mknod', join(path, 'null-device'), 'c', '1', '3')) t.diagnostic('no devices: not root');
  if (!run('setfattr', '-n', 'user.colour', '-v', 'blue', join(path, 'one')))
    t.diagnostic('no attributes: no setfattr');
  if (!run('setfacl', '-m', 'u:1234:r', join(path, 'one'))) t.diagnostic('no access lists: no setfacl');
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(join(path, 'socket'), resolve));
  t.after(() => server.close());
}

test('kopia restores and verifies a snapshot with everything in it', async (t) => {
  const pair = openPair(t);
  await createByWindlass(pair.windlass, {});
  await makeSpecialTree(t, pair.tree);
  const snapshot = await backUpByWindlass(pair.windlass, pair.tree);
  assert.equal(snapshot.rootEntry.summ?.numFailed, 0);
  await pair.kopia.connect();
  await kopiaVerifiesAll(pair.kopia);
  const theirs = pair.target('kopia-restored');
  await pair.kopia.quiet('snapshot', 'restore', snapshot.id, theirs);
  assert.deepEqual(plainPart(theirs), plainPart(pair.tree));
  await assertStandIns(pair, theirs);
  const ours = pair.target('windlass-restored');
  await pair.windlass.ok('snapshot', 'restore', snapshot.id, ours, '--verify');
  assert.deepEqual(scanTree(ours), scanTree(pair.tree));
  assert.ok(statSync(join(ours, 'sparse')).blocks < 1000, 'holes are holes again');
});

/** The lines of files that kopia can hold whole. */
function plainPart(root: string): string[] {
  const special = /^\.(\/(caf|d.r|fifo|socket|null-device|far-future)|\/[^ ]*%)/;
  return scanTree(root, { directoryTimes: false, hardLinks: false }).filter((line) => !special.test(line));
}

/** A name that is not UTF-8 is there under a readable one, with its content. */
async function assertStandIns(pair: Pair, restored: string): Promise<void> {
  const contents = readdirSync(restored)
    .filter((name) => name.startsWith('caf'))
    .map((name) => readFileSync(join(restored, name), 'latin1'))
    .sort();
  assert.deepEqual(contents, ['a name like a stand-in', 'another', 'latin1 name']);
  assert.ok(existsSync(join(restored, LONG_NAME)), pair.repository);
}

test('kopia continues a source whose snapshots hold extra members, and we continue its', async (t) => {
  const pair = openPair(t);
  await createByWindlass(pair.windlass, {});
  await makeSpecialTree(t, pair.tree);
  await backUpByWindlass(pair.windlass, pair.tree);
  await pair.kopia.connect();
  const theirs = await backUpByKopia(pair.kopia, pair.tree);
  const ours = await backUpByWindlass(pair.windlass, pair.tree);
  assert.notEqual(theirs.rootEntry.obj, ours.rootEntry.obj, 'kopia drops what its entries cannot hold');
  const target = pair.target('restored');
  await pair.windlass.ok('snapshot', 'restore', ours.id, target);
  assert.deepEqual(scanTree(target), scanTree(pair.tree), 'nothing was lost by starting from kopia’s snapshot');
  await kopiaVerifiesAll(pair.kopia);
});
