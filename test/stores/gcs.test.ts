// Google Cloud Storage: the contract of every storage, and what is its own, against fake-gcs-server.
import assert from 'node:assert/strict';
import { after, before, describe, test, type TestContext } from 'node:test';
import { systemClock } from '../../base/clock.ts';
import { systemRandom } from '../../base/random.ts';
import { type GcsStorage, type GcsStorageOptions, openGcsStorage } from '../../repo-format/blob/gcs.ts';
import type { BlobId } from '../../repo-format/blob/storage.ts';
import { blobStorageSuite } from '../harness/blob-storage-suite.ts';
import { type GcsServer, startGcsServer } from '../harness/gcs-server.ts';

const signal = new AbortController().signal;
const id = 'p0123456789abcdef0123456789abcdef-s0123456789abcdef147' as BlobId;
let server: GcsServer;
let buckets = 0;

before(async () => {
  server = await startGcsServer();
});
after(() => server.stop());

async function openIn(bucket: string, prefix: string, more: Partial<GcsStorageOptions> = {}): Promise<GcsStorage> {
  return openGcsStorage(
    { bucket, prefix, endpoint: server.endpoint, anonymous: true, ...more },
    { clock: systemClock, random: systemRandom },
  );
}

async function freshBucket(): Promise<string> {
  const name = `bucket-${buckets++}`;
  await server.createBucket(name);
  return name;
}

for (const prefix of ['', 'some/prefix/', 'no-slash']) {
  blobStorageSuite(`Google Cloud Storage with prefix "${prefix}"`, async () => openIn(await freshBucket(), prefix));
}

async function opened(t: TestContext, bucket: string, more: Partial<GcsStorageOptions> = {}): Promise<GcsStorage> {
  const storage = await openIn(bucket, 'x/', more);
  t.after(() => storage.close());
  return storage;
}

describe('what is Google Cloud its own', () => {
  test('a bucket that does not exist', async (t) => {
    const storage = await opened(t, 'missing');
    await assert.rejects(storage.getBlob(id, undefined, signal), { code: 'BLOB_BUCKET_MISSING' });
    await assert.rejects(storage.getMetadata(id, signal), { code: 'BLOB_BUCKET_MISSING' });
    await assert.rejects(storage.putBlob(id, new Uint8Array(1), signal), { code: 'BLOB_BUCKET_MISSING' });
    await assert.rejects(storage.deleteBlob(id, signal), { code: 'BLOB_BUCKET_MISSING' });
    await assert.rejects(storage.listBlobs('', signal).next(), { code: 'BLOB_BUCKET_MISSING' });
  });

  test('a long blob', async (t) => {
    const storage = await opened(t, await freshBucket());
    const bytes = Buffer.alloc((64 << 20) + 1, 'block by block');
    const put = await storage.putBlob(id, bytes, signal);
    assert.deepEqual(put, await storage.getMetadata(id, signal));
    assert.ok(bytes.equals(await storage.getBlob(id, undefined, signal)));
  });

  test('names of other programs are not listed', async (t) => {
    const bucket = await freshBucket();
    const inner = await openIn(bucket, 'x/deeper/');
    t.after(() => inner.close());
    await inner.putBlob(id, new Uint8Array(1), signal);
    const storage = await opened(t, bucket);
    await storage.putBlob('a' as BlobId, new Uint8Array(1), signal);
    const names: string[] = [];
    for await (const blob of storage.listBlobs('', signal)) names.push(blob.id);
    assert.deepEqual(names, ['a']);
  });

  test('more names than a page holds', async (t) => {
    const storage = await opened(t, await freshBucket());
    const expected = Array.from({ length: 1201 }, (_, index) => `n${String(index).padStart(5, '0')}`);
    for (let at = 0; at < expected.length; at += 50) {
      const some = expected.slice(at, at + 50);
      await Promise.all(some.map((name) => storage.putBlob(name as BlobId, new Uint8Array(1), signal)));
    }
    const names: string[] = [];
    for await (const blob of storage.listBlobs('n', signal)) names.push(blob.id);
    assert.deepEqual(names.sort(), expected);
  });

  test('a credentials file that is not there', async (t) => {
    const credentialsFile = '/nonexistent/key.json';
    const storage = await opened(t, await freshBucket(), { anonymous: false, credentialsFile });
    await assert.rejects(storage.getMetadata(id, signal), { code: 'BLOB_CREDENTIALS_MISSING' });
  });

  test('a read-only storage', async (t) => {
    const storage = await opened(t, await freshBucket(), { readOnly: true });
    await assert.rejects(storage.putBlob(id, new Uint8Array(1), signal), { code: 'BLOB_READ_ONLY' });
    await assert.rejects(storage.deleteBlob(id, signal), { code: 'BLOB_READ_ONLY' });
  });
});
