// What the commands do and print, through the real command on a real folder. JSON shapes are the contract: members are checked by name.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { hostname, userInfo } from 'node:os';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { scratchFolder } from '../test/harness/scratch.ts';
import { WindlassClient } from '../test/harness/windlass-command.ts';

interface Snapshot {
  readonly id: string;
  readonly source: { readonly host: string; readonly userName: string; readonly path: string };
  readonly rootEntry: { readonly obj: string; readonly summ: { readonly files: number } };
  readonly stats: { readonly cachedFiles: number };
  readonly tags?: Readonly<Record<string, string>>;
  readonly pins?: readonly string[];
}

/** One repository for all tests here, each of which leaves the first two snapshots alone. */
const shared = { folder: '', tree: '', first: '', second: '' };
let windlass = new WindlassClient({ repository: '', cacheFolder: '', password: '' });

before(async (suite) => {
  const folder = scratchFolder(
    { after: (hook) => process.on('exit', hook) },
    suite.name === '' ? 'commands' : 'commands',
  );
  const tree = join(folder, 'tree');
  mkdirSync(join(tree, 'etc', 'app'), { recursive: true });
  writeFileSync(join(tree, 'etc', 'app', 'x.conf'), 'x=1\n');
  writeFileSync(join(tree, 'etc', 'hosts'), 'localhost\n');
  writeFileSync(join(tree, 'big'), Buffer.alloc(9 << 20, 'z'));
  symlinkSync('hosts', join(tree, 'etc', 'link'));
  windlass = new WindlassClient({
    repository: join(folder, 'repository'),
    cacheFolder: join(folder, 'cache'),
    password: 'p',
  });
  await windlass.ok('repository', 'create');
  const first = await snapshot('snapshot', 'create', tree, '--tag', 'env:prod', '--description', 'one');
  writeFileSync(join(tree, 'etc', 'hosts'), 'localhost changed\n');
  writeFileSync(join(tree, 'etc', 'new'), 'new\n');
  const second = await snapshot('snapshot', 'create', tree);
  Object.assign(shared, { folder, tree, first: first.id, second: second.id });
});

const snapshot = async (...args: string[]): Promise<Snapshot> => (await windlass.json(...args)) as Snapshot;
const list = async (...args: string[]): Promise<Snapshot[]> =>
  (await windlass.json('snapshot', 'list', ...args)) as Snapshot[];

test('repository status has the members of kopia', async () => {
  const status = (await windlass.json('repository', 'status')) as Record<string, unknown>;
  for (const member of ['uniqueIDHex', 'storage', 'volume', 'contentFormat', 'objectFormat', 'blobRetention'])
    assert.ok(member in status, member);
  for (const member of ['blobs', 'snapshots', 'defaultPassword']) assert.ok(member in status, member);
  assert.deepEqual(status['objectFormat'], { splitter: 'DYNAMIC-4M-BUZHASH' });
  const { hash, encryption, version } = status['contentFormat'] as Record<string, unknown>;
  assert.deepEqual([hash, encryption, version], ['BLAKE3-256-128', 'AES256-GCM-HMAC-SHA256', 3]);
});

test('a repository can be made with every choice of format', async () => {
  const repository = join(shared.folder, 'chosen');
  const options = [
    '--hash',
    'HMAC-SHA256',
    '--encryption',
    'CHACHA20-POLY1305-HMAC-SHA256',
    '--splitter',
    'FIXED-1M',
    '--format-version',
    '2',
  ];
  const { contentFormat } = (await windlass.json('-r', repository, 'repository', 'create', ...options)) as {
    contentFormat: Record<string, unknown>;
  };
  assert.deepEqual([contentFormat['hash'], contentFormat['version']], ['HMAC-SHA256', 2]);
  const bad = await windlass.run(['-r', join(shared.folder, 'bad'), 'repository', 'create', '--hash', 'MD5']);
  assert.match(bad.stderr, /MD5.*\[FORMAT_UNSUPPORTED\]/);
});

