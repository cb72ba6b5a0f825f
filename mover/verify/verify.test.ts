import assert from 'node:assert/strict';
import { readFileSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, describe, test } from 'node:test';
import { systemClock } from '../../base/clock.ts';
import { systemRandom } from '../../base/random.ts';
import {
  type ContentId,
  Repository,
  listSnapshots,
  type SnapshotManifest,
  openFilesystemStorage,
} from '../../repo-format/index.ts';
import { cheapKeys } from '../../test/harness/cheap-keys.ts';
import { kopiaAlgorithmNames, openKopiaAlgorithm } from '../../test/harness/golden-repository.ts';
import {
  SIGNAL,
  createTestRepository,
  manifestOf,
  snapshotOfEntries,
  storeDirectory,
  storeFile,
} from '../../test/harness/restore-repository.ts';
import { memoryFolder } from '../../test/harness/scratch.ts';
import { hasSystemCalls } from '../posix/libc.ts';
import { KeySet } from './key-set.ts';
import { type VerifyReport, verifySnapshots } from './verify.ts';

const skip = hasSystemCalls() ? false : 'needs Linux system calls';
const DEPS = { clock: systemClock, random: systemRandom };

async function stored(t: TestContext): Promise<{ path: string; manifest: SnapshotManifest; offset: number }> {
  const path = join(memoryFolder(t, 'verify'), 'repo');
  const repository = await createTestRepository(t, { folder: path });
  const inner = await storeDirectory(repository, [{ name: 'deep', content: 'the deep one' }]);
  const manifest = await snapshotOfEntries(repository, [
    { name: 'd', type: 'd', objectId: inner },
    { name: 'a', content: 'first content' },
    { name: 'b', content: 'second content' },
    { name: 'again', content: 'first content' },
    { name: 'l', type: 's', content: 'a' },
  ]);
  const first = await storeFile(repository, Buffer.from('first content'));
  return { path, manifest, offset: repository.findContent(first as string as ContentId)?.packOffset ?? -1 };
}

/** Opens anew, so that nothing comes from what the writer remembers. */
function verify(t: TestContext, path: string, manifest: SnapshotManifest, percent = 100): Promise<VerifyReport> {
  return verifyAll(t, path, [manifest], percent);
}

async function verifyAll(
  t: TestContext,
  path: string,
  manifests: readonly SnapshotManifest[],
  percent = 100,
): Promise<VerifyReport> {
  const storage = await openFilesystemStorage({ path }, DEPS);
  const repository = await Repository.open(
    { storage, password: 'test', readOnly: true },
    { ...DEPS, deriveKey: cheapKeys },
    SIGNAL,
  );
  t.after(() => repository.close());
  return verifySnapshots(repository, { manifests, percent, parallel: 1 }, DEPS, SIGNAL);
}

