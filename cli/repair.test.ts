// `repository repair`: what it plans is written by `--apply` only, and then the repository is whole for every reader.
import assert from 'node:assert/strict';
import { cpSync, globSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test, type TestContext } from 'node:test';
import { scratchFolder } from '../test/harness/scratch.ts';
import { WindlassClient } from '../test/harness/windlass-command.ts';

const original = { folder: '', trees: [''], ids: [''] };

before(async () => {
  const folder = scratchFolder({ after: (hook) => process.on('exit', hook) }, 'repair-original');
  const windlass = client(folder);
  await windlass.ok('repository', 'create');
  const trees = ['one', 'two'].map((name) => join(folder, name));
  const ids: string[] = [];
  for (const tree of trees) {
    mkdirSync(tree);
    writeFileSync(join(tree, 'file'), `of ${tree}`);
    ids.push(((await windlass.json('snapshot', 'create', tree)) as { id: string }).id);
  }
  Object.assign(original, { folder, trees, ids });
});

function client(folder: string): WindlassClient {
  return new WindlassClient({
    repository: join(folder, 'repository'),
    cacheFolder: join(folder, 'cache'),
    password: 'correct horse',
  });
}

interface Plan {
  readonly index: { readonly contents: number; readonly manifests: number };
  readonly snapshotsBack: readonly string[];
  readonly damagedIndexes: readonly { readonly blobId: string }[];
  readonly heal?: { readonly contents: number };
  readonly lost: { readonly contents: number; readonly manifests: number };
  readonly hurt: readonly { readonly snapshotId: string; readonly paths: readonly string[] }[];
  readonly dropped: number;
}

class Damaged {
  readonly repository: string;
  readonly windlass: WindlassClient;

  constructor(t: TestContext) {
    const folder = scratchFolder(t, 'repair');
    this.repository = join(folder, 'repository');
    cpSync(join(original.folder, 'repository'), this.repository, { recursive: true });
    this.windlass = client(folder);
  }

  files(pattern: string): string[] {
    return globSync(pattern, { cwd: this.repository }).sort();
  }

  remove(pattern: string): void {
    for (const path of this.files(pattern)) rmSync(join(this.repository, path));
  }

  async repair(...args: string[]): Promise<{ plan: Plan; code: number | null }> {
    const { stdout, code } = await this.windlass.run(['repository', 'repair', '--json', ...args]);
    return { plan: JSON.parse(stdout) as Plan, code };
  }

  /** Plans, checks that nothing was written, then applies. */
  async mend(...args: string[]): Promise<Plan> {
    const before = this.files('**/*.f');
    const planned = await this.repair(...args);
    assert.equal(planned.code, 1, 'there is something to do');
    assert.deepEqual(this.files('**/*.f'), before, 'nothing is written without --apply');
    const { plan, code } = await this.repair('--apply', ...args);
    assert.equal(code, 0);
    const said = ({ index, snapshotsBack, damagedIndexes, lost, dropped }: Plan): unknown => ({
      index,
      snapshotsBack,
      damagedIndexes,
      lost,
      dropped,
    });
    assert.deepEqual(said(plan), said(planned.plan), 'what was planned is what is done');
    return plan;
  }
}

test('nothing damaged, nothing to repair, nothing written', async (t) => {
  const damaged = new Damaged(t);
  const before = damaged.files('**/*.f');
  const { plan, code } = await damaged.repair('--apply', '--drop-lost');
  assert.equal(code, 0);
  assert.equal(plan.index.contents + plan.lost.contents, 0);
  assert.deepEqual(damaged.files('**/*.f'), before);
});

test('all index blobs lost: packs bring back every snapshot', async (t) => {
  const damaged = new Damaged(t);
  damaged.remove('x/**/*.f');
  const { snapshotsBack, index } = await damaged.mend();
  assert.deepEqual([...snapshotsBack].sort(), [...original.ids].sort());
  assert.ok(index.manifests >= 2);
  assert.match(await damaged.windlass.ok('snapshot', 'verify'), /^verified 2 snapshots: [^D]*$/m);
});

