// What stored policies and the caller's options do to a backup, and that nothing is left out unless somebody asked.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';

import type { ObjectId, SnapshotManifest } from '../../repo-format/index.ts';
import { contentKey } from '../../repo-format/index.ts';
import { parseObjectId } from '../../repo-format/object/object-id.ts';
import { DEFAULT_POLICY } from '../../repo-format/snapshot/policy.ts';
import { BackupFixture, FIXTURE_SOURCE } from '../../test/harness/backup-fixture.ts';
import { SeededRandom } from '../../test/harness/seeded-random.ts';
import { describeTree, directory, file, tree } from '../../test/harness/tree.ts';

const TAG = 'Signature: 8a477f597d28d172789f06886806bc55\n';

function projectTree(t: TestContext): string {
  return tree({
    'main.ts': file('x'),
    'main.o': file('o'),
    'cache/CACHEDIR.TAG': file(TAG),
    'cache/data': file('c'),
    '.kopiaignore': file('*.o\nlogs/\n'),
    '.windlassignore': file('# a comment\n\n/main.ts\n'),
    'logs/today': file('l'),
    'sub/.kopiaignore': file('deep.txt\n'),
    'sub/deep.txt': file('d'),
    'sub/large': file('L'.repeat(5000)),
    'sub/keep.o': file('o'),
  }).temporary(t);
}

const ALL = [
  '.kopiaignore',
  '.windlassignore',
  'cache',
  'cache/CACHEDIR.TAG',
  'cache/data',
  'logs',
  'logs/today',
  'main.o',
  'main.ts',
  'sub',
  'sub/.kopiaignore',
  'sub/deep.txt',
  'sub/keep.o',
  'sub/large',
];

function without(...names: readonly string[]): string[] {
  return ALL.filter((path) => !names.includes(path));
}

test('nothing is left out by default, nor by the policy that kopia stores in every new repository', async (t) => {
  const root = projectTree(t);
  const fixture = await BackupFixture.create(t);
  const plain = await fixture.backUp(root);
  assert.deepEqual(await fixture.paths(plain.manifest), ALL);
  await fixture.setPolicy('global', DEFAULT_POLICY);
  const { manifest } = await fixture.backUp(root);
  assert.deepEqual(await fixture.paths(manifest), ALL);
  // A policy for something below must not bring the defaults in for what lies on the way.
  await fixture.setPolicy({ path: '/data/sub/nowhere/else' }, { compression: { compressorName: 'zstd' } });
  assert.deepEqual(await fixture.paths((await fixture.backUp(root)).manifest), ALL);
});

test('what a stored policy asks to leave out is left out and counted, whoever it is stored for', async (t) => {
  const root = projectTree(t);
  const fixture = await BackupFixture.create(t);
  const targets = ['global', { userName: '', path: '' }, { path: '' }, { path: '/' }, {}] as const;
  for (const [i, target] of targets.entries()) {
    await fixture.setPolicy(target, { files: { ignore: [`*.o`, 'logs'], noParentIgnore: i > 0 } });
    const { manifest } = await fixture.backUp(root);
    assert.deepEqual(
      await fixture.paths(manifest),
      without('main.o', 'sub/keep.o', 'logs', 'logs/today'),
      JSON.stringify(target),
    );
    assert.deepEqual(
      [manifest.stats.excludedFileCount, manifest.stats.excludedDirCount, manifest.stats.excludedTotalSize],
      [2, 1, 2],
    );
  }
});

test('dot files count when a policy of the source names them, wherever they are', async (t) => {
  const root = projectTree(t);
  const fixture = await BackupFixture.create(t);
  await fixture.setPolicy({}, { files: { ignoreDotFiles: ['.kopiaignore'] } });
  const { manifest } = await fixture.backUp(root);
  assert.deepEqual(
    await fixture.paths(manifest),
    without('main.o', 'sub/keep.o', 'logs', 'logs/today', 'sub/deep.txt'),
  );
  await fixture.setPolicy({}, { files: { ignoreDotFiles: ['.windlassignore'] } });
  assert.deepEqual(await fixture.paths((await fixture.backUp(root)).manifest), without('main.ts'));
});

