// A repository that has lost packs: the next backup of the same data makes old and new snapshots whole again.
import assert from 'node:assert/strict';
import { readdirSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';

import { systemClock } from '../../base/clock.ts';
import { type Logger, type LogFields, silentLogger } from '../../base/logger.ts';
import { systemRandom } from '../../base/random.ts';
import type { SnapshotManifest } from '../../repo-format/index.ts';
import { BackupFixture, FIXTURE_SOURCE, type FixtureOptions } from '../../test/harness/backup-fixture.ts';
import { SeededRandom } from '../../test/harness/seeded-random.ts';
import { file, tree } from '../../test/harness/tree.ts';
import { verifySnapshots } from '../verify/verify.ts';
import { backupStream } from './stream.ts';

interface Warnings {
  readonly logger: Logger;
  readonly fields: (LogFields | undefined)[];
}

function warnings(): Warnings {
  const fields: (LogFields | undefined)[] = [];
  return { fields, logger: { ...silentLogger, warn: (_message, more) => fields.push(more) } };
}

/** Small files, directories in directories, and a file of several contents. */
function makeTree(t: TestContext): string {
  const large = new SeededRandom(7).bytes(20 << 20);
  return tree({ a: file('aaa'), 'd/b': file('bbb'), 'd/e/c': file('ccc'), 'd/large': file(large) }).temporary(t);
}

function packs(fixture: BackupFixture, prefix: string): string[] {
  const root = join(fixture.folder, 'repository');
  const names = readdirSync(root, { recursive: true, encoding: 'utf8' });
  return names.filter((name) => name.startsWith(prefix) && name.endsWith('.f')).map((name) => join(root, name));
}

/** As the next process finds it. */
async function reopen(t: TestContext, fixture: BackupFixture, options: FixtureOptions = {}): Promise<BackupFixture> {
  await fixture.repository.close();
  return BackupFixture.reopen(t, fixture.folder, { hints: true, ...options });
}

async function damaged(t: TestContext, fixture: BackupFixture, manifests: SnapshotManifest[]): Promise<string[]> {
  const reader = await BackupFixture.reopen(t, fixture.folder);
  const deps = { clock: systemClock, random: systemRandom };
  const report = await verifySnapshots(reader.repository, { manifests, parallel: 1 }, deps, t.signal);
  return report.failures.map(({ path, code }) => `${path} ${code}`);
}

for (const length of [0, 100_000]) {
  test(`a pack cut to ${length} bytes: the next backup stores again what was in its rest`, async (t) => {
    const root = makeTree(t);
    let fixture = await BackupFixture.create(t, { format: { maxPackSizeBytes: 10 << 20 } });
    const first = await fixture.backUp(root);
    for (const path of packs(fixture, 'p')) truncateSync(path, length);
    fixture = await reopen(t, fixture);
    const second = await fixture.backUp(root);
    assert.ok(second.newContents > 0);
    await fixture.repository.close();
    assert.deepEqual(await damaged(t, fixture, [first.manifest, second.manifest]), []);
  });
}

for (const which of ['all', 'the first', 'the last'] as const) {
  test(`a lost pack (${which} of files): the next backup stores again what was in it, once`, async (t) => {
    const root = makeTree(t);
    let fixture = await BackupFixture.create(t, { hints: true, format: { maxPackSizeBytes: 10 << 20 } });
    const first = await fixture.backUp(root);
    const files = packs(fixture, 'p');
    assert.ok(files.length >= 2);
    const lost = which === 'all' ? files : files.slice(which === 'the first' ? 0 : -1).slice(0, 1);
    for (const path of lost) rmSync(path);
    assert.ok((await damaged(t, fixture, [first.manifest])).length > 0);

    const { logger, fields } = warnings();
    fixture = await reopen(t, fixture, { logger });
    const healing = await fixture.backUp(root);
    assert.equal(fields.length, 1, 'one warning');
    assert.equal(fields[0]?.['packs'], lost.length);
    assert.ok(Number(fields[0]?.['contents']) > 0);
    assert.equal(healing.manifest.rootEntry?.objectId, first.manifest.rootEntry?.objectId);
    assert.deepEqual(await damaged(t, fixture, [first.manifest, healing.manifest]), []);

    fixture = await reopen(t, fixture, { logger });
    const after = await fixture.backUp(root);
    assert.equal(fields.length, 1, 'nothing is lost any more');
    assert.equal(after.bytesHashed < 100_000, true, 'and nothing is read');
  });
}

test('lost directories are stored again, with the files in them taken over', async (t) => {
  const root = makeTree(t);
  let fixture = await BackupFixture.create(t, { hints: true });
  await fixture.backUp(root);
  const [directories = ''] = packs(fixture, 'q');
  const second = await fixture.backUp(root);
  // That pack has the first snapshot's manifest as well, without which no command lists snapshots (docs/recovery.md).
  for (const { id, packId } of fixture.repository.contents.indexSet.iterate('m')) {
    if (directories.replaceAll('/', '').includes(packId)) await fixture.repository.deleteContent(id, t.signal);
  }
  await fixture.repository.flush(t.signal);
  rmSync(directories);
  const { logger, fields } = warnings();
  fixture = await reopen(t, fixture, { logger });
  const healing = await fixture.backUp(root);
  assert.deepEqual(fields, [{ packs: 1, contents: 4 }], 'three directories and the list of pieces');
  assert.deepEqual(await damaged(t, fixture, [second.manifest, healing.manifest]), []);
});

test('what was stored again by somebody else meanwhile is not lost', async (t) => {
  const root = makeTree(t);
  const { logger, fields } = warnings();
  const slow = await BackupFixture.create(t, { logger });
  const first = await slow.backUp(root);
  const [lost = ''] = packs(slow, 'p');
  rmSync(lost);
  const other = await BackupFixture.reopen(t, slow.folder);
  await other.backUp(root);
  const again = await slow.backUp(root);
  assert.deepEqual(fields, [], 'an index read anew says where everything is');
  assert.deepEqual(await damaged(t, slow, [first.manifest, again.manifest]), []);
});

test('what the source does not have any more stays lost, is warned of each time, and hurts nothing else', async (t) => {
  const root = makeTree(t);
  let fixture = await BackupFixture.create(t, { hints: true });
  const first = await fixture.backUp(root);
  for (const path of packs(fixture, 'p')) rmSync(path);
  rmSync(join(root, 'a'));
  const { logger, fields } = warnings();
  fixture = await reopen(t, fixture, { logger });
  const second = await fixture.backUp(root);
  fixture = await reopen(t, fixture, { logger });
  const third = await fixture.backUp(root);
  assert.equal(fields.length, 2);
  assert.deepEqual(fields[1], { packs: 1, contents: 1 });
  assert.deepEqual(await damaged(t, fixture, [second.manifest, third.manifest]), []);
  assert.deepEqual(await damaged(t, fixture, [first.manifest]), ['a CONTENT_LOST']);
});

test('without the check, a backup counts on what is lost', async (t) => {
  const root = makeTree(t);
  let fixture = await BackupFixture.create(t);
  await fixture.backUp(root);
  for (const path of packs(fixture, 'p')) rmSync(path);
  const { logger, fields } = warnings();
  fixture = await reopen(t, fixture, { logger });
  const { manifest } = await fixture.backUp(root, { skipPackCheck: true });
  assert.deepEqual(fields, []);
  assert.ok((await damaged(t, fixture, [manifest])).length > 0);
});

test('a stream sent again makes its snapshot whole', async (t) => {
  let fixture = await BackupFixture.create(t);
  const bytes = new SeededRandom(3).bytes(12 << 20);
  const store = async (logger: Logger): Promise<SnapshotManifest> => {
    const input = (async function* () {
      yield bytes.slice();
    })();
    const deps = { clock: systemClock, random: systemRandom, logger };
    return (await backupStream(fixture.repository, { name: 's', source: FIXTURE_SOURCE, input }, deps, t.signal))
      .manifest;
  };
  const first = await store(silentLogger);
  for (const path of packs(fixture, 'p')) rmSync(path);
  const { logger, fields } = warnings();
  fixture = await reopen(t, fixture, { logger });
  const second = await store(logger);
  assert.equal(fields.length, 1);
  assert.deepEqual(await damaged(t, fixture, [first, second]), []);
});
