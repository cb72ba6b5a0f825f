// The command as a user runs it: launcher, exit codes, what goes to standard output and to standard error, interrupts.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { test, type TestContext } from 'node:test';
import { once } from 'node:events';
import { scratchFolder } from '../test/harness/scratch.ts';
import { WINDLASS_PATH, WindlassClient } from '../test/harness/windlass-command.ts';

const PASSWORD = 'correct horse';
const VERSION = (JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string })
  .version;

interface Place {
  readonly folder: string;
  readonly repository: string;
  readonly tree: string;
  readonly windlass: WindlassClient;
}

function place(t: TestContext): Place {
  const folder = scratchFolder(t, 'cli');
  const [repository, tree] = [join(folder, 'repository'), join(folder, 'tree')];
  mkdirSync(join(tree, 'sub'), { recursive: true });
  writeFileSync(join(tree, 'a.txt'), 'alpha\n');
  writeFileSync(join(tree, 'sub', 'b.txt'), 'beta\n');
  return {
    folder,
    repository,
    tree,
    windlass: new WindlassClient({ repository, cacheFolder: join(folder, 'cache'), password: PASSWORD }),
  };
}

/** A repository with one snapshot of `tree`. */
async function withSnapshot(t: TestContext): Promise<Place & { readonly id: string }> {
  const made = place(t);
  await made.windlass.ok('repository', 'create', '-q');
  const { id } = (await made.windlass.json('snapshot', 'create', made.tree)) as { id: string };
  return { ...made, id };
}

test('--version answers from any directory and through relative and absolute symlinks', (t) => {
  const folder = scratchFolder(t, 'launcher');
  symlinkSync(WINDLASS_PATH, join(folder, 'absolute'));
  symlinkSync('absolute', join(folder, 'relative'));
  symlinkSync(relative(folder, WINDLASS_PATH), join(folder, 'climbing'));
  for (const name of ['absolute', 'relative', 'climbing']) {
    const result = spawnSync(join(folder, name), ['--version'], { cwd: '/', encoding: 'utf8' });
    assert.deepEqual([result.status, result.stdout, result.stderr], [0, `${VERSION}\n`, '']);
  }
});

