// What can be set of an S3 store, and how it fails, against a real server.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test, type TestContext } from 'node:test';
import { DeleteBucketCommand, GetObjectTaggingCommand, HeadObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { systemClock } from '../../base/clock.ts';
import { WindlassError } from '../../base/errors.ts';
import { openS3Storage } from '../../repo-format/blob/s3.ts';
import type { S3Options } from '../../repo-format/blob/s3-options.ts';
import type { BlobId, BlobStorage } from '../../repo-format/blob/storage.ts';
import { FaultProxy } from '../harness/fault-proxy.ts';
import { startS3Server, type S3Server } from '../harness/s3-server.ts';
import type { CommandResult } from '../harness/run-command.ts';
import { scratchFolder } from '../harness/scratch.ts';
import { WindlassClient } from '../harness/windlass-command.ts';

const signal = new AbortController().signal;
const id = (name: string): BlobId => name as BlobId;
let server: S3Server;
let buckets = 0;

before(async () => {
  server = await startS3Server();
});
after(() => server.stop());

async function freshBucket(): Promise<string> {
  const name = `settings-${++buckets}`;
  await server.createBucket(name);
  return name;
}

async function open(t: TestContext, options: S3Options): Promise<BlobStorage> {
  const storage = await openS3Storage(options, { clock: systemClock }, signal);
  t.after(() => storage.close());
  return storage;
}

async function codeOf(call: Promise<unknown>): Promise<string> {
  const error = await call.then(
    () => undefined,
    (failure: unknown) => failure,
  );
  assert.ok(error instanceof WindlassError, String(error));
  assert.ok(error.cause === undefined || error.code === 'BLOB_LAYOUT_INVALID', 'nothing of the library is kept');
  assert.ok(!JSON.stringify(error).includes(server.secretAccessKey));
  return error.code;
}

test('a blob longer than one put may be goes in parts and comes back whole', async (t) => {
  const bucket = await freshBucket();
  const storage = await open(t, server.optionsFor(bucket, 'p/'));
  const bytes = new Uint8Array(65 << 20);
  for (let at = 0; at < bytes.length; at += 4093) bytes[at] = at;
  await storage.putBlob(id('xn0_long'), bytes, signal);
  assert.ok(Buffer.from(bytes).equals(await storage.getBlob(id('xn0_long'), undefined, signal)));
  assert.equal((await storage.getMetadata(id('xn0_long'), signal)).length, bytes.length);
});

test('more than a thousand blobs are listed, and nothing of folders below or of other things', async (t) => {
  const bucket = await freshBucket();
  const storage = await open(t, server.optionsFor(bucket, 'a/'));
  const names = Array.from({ length: 1100 }, (_, index) => `p${index.toString().padStart(5, '0')}`);
  for (let at = 0; at < names.length; at += 50) {
    await Promise.all(names.slice(at, at + 50).map((name) => storage.putBlob(id(name), new Uint8Array(1), signal)));
  }
  for (const key of ['a/below/p1', 'a/p with space', 'a/p+plus%25&é', 'a/.storageconfig', 'ap1', 'b/p1']) {
    const body = key.endsWith('.storageconfig') ? '{}' : 'x';
    await server.client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: body }));
  }
  const listed: string[] = [];
  for await (const blob of storage.listBlobs('', signal)) listed.push(blob.id);
  assert.deepEqual(listed.sort(), names);
});

test('tags go with every blob; a storage class is what the repository says of it', async (t) => {
  const bucket = await freshBucket();
  const Body = '{"blobOptions":[{"prefix":"q","storageClass":"STANDARD_IA"}]}';
  await server.client.send(new PutObjectCommand({ Bucket: bucket, Key: 'k/.storageconfig', Body }));
  const storage = await open(t, { ...server.optionsFor(bucket, 'k/'), tagging: 'a=1&b=2' });
  await storage.putBlob(id('p1'), new Uint8Array(3), signal);
  const tags = await server.client.send(new GetObjectTaggingCommand({ Bucket: bucket, Key: 'k/p1' }));
  assert.deepEqual(tags.TagSet?.map(({ Key, Value }) => `${Key}=${Value}`).sort(), ['a=1', 'b=2']);
  const head = await server.client.send(new HeadObjectCommand({ Bucket: bucket, Key: 'k/p1' }));
  assert.equal(head.ContentType, 'application/x-kopia');
  await server.client.send(new PutObjectCommand({ Bucket: bucket, Key: 'l/.storageconfig', Body: 'not JSON' }));
  const other = await open(t, server.optionsFor(bucket, 'l/'));
  assert.equal(await codeOf(other.putBlob(id('p1'), new Uint8Array(1), signal)), 'BLOB_LAYOUT_INVALID');
});

