import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { azureAccountOf, azureCredential, azureEndpoint, azureIdentity, parseVariables } from './azure-credentials.ts';

const signal = new AbortController().signal;
const clock = { nowMs: () => 0 };
const access = { account: 'account1' };
const ask = (environment: Record<string, string>, more = {}) =>
  azureCredential({ ...access, ...more }, environment, clock, signal);

function fileOf(t: TestContext, text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'windlass-azure-'));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'cloud'), text);
  return join(folder, 'cloud');
}

test('a key, then a signature, then an identity', async () => {
  const key = { AZURE_STORAGE_KEY: 'k' };
  const sas = { AZURE_STORAGE_SAS_TOKEN: 'sv=1' };
  assert.deepEqual(await ask({ ...key, ...sas }), { kind: 'account-key', key: 'k' });
  assert.deepEqual(await ask(sas), { kind: 'sas', token: 'sv=1' });
  const connection = 'DefaultEndpointsProtocol=https;AccountName=acc;AccountKey=abc==;EndpointSuffix=core.example';
  assert.deepEqual(await ask({ AZURE_STORAGE_CONNECTION_STRING: connection }), { kind: 'account-key', key: 'abc==' });
  assert.equal(azureAccountOf({ AZURE_STORAGE_CONNECTION_STRING: connection }), 'acc');
  assert.equal((await ask({})).kind, 'identity');
});

test('which identity', () => {
  const principal = { AZURE_TENANT_ID: 't', AZURE_CLIENT_ID: 'c' };
  const named = { tenantId: 't', clientId: 'c' };
  assert.deepEqual(azureIdentity({ ...principal, AZURE_CLIENT_SECRET: 's' }), {
    kind: 'secret',
    ...named,
    secret: 's',
  });
  assert.deepEqual(azureIdentity({ ...principal, AZURE_FEDERATED_TOKEN_FILE: '/f' }, 'https://a'), {
    kind: 'federated',
    ...named,
    tokenFile: '/f',
    authority: 'https://a',
  });
  assert.deepEqual(azureIdentity({ AZURE_CLIENT_ID: 'c' }), { kind: 'managed', clientId: 'c' });
  assert.deepEqual(azureIdentity({}), { kind: 'managed' });
  const certificate = { ...principal, AZURE_CLIENT_CERTIFICATE_PATH: '/c' };
  assert.throws(() => azureIdentity(certificate), { code: 'BLOB_CREDENTIALS_MISSING' });
});

test("a file's variables count instead of the environment's", async (t) => {
  const credentialsFile = fileOf(t, '# Velero\nAZURE_CLOUD_NAME=AzureUSGovernmentCloud\nexport MY_KEY="a\\nb" # key\n');
  const found = await ask({ AZURE_STORAGE_KEY: 'other' }, { credentialsFile, accountKeyVariable: 'MY_KEY' });
  assert.deepEqual(found, { kind: 'account-key', key: 'a\nb' });
  assert.equal((await ask({ AZURE_STORAGE_KEY: 'other' }, { credentialsFile })).kind, 'identity');
  assert.equal(await azureEndpoint({ ...access, credentialsFile }, {}), 'https://account1.blob.core.usgovcloudapi.net');
  const missing = ask({}, { credentialsFile, accountKeyVariable: 'NONE' });
  await assert.rejects(missing, { code: 'BLOB_CREDENTIALS_MISSING' });
  await assert.rejects(ask({}, { credentialsFile: '/nonexistent' }), { code: 'STORE_CREDENTIALS_FILE' });
});

test('where the blobs are', async () => {
  assert.equal(await azureEndpoint(access, {}), 'https://account1.blob.core.windows.net');
  assert.equal(
    await azureEndpoint(access, { AZURE_STORAGE_DOMAIN: 'blob.core.chinacloudapi.cn' }),
    'https://account1.blob.core.chinacloudapi.cn',
  );
  const connection = 'BlobEndpoint=http://127.0.0.1:1/account1;AccountName=account1';
  assert.equal(
    await azureEndpoint(access, { AZURE_STORAGE_CONNECTION_STRING: connection }),
    'http://127.0.0.1:1/account1',
  );
});

test('lines of a variables file', () => {
  assert.deepEqual(
    { ...parseVariables("A=1\n\n#B=2\nC = 'x # y'\nD: z # comment\r\n__proto__=p\nnot a line") },
    { A: '1', C: 'x # y', D: 'z', ['__proto__']: 'p' },
  );
});

test("the file of Velero's shared Secret counts where nothing names another", async (t) => {
  const shared = { AZURE_CREDENTIALS_FILE: fileOf(t, 'AZURE_STORAGE_KEY=shared\n'), AZURE_STORAGE_KEY: 'other' };
  assert.deepEqual(await ask(shared), { kind: 'account-key', key: 'shared' });
  const credentialsFile = fileOf(t, 'AZURE_STORAGE_KEY=own\n');
  assert.deepEqual(await ask(shared, { credentialsFile }), { kind: 'account-key', key: 'own' });
  assert.deepEqual(await ask({ ...shared, AZURE_CREDENTIALS_FILE: '' }), { kind: 'account-key', key: 'other' });
});
