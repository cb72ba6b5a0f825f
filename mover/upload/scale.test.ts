// Deep trees, long paths, large directories, and few descriptors for many directories.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';

import { BackupFixture } from '../../test/harness/backup-fixture.ts';
import { findProgram } from '../../test/harness/kopia-client.ts';
import { childCommand, childOutcome } from '../../test/harness/run-backup-child.ts';
import { runCommand } from '../../test/harness/run-command.ts';
import { scratchRoot } from '../../test/harness/scratch.ts';
import { deepPath, describeTree, directory, file, removeTree, tree } from '../../test/harness/tree.ts';

function descriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

function emptyRoot(t: TestContext): string {
  const root = mkdtempSync(join(scratchRoot(), 'windlass-scale-'));
  t.after(() => removeTree(root));
  return root;
}

test('three thousand levels, and paths far beyond PATH_MAX', async (t) => {
  const long = deepPath('l'.repeat(250), 40);
  const root = tree({
    [`${deepPath('d', 3000)}/leaf`]: file('down here'),
    [`${long}/leaf`]: file('long path'),
    [`${long}/empty`]: directory(),
  }).build(emptyRoot(t));
  const fixture = await BackupFixture.create(t);
  const before = descriptors();
  const { manifest, errors } = await fixture.backUp(root);
  assert.deepEqual(errors, []);
  assert.deepEqual(await fixture.describe(manifest), describeTree(root));
  const again = await fixture.backUp(root, { parallel: 1 });
  assert.equal(again.manifest.rootEntry?.objectId, manifest.rootEntry?.objectId);
  assert.equal(descriptors(), before);
});

test('a directory with twenty thousand entries', async (t) => {
  const root = emptyRoot(t);
  for (let i = 0; i < 10_000; i++) writeFileSync(join(root, `file-${i}`), i % 100 === 0 ? `content ${i}` : 'same');
  for (let i = 0; i < 10_000; i++) writeFileSync(join(root, `é${i}`), '');
  const fixture = await BackupFixture.create(t);
  const { manifest } = await fixture.backUp(root);
  assert.equal(manifest.rootEntry?.summary?.files, 20_000);
  const { entries } = await fixture.directory(manifest.rootEntry);
  const names = entries.map(({ name }) => Buffer.from(name));
  assert.ok(
    names.every((name, i) => i === 0 || Buffer.compare(names[i - 1] ?? name, name) < 0),
    'sorted by bytes, no name twice',
  );
  const again = await fixture.backUp(root);
  assert.deepEqual([again.manifest.stats.cachedFiles, again.manifest.stats.nonCachedFiles], [20_000, 0]);
  assert.equal(again.manifest.rootEntry?.objectId, manifest.rootEntry.objectId);
});

test('thousands of directories with 256 descriptors, wide and deep', async (t) => {
  const prlimit = findProgram('prlimit', 'PRLIMIT');
  if (prlimit === undefined) return t.skip('prlimit is not installed');
  const root = emptyRoot(t);
  for (let i = 0; i < 20; i++) {
    for (let j = 0; j < 50; j++) mkdirSync(join(root, `wide${i}`, `sub${j}`, 'leaf'), { recursive: true });
  }
  // Each level has other directories to come back for when all below is done.
  tree(
    Object.fromEntries(
      Array.from({ length: 250 }, (_, level) => {
        const path = deepPath('d', level + 1);
        return [[`${path}/a/x`, directory()] as const, [`${path}/z/y/file`, file(`${level}`)] as const];
      }).flat(),
    ),
  ).build(root);
  const fixture = await BackupFixture.create(t);
  const options = { parallel: 4 };
  const result = await runCommand([prlimit, '--nofile=256', ...childCommand(fixture.folder, root, options)]);
  assert.equal(result.code, 0, result.stderr);
  const outcome = childOutcome(result.stdout);
  assert.deepEqual(outcome.failure, undefined);
  assert.deepEqual([outcome.errors, outcome.leaked], [[], 0]);
  await fixture.refresh();
  const [manifest] = await fixture.list();
  assert.ok(manifest);
  assert.deepEqual(await fixture.describe(manifest), describeTree(root));
});