test("a put and an upload in parts carry the headers that Velero's plugin would send", async (t) => {
  const bucket = await freshBucket();
  const proxy = await FaultProxy.start({ target: server.endpoint });
  t.after(() => proxy.close());
  const seen: { readonly path: string; readonly headers: Readonly<Record<string, unknown>> }[] = [];
  proxy.plan({
    // Answers for a store that knows keys of encryption, which the real one does not.
    fault: { kind: 'answer', answer: { status: 403, body: '<Error><Code>AccessDenied</Code></Error>' } },
    matching: ({ verb, path, headers }) => verb === 'put' && seen.push({ path, headers }) > 0,
  });
  const place = { ...server.optionsFor(bucket, 'p/'), endpoint: proxy.url, tagging: 'a=1&b=2' };
  const storage = await open(t, { ...place, kmsKeyId: 'the-key', storageClass: 'STANDARD_IA' });
  for (const length of [10, 65 << 20]) {
    assert.equal(await codeOf(storage.putBlob(id('p1'), new Uint8Array(length), signal)), 'BLOB_ACCESS_DENIED');
  }
  const [put, started] = seen;
  assert.ok(put !== undefined && started !== undefined && /[?&]uploads/.test(started.path));
  for (const { headers } of [put, started]) {
    assert.equal(headers['x-amz-server-side-encryption'], 'aws:kms');
    assert.equal(headers['x-amz-server-side-encryption-aws-kms-key-id'], 'the-key');
    assert.equal(headers['x-amz-tagging'], 'a=1&b=2');
    assert.equal(headers['x-amz-storage-class'], 'STANDARD_IA');
  }
  const plain = await open(t, { ...place, serverSideEncryption: 'AES256', checksumAlgorithm: 'none' });
  assert.equal(await codeOf(plain.putBlob(id('p1'), new Uint8Array(10), signal)), 'BLOB_ACCESS_DENIED');
  const headers = seen.at(-1)?.headers ?? {};
  assert.equal(headers['x-amz-server-side-encryption'], 'AES256');
  assert.ok(!Object.keys(headers).some((name) => name.startsWith('x-amz-checksum')));
});

for (const checksumAlgorithm of ['CRC32', 'CRC32C', 'SHA256', 'none'] as const) {
  test(`puts with the checksum ${checksumAlgorithm}`, async (t) => {
    const storage = await open(t, { ...server.optionsFor(await freshBucket()), checksumAlgorithm });
    const bytes = Buffer.from('checked');
    await storage.putBlob(id('p1'), bytes, signal);
    assert.deepEqual(Buffer.from(await storage.getBlob(id('p1'), undefined, signal)), bytes);
  });
}

test('a credentials file and its profile are read; keys that are wrong, and no file, are told apart', async (t) => {
  const bucket = await freshBucket();
  const file = join(scratchFolder(t), 'credentials');
  const write = (secret: string): void => {
    const keys = `aws_access_key_id = ${server.accessKeyId}\naws_secret_access_key = ${secret}\n`;
    writeFileSync(file, `[default]\naws_access_key_id = x\naws_secret_access_key = x\n[mine]\n${keys}`);
  };
  write('wrong');
  const { credentials: _none, ...place } = server.optionsFor(bucket);
  const denied = await open(t, { ...place, credentialsFile: file, profile: 'mine' });
  assert.equal(await codeOf(denied.getMetadata(id('p1'), signal)), 'BLOB_ACCESS_DENIED');
  write(server.secretAccessKey);
  const storage = await open(t, { ...place, credentialsFile: file, profile: 'mine' });
  await storage.putBlob(id('p1'), new Uint8Array(1), signal);
  const missing = await open(t, { ...place, credentialsFile: `${file}.none` });
  assert.equal(await codeOf(missing.getMetadata(id('p1'), signal)), 'BLOB_CREDENTIALS_MISSING');
});

test('each failure has its code', async (t) => {
  const place = server.optionsFor(await freshBucket());
  const nowhere = await open(t, { ...place, bucket: 'no-such-bucket' });
  assert.equal(await codeOf(nowhere.getBlob(id('p1'), undefined, signal)), 'BLOB_BUCKET_MISSING');
  assert.equal(await codeOf(nowhere.getMetadata(id('p1'), signal)), 'BLOB_BUCKET_MISSING');
  assert.equal(await codeOf(nowhere.putBlob(id('p1'), new Uint8Array(1), signal)), 'BLOB_BUCKET_MISSING');
  assert.equal(await codeOf(Array.fromAsync(nowhere.listBlobs('', signal))), 'BLOB_BUCKET_MISSING');
  const stranger = { accessKeyId: 'nobody', secretAccessKey: 'nothing' };
  const unknown = await open(t, { ...place, credentials: stranger });
  assert.equal(await codeOf(unknown.getBlob(id('p1'), undefined, signal)), 'BLOB_ACCESS_DENIED');
  assert.equal(await codeOf(unknown.getMetadata(id('p1'), signal)), 'BLOB_ACCESS_DENIED');
  const closed = await open(t, { ...place, endpoint: 'http://127.0.0.1:9' });
  assert.equal(await codeOf(closed.getBlob(id('p1'), undefined, signal)), 'BLOB_STORE_UNAVAILABLE');
  const hostless = await open(t, { ...place, endpoint: 'http://no-such-host.invalid' });
  const code = await codeOf(hostless.getBlob(id('p1'), undefined, signal));
  // A resolver that cannot be reached does not know that there is none.
  assert.ok(['BLOB_STORE_UNKNOWN', 'BLOB_STORE_UNAVAILABLE'].includes(code), code);
});

