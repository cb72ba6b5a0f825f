import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { scratchFolder } from '../test/harness/scratch.ts';
import { WindlassClient } from '../test/harness/windlass-command.ts';

async function repository(t: TestContext): Promise<{ folder: string; windlass: WindlassClient }> {
  const folder = scratchFolder(t, 'stdin');
  const windlass = new WindlassClient({
    repository: join(folder, 'repository'),
    cacheFolder: join(folder, 'cache'),
    password: 'correct horse',
  });
  await windlass.ok('repository', 'create', '-q');
  return { folder, windlass };
}

function backUp(windlass: WindlassClient, stdin: number): { status: number | null; stderr: string } {
  const [program = '', ...args] = windlass.argv(['-q', 'snapshot', 'create', '--stdin', 'stream']);
  return spawnSync(program, args, {
    env: { PATH: process.env['PATH'] ?? '', ...windlass.env() },
    stdio: [stdin, 'ignore', 'pipe'],
    encoding: 'utf8',
  });
}

test('standard input that cannot be read is no empty backup', async (t) => {
  const { folder, windlass } = await repository(t);
  mkdirSync(join(folder, 'directory'));
  const fd = openSync(join(folder, 'directory'), 'r');
  t.after(() => closeSync(fd));
  const result = backUp(windlass, fd);
  assert.equal(result.status, 1);
  assert.match(result.stderr, /^windlass: EISDIR: .*\[EISDIR\]\n$/);
  assert.deepEqual(await windlass.json('snapshot', 'list'), []);
});

test('closed standard input is no empty backup', async (t) => {
  const { windlass } = await repository(t);
  const command = windlass.argv(['-q', 'snapshot', 'create', '--stdin', 'stream']);
  const result = spawnSync('sh', ['-c', 'exec "$@" <&-', 'sh', ...command], {
    env: { PATH: process.env['PATH'] ?? '', ...windlass.env() },
    encoding: 'utf8',
  });
  assert.equal(result.status, 1);
  assert.match(result.stderr, /^windlass: EBADF: .*\[EBADF\]\n$/);
  assert.deepEqual(await windlass.json('snapshot', 'list'), []);
});

test('a file at standard input is read from where the reader before stopped', async (t) => {
  const { folder, windlass } = await repository(t);
  writeFileSync(join(folder, 'file'), 'header\nbody\n');
  const fd = openSync(join(folder, 'file'), 'r');
  t.after(() => closeSync(fd));
  readSync(fd, Buffer.alloc(7));
  const result = backUp(windlass, fd);
  assert.equal(result.status, 0, result.stderr);
  assert.equal(await windlass.ok('cat', 'latest/stream'), 'body\n');
});

test('a working directory that is gone is one clear error', async (t) => {
  const { folder, windlass } = await repository(t);
  const [program = '', ...args] = windlass.argv(['snapshot', 'list']);
  const script = 'mkdir "$0" && cd "$0" && rmdir "$0" && exec "$@"';
  const result = spawnSync('bash', ['-c', script, join(folder, 'gone'), program, ...args], {
    env: { PATH: process.env['PATH'] ?? '', ...windlass.env() },
    encoding: 'utf8',
  });
  assert.equal(result.status, 1);
  assert.match(result.stderr, /^windlass: ENOENT: .*\[ENOENT\]$/m);
  assert.doesNotMatch(result.stderr, /^ {4}at /m);
});
