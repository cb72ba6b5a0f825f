// What the commands say about a damaged repository, and the steps of docs/recovery.md that need no other program.
import assert from 'node:assert/strict';
import {
  copyFileSync,
  cpSync,
  globSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { before, test, type TestContext } from 'node:test';
import { scratchFolder } from '../test/harness/scratch.ts';
import { WindlassClient } from '../test/harness/windlass-command.ts';

interface Damaged {
  readonly folder: string;
  readonly repository: string;
  readonly windlass: WindlassClient;
}

/** Two sources, one snapshot each; every test damages a copy. */
const original = { folder: '', trees: [''], ids: [''] };

before(async () => {
  const folder = scratchFolder({ after: (hook) => process.on('exit', hook) }, 'damage-original');
  const windlass = new WindlassClient({
    repository: join(folder, 'repository'),
    cacheFolder: join(folder, 'cache'),
    password: 'old',
  });
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

function copyOfRepository(t: TestContext): Damaged {
  const folder = scratchFolder(t, 'damage');
  const repository = join(folder, 'repository');
  cpSync(join(original.folder, 'repository'), repository, { recursive: true });
  const windlass = new WindlassClient({ repository, cacheFolder: join(folder, 'cache'), password: 'old' });
  return { folder, repository, windlass };
}

const remove = (folder: string, pattern: string): void => {
  for (const path of globSync(pattern, { cwd: folder })) rmSync(join(folder, path));
};

test('lost packs: verify names the snapshots, of one source when asked', async (t) => {
  const { repository, windlass } = copyOfRepository(t);
  const { ids, trees } = original;
  remove(repository, 'p/**/*.f');
  const all = await windlass.run(['snapshot', 'verify']);
  assert.equal(all.code, 1);
  assert.match(all.stdout, /^verified 2 snapshots: .*, 2 DAMAGED\n$/);
  for (const id of ids) {
    assert.match(all.stderr, new RegExp(`^windlass: ${id}/file: .* \\[CONTENT_LOST\\]$`, 'm'));
    assert.match(all.stderr, new RegExp(`^windlass: snapshot ${id}: 1 damaged: file$`, 'm'));
  }
  for (const args of [[], ['latest']]) {
    const one = await windlass.run(['snapshot', 'verify', ...args, '--source', trees[0] ?? '']);
    assert.match(one.stdout, /^verified 1 snapshot: .*, 1 DAMAGED\n$/);
    assert.ok(one.stderr.includes(ids[0] ?? '?') && !one.stderr.includes(ids[1] ?? '?'));
  }
});

test('lost manifests: commands that read go on without them, say which are lost, and do not exit 0', async (t) => {
  const { folder, repository, windlass } = copyOfRepository(t);
  const before = new Set(globSync('q/**/*.f', { cwd: repository }));
  await windlass.ok('snapshot', 'create', original.trees[0] ?? '', '--description', 'the third');
  // Only the pack with the first snapshots' manifests goes, not the one of the third.
  for (const path of before) rmSync(join(repository, path));
  const lost = /^windlass: snapshots and policies in m[0-9a-f]+ are lost and missing here, .* \[CONTENT_LOST\]$/m;
  const status = await windlass.run(['repository', 'status']);
  assert.equal(status.code, 3);
  assert.match(status.stdout, /^Snapshots: +1$/m);
  const list = await windlass.run(['snapshot', 'list', '--all', '-q']);
  assert.equal(list.code, 3);
  assert.match(list.stderr, lost);
  const verified = await windlass.run(['snapshot', 'verify', '--json']);
  assert.equal(verified.code, 1);
  assert.equal((JSON.parse(verified.stdout) as { lostManifests: string[] }).lostManifests.length > 0, true);
  const restored = await windlass.run(['snapshot', 'restore', 'latest', join(folder, 'restored')]);
  assert.equal(restored.code, 3, restored.stderr);
  assert.match(restored.stderr, lost);
  const created = await windlass.run(['snapshot', 'create', original.trees[0] ?? '']);
  assert.equal(created.code, 1, 'what is planned on an incomplete list loses data');
});

test('a lost index blob: verify fails although every snapshot that is left is whole', async (t) => {
  const { repository, windlass } = copyOfRepository(t);
  const before = new Set(globSync('x/**/*.f', { cwd: repository }));
  await windlass.ok('snapshot', 'create', original.trees[0] ?? '', '--description', 'the third');
  for (const path of globSync('x/**/*.f', { cwd: repository })) if (!before.has(path)) rmSync(join(repository, path));
  const verified = await windlass.run(['snapshot', 'verify']);
  assert.equal(verified.code, 1);
  assert.match(verified.stdout, /^verified 2 snapshots: [^D]*$/m);
  assert.match(
    verified.stderr,
    /1 pack with \d+ contents? that no index names, 1 of snapshots.*\[INDEX_INCOMPLETE\]$/m,
  );
  remove(repository, 'x/**/*.f');
  const all = await windlass.run(['snapshot', 'verify', '--percent', '0', '--json']);
  assert.equal(all.code, 1);
  const { snapshots, unindexed } = JSON.parse(all.stdout) as { snapshots: number; unindexed: { manifests: number } };
  assert.equal(snapshots, 0);
  assert.ok(unindexed.manifests >= 3);
});

test('a lost .shards: every command says at once what to write into it', async (t) => {
  const { repository, windlass } = copyOfRepository(t);
  const shards = readFileSync(join(repository, '.shards'));
  rmSync(join(repository, '.shards'));
  for (const args of [
    ['snapshot', 'list'],
    ['repository', 'status'],
    ['snapshot', 'create', original.trees[0] ?? ''],
  ]) {
    const result = await windlass.run(args);
    assert.equal(result.code, 1);
    assert.match(result.stderr, /in folders of \[1,3\], but \.shards is missing or wrong.* \[BLOB_LAYOUT_INVALID\]\n$/);
  }
  writeFileSync(join(repository, '.shards'), shards);
  await windlass.ok('snapshot', 'verify');
});

test('a truncated index: its name is in the message of every command, and debug looks past it', async (t) => {
  const { repository, windlass } = copyOfRepository(t);
  const [index = ''] = globSync('x/**/*.f', { cwd: repository });
  truncateSync(join(repository, index), 60);
  const blobId = index.replaceAll('/', '').replace(/\.f$/, '');
  const listed = await windlass.run(['snapshot', 'list']);
  assert.equal(listed.code, 1);
  assert.match(listed.stderr, new RegExp(`${blobId}.*\\[BLOB_CORRUPT\\]`));
  const checked = await windlass.run(['debug', 'index', 'list', '--check']);
  assert.equal(checked.code, 1);
  assert.equal(checked.stdout.split('\n').filter((line) => line.includes('[BLOB_CORRUPT]')).length, 1);
});

/** As a crash leaves it between the two blobs: `kopia.blobcfg` under `new`, `kopia.repository` under `old`. */
async function cutOffPasswordChange({ folder, repository, windlass }: Damaged): Promise<void> {
  const formatBlob = join(repository, 'kopia.repository.f');
  copyFileSync(formatBlob, join(folder, 'before'));
  for (const password of ['old', 'new', 'neither']) writeFileSync(join(folder, password), password);
  await windlass.ok('repository', 'change-password', '--new-password-file', join(folder, 'new'));
  copyFileSync(join(folder, 'before'), formatBlob);
}

test('a password change cut off in the middle is finished by repair-password, with the passwords in any order', async (t) => {
  for (const [given, other, opener] of [
    ['old', 'new', 'password'],
    ['new', 'old', 'other'],
  ] as const) {
    const damaged = copyOfRepository(t);
    const { folder, windlass } = damaged;
    await cutOffPasswordChange(damaged);
    const repair = ['--password-file', join(folder, given), 'repository', 'repair-password'];
    const file = (name: string): string[] => ['--other-password-file', join(folder, name)];
    const unsaid = await windlass.run(repair);
    assert.equal(unsaid.code, 2);
    assert.match(unsaid.stderr, /--other-password-file, or --drop-retention.*\[CLI_USAGE\]/);
    assert.equal((await windlass.run([...repair, ...file('neither')])).code, 12);
    assert.equal((await windlass.run(['snapshot', 'list'])).code, 1, 'nothing was changed so far');
    const repaired = (await windlass.json(...repair, ...file(other))) as object;
    assert.deepEqual({ ...repaired, uniqueIDHex: '' }, { uniqueIDHex: '', repaired: true, opener });
    await windlass.ok('snapshot', 'verify');
    assert.match(await windlass.ok('repository', 'repair-password'), /nothing to repair/);
  }
});

test('without the other password, repair-password wants to be told that retention may go', async (t) => {
  const damaged = copyOfRepository(t);
  const { folder, windlass } = damaged;
  await cutOffPasswordChange(damaged);
  const both = ['--drop-retention', '--other-password-file', join(folder, 'new')];
  assert.equal((await windlass.run(['repository', 'repair-password', ...both])).code, 2);
  const repair = ['repository', 'repair-password', '--drop-retention'];
  assert.equal((await windlass.run(['--password-file', join(folder, 'new'), ...repair])).code, 12);
  await windlass.ok(...repair);
  await windlass.ok('snapshot', 'verify');
});

test('a password change cut off in the middle: the old password works again once the new blob is aside', async (t) => {
  const damaged = copyOfRepository(t);
  const { folder, repository, windlass } = damaged;
  await cutOffPasswordChange(damaged);
  const cutOff = await windlass.run(['snapshot', 'list']);
  assert.equal(cutOff.code, 1);
  assert.match(cutOff.stderr, /\[PASSWORD_CHANGE_INCOMPLETE\]/);
  renameSync(join(repository, 'kopia.blobcfg.f'), join(folder, 'aside'));
  await windlass.ok('snapshot', 'verify');
});

test('a repository that was set back to an older copy is reported by every command, until that is accepted', async (t) => {
  const { folder, repository, windlass } = copyOfRepository(t);
  await windlass.ok('snapshot', 'list');
  cpSync(repository, join(folder, 'older'), { recursive: true });
  await windlass.ok('snapshot', 'create', original.trees[0] ?? '');
  rmSync(repository, { recursive: true });
  renameSync(join(folder, 'older'), repository);
  for (const args of [
    ['snapshot', 'list'],
    ['--quiet', 'repository', 'status'],
  ]) {
    const result = await windlass.run(args);
    assert.equal(result.code, 0);
    assert.match(
      result.stderr,
      /older than when it was last used here \(index blobs that were there are gone\).*\[REPOSITORY_ROLLED_BACK\]\n/,
    );
  }
  await windlass.ok('maintenance', 'set', '--owner=me');
  const refused = await windlass.run(['maintenance', 'run', '--full', '--safety=none']);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /what repository repair may bring back.*\[REPOSITORY_ROLLED_BACK\]\n$/);
  await windlass.ok('cache', 'clear', '--kind', 'state');
  const after = await windlass.run(['snapshot', 'list']);
  assert.equal(after.stderr, '');
  await windlass.ok('maintenance', 'run', '--full');
});

test('status says when the password is the one that everybody knows', async (t) => {
  const folder = scratchFolder(t, 'default-password');
  const windlass = new WindlassClient({
    repository: join(folder, 'repository'),
    cacheFolder: join(folder, 'cache'),
    password: 'static-passw0rd',
  });
  await windlass.ok('repository', 'create');
  assert.match(await windlass.ok('repository', 'status'), /^Password: +the default one.*change-password$/m);
  assert.equal(((await windlass.json('repository', 'status')) as { defaultPassword: boolean }).defaultPassword, true);
});
