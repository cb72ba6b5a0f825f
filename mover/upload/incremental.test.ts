// What is read again and what is not: kopia's rule (snapshots §5.3), sharpened by change hints.
import assert from 'node:assert/strict';
import {
  chmodSync,
  closeSync,
  openSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';

import { BackupFixture } from '../../test/harness/backup-fixture.ts';
import { describeTree, directory, file, symlink, tree } from '../../test/harness/tree.ts';
import { AT_FDCWD, setxattrAt, StatRecord, statAt } from '../posix/libc.ts';

const OLD_NS = 1_600_000_000_123_456_789n;
const old = (text: string) => file(text, { mtimeNs: OLD_NS });

function makeTree(t: TestContext): string {
  return tree({
    a: old('aaa'),
    b: old('bbb'),
    'd/c': old('ccc'),
    'd/e/f': old('fff'),
    link: symlink('a'),
    empty: directory(),
  }).temporary(t);
}

/** Change times cannot be set: waits until all that was done to the tree is older than what counts as recent. */
async function untilSteady(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 150));
}

function rewriteInPlace(path: string, text: string): void {
  const stat = new StatRecord();
  assert.equal(statAt(AT_FDCWD, path, stat), 0);
  const fd = openSync(path, 'r+');
  writeSync(fd, text);
  closeSync(fd);
  const seconds = stat.mtimeSeconds + stat.mtimeNanoseconds / 1e9;
  utimesSync(path, seconds, seconds);
}

test('a file is read again when size, time, mode, owner or name differ, and not otherwise', async (t) => {
  const root = makeTree(t);
  const fixture = await BackupFixture.create(t);
  const first = await fixture.backUp(root);
  assert.equal(first.manifest.stats.nonCachedFiles, 4);
  assert.equal(first.manifest.stats.cachedFiles, 0);
  const same = await fixture.backUp(root);
  assert.deepEqual([same.manifest.stats.nonCachedFiles, same.manifest.stats.cachedFiles], [0, 5]);
  writeFileSync(join(root, 'a'), 'other size');
  utimesSync(join(root, 'b'), 1_600_000_001, 1_600_000_001);
  chmodSync(join(root, 'd/c'), 0o600);
  renameSync(join(root, 'd/e/f'), join(root, 'd/e/g'));
  const changed = await fixture.backUp(root);
  assert.deepEqual([changed.manifest.stats.nonCachedFiles, changed.manifest.stats.cachedFiles], [4, 1]);
  assert.deepEqual(await fixture.describe(changed.manifest), describeTree(root));
});

test('a run that reuses entries stores the very objects of one that reads everything', async (t) => {
  const names = ['a', 'a!', 'a b', 'a"q"', 'a<', 'ab', 'b\\', 'é', '😀', 'z'];
  const root = tree(
    Object.fromEntries(
      names.flatMap((name) => [
        [name, old(name)],
        [`d/${name}`, old(name)],
      ]),
    ),
  ).temporary(t);
  for (const hints of [false, true]) {
    const fixture = await BackupFixture.create(t, { hints });
    await untilSteady();
    await fixture.backUp(root);
    writeFileSync(join(root, 'ab'), `changed ${hints}`);
    rmSync(join(root, 'd/a!'), { force: true });
    writeFileSync(join(root, 'd/aa'), 'new');
    chmodSync(join(root, 'd/é'), hints ? 0o600 : 0o640);
    const reused = await fixture.backUp(root);
    assert.ok(reused.manifest.stats.cachedFiles >= 2 * names.length - 4);
    const forced = await fixture.backUp(root, { forceHashPercent: 100 });
    assert.equal(forced.manifest.stats.cachedFiles, 0);
    assert.equal(reused.manifest.rootEntry?.objectId, forced.manifest.rootEntry?.objectId);
  }
});