test('an index blob that does not open is put aside, and its rows come from the packs', async (t) => {
  const damaged = new Damaged(t);
  const [index = ''] = damaged.files('x/**/*.f');
  truncateSync(join(damaged.repository, index), 60);
  const { damagedIndexes } = await damaged.mend();
  assert.deepEqual(
    damagedIndexes.map(({ blobId }) => blobId),
    [index.replaceAll('/', '').replace(/\.f$/, '')],
  );
  assert.equal(damaged.files('_/**/*.f').length, 1, 'its bytes are kept');
  assert.match(await damaged.windlass.ok('snapshot', 'verify'), /^verified 2 snapshots: [^D]*$/m);
});

test('lost contents: healed from a tree, the rest dropped when told so, snapshots named', async (t) => {
  const damaged = new Damaged(t);
  damaged.remove('p/**/*.f');
  const [first = '', second = ''] = original.ids;
  const asked = await damaged.repair();
  assert.deepEqual(asked.plan.hurt.map(({ snapshotId }) => snapshotId).sort(), [first, second].sort());
  assert.equal(asked.plan.dropped, 0);
  const plan = await damaged.mend('--heal-from', original.trees[0] ?? '', '--drop-lost');
  assert.equal(plan.heal?.contents, 1);
  assert.deepEqual(plan.hurt, [{ snapshotId: second, entries: 1, paths: ['file'] }]);
  assert.equal(plan.dropped, 1);
  await damaged.windlass.ok('snapshot', 'verify', first);
  assert.equal((await damaged.repair()).code, 0, 'nothing is left to do');
  // A backup must not take over what was dropped, whatever it remembers of the tree.
  await damaged.windlass.ok('snapshot', 'create', original.trees[1] ?? '');
  await damaged.windlass.ok('snapshot', 'verify');
});

test('lost manifests: dropped, then backups work again', async (t) => {
  const damaged = new Damaged(t);
  damaged.remove('q/**/*.f');
  const plan = await damaged.mend('--drop-lost');
  assert.ok(plan.lost.manifests >= 2);
  await damaged.windlass.ok('snapshot', 'create', original.trees[0] ?? '');
  assert.match(await damaged.windlass.ok('snapshot', 'verify'), /^verified 1 snapshot: [^D]*$/m);
});

test('a lost kopia.repository: from a copy, only when the password opens it', async (t) => {
  const damaged = new Damaged(t);
  const format = join(damaged.repository, 'kopia.repository.f');
  const bytes = readFileSync(format);
  const copy = join(damaged.repository, '..', 'copy');
  writeFileSync(copy, bytes);
  rmSync(format);
  const missing = await damaged.windlass.run(['repository', 'repair', '--apply']);
  assert.match(missing.stderr, /--format-blob.*\[FORMAT_COPY_MISSING\]\n$/);
  writeFileSync(join(damaged.repository, '..', 'wrong'), 'wrong');
  const wrong = ['--password-file', join(damaged.repository, '..', 'wrong'), 'repository', 'repair', '--apply'];
  assert.equal((await damaged.windlass.run([...wrong, '--format-blob', copy])).code, 12);
  assert.deepEqual(damaged.files('kopia.repository.f'), []);
  await damaged.mend('--format-blob', copy);
  assert.deepEqual(readFileSync(format), bytes);
  // A recovery kit carries it within its page.
  rmSync(format);
  const blobs = { 'kopia.repository': bytes.toString('base64') };
  writeFileSync(copy, `<html><script type="application/json" id="kit">${JSON.stringify({ blobs })}</script></html>`);
  await damaged.mend('--format-blob', copy);
  assert.deepEqual(readFileSync(format), bytes);
  await damaged.windlass.ok('snapshot', 'verify');
});
