// `snapshot copy`: whatever the two repositories' settings are, a copy restores as the original does.
import assert from 'node:assert/strict';
import { globSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { SeededRandom } from '../test/harness/seeded-random.ts';
import { scratchFolder } from '../test/harness/scratch.ts';
import { describeTree, directory, fifo, file, hardLink, rawName, symlink, tree } from '../test/harness/tree.ts';
import { WindlassClient } from '../test/harness/windlass-command.ts';

interface CopyDocument {
  readonly copied: readonly { readonly sourceId: string; readonly targetId: string }[];
  readonly skipped: readonly unknown[];
  readonly failed: readonly { readonly sourceId: string; readonly code: string }[];
  readonly bytesRead: number;
  readonly verified: { readonly failureCount: number } | null;
}

class TwoRepositories {
  readonly folder: string;
  readonly root: string;
  readonly source: WindlassClient;
  readonly target: WindlassClient;

  constructor(t: TestContext) {
    this.folder = scratchFolder(t, 'copy');
    const client = (name: string): WindlassClient =>
      new WindlassClient({
        repository: join(this.folder, name),
        cacheFolder: join(this.folder, 'cache'),
        password: name,
      });
    this.source = client('source');
    this.target = client('target');
    writeFileSync(join(this.folder, 'password'), 'target\n');
    this.root = tree({
      'd/a': file('aaa', { mode: 0o751 }),
      'd/empty': directory(),
      'd/link': symlink('a'),
      'd/same': hardLink('d/a'),
      'd/pipe': fifo(),
      [rawName('odd-\xff')]: file('odd'),
      large: file(new SeededRandom(3).bytes(9 << 20)),
    }).temporary(t);
  }

  async copy(...args: string[]): Promise<{ document: CopyDocument; code: number | null }> {
    const to = ['--to', join(this.folder, 'target'), '--to-password-file', join(this.folder, 'password')];
    const { stdout, code } = await this.source.run(['snapshot', 'copy', ...to, '--json', ...args]);
    return { document: JSON.parse(stdout) as CopyDocument, code };
  }
}

for (const settings of [[], ['--splitter', 'FIXED-1M', '--hash', 'HMAC-SHA256-128']]) {
  test(`copies restore as the originals do, each content once (${settings.join(' ') || 'the same settings'})`, async (t) => {
    const two = new TwoRepositories(t);
    const { source, target, root, folder } = two;
    await source.ok('repository', 'create');
    await target.ok('repository', 'create', ...settings);
    const make = ['snapshot', 'create', root, '--tag', 'app:web', '--pin', 'keep', '--description', 'the first'];
    const first = (await source.json(...make)) as { id: string };
    const once = await two.copy('--all');
    assert.equal(once.code, 0);
    assert.deepEqual(
      once.document.copied.map(({ sourceId }) => sourceId),
      [first.id],
    );
    assert.equal(once.document.verified?.failureCount, 0);
    assert.ok(once.document.bytesRead >= 9 << 20);
    writeFileSync(join(root, 'new'), 'new');
    await source.ok('snapshot', 'create', root);
    const again = await two.copy('--all');
    assert.equal(again.document.copied.length, 1);
    assert.equal(again.document.skipped.length, 1);
    assert.equal(again.document.bytesRead, 3, 'what the first copy has is not read again');
    const facts = (list: unknown): unknown[] =>
      (list as Record<string, unknown>[]).map(({ source: of, startTime, endTime, stats, tags, pins, description }) => ({
        of,
        startTime,
        endTime,
        stats,
        tags,
        pins,
        description,
      }));
    assert.deepEqual(facts(await target.json('snapshot', 'list')), facts(await source.json('snapshot', 'list')));
    for (const client of [source, target])
      await client.ok('snapshot', 'restore', 'latest', join(folder, client === source ? 'out' : 'copied'));
    assert.deepEqual(describeTree(join(folder, 'copied')), describeTree(join(folder, 'out')));
    assert.deepEqual(describeTree(join(folder, 'copied')), describeTree(root));
  });
}

test('a snapshot that is damaged is named, the others are copied', async (t) => {
  const two = new TwoRepositories(t);
  const { source, target, root, folder } = two;
  await source.ok('repository', 'create');
  await target.ok('repository', 'create');
  const damaged = (await source.json('snapshot', 'create', root)) as { id: string };
  for (const path of globSync('source/p/**/*.f', { cwd: folder })) rmSync(join(folder, path));
  writeFileSync(join(folder, 'whole'), 'whole');
  const whole = (await source.json('snapshot', 'create', join(folder, 'whole'))) as { id: string };
  const { document, code } = await two.copy('--all');
  assert.equal(code, 3);
  assert.deepEqual(
    document.failed.map(({ sourceId, code: why }) => [sourceId, why]),
    [[damaged.id, 'CONTENT_LOST']],
  );
  assert.deepEqual(
    document.copied.map(({ sourceId }) => sourceId),
    [whole.id],
  );
});

test('what to copy and where to must be said', async (t) => {
  const two = new TwoRepositories(t);
  await two.source.ok('repository', 'create');
  assert.equal((await two.copy()).code, 2);
  assert.equal((await two.source.run(['snapshot', 'copy', '--all'])).code, 2);
  const itself = await two.source.run(['snapshot', 'copy', '--all', '--to', join(two.folder, 'source')]);
  assert.notEqual(itself.code, 0);
});
