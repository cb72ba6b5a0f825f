// Azure Blob Storage: the contract of every storage, and what is its own, against Azurite.
import assert from 'node:assert/strict';
import { after, before, describe, test, type TestContext } from 'node:test';
import { openAzureStorage, type AzureCredential, type AzureStorage } from '../../repo-format/blob/azure.ts';
import type { BlobId } from '../../repo-format/blob/storage.ts';
import { startAzurite, type AzuriteServer } from '../harness/azurite-server.ts';
import { blobStorageSuite } from '../harness/blob-storage-suite.ts';

const signal = new AbortController().signal;
const hooks: (() => void)[] = [];
let server: AzuriteServer;
let containers = 0;

before(async () => {
  server = await startAzurite({ after: (hook) => void hooks.push(hook) });
});
after(() => {
  for (const hook of hooks) hook();
});

async function openIn(container: string, prefix: string, credential?: AzureCredential): Promise<AzureStorage> {
  const { account, endpoint, accountKey } = server;
  return openAzureStorage(
    { account, endpoint, container, prefix },
    { credential: async () => credential ?? { kind: 'account-key', key: accountKey } },
  );
}

async function freshContainer(): Promise<string> {
  const name = `container-${containers++}`;
  await server.createContainer(name);
  return name;
}

for (const prefix of ['', 'some/prefix/', 'no-slash']) {
  blobStorageSuite(`Azure with prefix "${prefix}"`, async () => openIn(await freshContainer(), prefix));
}

const id = 'p0123456789abcdef0123456789abcdef-s0123456789abcdef147' as BlobId;

async function opened(t: TestContext, container: string, credential?: AzureCredential): Promise<AzureStorage> {
  const storage = await openIn(container, 'x/', credential);
  t.after(() => storage.close());
  return storage;
}

describe('what is Azure its own', () => {
  test('a container that does not exist', async (t) => {
    const storage = await opened(t, 'missing');
    await assert.rejects(storage.getBlob(id, undefined, signal), { code: 'BLOB_BUCKET_MISSING' });
    await assert.rejects(storage.getMetadata(id, signal), { code: 'BLOB_BUCKET_MISSING' });
    await assert.rejects(storage.putBlob(id, new Uint8Array(1), signal), { code: 'BLOB_BUCKET_MISSING' });
    await assert.rejects(storage.deleteBlob(id, signal), { code: 'BLOB_BUCKET_MISSING' });
    await assert.rejects(storage.listBlobs('', signal).next(), { code: 'BLOB_BUCKET_MISSING' });
  });

  test('a key that is none, and one that was replaced while running', async (t) => {
    const container = await freshContainer();
    const wrong: AzureCredential = { kind: 'account-key', key: Buffer.from('wrong').toString('base64') };
    const storage = await opened(t, container, wrong);
    await assert.rejects(storage.getMetadata(id, signal), { code: 'BLOB_ACCESS_DENIED' });
    const { account, endpoint, accountKey } = server;
    let key = accountKey;
    const rotating = await openAzureStorage(
      { account, endpoint, container, prefix: '' },
      { credential: async () => ({ kind: 'account-key', key }) },
    );
    t.after(() => rotating.close());
    await rotating.putBlob(id, new Uint8Array(3), signal);
    key = wrong.key;
    await rotating.refreshCredentials(signal);
    const refused = { code: 'BLOB_CREDENTIALS_EXPIRED', retry: 'after-refresh' };
    await assert.rejects(rotating.getBlob(id, undefined, signal), refused);
    key = accountKey;
    await rotating.refreshCredentials(signal);
    assert.equal((await rotating.getBlob(id, undefined, signal)).length, 3);
  });

  test('a blob in several blocks, and one of exactly the limit', async (t) => {
    const container = await freshContainer();
    const { account, endpoint, accountKey } = server;
    const storage = await openAzureStorage(
      { account, endpoint, container, prefix: '', blockSizeBytes: 30_000_001 },
      { credential: async () => ({ kind: 'account-key', key: accountKey }) },
    );
    t.after(() => storage.close());
    for (const length of [64 << 20, (64 << 20) + 1]) {
      const bytes = Buffer.alloc(length, 'block by block');
      const put = await storage.putBlob(id, bytes, signal);
      assert.deepEqual(put, await storage.getMetadata(id, signal));
      assert.ok(bytes.equals(await storage.getBlob(id, undefined, signal)));
    }
  });

  test('names of other programs are not listed', async (t) => {
    const container = await freshContainer();
    const inner = await openIn(container, 'x/deeper/');
    t.after(() => inner.close());
    await inner.putBlob(id, new Uint8Array(1), signal);
    const storage = await opened(t, container);
    await storage.putBlob('a' as BlobId, new Uint8Array(1), signal);
    const names: string[] = [];
    for await (const blob of storage.listBlobs('', signal)) names.push(blob.id);
    assert.deepEqual(names, ['a']);
  });
});