test('a dot file with a rule that cannot be read is listed; its folder is backed up all the same', async (t) => {
  const root = tree({ '.kopiaignore': file('*.o\n[z\n'), 'a.o': file('x'), 'sub/b.o': file('y') }).temporary(t);
  const fixture = await BackupFixture.create(t);
  await fixture.setPolicy({}, { files: { ignoreDotFiles: ['.kopiaignore'] } });
  const { manifest, errors } = await fixture.backUp(root);
  assert.deepEqual(
    errors.map(({ path, code }) => [path, code]),
    [['.kopiaignore', 'IGNORE_PATTERN_INVALID']],
  );
  assert.deepEqual(await fixture.paths(manifest), ['.kopiaignore', 'a.o', 'sub', 'sub/b.o']);
  // A rule that the caller gives is the caller's to correct.
  await assert.rejects(fixture.backUp(root, { excludes: ['[z'] }), { code: 'IGNORE_PATTERN_INVALID' });
});

test('excludes, sizes and cache folders', async (t) => {
  const root = projectTree(t);
  const fixture = await BackupFixture.create(t);
  const excluded = await fixture.backUp(root, { excludes: ['/sub/*', '!keep.o', 'cache/'] });
  assert.deepEqual(
    await fixture.paths(excluded.manifest),
    without('cache', 'cache/CACHEDIR.TAG', 'cache/data', 'sub/.kopiaignore', 'sub/deep.txt', 'sub/large'),
  );
  await fixture.setPolicy({}, { files: { maxFileSize: 4999 } });
  assert.deepEqual(await fixture.paths((await fixture.backUp(root)).manifest), without('sub/large'));
  await fixture.setPolicy({}, { files: { ignoreCacheDirs: true } });
  assert.deepEqual(
    await fixture.paths((await fixture.backUp(root)).manifest),
    without('cache/CACHEDIR.TAG', 'cache/data'),
  );
});

test('a policy below the source applies to its sub-tree as it is stored, together with the rules above', async (t) => {
  const root = projectTree(t);
  const fixture = await BackupFixture.create(t);
  await fixture.setPolicy({}, { files: { ignore: ['*.o'] } });
  await fixture.setPolicy({ path: '/data/sub' }, { files: { ignore: ['large'], ignoreCacheDirs: true } });
  const { manifest } = await fixture.backUp(root);
  assert.deepEqual(await fixture.paths(manifest), without('main.o', 'sub/keep.o', 'sub/large'));
});

test('another file system is left out only when asked, and its device is part of a link group', async (t) => {
  const root = tree({ here: file('x'), mounted: directory(), 'sub/here': file('y') }).temporary(t);
  const mount = join(root, 'mounted');
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', mount]).status !== 0)
    return t.skip('mounting needs root');
  const unmount = (): void => void spawnSync('umount', [mount]);
  try {
    mkdirSync(join(mount, 'in'));
    writeFileSync(join(mount, 'in', 'there'), 'z');
    const fixture = await BackupFixture.create(t);
    const all = await fixture.backUp(root);
    assert.deepEqual(await fixture.describe(all.manifest), describeTree(root));
    // A policy below, which says nothing of it, does not bring it back.
    await fixture.setPolicy({ path: '/data/mounted' }, {});
    const one = await fixture.backUp(root, { oneFileSystem: true });
    assert.deepEqual(await fixture.paths(one.manifest), ['here', 'sub', 'sub/here']);
    assert.equal(one.manifest.stats.excludedDirCount, 1);
    await fixture.setPolicy({}, { files: { oneFileSystem: true } });
    assert.deepEqual(await fixture.paths((await fixture.backUp(root)).manifest), ['here', 'sub', 'sub/here']);
  } finally {
    unmount();
  }
});

