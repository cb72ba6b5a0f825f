// Plants secrets wherever a run gets them from, lets commands work, fail and be refused, with the log wide open, and then
// looks for the secrets everywhere: what was printed, arguments and environments of all processes, files that were left.
import assert from 'node:assert/strict';
import { globSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { runCommand, type CommandResult } from '../test/harness/run-command.ts';
import { scratchFolder } from '../test/harness/scratch.ts';
import { WINDLASS_PATH } from '../test/harness/windlass-command.ts';

const SECRETS = {
  password: 'planted-repository-password-1',
  newPassword: 'planted-repository-password-2',
  s3Secret: 'planted/s3+secret/key0000000000000000000',
  sessionToken: 'planted-session-token-AAAA/BBBB+CCCC==',
  azureKey: 'cGxhbnRlZC1henVyZS1rZXktMDAwMDAwMDAwMDAwMDAwMA==',
  sas: 'sig=planted-sas-signature',
};

/** A secret as it is, and as it may hide. */
const FORMS = Object.values(SECRETS).flatMap((secret) => [
  secret,
  encodeURIComponent(secret),
  Buffer.from(secret).toString('base64').replace(/=+$/, ''),
  Buffer.from(secret).toString('hex'),
]);

function assertClean(what: string, text: string): void {
  for (const form of FORMS) assert.ok(!text.includes(form), `${what} holds a secret: …${excerpt(text, form)}…`);
}

function excerpt(text: string, form: string): string {
  const at = text.indexOf(form);
  return text.slice(Math.max(0, at - 80), at + 20);
}

function assertFilesClean(folder: string): void {
  for (const entry of globSync('**/*', { cwd: folder, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile()) assertClean(path, readFileSync(path, 'latin1'));
  }
}

interface Fixture {
  readonly folder: string;
  readonly secretsFolder: string;
  run(repository: string, ...args: string[]): Promise<CommandResult>;
}

function createFixture(t: TestContext): Fixture {
  const folder = scratchFolder(t, 'secrets-work');
  const secretsFolder = scratchFolder(t, 'secrets');
  const file = (name: string, text: string): string => {
    writeFileSync(join(secretsFolder, name), text, { mode: 0o600 });
    return join(secretsFolder, name);
  };
  const passwordFile = file('password', SECRETS.password);
  file('new-password', SECRETS.newPassword);
  const credentials = file(
    'aws',
    `[default]\naws_access_key_id = AKIAPLANTED\naws_secret_access_key = ${SECRETS.s3Secret}\naws_session_token = ${SECRETS.sessionToken}\n`,
  );
  const env = {
    HOME: folder,
    AWS_SHARED_CREDENTIALS_FILE: credentials,
    AWS_SECRET_ACCESS_KEY: SECRETS.s3Secret,
    AWS_ACCESS_KEY_ID: 'AKIAPLANTED',
    AWS_SESSION_TOKEN: SECRETS.sessionToken,
    AZURE_STORAGE_KEY: SECRETS.azureKey,
    AZURE_STORAGE_SAS_TOKEN: SECRETS.sas,
    WINDLASS_PASSWORD: SECRETS.newPassword,
  };
  return {
    folder,
    secretsFolder,
    async run(repository, ...args) {
      const cache = ['--cache-dir', join(folder, 'cache'), '--log-level', 'debug'];
      const result = await runCommand(
        [WINDLASS_PATH, '-r', repository, '--password-file', passwordFile, ...cache, ...args],
        { env, cwd: folder },
      );
      assertClean(`output of ${args.join(' ')}`, result.stdout + result.stderr);
      return result;
    },
  };
}

test('secrets are in no output, no message and no file that a run leaves', async (t) => {
  const { folder, secretsFolder, run } = createFixture(t);
  const repository = join(folder, 'repository');
  const tree = join(folder, 'tree');
  mkdirSync(tree);
  writeFileSync(join(tree, 'file'), 'something to keep');
  const good: string[][] = [
    ['repository', 'create'],
    ['snapshot', 'create', tree],
    ['snapshot', 'list', '--json'],
    ['repository', 'status', '--json'],
    ['snapshot', 'restore', 'latest', join(folder, 'restored'), '--json'],
    ['cache', 'status', '--json'],
    ['repository', 'change-password', '--new-password-file', join(secretsFolder, 'new-password')],
  ];
  for (const args of good) {
    const result = await run(repository, ...args);
    assert.equal(result.code, 0, `${args.join(' ')}: ${result.stderr}`);
  }
  // The file holds the old password now.
  assert.equal((await run(repository, 'snapshot', 'list', '--json')).code, 12);
  writeFileSync(join(repository, 'kopia.repository.f'), '{"damaged":');
  assert.equal((await run(repository, 'snapshot', 'list')).code, 1);
  assertFilesClean(folder);
});

test('a store that says everything it was sent is not quoted', async (t) => {
  const { folder, run } = createFixture(t);
  const seen: string[] = [];
  const echo = (request: IncomingMessage): string => {
    seen.push(JSON.stringify(request.headers));
    return `<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>${JSON.stringify(request.headers)}</Message></Error>`;
  };
  const server = createServer((request, response) => {
    response.writeHead(403, { 'content-type': 'application/xml' }).end(echo(request));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const url = `s3://bucket/prefix/?endpoint=http://127.0.0.1:${port}&region=us-east-1`;
  for (const args of [
    ['snapshot', 'list'],
    ['repository', 'status', '--json'],
    ['repository', 'create'],
  ]) {
    assert.equal((await run(url, ...args)).code, 1);
  }
  assert.ok(
    seen.some((headers) => headers.includes(SECRETS.sessionToken)),
    'the token was sent, so it could have been quoted',
  );
  assertFilesClean(folder);
});

test('a typed-in secret of an URL is refused without being repeated', async (t) => {
  const { run } = createFixture(t);
  for (const url of [
    `s3://AKIAPLANTED:${encodeURIComponent(SECRETS.s3Secret)}@bucket/prefix`,
    `azblob://container/prefix?account=a&${SECRETS.sas}`,
  ]) {
    assert.notEqual((await run(url, 'snapshot', 'list')).code, 0);
  }
});

test(
  'no process has the password among its arguments or in its environment',
  {
    skip: process.platform !== 'linux' && 'needs /proc',
  },
  async (t) => {
    const { folder, secretsFolder, run } = createFixture(t);
    const repository = join(folder, 'repository');
    await run(repository, 'repository', 'create');
    const argv = [WINDLASS_PATH, '-r', repository, '--password-file', join(secretsFolder, 'password')];
    const looked: string[] = [];
    const result = await runCommand(
      [...argv, '--cache-dir', join(folder, 'cache'), 'snapshot', 'create', '--stdin', 'stream', '--parallel', '2'],
      {
        env: { HOME: folder },
        input: Buffer.alloc(40 << 20, 'some data '),
        onStart(child) {
          const timer = setInterval(() => {
            for (const pid of familyOf(child.pid ?? 0)) looked.push(pid.text);
          }, 20);
          child.on('close', () => clearInterval(timer));
        },
      },
    );
    assert.equal(result.code, 0, result.stderr);
    assert.ok(looked.some((text) => text.includes('--stdin')));
    for (const text of looked) assertClean('a process', text);
  },
);

/** Arguments and environment of a process and of all below it. */
function familyOf(root: number): { readonly pid: number; readonly text: string }[] {
  const family: { pid: number; text: string }[] = [];
  const parents = new Map<number, number>();
  for (const name of readdirSync('/proc')) {
    const status = /^\d+$/.test(name) ? readProc(`${name}/status`) : '';
    const parent = /^PPid:\s+(\d+)/m.exec(status)?.[1];
    if (parent !== undefined) parents.set(Number(name), Number(parent));
  }
  for (const pid of [root, ...parents.keys()]) {
    let ancestor = pid;
    while (ancestor !== root && parents.has(ancestor)) ancestor = parents.get(ancestor) ?? 0;
    if (ancestor === root) family.push({ pid, text: readProc(`${pid}/cmdline`) + readProc(`${pid}/environ`) });
  }
  return family;
}

function readProc(path: string): string {
  try {
    return readFileSync(join('/proc', path), 'latin1');
  } catch {
    return ''; // it has ended
  }
}