test('create tells id, source, rootEntry, stats, errors and consistency', async () => {
  const made = (await windlass.json('snapshot', 'create', shared.tree, '--source', 'u@h:/elsewhere')) as Snapshot &
    Record<string, unknown>;
  for (const member of [
    'id',
    'source',
    'description',
    'startTime',
    'endTime',
    'stats',
    'rootEntry',
    'errors',
    'consistency',
  ]) {
    assert.ok(member in made, member);
  }
  assert.deepEqual(made.source, { host: 'h', userName: 'u', path: '/elsewhere' });
  assert.deepEqual(made['errors'], []);
  assert.equal((made['consistency'] as { status: string }).status, 'exact');
  await windlass.ok('snapshot', 'delete', made.id);
});

test('an unchanged tree gives the same root object and reads no file', async () => {
  const again = await snapshot('snapshot', 'create', shared.tree);
  const second = await snapshot('snapshot', 'show', shared.second);
  assert.equal(again.rootEntry.obj, second.rootEntry.obj);
  assert.ok(again.stats.cachedFiles >= 4);
  await windlass.ok('snapshot', 'delete', again.id);
});

test('list is an array in the members and order of kopia, filtered by source and tag', async () => {
  const all = await list();
  assert.deepEqual(
    all.map(({ id }) => id),
    [shared.first, shared.second],
  );
  const expected = ['id', 'source', 'description', 'startTime', 'endTime', 'stats', 'rootEntry'];
  assert.deepEqual(Object.keys(all[0] ?? {}), [...expected, 'tags', 'retentionReason']);
  assert.deepEqual(all[0]?.tags, { 'tag:env': 'prod' });
  const host = hostname().split('.')[0]?.toLowerCase();
  assert.deepEqual(all[1]?.source, { host, userName: userInfo().username, path: shared.tree });
  assert.deepEqual(
    (await list('--tag', 'env:prod')).map(({ id }) => id),
    [shared.first],
  );
  assert.deepEqual(await list('/nowhere'), []);
  const text = await windlass.ok('snapshot', 'list');
  assert.match(text, new RegExp(`${shared.second}.*latest-1`));
});

test('snapshots are named by ID, unique beginning, or latest of a source', async () => {
  for (const name of [shared.second, shared.second.slice(0, 8), 'latest'])
    assert.equal((await snapshot('snapshot', 'show', name)).id, shared.second);
  assert.equal((await snapshot('snapshot', 'show', 'latest', '--source', shared.tree)).id, shared.second);
  const none = await windlass.run(['snapshot', 'show', 'latest', '--source', 'u@h:/none']);
  assert.match(none.stderr, /no complete snapshot of u@h:\/none \[SNAPSHOT_NOT_FOUND\]/);
  assert.match(
    (await windlass.run(['snapshot', 'show', shared.first.slice(0, 3)])).stderr,
    /\[SNAPSHOT_NOT_FOUND\]/,
    'too short to be meant',
  );
  assert.equal((await windlass.run(['snapshot', 'delete', 'latest'])).code, 2);
});

test('a pin keeps its name and gives a new ID, and goes again', async () => {
  const extra = await snapshot('snapshot', 'create', shared.tree, '--pin', 'b', '--source', 'u@h:/pins');
  const pinned = await snapshot('snapshot', 'pin', extra.id, 'a');
  assert.deepEqual(pinned.pins, ['a', 'b']);
  assert.notEqual(pinned.id, extra.id);
  assert.equal((await snapshot('snapshot', 'pin', pinned.id, 'a')).id, pinned.id, 'nothing to change');
  const unpinned = await snapshot('snapshot', 'unpin', pinned.id, 'b');
  assert.deepEqual(unpinned.pins, ['a']);
  assert.deepEqual(await windlass.json('snapshot', 'delete', unpinned.id.slice(0, 10)), { deleted: [unpinned.id] });
});

