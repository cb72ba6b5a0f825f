// What nobody needs goes, what somebody needs stays, and kopia and windlass agree on which is which.
import assert from 'node:assert/strict';
import { cpSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';

import { silentLogger } from '../../base/logger.ts';
import { systemRandom } from '../../base/random.ts';
import { openFilesystemStorage, Repository } from '../../repo-format/index.ts';
import { systemClock } from '../../base/clock.ts';
import { agedStorage } from '../harness/aged-storage.ts';
import { Engine, ENGINE_PASSWORD } from '../harness/engine.ts';
import { findKopia, KopiaClient } from '../harness/kopia-client.ts';
import { memoryFolder } from '../harness/scratch.ts';
import { createTestClock } from '../harness/test-clock.ts';
import { WindlassClient } from '../harness/windlass-command.ts';
import {
  backUpByKopia,
  backUpByWindlass,
  createByWindlass,
  kopiaVerifiesAll,
  openPair,
  PASSWORD,
  type SnapshotJson,
} from './pair.ts';
import { changePlainTree, makePlainTree } from './source-tree.ts';

const SMALL = 300_000;
const HOUR_MS = 3600 * 1000;

/** Contents in use as far as the index says, but for manifests, which each program compacts as it likes. */
async function liveContents(path: string, t: TestContext): Promise<string[]> {
  const storage = await openFilesystemStorage({ path, readOnly: true }, { random: systemRandom });
  const deps = { clock: systemClock, random: systemRandom, logger: silentLogger };
  const repository = await Repository.open({ storage, password: PASSWORD, readOnly: true }, deps, t.signal);
  try {
    return [...repository.contents.indexSet.iterate()]
      .filter(({ id, deleted }) => !deleted && !id.startsWith('m'))
      .map(({ id }) => id as string);
  } finally {
    await repository.close();
  }
}

function packBytes(repository: string): number {
  const files = readdirSync(repository, { recursive: true, withFileTypes: true });
  return files
    .filter((file) => file.isFile() && /^[pq]/.test(join(file.parentPath, file.name).slice(repository.length + 1)))
    .reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).size, 0);
}

for (const formatVersion of [1, 2, 3]) {
  test(`both programs find the same garbage in a version ${formatVersion} repository`, async (t) => {
    const pair = openPair(t);
    await createByWindlass(pair.windlass, { formatVersion });
    await pair.kopia.connect();
    await pair.kopia.ok('maintenance', 'set', '--owner=me');
    await pair.kopia.disableMaintenance();
    await pair.kopia.ok('policy', 'set', '--global', '--keep-latest=1000');
    makePlainTree(pair.tree, 1, SMALL);
    const taken: SnapshotJson[] = [];
    for (let turn = 0; turn < 6; turn++) {
      if (turn > 0) changePlainTree(pair.tree, turn);
      taken.push(
        turn % 2 === 0 ? await backUpByWindlass(pair.windlass, pair.tree) : await backUpByKopia(pair.kopia, pair.tree),
      );
    }
    const gone = taken.slice(0, 4).map(({ id }) => id);
    await pair.windlass.ok('snapshot', 'delete', ...gone.slice(0, 2));
    await pair.kopia.ok('snapshot', 'delete', '--delete', ...gone.slice(2));
    const beforeBytes = packBytes(pair.repository);

    const copy = pair.target('copy');
    cpSync(pair.repository, copy, { recursive: true, preserveTimestamps: true });
    const program = findKopia();
    assert.ok(program);
    const theirs = new KopiaClient({ program, folder: pair.target('their'), repository: copy, password: PASSWORD });
    await theirs.connect();
    await theirs.ok('maintenance', 'run', '--full', '--safety=none');
    await pair.windlass.ok('maintenance', 'run', '--full', '--safety', 'none', '--force');

    assert.deepEqual(await liveContents(pair.repository, t), await liveContents(copy, t));
    const freed = beforeBytes - packBytes(pair.repository);
    t.diagnostic(`${beforeBytes} bytes: we freed ${freed}, kopia ${beforeBytes - packBytes(copy)}`);
    assert.ok(freed > 0 && packBytes(pair.repository) <= packBytes(copy) * 1.05);
    await kopiaVerifiesAll(pair.kopia);
    await pair.windlass.ok('snapshot', 'verify');
    const ours = new WindlassClient({ repository: copy, cacheFolder: pair.target('ours'), password: PASSWORD });
    await ours.ok('snapshot', 'verify');
  });
}

test('deleted snapshots give their bytes back within days, and kopia finds nothing missing and nothing left', async (t) => {
  const folder = memoryFolder(t, 'aged');
  // Lanes date contents by the machine's clock, so that days to come are played.
  const clock = createTestClock(Date.now());
  const engine = new Engine({
    folder,
    clock,
    realKeys: true,
    wrapStorage: (storage) => agedStorage(storage, clock),
    signal: t.signal,
  });
  await engine.create();
  const tree = join(folder, 'tree');
  makePlainTree(tree, 7, SMALL);
  const ids = [];
  for (let day = 0; day < 5; day++) {
    if (day > 0) changePlainTree(tree, day);
    ids.push((await engine.backUp(tree)).manifest.id);
    clock.advance(24 * HOUR_MS);
    if (day % 2 === 1) await engine.maintain();
  }
  const fullBytes = packBytes(engine.repositoryPath);
  for (const id of ids.slice(0, -1)) await engine.delete(id);

  // What the one that is left needs by itself.
  const alone = new Engine({ folder: join(folder, 'alone') });
  await alone.create();
  await alone.backUp(tree);
  const neededBytes = packBytes(alone.repositoryPath);

  const sizes: number[] = [];
  for (let day = 0; day < 8; day++) {
    clock.advance(24 * HOUR_MS);
    await engine.maintain();
    await engine.verify();
    sizes.push(packBytes(engine.repositoryPath));
  }
  t.diagnostic(`${fullBytes} → ${sizes.join(' ')}, needed ${neededBytes}`);
  assert.ok((sizes.at(-1) ?? Infinity) < neededBytes * 1.15, 'the bytes are back');
  assert.deepEqual(
    (await engine.list()).map(({ id }) => id),
    ids.slice(-1),
  );

  const program = findKopia();
  assert.ok(program);
  const kopia = new KopiaClient({
    program,
    folder: join(folder, 'kopia'),
    repository: engine.repositoryPath,
    password: ENGINE_PASSWORD,
  });
  await kopia.connect();
  await kopiaVerifiesAll(kopia);
  await kopia.ok('maintenance', 'set', '--owner=me');
  const { stderr } = await kopia.run(['maintenance', 'run', '--full', '--safety=none']);
  assert.match(stderr, /GC found 0 unused contents/);
  await kopiaVerifiesAll(kopia);
  await engine.verify();
});
