// Whole commands while the store fails: they succeed all the same, or end in one line, and what was backed up before is there.
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test, type TestContext } from 'node:test';
import { FaultProxy } from '../harness/fault-proxy.ts';
import type { Answer } from '../harness/proxy-faults.ts';
import { scanTree } from '../harness/scan-tree.ts';
import { startS3Server, type S3Server } from '../harness/s3-server.ts';
import { WindlassClient } from '../harness/windlass-command.ts';
import { changePlainTree, makePlainTree } from '../kopia/source-tree.ts';
import { openStorePair, PASSWORD } from './store-pair.ts';

const SMALL = 5_000_000;
let server: S3Server;
let proxy: FaultProxy;

before(async () => {
  server = await startS3Server();
  proxy = await FaultProxy.start({ target: server.endpoint });
});
after(async () => {
  await proxy.close();
  await server.stop();
});

const refusal = (status: number, code: string): Answer => ({
  status,
  headers: { 'content-type': 'application/xml' },
  body: `<?xml version="1.0"?><Error><Code>${code}</Code><Message>planned</Message></Error>`,
});

interface Subject {
  readonly tree: string;
  readonly folder: string;
  /** A client by way of the proxy, with an empty cache. */
  client(name: string, environment?: Readonly<Record<string, string>>): WindlassClient;
}

async function open(t: TestContext): Promise<Subject> {
  proxy.clear();
  proxy.resetStats();
  const pair = await openStorePair(t, server);
  const repository = pair.url.replace(server.endpoint, proxy.url);
  const client = (name: string, environment = server.environment): WindlassClient => {
    const cacheFolder = join(pair.folder, name);
    mkdirSync(cacheFolder, { recursive: true });
    return new WindlassClient({ repository, cacheFolder, password: PASSWORD, environment });
  };
  makePlainTree(pair.tree, 1, SMALL);
  await client('first').ok('repository', 'create');
  return { tree: pair.tree, folder: pair.folder, client };
}

interface Told {
  readonly id: string;
  readonly storage: {
    readonly retries: number;
    readonly put: { readonly requests: number; readonly failures: number };
  };
}

async function assertRestores(subject: Subject, name: string, snapshot = 'latest'): Promise<void> {
  const target = join(subject.folder, `${name}-restored`);
  const source = snapshot === 'latest' ? ['--source', subject.tree] : [];
  await subject.client(`${name}-restore`).ok('snapshot', 'restore', snapshot, target, ...source);
  assert.deepEqual(scanTree(target), scanTree(subject.tree));
}

test('backup, restore and verification in bad weather', async (t) => {
  const subject = await open(t);
  let requests = 0;
  const every = (phase: number) => () => requests % 12 === phase;
  proxy.plan(
    { fault: { kind: 'answer', answer: refusal(503, 'SlowDown') }, matching: () => ++requests % 12 === 1 },
    { fault: { kind: 'reset-response', atByte: 100 }, matching: every(4) },
    { fault: { kind: 'lose-answer' }, matching: every(7) },
    {
      fault: { kind: 'reset-request', atByte: 100 },
      matching: (request) => request.verb === 'put' && requests % 3 === 0,
    },
  );
  const told = (await subject.client('storm').json('snapshot', 'create', subject.tree)) as Told;
  assert.ok(told.storage.retries > 0, 'there was weather');
  await assertRestores(subject, 'storm');
  await subject.client('storm-verify').ok('snapshot', 'verify');
  assert.ok(proxy.clear().every((hits) => hits > 0));
  await subject.client('calm-verify').ok('snapshot', 'verify');
});

test('what --json tells of requests is what the store saw', async (t) => {
  const subject = await open(t);
  proxy.resetStats();
  const told = (await subject.client('counted').json('snapshot', 'create', subject.tree)) as Told;
  assert.deepEqual([told.storage.put.requests, told.storage.put.failures], [proxy.stats.requests.put, 0]);
  assert.ok(told.storage.put.requests > 0);
});

test('a store that takes no more ends a backup in one line; what was there before is whole', async (t) => {
  const subject = await open(t);
  const first = (await subject.client('full').json('snapshot', 'create', subject.tree)) as Told;
  await assertRestores(subject, 'before', first.id);
  for (const [status, word, code] of [
    [507, 'InsufficientStorage', 'BLOB_STORE_FULL'],
    [403, 'AccessDenied', 'BLOB_ACCESS_DENIED'],
    [404, 'NoSuchBucket', 'BLOB_BUCKET_MISSING'],
  ] as const) {
    changePlainTree(subject.tree, status);
    proxy.plan({
      fault: { kind: 'answer', answer: refusal(status, word) },
      matching: ({ verb }) => verb === 'put',
      skip: 1,
    });
    const result = await subject.client(`full-${status}`).run(['snapshot', 'create', subject.tree]);
    proxy.clear();
    assert.equal(result.code, 1, result.stderr);
    const lines = result.stderr
      .trimEnd()
      .split('\n')
      .filter((line) => line.startsWith('windlass: '));
    assert.equal(lines.length, 1, result.stderr);
    assert.match(lines[0] ?? '', new RegExp(`\\[${code}\\]$`));
    await subject.client(`full-verify-${status}`).ok('snapshot', 'verify');
  }
  await subject.client('full-again').ok('snapshot', 'create', subject.tree);
  await assertRestores(subject, 'again');
});

test('credentials that expire while a backup runs, and are replaced in their file', async (t) => {
  const subject = await open(t);
  const file = join(subject.folder, 'credentials');
  const write = (accessKeyId: string): void =>
    writeFileSync(
      file,
      `[default]\naws_access_key_id = ${accessKeyId}\naws_secret_access_key = ${server.secretAccessKey}\n`,
    );
  write(server.accessKeyId);
  // From the second put on the key is a stale one, as it were, until somebody has written a new file.
  let puts = 0;
  let isReplaced = false;
  proxy.plan({
    fault: { kind: 'answer', answer: refusal(400, 'ExpiredToken') },
    matching: ({ verb }) => {
      if (verb === 'put') puts++;
      if (puts < 2 || isReplaced) return false;
      write(server.accessKeyId);
      isReplaced = true;
      return true;
    },
  });
  const client = subject.client('rotated', { AWS_SHARED_CREDENTIALS_FILE: file });
  await client.ok('snapshot', 'create', subject.tree);
  assert.deepEqual(proxy.clear(), [1]);
  await assertRestores(subject, 'rotated');
});

test('interrupted while the store is away: no waiting for it', async (t) => {
  const subject = await open(t);
  proxy.resetStats();
  proxy.plan({ fault: { kind: 'silence' }, matching: ({ verb }) => verb === 'put' });
  const result = await subject.client('interrupted').run(['snapshot', 'create', subject.tree], {
    onStart: (child) => {
      const look = setInterval(() => {
        if (proxy.stats.requests.put === 0) return;
        clearInterval(look);
        child.kill('SIGINT');
      }, 50);
    },
  });
  proxy.clear();
  assert.equal(result.code, 130, result.stderr);
});