test('a file that became a symlink or a directory, and the reverse, is stored as what it is', async (t) => {
  const root = makeTree(t);
  const fixture = await BackupFixture.create(t, { hints: true });
  await fixture.backUp(root);
  rmSync(join(root, 'a'));
  symlinkSync('b', join(root, 'a'));
  rmSync(join(root, 'link'));
  writeFileSync(join(root, 'link'), 'x');
  rmSync(join(root, 'empty'), { recursive: true });
  writeFileSync(join(root, 'empty'), 'y');
  const { manifest } = await fixture.backUp(root);
  assert.deepEqual(await fixture.describe(manifest), describeTree(root));
});

test('a rewrite in place with the old time put back is noticed where the cache remembers, and only there', async (t) => {
  const root = makeTree(t);
  for (const hints of [true, false]) {
    const fixture = await BackupFixture.create(t, { hints });
    await untilSteady();
    await fixture.backUp(root);
    rewriteInPlace(join(root, 'd/e/f'), hints ? 'FFF' : 'fFf');
    await untilSteady();
    const { manifest } = await fixture.backUp(root);
    // Kopia's rule alone cannot see it.
    assert.equal(manifest.stats.nonCachedFiles, hints ? 1 : 0, `hints: ${hints}`);
    if (hints) assert.deepEqual(await fixture.describe(manifest), describeTree(root));
  }
});

test('a changed attribute is noticed, with hints and without', async (t) => {
  const root = makeTree(t);
  for (const hints of [true, false]) {
    const fixture = await BackupFixture.create(t, { hints });
    await untilSteady();
    const before = await fixture.backUp(root);
    const set = (path: string, name: string) =>
      assert.equal(setxattrAt(AT_FDCWD, join(root, path), Buffer.from(name), Buffer.from('1')), 0);
    set('b', `user.on-a-file-${hints}`);
    set('d/e', `user.on-a-directory-${hints}`);
    const { manifest } = await fixture.backUp(root);
    assert.notEqual(manifest.rootEntry?.objectId, before.manifest.rootEntry?.objectId);
    assert.deepEqual(await fixture.describe(manifest), describeTree(root));
  }
});

test('what changed a moment before it was read is not remembered: a change in the same tick is not missed', async (t) => {
  const root = makeTree(t);
  const fixture = await BackupFixture.create(t, { hints: true });
  await fixture.backUp(root);
  rewriteInPlace(join(root, 'a'), 'AAA');
  rewriteInPlace(join(root, 'd/e/f'), 'FFF');
  const second = await fixture.backUp(root);
  // Nothing was remembered of these files, so kopia's rule decides; with the hint of the file itself it would be wrong to.
  const third = await fixture.backUp(root);
  assert.equal(third.manifest.rootEntry?.objectId, second.manifest.rootEntry?.objectId);
  await untilSteady();
  await fixture.backUp(root);
  rewriteInPlace(join(root, 'a'), 'aaA');
  const { manifest } = await fixture.backUp(root);
  assert.equal((await fixture.entry(manifest, 'a')).size, 3);
  const description = await fixture.describe(manifest);
  assert.equal(description['a']?.sha256, describeTree(root)['a']?.sha256);
});

test('hints of an unchanged directory survive runs that did not look into it', async (t) => {
  const root = makeTree(t);
  const fixture = await BackupFixture.create(t, { hints: true });
  await untilSteady();
  await fixture.backUp(root);
  for (let run = 0; run < 3; run++) await fixture.backUp(root);
  rewriteInPlace(join(root, 'd/e/f'), 'FFF');
  const { manifest } = await fixture.backUp(root);
  assert.deepEqual([manifest.stats.nonCachedFiles, manifest.stats.cachedFiles], [1, 4]);
  assert.deepEqual(await fixture.describe(manifest), describeTree(root));
});