test('ls, cat and find look into snapshots', async () => {
  assert.equal(await windlass.ok('ls', 'latest'), 'etc/\nbig\n');
  assert.equal(await windlass.ok('ls', '-R', 'latest/etc'), 'app/\napp/x.conf\nhosts\nlink\nnew\n');
  assert.match(await windlass.ok('ls', '-l', 'latest/etc/hosts'), /^-rw.* 18 .* hosts\n$/);
  const entries = (await windlass.json('ls', 'latest/etc')) as { path: string; type: string; obj: string }[];
  assert.deepEqual(
    entries.map(({ path, type }) => [path, type]),
    [
      ['etc/app', 'd'],
      ['etc/hosts', 'f'],
      ['etc/link', 's'],
      ['etc/new', 'f'],
    ],
  );
  assert.equal(await windlass.ok('cat', `${shared.first}/etc/hosts`), 'localhost\n');
  assert.equal(await windlass.ok('cat', 'latest/etc/hosts'), 'localhost changed\n');
  assert.equal((await windlass.ok('cat', 'latest/big')).length, 9 << 20);
  assert.match((await windlass.run(['cat', 'latest/etc'])).stderr, /\[CLI_NOT_A_FILE\]/);
  assert.match((await windlass.run(['ls', 'latest/nope'])).stderr, /\[ENTRY_NOT_FOUND\]/);
  const found = (await windlass.json('find', '*.conf')) as { snapshot: { id: string }; entry: { path: string } }[];
  assert.deepEqual(
    found.map(({ snapshot: { id }, entry }) => [id, entry.path]),
    [
      [shared.first, 'etc/app/x.conf'],
      [shared.second, 'etc/app/x.conf'],
    ],
  );
});

test('diff tells what changed', async () => {
  const differences = (await windlass.json('snapshot', 'diff', shared.first, 'latest')) as {
    path: string;
    change: string;
  }[];
  const changed = differences.filter(({ path }) => path.includes('/'));
  assert.deepEqual(
    changed.map(({ path, change }) => [path, change]),
    [
      ['etc/hosts', 'changed'],
      ['etc/new', 'added'],
    ],
  );
  assert.match(await windlass.ok('snapshot', 'diff', `${shared.first}/etc`, 'latest/etc'), /^\+ \/new$/m);
});

test('a restore gives back the tree, a part or a file, and a receipt', async () => {
  const target = join(shared.folder, 'restored');
  const receiptFile = join(shared.folder, 'receipt.json');
  const receipt = (await windlass.json(
    'snapshot',
    'restore',
    'latest',
    target,
    '--verify',
    '--receipt',
    receiptFile,
  )) as Record<string, unknown>;
  assert.equal(receipt['status'], 'complete');
  assert.deepEqual(JSON.parse(readFileSync(receiptFile, 'utf8')), receipt);
  assert.equal(readFileSync(join(target, 'etc', 'hosts'), 'utf8'), 'localhost changed\n');
  await windlass.ok('snapshot', 'restore', `${shared.first}/etc/hosts`, join(shared.folder, 'hosts'));
  assert.equal(readFileSync(join(shared.folder, 'hosts'), 'utf8'), 'localhost\n');
  const dry = join(shared.folder, 'dry');
  assert.match(await windlass.ok('snapshot', 'restore', 'latest/etc', dry, '--dry-run'), /would restore 3 files/);
  assert.throws(() => readFileSync(join(dry, 'hosts')), { code: 'ENOENT' });
});

test('verify passes and says what it read', async () => {
  const report = (await windlass.json('snapshot', 'verify')) as { snapshots: number; failures: unknown[] };
  assert.deepEqual([report.snapshots, report.failures], [2, []]);
});

test('a stream is backed up under its name', async () => {
  const made = await windlass.run(['snapshot', 'create', '--stdin', 'dump.sql', '--source', 'u@h:/dumps', '--json'], {
    input: 'select 1;\n',
  });
  assert.equal(made.code, 0, made.stderr);
  const { id } = JSON.parse(made.stdout) as Snapshot;
  assert.equal(await windlass.ok('cat', `${id}/dump.sql`), 'select 1;\n');
  await windlass.ok('snapshot', 'delete', id);
});

test('policies are set, shown and inherited', async () => {
  await windlass.ok(
    'policy',
    'set',
    shared.tree,
    '--keep-daily',
    '14',
    '--add-ignore',
    '*.tmp',
    '--compression',
    'zstd-fastest',
  );
  const shown = (await windlass.json('policy', 'show', shared.tree)) as {
    retention: Record<string, number>;
    files: { ignore: string[] };
  };
  assert.deepEqual(
    [shown.retention['keepDaily'], shown.retention['keepWeekly'], shown.files.ignore],
    [14, 4, ['*.tmp']],
  );
  await windlass.ok(
    'policy',
    'set',
    shared.tree,
    '--keep-daily',
    'inherit',
    '--remove-ignore',
    '*.tmp',
    '--compression',
    'inherit',
  );
  const defined = (await windlass.json('policy', 'show', shared.tree, '--defined')) as Record<string, object>;
  assert.deepEqual([defined['retention'], defined['files'], defined['compression']], [{}, {}, {}]);
  assert.match(
    (await windlass.run(['policy', 'set', '--global', '--compression', 'bogus'])).stderr,
    /\[FORMAT_UNSUPPORTED\]/,
  );
});