test('--version loads only what it needs, which is what keeps it quick', () => {
  const hook =
    "import{registerHooks}from'node:module';const seen=[];" +
    'registerHooks({load(url,context,next){seen.push(url);return next(url,context)}});' +
    "process.on('exit',()=>console.error(seen.join('\\n')))";
  const NODE_OPTIONS = `--import=data:text/javascript,${encodeURIComponent(hook)}`;
  const run = spawnSync(WINDLASS_PATH, ['--version'], { encoding: 'utf8', env: { ...process.env, NODE_OPTIONS } });
  assert.match(run.stdout, /^\d+\.\d+\.\d+\n$/);
  const loaded = run.stderr.split('\n').filter((line) => line.startsWith('file:'));
  assert.ok(
    loaded.some((url) => url.endsWith('/cli/main.ts')),
    run.stderr,
  );
  const heavy = loaded.filter((url) => /\/(repo-format|mover|commander|pino|koffi)\//.test(url));
  assert.deepEqual(heavy, []);
});

test('an empty path or source is wrong usage, not the working directory', async (t) => {
  const { windlass, tree } = place(t);
  for (const args of [[''], [tree, '--source', '']]) {
    const { code, stderr } = await windlass.run(['snapshot', 'create', ...args]);
    assert.equal(code, 2, stderr);
    assert.match(stderr, /is empty \[CLI_USAGE\]/);
  }
});

test('help is on standard output with examples, for every command', async (t) => {
  const { windlass } = place(t);
  for (const path of [
    [],
    ['snapshot'],
    ['snapshot', 'restore'],
    ['policy', 'set'],
    ['debug', 'index', 'show'],
    ['ls'],
  ]) {
    const result = await windlass.run([...path, '--help']);
    assert.equal(result.code, 0);
    assert.equal(result.stderr, '');
    assert.match(result.stdout, /^Usage: windlass/);
    if (path.length !== 1 || path[0] === 'ls') assert.match(result.stdout, /\nExamples:\n {2}\$ /);
    assert.deepEqual(await windlass.run(['help', ...path]), result, 'help COMMAND says the same');
  }
  const unknown = await windlass.run(['help', 'snapshot', 'bogus']);
  assert.deepEqual(
    [unknown.code, unknown.stdout, unknown.stderr],
    [2, '', "windlass: unknown command 'snapshot bogus' [CLI_USAGE]\n"],
  );
});

test('wrong usage exits 2 with one line that has a code', async (t) => {
  const { windlass, folder } = place(t);
  const cases = [
    ['bogus'],
    ['snapshot', 'list', '--bogus'],
    ['snapshot', 'create'],
    ['snapshot', 'create', 'x', '--stdin', 'y'],
    ['snapshot', 'list', '--memory-limit', 'lots'],
    ['snapshot', 'restore', 'latest', 't', '--overwrite', 'sometimes'],
    ['policy', 'show'],
    ['-r', 'sftp://host/folder', 'snapshot', 'list'],
  ];
  for (const args of cases) {
    const result = await windlass.run(args);
    assert.equal(result.code, 2, args.join(' '));
    assert.match(result.stderr, /^windlass: .* \[CLI_[A-Z_]+\]\n$/);
    assert.equal(result.stdout, '');
  }
  const suggestion = await windlass.run(['snapshot', 'lst', '--json']);
  assert.match(suggestion.stderr, /^windlass: unknown command 'lst' \(Did you mean list\?\) \[CLI_USAGE\]\n$/);
  assert.equal((JSON.parse(suggestion.stdout) as { error: { code: string } }).error.code, 'CLI_USAGE');
  assert.equal((await windlass.run(['snapshot'])).code, 2, 'a group without a command shows help and fails');
  const environment = { PATH: process.env['PATH'] ?? '', HOME: folder };
  const nothing = spawnSync(WINDLASS_PATH, ['snapshot', 'list'], { env: environment, encoding: 'utf8' });
  assert.deepEqual([nothing.status, nothing.stderr.includes('[CLI_REPOSITORY_MISSING]')], [2, true]);
});

test('no repository is 10, a wrong password 12, no password 2, and other failures 1', async (t) => {
  const { windlass, folder, repository, tree } = place(t);
  const code = async (client: WindlassClient, ...args: string[]): Promise<number | null> =>
    (await client.run(args)).code;
  assert.equal(await code(windlass, 'snapshot', 'list'), 10);
  assert.equal(await code(windlass, '-r', tree, 'snapshot', 'list'), 10, 'a folder that holds something else');
  assert.equal(await code(windlass, 'repository', 'create'), 0);
  assert.equal(await code(windlass, 'repository', 'create'), 1);
  const client = (password: string): WindlassClient =>
    new WindlassClient({ repository, cacheFolder: join(folder, 'cache'), password });
  assert.equal(await code(client('wrong'), 'snapshot', 'list'), 12);
  assert.equal(await code(client(''), 'snapshot', 'list'), 2);
  assert.equal(await code(windlass, 'snapshot', 'show', 'ffffffff'), 1);
  assert.equal(await code(windlass, 'snapshot', 'create', join(folder, 'missing')), 1);
});

test('a source that does not exist is named as such', async (t) => {
  const { windlass, folder } = place(t);
  const path = join(folder, 'missing');
  const { code, stdout, stderr } = await windlass.run(['snapshot', 'create', path, '--json']);
  assert.equal(code, 1);
  assert.match(stderr, /^windlass: .*missing does not exist: ENOENT.* \[SOURCE_UNREADABLE\]\n$/);
  const { error } = JSON.parse(stdout) as { error: object };
  assert.deepEqual(error, { code: 'SOURCE_UNREADABLE', message: `${path} does not exist`, context: { path } });
});

test('with --json a failure is one document on standard output and one line on standard error', async (t) => {
  const { windlass } = place(t);
  const result = await windlass.run(['--json', 'snapshot', 'list']);
  assert.equal(result.code, 10);
  const { error } = JSON.parse(result.stdout) as { error: { code: string; message: string } };
  assert.equal(error.code, 'REPOSITORY_NOT_FOUND');
  assert.equal(result.stderr.split('\n').length, 2);
});

test('stacks show with --log-level debug only', async (t) => {
  const { windlass } = place(t);
  assert.doesNotMatch((await windlass.run(['snapshot', 'list'])).stderr, /\n\s+at /);
  assert.match((await windlass.run(['--log-level', 'debug', 'snapshot', 'list'])).stderr, /\n\s+at /);
});

test('the password may come from a file, and a changed one takes effect', async (t) => {
  const { folder, repository, tree } = place(t);
  const [oldFile, newFile] = [join(folder, 'old'), join(folder, 'new')];
  writeFileSync(oldFile, `${PASSWORD}\n`);
  writeFileSync(newFile, 'battery staple\r\n');
  const windlass = new WindlassClient({ repository, cacheFolder: join(folder, 'cache'), password: '' });
  await windlass.ok('--password-file', oldFile, 'repository', 'create');
  await windlass.ok('--password-file', oldFile, 'snapshot', 'create', tree);
  await windlass.ok('--password-file', oldFile, 'repository', 'change-password', '--new-password-file', newFile);
  assert.equal((await windlass.run(['--password-file', oldFile, 'snapshot', 'list'])).code, 12);
  assert.match(await windlass.ok('--password-file', newFile, 'snapshot', 'list'), /2 files/);
  const missing = await windlass.run(['--password-file', join(folder, 'none'), 'snapshot', 'list']);
  assert.match(missing.stderr, /\[CLI_PASSWORD_FILE\]/);
});

test('a file that cannot be read makes a backup end with 3, and is named', async (t) => {
  const { windlass, folder, tree } = await withSnapshot(t);
  writeFileSync(join(tree, 'secret'), 's', { mode: 0o000 });
  const asUser = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {};
  if (process.getuid?.() === 0) {
    // Root reads everything: another user has to try.
    spawnSync('chown', ['-R', '65534:65534', folder]);
    chmodSync(folder, 0o755);
    chownSync(join(tree, 'secret'), 0, 0);
    const probe = spawnSync(WINDLASS_PATH, ['--version'], asUser);
    if (probe.status !== 0) return t.skip('another user cannot run this clone');
  }
  const [program = '', ...args] = windlass.argv(['snapshot', 'create', tree, '--json']);
  const result = spawnSync(program, args, {
    ...asUser,
    encoding: 'utf8',
    env: { PATH: process.env['PATH'] ?? '', ...windlass.env() },
  });
  assert.equal(result.status, 3, result.stderr);
  const { errors } = JSON.parse(result.stdout) as { errors: { path: string; code: string }[] };
  assert.deepEqual(
    errors.map(({ path, code }) => [path, code]),
    [['secret', 'EACCES']],
  );
  assert.match(result.stderr, /^windlass: secret: .*\[EACCES\]\n$/);
});

test('a credentials file that is not there is named', async (t) => {
  const repository = 's3://bucket/?endpoint=http://127.0.0.1:1&region=us-east-1&credentialsFile=/no/such/file';
  const windlass = new WindlassClient({ repository, password: 'x', cacheFolder: scratchFolder(t) });
  const { code, stderr } = await windlass.run(['snapshot', 'list']);
  assert.equal(code, 1);
  assert.match(
    stderr,
    /^windlass: the credentials file \/no\/such\/file cannot be read: ENOENT.* \[STORE_CREDENTIALS_FILE\]\n$/,
  );
});

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  test(`${signal} ends a backup with 130 and without waiting for its input, and the repository is as good as before`, async (t) => {
    const { windlass } = await withSnapshot(t);
    const [program = '', ...args] = windlass.argv(['snapshot', 'create', '--stdin', 'endless']);
    const child = spawn(program, args, {
      env: { PATH: process.env['PATH'] ?? '', ...windlass.env() },
      stdio: ['pipe', 'ignore', 'pipe'],
    });
    t.after(() => child.kill('SIGKILL'));
    child.stdin.on('error', () => undefined);
    // More than pipes hold: once it is written, the backup is running.
    const chunk = Buffer.alloc(1 << 20, 'x');
    for (let i = 0; i < 8; i++) if (!child.stdin.write(chunk)) await once(child.stdin, 'drain');
    child.kill(signal);
    // The input stays open: it would wait for ever. That it is a second on a machine at rest is the constant in interrupt.ts.
    const [code] = (await once(child, 'exit')) as [number | null];
    assert.equal(code, 130);
    await windlass.ok('snapshot', 'verify');
  });
}

