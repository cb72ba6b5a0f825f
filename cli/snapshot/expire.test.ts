// `snapshot expire` through the real command.
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { scratchFolder } from '../../test/harness/scratch.ts';
import { WindlassClient } from '../../test/harness/windlass-command.ts';

interface Expiry {
  readonly dryRun: boolean;
  readonly sources: readonly { readonly kept: number; readonly expired: readonly { readonly id: string }[] }[];
}

test('expire deletes what the policy does not keep, never what is pinned, and nothing in a repository of Velero', async (t) => {
  const folder = scratchFolder(t, 'expire');
  const repository = join(folder, 'repository');
  const tree = join(folder, 'tree');
  mkdirSync(tree);
  writeFileSync(join(tree, 'a'), 'a');
  const windlass = new WindlassClient({ repository, cacheFolder: join(folder, 'cache'), password: 'p' });
  await windlass.ok('repository', 'create');
  const create = async (...more: string[]): Promise<string> =>
    ((await windlass.json('snapshot', 'create', tree, '--source', 'u@h:/data', ...more)) as { id: string }).id;
  const pinned = await create('--pin', 'release');
  const old = await create();
  const latest = await create();
  await windlass.ok('policy', 'set', 'u@h:/data', '--keep-latest', '1');

  const planned = (await windlass.json('snapshot', 'expire', '--dry-run')) as Expiry;
  assert.deepEqual(
    planned.sources[0]?.expired.map(({ id }) => id),
    [old],
  );
  assert.equal(((await windlass.json('snapshot', 'list')) as unknown[]).length, 3);

  writeFileSync(join(repository, 'udmrepo.Repository.f'), '{}');
  const refused = await windlass.run(['snapshot', 'expire']);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /Velero.*\[MAINTENANCE_BY_VELERO\]/);

  const done = (await windlass.json('snapshot', 'expire', '--force', 'u@h:/data')) as Expiry;
  assert.deepEqual(
    done.sources.map(({ kept, expired }) => [kept, expired.length]),
    [[2, 1]],
  );
  const left = ((await windlass.json('snapshot', 'list')) as { id: string }[]).map(({ id }) => id);
  assert.deepEqual(left, [pinned, latest]);
  assert.match(await windlass.ok('snapshot', 'expire', '--force'), /0 snapshots expired, 2 kept/);
});