test('a bucket that is deleted meanwhile is told as that', async (t) => {
  const bucket = await freshBucket();
  const storage = await open(t, server.optionsFor(bucket));
  await storage.putBlob(id('p1'), new Uint8Array(1), signal);
  await storage.deleteBlob(id('p1'), signal);
  await server.client.send(new DeleteBucketCommand({ Bucket: bucket }));
  assert.equal(await codeOf(storage.putBlob(id('p1'), new Uint8Array(1), signal)), 'BLOB_BUCKET_MISSING');
});

/** With a certificate that nobody has signed; undefined where there is no openssl. */
async function startTlsServer(t: TestContext): Promise<{ server: S3Server; certificate: string } | undefined> {
  const folder = scratchFolder(t);
  const [certificate, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  const request = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=test'];
  const names = ['-addext', 'subjectAltName=IP:127.0.0.1'];
  const made = spawnSync('openssl', [...request, ...names, '-out', certificate, '-keyout', key]);
  if (made.status !== 0) return undefined;
  const secure = await startS3Server({ tls: { certificate, key } });
  t.after(() => secure.stop());
  return { server: secure, certificate };
}

test('a certificate is verified unless the options say otherwise', async (t) => {
  const started = await startTlsServer(t);
  if (started === undefined) return t.skip('there is no openssl');
  const { server: secure, certificate } = started;
  const place = secure.optionsFor('unused-bucket');
  const strict = await open(t, place);
  assert.equal(await codeOf(strict.getBlob(id('p1'), undefined, signal)), 'BLOB_TLS_UNTRUSTED');
  const trusting = await open(t, { ...place, caCertPem: readFileSync(certificate, 'utf8') });
  assert.equal(await codeOf(trusting.getBlob(id('p1'), undefined, signal)), 'BLOB_BUCKET_MISSING');
  const lax = await open(t, { ...place, insecureSkipTlsVerify: true });
  assert.equal(await codeOf(lax.getBlob(id('p1'), undefined, signal)), 'BLOB_BUCKET_MISSING');
  const plain = await open(t, { ...place, endpoint: secure.endpoint.replace('https', 'http') });
  const code = await codeOf(plain.getBlob(id('p1'), undefined, signal));
  assert.ok(['BLOB_STORE_REFUSED', 'BLOB_STORE_UNAVAILABLE'].includes(code), code);
});

test('a run whose certificate is not verified says so once, and one that cannot be is refused', async (t) => {
  const started = await startTlsServer(t);
  if (started === undefined) return t.skip('there is no openssl');
  const { server: secure, certificate } = started;
  // A folder is a bucket: the tests' own client would not trust the server.
  mkdirSync(join(secure.folder, 'tls'));
  const run = (query: string, ...args: string[]): Promise<CommandResult> => {
    const repository = `s3://tls/place/?endpoint=${secure.endpoint}&region=us-east-1${query}`;
    const client = { repository, password: 'tls', cacheFolder: scratchFolder(t), environment: secure.environment };
    return new WindlassClient(client).run(args);
  };
  const made = await run('&insecureSkipTLSVerify=true', '--quiet', 'repository', 'create');
  assert.equal(made.code, 0, made.stderr);
  assert.equal(made.stderr.match(/is not verified/g)?.length, 1, made.stderr);
  const listed = await run('&insecureSkipTLSVerify=true', '--json', 'snapshot', 'list');
  assert.deepEqual([listed.code, listed.stdout.trim()], [0, '[]']);
  assert.equal(listed.stderr.match(/is not verified/g)?.length, 1, listed.stderr);
  const trusted = await run(`&caCert=${certificate}`, '--json', 'snapshot', 'list');
  assert.deepEqual([trusted.code, trusted.stderr], [0, '']);
  const refused = await run('', 'snapshot', 'list');
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /^windlass: .*certificate is not trusted.* \[BLOB_TLS_UNTRUSTED\]\n$/);
});