function packFiles(path: string, prefix: string): string[] {
  return readdirSync(path, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.f') && name.replaceAll('/', '').startsWith(prefix))
    .map((name) => join(path, name));
}

describe('verifying snapshots', { skip }, () => {
  test('a whole snapshot has no errors, and each content is read once', async (t) => {
    const { path, manifest } = await stored(t);
    const report = await verify(t, path, manifest);
    assert.deepEqual(report.failures, []);
    assert.equal(report.directories, 2);
    assert.equal(report.files, 4);
    assert.equal(report.symlinks, 1);
    assert.equal(report.contentsRead, 4);
    assert.equal(report.bytes, 'first contentsecond contentthe deep onea'.length);
  });

  test('structure only reads no file', async (t) => {
    const { path, manifest } = await stored(t);
    const report = await verify(t, path, manifest, 0);
    assert.equal(report.failureCount, 0);
    assert.equal(report.contents, 4);
    assert.equal(report.contentsRead, 0);
  });

  test('a flipped bit is found, with path, pack, offset and length', async (t) => {
    const { path, manifest, offset } = await stored(t);
    const [pack = ''] = packFiles(path, 'p');
    const bytes = readFileSync(pack);
    bytes[offset + 15] = (bytes[offset + 15] ?? 0) ^ 1;
    writeFileSync(pack, bytes);
    const report = await verify(t, path, manifest);
    assert.equal(report.failureCount, 1);
    assert.equal(report.failures[0]?.code, 'CONTENT_CORRUPT');
    assert.match(report.failures[0]?.message ?? '', /in pack p[0-9a-f]+-s[0-9a-f]+ at offset \d+, length \d+/);
    assert.equal(report.failures[0]?.path, 'a');
    assert.deepEqual(report.affected[0]?.paths, ['a', 'again'], 'the same content under another name');
    assert.equal((await verify(t, path, manifest, 0)).failureCount, 0);
  });

  test('a missing or short pack is found without reading files', async (t) => {
    const { path, manifest } = await stored(t);
    const [pack = ''] = packFiles(path, 'p');
    truncateSync(pack, 30);
    const short = await verify(t, path, manifest, 0);
    assert.ok(short.failureCount > 0);
    for (const { code } of short.failures) assert.equal(code, 'CONTENT_LOST');
    rmSync(pack);
    const missing = await verify(t, path, manifest, 0);
    assert.deepEqual([...new Set(missing.failures.map(({ code }) => code))], ['CONTENT_LOST']);
  });

  for (const percent of [100, 0]) {
    test(`whatever shares a damage is named, ${percent} % read`, async (t) => {
      const path = join(memoryFolder(t, 'verify'), 'repo');
      const repository = await createTestRepository(t, { folder: path });
      const inner = await storeDirectory(repository, [
        { name: 'x', content: 'bad' },
        { name: 'y', content: 'fine' },
      ]);
      await repository.flush(SIGNAL);
      const [lost = ''] = packFiles(path, 'p');
      const whole = await storeDirectory(repository, [{ name: 'own', content: 'good' }]);
      const manifests = [
        await snapshotOfEntries(repository, [{ name: 'd', type: 'd', objectId: inner }]),
        await snapshotOfEntries(repository, [{ name: 'd', type: 'd', objectId: whole }]),
        await snapshotOfEntries(repository, [
          { name: 'deep', type: 'd', objectId: inner },
          { name: 'again', content: 'bad' },
          { name: 'good', content: 'good' },
        ]),
      ].map((manifest, number) => ({ ...manifest, id: `s${number}` as never }));
      rmSync(lost);
      const report = await verifyAll(t, path, manifests, percent);
      assert.equal(new Set(report.failures.map(({ snapshotId }) => snapshotId)).size, 1, 'each is checked once');
      assert.deepEqual(report.affected, [
        { snapshotId: 's0', entries: 2, paths: ['d/x', 'd/y'] },
        { snapshotId: 's2', entries: 3, paths: ['deep/x', 'deep/y', 'again'] },
      ]);
    });
  }

  test('of many paths that are hurt in a snapshot the first are named, the others counted', async (t) => {
    const path = join(memoryFolder(t, 'verify'), 'repo');
    const repository = await createTestRepository(t, { folder: path });
    const names = Array.from({ length: 30 }, (_, number) => `f${String(number).padStart(2, '0')}`);
    const manifest = await snapshotOfEntries(
      repository,
      names.map((name) => ({ name, content: name })),
    );
    for (const pack of packFiles(path, 'p')) rmSync(pack);
    const { affected } = await verify(t, path, manifest);
    assert.equal(affected[0]?.entries, 30);
    assert.deepEqual(affected[0]?.paths, names.slice(0, 20));
  });

  test('directories that do not parse, and contents in no index, are errors of their paths', async (t) => {
    const path = join(memoryFolder(t, 'verify'), 'repo');
    const repository = await createTestRepository(t, { folder: path });
    const notJson = await repository.writeContent('k', Buffer.from('{'), 'none', SIGNAL);
    const gone = 'ab'.repeat(16);
    const root = await storeDirectory(repository, [
      { name: 'broken', type: 'd', objectId: notJson as never },
      { name: 'gone', type: 'd', objectId: `k${gone}` as never },
      { name: 'lost', objectId: gone as never, size: 1 },
      { name: 'fine', content: 'x' },
    ]);
    await repository.flush(SIGNAL);
    const report = await verify(t, path, manifestOf(root));
    assert.deepEqual(Object.fromEntries(report.failures.map(({ path: where, code }) => [where, code])), {
      broken: 'DIRECTORY_CORRUPT',
      gone: 'OBJECT_NOT_FOUND',
      lost: 'CONTENT_NOT_FOUND',
    });
    assert.deepEqual(report.affected[0]?.paths, ['broken', 'gone', 'lost']);
  });

  for (const name of kopiaAlgorithmNames()) {
    test(`the snapshots of kopia's ${name} verify`, async (t) => {
      const repository = await openKopiaAlgorithm(t, name, { readOnly: true, folder: memoryFolder(t, 'golden') });
      const manifests = await listSnapshots(repository.manifests, {}, SIGNAL);
      const report = await verifySnapshots(repository, { manifests, parallel: 1 }, DEPS, SIGNAL);
      assert.deepEqual(report.failures, []);
      assert.ok(report.contentsRead > 0);
    });
  }
});

test('a set of ids knows what was added, through growth', () => {
  const set = new KeySet();
  const id = (i: number): string => `k${(i * 2_654_435_761).toString(16).padStart(32, '0')}`;
  for (let i = 0; i < 20_000; i++) assert.equal(set.add(id(i)), true);
  for (let i = 0; i < 20_000; i++) assert.equal(set.add(id(i)), false);
  for (let i = 0; i < 20_000; i++) assert.ok(set.has(id(i)) && !set.has(id(i + 20_000)));
  assert.equal(set.size, 20_000);
  assert.equal(set.add(id(5).slice(1)), true, 'another prefix is another id');
});
