// Credentials that are replaced while one repository stays open: the real refusal of a real server, and the new ones from the file.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { after, before, test, type TestContext } from 'node:test';
import { systemClock } from '../../base/clock.ts';
import { WindlassError } from '../../base/errors.ts';
import { systemRandom } from '../../base/random.ts';
import { openGcsStorage } from '../../repo-format/blob/gcs.ts';
import { openS3Storage } from '../../repo-format/blob/s3.ts';
import type { BlobId, BlobStorage } from '../../repo-format/blob/storage.ts';
import { retryingStorage } from '../../repo-format/blob/wrap/retrying.ts';
import { FaultProxy } from '../harness/fault-proxy.ts';
import { startGcsServer } from '../harness/gcs-server.ts';
import { startS3Server, type S3Server } from '../harness/s3-server.ts';
import { type S3Users, s3Users } from '../harness/s3-users.ts';
import { scanTree } from '../harness/scan-tree.ts';
import { scratchFolder } from '../harness/scratch.ts';
import { WindlassClient } from '../harness/windlass-command.ts';
import { makePlainTree } from '../kopia/source-tree.ts';
import { openStorePair, PASSWORD } from './store-pair.ts';

const signal = new AbortController().signal;
const id = (name: string): BlobId => name as BlobId;
const BYTES = new Uint8Array(1000).fill(7);
let server: S3Server;
let users: S3Users;
let made = 0;

before(async () => {
  server = await startS3Server({ users: true });
  users = s3Users(server);
});
after(() => server.stop());

async function codeOf(call: Promise<unknown>): Promise<string> {
  const error = await call.then(
    () => undefined,
    (failure: unknown) => failure,
  );
  assert.ok(error instanceof WindlassError, String(error));
  return error.code;
}

/** Anew under its name, as Kubernetes changes a mounted Secret. */
function writeKeys(file: string, accessKeyId: string, secret: string): void {
  writeFileSync(file, `[default]\naws_access_key_id = ${accessKeyId}\naws_secret_access_key = ${secret}\n`);
}

interface Opened {
  readonly file: string;
  readonly storage: BlobStorage;
  readonly user: string;
}

/** One open storage with the keys of a user of its own, tried again as commands do. */
async function open(t: TestContext): Promise<Opened> {
  const [bucket, user] = [`rotation-${++made}`, `user-${made}`];
  await server.createBucket(bucket);
  users.create(user, 'first-secret');
  const file = join(scratchFolder(t), 'credentials');
  writeKeys(file, user, 'first-secret');
  const { credentials: _none, ...place } = server.optionsFor(bucket, 'p/');
  const adapter = await openS3Storage({ ...place, credentialsFile: file }, { clock: systemClock }, signal);
  t.after(() => adapter.close());
  const storage = retryingStorage(adapter, {}, { clock: systemClock, random: systemRandom });
  await storage.putBlob(id('p0'), BYTES, signal);
  return { file, storage, user };
}

test('S3: a user who is removed and replaced by another one in the file: every kind of request goes on', async (t) => {
  const long = new Uint8Array(65 << 20);
  const calls: readonly ((storage: BlobStorage) => Promise<unknown>)[] = [
    (storage) => storage.getBlob(id('p0'), undefined, signal),
    (storage) => storage.getMetadata(id('p0'), signal),
    (storage) => Array.fromAsync(storage.listBlobs('', signal)),
    (storage) => storage.putBlob(id('p1'), BYTES, signal),
    (storage) => storage.putBlob(id('p2'), long, signal), // in parts
    (storage) => storage.deleteBlob(id('p2'), signal),
  ];
  const { file, storage, user } = await open(t);
  let current = user;
  for (const [index, call] of calls.entries()) {
    // The parts' client has keys of its own from the time before.
    if (index >= 4) await storage.putBlob(id('p2'), long, signal);
    const next = `${user}-${index}`;
    users.create(next, 'another-secret');
    users.remove(current);
    writeKeys(file, next, 'another-secret');
    await call(storage);
    current = next;
  }
});

test('S3: another secret for the same key is followed', async (t) => {
  const { file, storage, user } = await open(t);
  users.changeSecret(user, 'second-secret');
  writeKeys(file, user, 'second-secret');
  assert.deepEqual(Buffer.from(await storage.getBlob(id('p0'), undefined, signal)), Buffer.from(BYTES));
});

test('S3: new keys that are refused too are one error, and later ones are followed all the same', async (t) => {
  const { file, storage, user } = await open(t);
  users.remove(user);
  assert.equal(await codeOf(storage.getBlob(id('p0'), undefined, signal)), 'BLOB_CREDENTIALS_EXPIRED');
  writeKeys(file, 'nobody', 'nothing');
  assert.equal(await codeOf(storage.putBlob(id('p1'), BYTES, signal)), 'BLOB_CREDENTIALS_EXPIRED');
  assert.equal(await codeOf(storage.getMetadata(id('p0'), signal)), 'BLOB_CREDENTIALS_EXPIRED');
  users.create(`${user}-late`, 'late-secret');
  writeKeys(file, `${user}-late`, 'late-secret');
  await storage.putBlob(id('p1'), BYTES, signal);
});

