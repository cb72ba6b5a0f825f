// Maintenance by windlass and by kopia in turns on one repository: each goes by the schedule the other wrote, and merges
// and deletes index blobs that the other then reads.
import assert from 'node:assert/strict';
import { globSync, statSync, utimesSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { test } from 'node:test';

import { systemClock } from '../../base/clock.ts';
import { systemRandom } from '../../base/random.ts';
import { openFilesystemStorage, Repository } from '../../repo-format/index.ts';
import { scanTree } from '../harness/scan-tree.ts';
import {
  backUpByKopia,
  backUpByWindlass,
  createByKopia,
  createByWindlass,
  kopiaVerifiesAll,
  openPair,
  PASSWORD,
  type Pair,
} from './pair.ts';
import { changePlainTree, makePlainTree } from './source-tree.ts';

const HOUR_MS = 3600 * 1000;

interface Info {
  readonly owner: string;
  readonly quick: { readonly enabled: boolean; readonly interval: number };
  readonly full: { readonly enabled: boolean; readonly interval: number };
  readonly schedule: {
    readonly nextFullMaintenance: string;
    readonly nextQuickMaintenance: string;
    readonly runs: Readonly<Record<string, readonly { readonly success?: boolean; readonly error?: string }[]>> | null;
  };
}

/** Kopia writes times in the zone of its machine; instants must agree. */
function comparable({ schedule, ...parameters }: Info): unknown {
  const instant = (text: string): string => new Date(text).toISOString();
  const runs = Object.entries(schedule.runs ?? {}).map(([task, infos]) => [task, infos.map(({ success }) => success)]);
  return {
    parameters,
    nextFull: instant(schedule.nextFullMaintenance),
    nextQuick: instant(schedule.nextQuickMaintenance),
    runs: Object.fromEntries(runs),
  };
}

async function assertSameInfo(pair: Pair): Promise<Info> {
  const ours = (await pair.windlass.json('maintenance', 'info')) as Info;
  const theirs = (await pair.kopia.json('maintenance', 'info')) as Info;
  assert.deepEqual(comparable(ours), comparable(theirs));
  return ours;
}

/** Owner is whoever is about to run. */
async function runByWindlass(pair: Pair, ...args: string[]): Promise<void> {
  await pair.windlass.ok('maintenance', 'set', '--owner', 'me');
  await pair.windlass.ok('maintenance', 'run', ...args);
}

async function runByKopia(pair: Pair, ...args: string[]): Promise<void> {
  await pair.kopia.ok('maintenance', 'set', '--owner=me');
  await pair.kopia.quiet('maintenance', 'run', ...args);
}

/** Blob names in the repository folder that start with `prefix`. */
function namesOf(pair: Pair, prefix: string): string[] {
  return globSync('**/*.f', { cwd: pair.repository })
    .map((path) =>
      dirname(path) === '.' ? basename(path, '.f') : join(dirname(path), basename(path, '.f')).replaceAll('/', ''),
    )
    .filter((name) => name.startsWith(prefix))
    .sort();
}

/** Makes everything stored so far look this much older. */
function age(pair: Pair, byMs: number): void {
  for (const path of globSync('**/*.f', { cwd: pair.repository })) {
    const { mtimeMs } = statSync(join(pair.repository, path));
    const time = new Date(mtimeMs - byMs);
    utimesSync(join(pair.repository, path), time, time);
  }
}

for (const formatVersion of [1, 2, 3]) {
  test(`version ${formatVersion}: each runs on what the other wrote, and shows the same`, async (t) => {
    const pair = openPair(t);
    await createByWindlass(pair.windlass, { formatVersion });
    await pair.kopia.connect();
    const before = await assertSameInfo(pair);
    assert.equal(before.schedule.runs, null);
    makePlainTree(pair.tree, 1, 300_000);
    for (let turn = 0; turn < 4; turn++) {
      await (turn % 2 === 0 ? backUpByWindlass(pair.windlass, pair.tree) : backUpByKopia(pair.kopia, pair.tree));
      changePlainTree(pair.tree, turn);
      const args = turn < 2 ? ['--full'] : [];
      if (turn % 2 === 0) await runByWindlass(pair, ...(turn < 2 ? args : ['--quick']));
      else await runByKopia(pair, ...args);
      const { runs } = (await assertSameInfo(pair)).schedule;
      assert.ok(Object.values(runs ?? {}).every((infos) => infos.every(({ success }) => success === true)));
    }
    await pair.windlass.ok('snapshot', 'verify');
    await kopiaVerifiesAll(pair.kopia);
  });
}

test('who is not the owner is refused by either, and settings of one are the settings of the other', async (t) => {
  const pair = openPair(t);
  await createByKopia(pair.kopia, {});
  assert.equal((await pair.windlass.run(['maintenance', 'run', '--quick'])).code, 1);
  await pair.windlass.ok('maintenance', 'set', '--owner', 'me', '--full-interval', '12h', '--enable-quick', 'true');
  const { owner, full, quick } = await assertSameInfo(pair);
  assert.match(owner, /.@./);
  assert.deepEqual([full.interval, full.enabled, quick.enabled], [12 * 3600 * 1e9, false, true]);
  const refused = await pair.kopia.run(['maintenance', 'run', '--full']);
  assert.match(refused.stderr, /designated user/);
  await pair.windlass.ok('maintenance', 'run', '--quick');
});

/** Index blobs as so many small backups would leave them, in one process. */
async function flushOften(pair: Pair, flushes: number, signal: AbortSignal): Promise<void> {
  const storage = await openFilesystemStorage({ path: pair.repository }, { random: systemRandom });
  const deps = { clock: systemClock, random: systemRandom };
  await using repository = await Repository.open({ storage, password: PASSWORD }, deps, signal);
  for (let flush = 0; flush < flushes; flush++) {
    await repository.writeContent('', systemRandom.bytes(1000), 'none', signal);
    await repository.flush(signal);
  }
}

test('epochs begun, merged and cleaned up by both in turns hold what they held', async (t) => {
  const pair = openPair(t);
  await createByWindlass(pair.windlass, {});
  await pair.kopia.connect();
  makePlainTree(pair.tree, 1, 60_000);
  for (let epoch = 0; epoch < 4; epoch++) {
    changePlainTree(pair.tree, epoch);
    await backUpByWindlass(pair.windlass, pair.tree);
    // An epoch ends when its blobs are many and span a day.
    age(pair, 36 * HOUR_MS);
    await flushOften(pair, 20, t.signal);
    await backUpByKopia(pair.kopia, pair.tree);
    await (epoch % 2 === 0 ? runByWindlass(pair, '--full') : runByKopia(pair, '--full'));
    assert.deepEqual(namesOf(pair, `xe${epoch + 1}`), [`xe${epoch + 1}`]);
  }
  assert.equal(namesOf(pair, 'xs0_').length, 1, 'epoch 0 is merged');
  assert.equal(namesOf(pair, 'xs1_').length, 1, 'epoch 1 is merged');
  age(pair, 5 * HOUR_MS);
  const { id } = await backUpByKopia(pair.kopia, pair.tree);
  await runByWindlass(pair, '--full');
  assert.deepEqual(namesOf(pair, 'xn0_'), [], 'what it was merged from is deleted');
  assert.deepEqual(namesOf(pair, 'xe1'), [], 'so are old markers');
  await pair.windlass.ok('snapshot', 'verify');
  await kopiaVerifiesAll(pair.anotherKopia('kopia'));
  const target = pair.target('restored');
  await pair.windlass.ok('snapshot', 'restore', id, target);
  assert.deepEqual(scanTree(target), scanTree(pair.tree));
});