test('caches are listed by repository and cleared', async () => {
  const cache = join(shared.folder, 'clear-me');
  await windlass.ok('--cache-dir', cache, 'snapshot', 'create', shared.tree, '--source', 'u@h:/cache');
  const { uniqueIDHex } = (await windlass.json('repository', 'status')) as { uniqueIDHex: string };
  const cleared = (await windlass.json('--cache-dir', cache, 'cache', 'clear')) as {
    cleared: { uniqueIDHex: string }[];
  };
  assert.deepEqual(
    cleared.cleared.map((folder) => folder.uniqueIDHex),
    [uniqueIDHex],
  );
  assert.deepEqual(await windlass.json('--cache-dir', cache, 'cache', 'status'), { path: cache, repositories: [] });
  await windlass.ok('snapshot', 'delete', (await snapshot('snapshot', 'show', 'latest', '--source', 'u@h:/cache')).id);
});

test('debug shows blobs, indexes, contents and manifests', async () => {
  const blobs = (await windlass.json('debug', 'blob', 'list')) as { id: string; length: number }[];
  assert.ok(blobs.some(({ id }) => id === 'kopia.repository'));
  assert.match(await windlass.ok('debug', 'blob', 'show', 'kopia.repository'), /"uniqueID"/);
  const indexes = (await windlass.json('debug', 'index', 'list', '--check')) as { id: string; entries: number }[];
  assert.ok(indexes.length > 0 && indexes.every(({ entries }) => entries > 0));
  const [index] = indexes;
  const rows = (await windlass.json('debug', 'index', 'show', index?.id ?? '')) as { contentID: string }[];
  assert.equal(rows.length, index?.entries);
  const contents = (await windlass.json('debug', 'content', 'list', '--prefix', 'k')) as { contentID: string }[];
  const root = (await snapshot('snapshot', 'show', 'latest')).rootEntry.obj;
  assert.ok(contents.some(({ contentID }) => contentID === root));
  assert.match(await windlass.ok('debug', 'content', 'show', root), /^\{"stream":"kopia:directory"/);
  const manifests = (await windlass.json('debug', 'manifest', 'list', '--label', 'type:snapshot')) as { id: string }[];
  assert.deepEqual(manifests.map(({ id }) => id).sort(), [shared.first, shared.second].sort());
  const shown = (await windlass.json('debug', 'manifest', 'show', shared.first)) as { data: { description: string } };
  assert.equal(shown.data.description, 'one');
});

test('a damaged index blob is found, and what is left stays readable', async () => {
  const repository = join(shared.folder, 'damaged');
  await windlass.ok('-r', repository, 'repository', 'create');
  await windlass.ok('-r', repository, 'snapshot', 'create', shared.tree);
  await windlass.ok('-r', repository, 'snapshot', 'create', join(shared.tree, 'etc'));
  const indexes = (await windlass.json('-r', repository, 'debug', 'index', 'list')) as { id: string; length: number }[];
  const victim = indexes.find(({ length }) => length === Math.max(...indexes.map((index) => index.length)))?.id ?? '';
  const path = join(repository, victim.slice(0, 1), victim.slice(1, 4), `${victim.slice(4)}.f`);
  const bytes = readFileSync(path);
  bytes.writeUInt8(bytes.readUInt8(40) ^ 1, 40);
  writeFileSync(path, bytes);
  assert.match(
    (await windlass.run(['-r', repository, 'snapshot', 'list'])).stderr,
    new RegExp(`${victim}.*\\[(BLOB|INDEX)_CORRUPT\\]`),
  );
  const check = await windlass.run(['-r', repository, 'debug', 'index', 'list', '--check', '--json']);
  assert.equal(check.code, 1);
  const checked = JSON.parse(check.stdout) as { id: string; error?: { code: string } }[];
  assert.deepEqual(
    checked.filter(({ error }) => error !== undefined).map(({ id }) => id),
    [victim],
  );
  const listed = await windlass.run(['-r', repository, 'debug', 'content', 'list', '--json']);
  assert.equal(listed.code, 0);
  assert.match(listed.stderr, new RegExp(`index blob ${victim} is left out`));
});