test('S3: a backup goes on when its user is removed while it runs', async (t) => {
  const proxy = await FaultProxy.start({ target: server.endpoint });
  t.after(() => proxy.close());
  const pair = await openStorePair(t, server);
  makePlainTree(pair.tree, 1, 5_000_000);
  await pair.windlass.ok('repository', 'create');
  const file = join(pair.folder, 'credentials');
  users.create('before', 'before-secret');
  writeKeys(file, 'before', 'before-secret');
  let isReplaced = false;
  proxy.plan({
    fault: { kind: 'refuse' },
    // Looks only: between two requests of the backup everything changes.
    matching: ({ verb }) => {
      if (verb === 'put' && !isReplaced) {
        isReplaced = true;
        users.create('after', 'after-secret');
        users.remove('before');
        writeKeys(file, 'after', 'after-secret');
      }
      return false;
    },
  });
  const cacheFolder = join(pair.folder, 'rotating');
  mkdirSync(cacheFolder);
  const client = new WindlassClient({
    repository: `${pair.url.replace(server.endpoint, proxy.url)}&credentialsFile=${encodeURIComponent(file)}`,
    cacheFolder,
    password: PASSWORD,
  });
  const told = (await client.json('snapshot', 'create', pair.tree)) as { storage: { retries: number } };
  assert.ok(isReplaced && told.storage.retries > 0);
  const target = pair.target('restored');
  await pair.windlass.ok('snapshot', 'restore', 'latest', target, '--source', pair.tree);
  assert.deepEqual(scanTree(target), scanTree(pair.tree));
});

test('Google: a token that ends, and a credentials file that changes, are followed by one open storage', async (t) => {
  const google = await startGcsServer();
  t.after(() => google.stop());
  const proxy = await FaultProxy.start({ target: google.endpoint });
  t.after(() => proxy.close());
  await google.createBucket('rotation');
  // Gives a token to the audience that it takes for good.
  let good = 'first';
  const issuer = createServer((request, answer) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      const audience = new URLSearchParams(body).get('audience');
      const isGood = audience === good;
      answer.writeHead(isGood ? 200 : 400, { 'content-type': 'application/json' });
      const type = 'urn:ietf:params:oauth:token-type:access_token';
      const token = { access_token: `token-${good}`, issued_token_type: type, token_type: 'Bearer', expires_in: 3600 };
      answer.end(JSON.stringify(isGood ? token : { error: 'invalid_grant' }));
    });
  });
  issuer.listen(0, '127.0.0.1');
  await once(issuer, 'listening');
  t.after(() => issuer.close().closeAllConnections());
  const address = issuer.address();
  assert.ok(address !== null && typeof address === 'object');
  const folder = scratchFolder(t);
  const [credentialsFile, subjectToken] = [join(folder, 'credentials.json'), join(folder, 'token')];
  writeFileSync(subjectToken, 'who I am');
  const write = (audience: string): void => {
    const place = { token_url: `http://127.0.0.1:${address.port}/token`, credential_source: { file: subjectToken } };
    const type = { type: 'external_account', subject_token_type: 'urn:ietf:params:oauth:token-type:jwt' };
    writeFileSync(credentialsFile, JSON.stringify({ ...type, ...place, audience }));
  };
  write('first');
  proxy.plan({
    fault: {
      kind: 'answer',
      answer: { status: 401, body: JSON.stringify({ error: { code: 401, errors: [{ reason: 'authError' }] } }) },
    },
    matching: ({ headers }) => headers.authorization !== `Bearer token-${good}`,
  });
  const adapter = await openGcsStorage(
    { bucket: 'rotation', prefix: 'p/', endpoint: proxy.url, credentialsFile },
    { clock: systemClock, random: systemRandom },
  );
  t.after(() => adapter.close());
  const refreshCredentials = adapter.refreshCredentials.bind(adapter);
  const storage = retryingStorage(adapter, {}, { clock: systemClock, random: systemRandom, refreshCredentials });
  await storage.putBlob(id('p0'), BYTES, signal);

  good = 'second'; // the old token and the old file are worth nothing any more
  assert.equal(await codeOf(storage.getBlob(id('p0'), undefined, signal)), 'BLOB_CREDENTIALS_EXPIRED');
  write('second');
  assert.deepEqual(Buffer.from(await storage.getBlob(id('p0'), undefined, signal)), Buffer.from(BYTES));
  good = 'third';
  write('third');
  await storage.putBlob(id('p1'), BYTES, signal);
});
