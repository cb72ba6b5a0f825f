// The maintenance commands through the real command on a real folder.
import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { scratchFolder } from '../../test/harness/scratch.ts';
import { WindlassClient } from '../../test/harness/windlass-command.ts';

interface Report {
  readonly outcome: string;
  readonly mode?: string;
  readonly tasks?: readonly { readonly task: string; readonly outcome: string }[];
}

let repository = '';
let windlass = new WindlassClient({ repository: '', cacheFolder: '', password: '' });

before(async () => {
  const folder = scratchFolder({ after: (hook) => process.on('exit', hook) }, 'maintenance');
  repository = join(folder, 'repository');
  windlass = new WindlassClient({ repository, cacheFolder: join(folder, 'cache'), password: 'p' });
  await windlass.ok('repository', 'create');
});

const run = async (...args: string[]): Promise<Report> =>
  (await windlass.json('maintenance', 'run', ...args)) as Report;

test('what is due is done once; a dry run says it first and leaves nothing', async () => {
  const planned = await run('--dry-run');
  assert.deepEqual([planned.outcome, planned.mode], ['planned', 'full']);
  assert.ok(!readdirSync(repository).includes('kopia.maintenance.f'));
  const done = await run();
  assert.deepEqual([done.outcome, done.mode], ['done', 'full']);
  assert.ok(done.tasks?.some(({ task, outcome }) => task === 'snapshot-gc' && outcome === 'done'));
  assert.deepEqual(await run(), { outcome: 'not-due' });
  assert.equal((await run('--quick')).mode, 'quick');
});

test('info has the members of kopia, and tells people who and when', async () => {
  const info = (await windlass.json('maintenance', 'info')) as { schedule: Record<string, unknown> };
  const members = ['owner', 'quick', 'full', 'logRetention', 'extendObjectLocks', 'listParallelism', 'schedule'];
  assert.deepEqual(Object.keys(info), members);
  assert.deepEqual(Object.keys(info.schedule), ['nextFullMaintenance', 'nextQuickMaintenance', 'runs']);
  assert.match(
    await windlass.ok('maintenance', 'info'),
    /\(this client\)[^]*Full cycle: +every 24 h[^]*compact-single-epoch/,
  );
});

test('settings change one by one, and whoever is not the owner is refused', async () => {
  await windlass.ok('maintenance', 'set', '--owner', 'me', '--quick-interval', '30m', '--max-retained-log-count', '7');
  const set = (await windlass.json('maintenance', 'set', '--owner', 'someone@else')) as Record<string, unknown>;
  assert.equal(set['owner'], 'someone@else');
  assert.deepEqual(set['quick'], { enabled: true, interval: 1_800_000_000_000 });
  assert.deepEqual(set['logRetention'], { maxTotalSize: 2 ** 30, maxCount: 7, maxAge: 2_592_000_000_000_000 });
  const refused = await windlass.run(['maintenance', 'run', '--full']);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /someone@else.*\[MAINTENANCE_NOT_OWNER\]/);
  assert.equal((await run('--quick', '--force')).outcome, 'done');
  await windlass.ok('maintenance', 'set', '--owner', 'me');
});

test('usage is checked', async () => {
  for (const args of [
    ['run', '--quick', '--full'],
    ['run', '--safety', 'some'],
    ['set'],
    ['set', '--full-interval', 'soon'],
  ]) {
    assert.equal((await windlass.run(['maintenance', ...args])).code, 2, args.join(' '));
  }
});

test('a repository of Velero is left to Velero unless forced', async () => {
  writeFileSync(join(repository, 'udmrepo.Repository.f'), '');
  for (const args of [
    ['run', '--full'],
    ['set', '--owner', 'me'],
  ]) {
    const refused = await windlass.run(['maintenance', ...args]);
    assert.match(refused.stderr, /\[MAINTENANCE_BY_VELERO\]/);
    assert.equal((await windlass.run(['maintenance', ...args, '--force'])).code, 0);
  }
  assert.equal((await run('--full', '--dry-run')).outcome, 'planned');
});
