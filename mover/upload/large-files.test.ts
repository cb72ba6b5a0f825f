// Files stored in parts (snapshots §5.4): any length around the part size, and the same object that kopia makes of it.
import assert from 'node:assert/strict';
import { mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';

import { BackupFixture } from '../../test/harness/backup-fixture.ts';
import { findKopia, KopiaClient } from '../../test/harness/kopia-client.ts';
import { memoryFolder } from '../../test/harness/scratch.ts';
import { SeededRandom } from '../../test/harness/seeded-random.ts';
import { describeTree, file, hardLink, sparseFile, tree } from '../../test/harness/tree.ts';
import { Repository, openFilesystemStorage } from '../../repo-format/index.ts';
import { systemClock } from '../../base/clock.ts';
import { systemRandom } from '../../base/random.ts';
import { backupTree } from './backup.ts';
import { formatSource } from '../../repo-format/index.ts';

const PART = 6 << 20;
/** Files above this go to lanes by themselves, in parts or whole. */
const LARGE = 16 << 20;

test('files in parts come back whole, also with holes and several names', async (t) => {
  const random = new SeededRandom(3);
  const root = tree({
    'one-part-more': file(random.bytes(3 * PART + 1)),
    exact: file(random.bytes(3 * PART), { xattrs: { 'user.kept': 'yes' } }),
    'exact-again': hardLink('exact'),
    sparse: sparseFile(5 * PART, [
      [PART - 3, 'across the first seam'],
      [4 * PART, 'at a seam'],
    ]),
    'sub/whole': file(random.bytes(LARGE + 1)),
  }).temporary(t);
  const fixture = await BackupFixture.create(t);
  await fixture.setPolicy({}, { upload: { parallelUploadAboveSize: PART } });
  const first = await fixture.backUp(root);
  assert.deepEqual(await fixture.describe(first.manifest), describeTree(root));
  assert.equal(first.manifest.stats.fileCount, 4 + 4 + 4 + 6 + 3, 'kopia counts parts');
  assert.equal(first.manifest.stats.nonCachedFiles, 5);
  const again = await fixture.backUp(root);
  assert.equal(again.manifest.rootEntry?.objectId, first.manifest.rootEntry?.objectId);
  assert.deepEqual([again.manifest.stats.cachedFiles, again.manifest.stats.nonCachedFiles], [5, 0]);
});

test('a large file that stands still is read once, whole or in parts', async (t) => {
  const size = LARGE + 2 * PART + 5;
  const root = tree({ large: file(new SeededRandom(5).bytes(size)) }).temporary(t);
  for (const upload of [{}, { parallelUploadAboveSize: PART }]) {
    const fixture = await BackupFixture.create(t);
    await fixture.setPolicy({}, { upload });
    const { consistency, bytesHashed } = await fixture.backUp(root);
    assert.deepEqual([consistency.status, consistency.rereads], ['exact', 0]);
    // The rest is directories, lists of pieces and the manifest.
    assert.ok(bytesHashed >= size && bytesHashed < size + 64 * 1024, `${bytesHashed} bytes hashed of ${size}`);
  }
});

test('a large file that changes between its parts is read again whole, then marked', async (t) => {
  const root = tree({ large: file(new SeededRandom(4).bytes(8 * PART)), small: file('x') }).temporary(t);
  const fixture = await BackupFixture.create(t);
  await fixture.setPolicy({}, { upload: { parallelUploadAboveSize: PART } });
  const path = join(root, 'large');
  const stop = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(TOUCHER, { eval: true, workerData: { path, stop } });
  const ended = new Promise((resolve) => worker.once('exit', resolve));
  await new Promise((resolve) => worker.once('message', resolve));
  const changed = await fixture.backUp(root, { maxRereads: 1 });
  Atomics.store(stop, 0, 1);
  await ended;
  assert.deepEqual(
    [changed.consistency.status, changed.consistency.changed, changed.consistency.paths],
    ['changed', 1, ['large']],
  );
  assert.ok(changed.consistency.rereads > 0);
  // Its bytes stood still all the while, only its times did not.
  const description = await fixture.describe(changed.manifest);
  assert.equal(description['large']?.sha256, describeTree(root)['large']?.sha256);
  const { manifest, consistency } = await fixture.backUp(root);
  assert.equal(consistency.status, 'exact');
  assert.deepEqual(await fixture.describe(manifest), describeTree(root));
});

const TOUCHER = `
const fs = require('node:fs'), { workerData: { path, stop }, parentPort } = require('node:worker_threads');
for (let i = 0; Atomics.load(stop, 0) === 0; i++) {
  fs.utimesSync(path, 1e9 + i, 1e9 + i);
  if (i === 0) parentPort.postMessage('started');
}
`;

test('kopia makes the same objects of large files under the same policy', async (t) => {
  const program = findKopia();
  if (program === undefined) return t.skip('no kopia on PATH');
  const folder = memoryFolder(t, 'parts');
  const data = join(folder, 'data');
  mkdirSync(data);
  const random = new SeededRandom(5);
  for (const size of [LARGE + 1, 3 * PART, 3 * PART + 1, 4 * PART - 1]) {
    writeFileSync(join(data, `f${size}`), random.bytes(size));
    utimesSync(join(data, `f${size}`), 1_600_000_000, 1_600_000_000);
  }
  utimesSync(data, 1_600_000_000, 1_600_000_000);
  const repositoryPath = join(folder, 'repository');
  const kopia = new KopiaClient({
    program,
    folder: join(folder, 'kopia'),
    repository: repositoryPath,
    password: 'parts',
  });
  await kopia.create();
  await kopia.ok('policy', 'set', data, '--parallel-upload-above-size-mib=6');
  const byKopia = (await kopia.json('snapshot', 'create', data)) as { rootEntry: { obj: string } };
  const deps = { clock: systemClock, random: systemRandom };
  const storage = await openFilesystemStorage({ path: repositoryPath }, deps);
  await using repository = await Repository.open({ storage, password: 'parts' }, deps, t.signal);
  const source = { host: 'host', userName: 'user', path: data };
  assert.equal(formatSource(source), `user@host:${data}`);
  const logger = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
  const { manifest } = await backupTree(
    repository,
    { path: data, source, parent: 'none' },
    { ...deps, logger },
    t.signal,
  );
  assert.equal(manifest.rootEntry?.objectId, byKopia.rootEntry.obj);
});