test('a reader that goes away is no error message', async (t) => {
  const { windlass } = await withSnapshot(t);
  const [program = '', ...args] = windlass.argv(['debug', 'content', 'list']);
  const line = `'${[program, ...args].join("' '")}' | true; echo "\${PIPESTATUS[0]}"`;
  const result = spawnSync('bash', ['-c', line], {
    encoding: 'utf8',
    env: { PATH: process.env['PATH'] ?? '', ...windlass.env() },
  });
  assert.equal(result.stderr, '');
  assert.ok(['0', '141'].includes(result.stdout.trim()), result.stdout);
});

test('a password is asked for on a terminal and not shown', async (t) => {
  const { windlass } = await withSnapshot(t);
  const probe = spawnSync('script', ['--version'], { encoding: 'utf8' });
  if (probe.error !== undefined || !probe.stdout.includes('util-linux'))
    return t.skip('no script(1) to make a terminal');
  const command = `'${windlass.argv(['snapshot', 'list']).join("' '")}'`;
  const environment = { PATH: process.env['PATH'] ?? '', ...windlass.env(), WINDLASS_PASSWORD: '' };
  const terminal = spawn('script', ['-qec', command, '/dev/null'], {
    env: environment,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  t.after(() => terminal.kill('SIGKILL'));
  let shown = '';
  terminal.stdout.on('data', (bytes: Buffer) => {
    shown += bytes.toString();
    if (shown.endsWith('Password of the repository: ')) terminal.stdin.write(`${PASSWORD}\n`);
  });
  const [code] = (await once(terminal, 'close')) as [number | null];
  assert.equal(code, 0, shown);
  assert.match(shown, /2 files/);
  assert.ok(!shown.includes(PASSWORD));
});