test('the compressor depends on folder, extension and size, and can be overridden', async (t) => {
  const text = 'compress me '.repeat(1000);
  const root = tree({
    'a.txt': file(`1${text}`),
    'b.zip': file(`2${text}`),
    'small.txt': file(`3${'x'.repeat(100)}`),
    'sub/c.txt': file(`4${text}`),
    'sub/inner/d.txt': file(`5${text}`),
  }).temporary(t);
  const compressed = async (fixture: BackupFixture, manifest: SnapshotManifest): Promise<string[]> => {
    const names: string[] = [];
    for (const path of ['a.txt', 'b.zip', 'small.txt', 'sub/c.txt', 'sub/inner/d.txt']) {
      const { objectId } = await fixture.entry(manifest, path);
      const entry = fixture.repository.contents.indexSet.find(contentKey(parseObjectId(objectId as ObjectId) as never));
      if ((entry?.compressionId ?? 0) !== 0) names.push(path);
    }
    return names;
  };
  const policed = await BackupFixture.create(t);
  await policed.setPolicy({}, { compression: { compressorName: 'zstd', neverCompress: ['.zip'], minSize: 1000 } });
  await policed.setPolicy({ path: '/data/sub' }, { compression: { compressorName: 'none' } });
  await policed.setPolicy({ path: '/data/sub/inner' }, { compression: { compressorName: 'gzip' } });
  assert.deepEqual(await compressed(policed, (await policed.backUp(root)).manifest), ['a.txt', 'sub/inner/d.txt']);
  const overridden = await BackupFixture.create(t);
  assert.deepEqual(await compressed(overridden, (await overridden.backUp(root)).manifest), []);
  const other = await BackupFixture.create(t);
  const { manifest } = await other.backUp(root, { compression: 'zstd-fastest' });
  assert.deepEqual(await compressed(other, manifest), ['a.txt', 'b.zip', 'small.txt', 'sub/c.txt', 'sub/inner/d.txt']);
  await assert.rejects(other.backUp(root, { compression: 'no-such', parent: 'none' }), { code: 'FORMAT_UNSUPPORTED' });
});

test('the splitter of a policy cuts file data of its folder, and nothing else', async (t) => {
  const bytes = new SeededRandom(7).bytes(1 << 20);
  const root = tree({ data: file(bytes), 'sub/data': file(bytes) }).temporary(t);
  const fixture = await BackupFixture.create(t);
  await fixture.setPolicy({}, { splitter: { algorithm: 'FIXED-256K' } });
  await fixture.setPolicy({ path: '/data/sub' }, { splitter: { algorithm: 'FIXED-512K' } });
  const { manifest } = await fixture.backUp(root);
  const pieces = async (path: string): Promise<number> => {
    const { objectId } = await fixture.entry(manifest, path);
    const index = await fixture.repository.readContent(objectId.slice(1) as never, t.signal);
    return (JSON.parse(Buffer.from(index).toString()) as { entries: unknown[] }).entries.length;
  };
  assert.deepEqual([await pieces('data'), await pieces('sub/data')], [4, 2]);
  assert.deepEqual(await fixture.describe(manifest), describeTree(root));
});

test('retention is applied after a backup when a stored policy says how many to keep', async (t) => {
  const root = tree({ file: file('x') }).temporary(t);
  const fixture = await BackupFixture.create(t);
  for (let i = 0; i < 3; i++) assert.deepEqual((await fixture.backUp(root)).expired, []);
  const keep = { keepLatest: 2, keepHourly: 0, keepDaily: 0, keepWeekly: 0, keepMonthly: 0, keepAnnual: 0 };
  await fixture.setPolicy({}, { retention: keep });
  const { expired, manifest } = await fixture.backUp(root, { pins: ['keep'] });
  assert.equal(expired.length, 2);
  const left = (await fixture.list()).map(({ id }) => id);
  assert.ok(left.length === 2 && left.includes(manifest.id));
  await fixture.backUp(root);
  await fixture.backUp(root);
  assert.ok(
    (await fixture.list()).some(({ id }) => id === manifest.id),
    'a pin keeps a snapshot',
  );
});

test('a snapshot that cannot be read stops the retention policy, not the backup', async (t) => {
  const root = tree({ file: file('x') }).temporary(t);
  const fixture = await BackupFixture.create(t);
  const keep = { keepLatest: 1, keepHourly: 0, keepDaily: 0, keepWeekly: 0, keepMonthly: 0, keepAnnual: 0 };
  await fixture.setPolicy({}, { retention: keep });
  await fixture.backUp(root);
  const { host: hostname, userName: username, path } = FIXTURE_SOURCE;
  const damaged = fixture.repository.manifests.put({ type: 'snapshot', hostname, username, path }, '{"rootEntry":1}');
  const { expired, manifest } = await fixture.backUp(root);
  assert.deepEqual(expired, []);
  await fixture.repository.manifests.delete(damaged, t.signal);
  const left = (await fixture.list()).map(({ id }) => id);
  assert.ok(left.length === 2 && left.includes(manifest.id));
});