test('a small tree that has not changed needs no lane, and one that has is noticed', async (t) => {
  const root = makeTree(t);
  const fixture = await BackupFixture.create(t, { hints: true });
  let threads = 0;
  const count = (): void => {
    threads++;
  };
  process.on('worker', count);
  t.after(() => process.off('worker', count));
  await untilSteady();
  const first = await fixture.backUp(root);
  assert.ok(threads > 0);
  threads = 0;
  for (let run = 0; run < 2; run++) {
    const { manifest } = await fixture.backUp(root);
    assert.deepEqual([manifest.stats.nonCachedFiles, manifest.stats.cachedFiles], [0, 5]);
    assert.deepEqual(manifest.rootEntry, first.manifest.rootEntry);
  }
  assert.equal(threads, 0);
  rewriteInPlace(join(root, 'd/e/f'), 'FFF');
  const changed = await fixture.backUp(root);
  assert.ok(threads > 0);
  assert.equal(changed.manifest.stats.nonCachedFiles, 1);
  assert.deepEqual(await fixture.describe(changed.manifest), describeTree(root));
});

test('damaged hints are as good as none', async (t) => {
  const root = makeTree(t);
  const fixture = await BackupFixture.create(t, { hints: true });
  await untilSteady();
  const first = await fixture.backUp(root);
  const folder = join(fixture.folder, 'state', 'hints');
  const { readdirSync, readFileSync } = await import('node:fs');
  const path = join(folder, readdirSync(folder)[0] ?? '');
  const good = readFileSync(path);
  const newline = good.indexOf(0x0a);
  for (const bad of [
    Buffer.alloc(0),
    good.subarray(0, good.length - 1),
    good.subarray(0, newline),
    Buffer.concat([good.subarray(0, newline + 1), Buffer.alloc(good.length - newline - 1, 0xff)]),
  ]) {
    writeFileSync(path, bad);
    const { manifest } = await fixture.backUp(root);
    assert.equal(manifest.rootEntry?.objectId, first.manifest.rootEntry?.objectId);
  }
});

test('forced hashing reads unchanged files: all of them, or about as many as asked', async (t) => {
  const names = Array.from({ length: 400 }, (_, i) => [`f${i}`, old(`content ${i}`)] as const);
  const root = tree(Object.fromEntries(names)).temporary(t);
  const fixture = await BackupFixture.create(t, { hints: true });
  await untilSteady();
  await fixture.backUp(root);
  const all = await fixture.backUp(root, { forceHashPercent: 100 });
  assert.equal(all.manifest.stats.nonCachedFiles, 400);
  const half = await fixture.backUp(root, { forceHashPercent: 50 });
  // 400 coins: less than 100 or more than 300 heads have a chance below 10⁻²².
  assert.ok(
    half.manifest.stats.nonCachedFiles > 100 && half.manifest.stats.nonCachedFiles < 300,
    `${half.manifest.stats.nonCachedFiles}`,
  );
});

test('the parent is the latest snapshot, the one named, or none', async (t) => {
  const root = makeTree(t);
  const fixture = await BackupFixture.create(t);
  const first = await fixture.backUp(root);
  writeFileSync(join(root, 'a'), 'something else');
  await fixture.backUp(root);
  const cached = async (parent: 'auto' | 'none' | typeof first.manifest.id) =>
    (await fixture.backUp(root, { parent })).manifest.stats.cachedFiles;
  assert.equal(await cached('none'), 0);
  assert.equal(await cached(first.manifest.id), 4);
  assert.equal(await cached('auto'), 5);
  const missing = '0123456789abcdef0123456789abcdef' as typeof first.manifest.id;
  await assert.rejects(fixture.backUp(root, { parent: missing }), { code: 'SNAPSHOT_NOT_FOUND' });
});

test('a directory object that cannot be read any more only costs reading the files', async (t) => {
  const root = makeTree(t);
  const fixture = await BackupFixture.create(t);
  const first = await fixture.backUp(root);
  // Another repository does not know the object at all.
  const other = await BackupFixture.create(t);
  const id = await other.copySnapshot(first.manifest);
  const { manifest } = await other.backUp(root, { parent: id });
  assert.equal(manifest.stats.cachedFiles, 0);
  assert.equal(
    manifest.rootEntry?.objectId === first.manifest.rootEntry?.objectId,
    false,
    'every repository has its own hash secret',
  );
  assert.deepEqual(await other.describe(manifest), describeTree(root));
});
