// What `repository repair` and `snapshot copy` leave is a repository like any other for kopia.
import assert from 'node:assert/strict';
import { globSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { findKopia, KopiaClient } from '../harness/kopia-client.ts';
import { scanTree } from '../harness/scan-tree.ts';
import { WindlassClient } from '../harness/windlass-command.ts';
import {
  backUpByKopia,
  backUpByWindlass,
  createByKopia,
  createByWindlass,
  kopiaVerifiesAll,
  listByKopia,
  openPair,
} from './pair.ts';
import { makePlainTree } from './source-tree.ts';

const SMALL = 300_000;
/** Kopia restores directories side by side, which changes their times again. */
const OPTIONS = { directoryTimes: false };

for (const formatVersion of [1, 3]) {
  test(`kopia reads an index that repair has rebuilt (format version ${formatVersion})`, async (t) => {
    const pair = openPair(t);
    await createByKopia(pair.kopia, { formatVersion });
    await pair.kopia.connect();
    await pair.kopia.disableMaintenance();
    makePlainTree(pair.tree, SMALL);
    const theirs = await backUpByKopia(pair.kopia, pair.tree);
    const ours = await backUpByWindlass(pair.windlass, pair.tree);
    for (const path of globSync('{x,n}*/**/*.f', { cwd: pair.repository })) rmSync(join(pair.repository, path));
    if (formatVersion === 1) rmSync(join(pair.repository, 'kopia.repository.f'));
    await pair.windlass.ok('repository', 'repair', '--apply');
    const kopia = pair.anotherKopia('after');
    await kopia.connect();
    await kopiaVerifiesAll(kopia);
    const ids = (await listByKopia(kopia)).map(({ id }) => id);
    assert.deepEqual(ids.sort(), [theirs.id, ours.id].sort());
    await kopia.ok('snapshot', 'restore', ours.id, pair.target('out'));
    assert.deepEqual(scanTree(pair.target('out'), OPTIONS), scanTree(pair.tree, OPTIONS));
  });
}

test('kopia verifies and restores copies, also after a repair took lost contents off the index', async (t) => {
  const pair = openPair(t);
  await createByKopia(pair.kopia, {});
  await pair.kopia.connect();
  makePlainTree(pair.tree, SMALL);
  await backUpByKopia(pair.kopia, pair.tree, '--tags=app:web');
  await backUpByWindlass(pair.windlass, pair.tree);
  const password = 'another-password';
  const repository = pair.target('second');
  const client = { repository, password, cacheFolder: pair.target('second-cache') };
  const second = new WindlassClient(client);
  await createByWindlass(second, { splitter: 'DYNAMIC-1M-BUZHASH', hash: 'BLAKE2S-256' });
  await copyAll(pair.windlass, repository, password);
  const kopia = new KopiaClient({
    program: findKopia() ?? '',
    folder: pair.target('second-kopia'),
    repository,
    password,
  });
  await kopia.connect();
  await kopiaVerifiesAll(kopia);
  const list = await listByKopia(kopia);
  assert.equal(list.length, 2);
  assert.equal(Object.values(list[0]?.tags ?? {}).includes('web'), true);
  await kopia.ok('snapshot', 'restore', list[1]?.id ?? '', pair.target('out'));
  assert.deepEqual(scanTree(pair.target('out'), OPTIONS), scanTree(pair.tree, OPTIONS));
  for (const path of globSync('p*/**/*.f', { cwd: repository })) rmSync(join(repository, path));
  await second.ok('repository', 'repair', '--drop-lost', '--apply');
  await backUpByWindlass(second, pair.tree);
  const after = new KopiaClient({ program: findKopia() ?? '', folder: pair.target('after'), repository, password });
  await after.connect();
  const newest = (await listByKopia(after)).at(-1)?.id ?? '';
  await after.ok('snapshot', 'restore', newest, pair.target('again'));
  assert.deepEqual(scanTree(pair.target('again'), OPTIONS), scanTree(pair.tree, OPTIONS));
});

async function copyAll(windlass: WindlassClient, to: string, password: string): Promise<void> {
  const file = `${to}-password`;
  writeFileSync(file, password);
  await windlass.ok('snapshot', 'copy', '--all', '--to', to, '--to-password-file', file);
}
