// Tokens and account keys, asked for at servers of our own on the loopback.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { type AzureIdentity, requestAccountKey, requestAzureToken } from './azure-identity.ts';

const signal = new AbortController().signal;
const clock = { nowMs: () => 1_000_000 };

interface Asked {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** Answers everything alike and keeps what it was asked. */
async function server(t: TestContext, status: number, answer: unknown): Promise<{ url: string; asked: Asked[] }> {
  const asked: Asked[] = [];
  const http = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { method, url, headers } = request;
      asked.push({ method, url, headers, body: Buffer.concat(chunks).toString() });
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(typeof answer === 'string' ? answer : JSON.stringify(answer));
    });
  });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  t.after(() => {
    http.closeAllConnections();
    http.close();
  });
  const address = http.address();
  assert.ok(address !== null && typeof address === 'object');
  return { url: `http://127.0.0.1:${address.port}`, asked };
}

const GIVEN = { access_token: 'the-token', expires_in: 3600 };
const SCOPE = 'https://storage.azure.com';

test("a service principal's secret goes into the body, and nowhere else", async (t) => {
  const { url, asked } = await server(t, 200, GIVEN);
  const identity: AzureIdentity = {
    kind: 'secret',
    tenantId: 'tenant',
    clientId: 'client',
    secret: 's&cret',
    authority: `${url}/`,
  };
  assert.deepEqual(await requestAzureToken(identity, SCOPE, { clock }, signal), {
    token: 'the-token',
    expiresAtMs: 1_000_000 + 3_600_000,
  });
  assert.deepEqual([asked[0]?.method, asked[0]?.url], ['POST', '/tenant/oauth2/v2.0/token']);
  assert.deepEqual(Object.fromEntries(new URLSearchParams(asked[0]?.body)), {
    grant_type: 'client_credentials',
    client_id: 'client',
    scope: 'https://storage.azure.com/.default',
    client_secret: 's&cret',
  });
});

test('the federated token is read from its file each time', async (t) => {
  const { url, asked } = await server(t, 200, GIVEN);
  const folder = mkdtempSync(join(tmpdir(), 'windlass-identity-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const tokenFile = join(folder, 'token');
  const identity: AzureIdentity = { kind: 'federated', tenantId: 't', clientId: 'c', tokenFile, authority: url };
  const missing = { code: 'BLOB_CREDENTIALS_MISSING' };
  await assert.rejects(requestAzureToken(identity, SCOPE, { clock }, signal), missing);
  for (const content of ['first', 'second']) {
    writeFileSync(tokenFile, `${content}\n`);
    await requestAzureToken(identity, SCOPE, { clock }, signal);
    assert.equal(new URLSearchParams(asked.at(-1)?.body).get('client_assertion'), content);
  }
});

test('a managed identity is asked for at the machine, and may not be there', async (t) => {
  const { url, asked } = await server(t, 200, { access_token: 'x', expires_in: '60' });
  const identity: AzureIdentity = { kind: 'managed', clientId: 'me' };
  const { token } = await requestAzureToken(identity, SCOPE, { clock, managedEndpoint: `${url}/token` }, signal);
  assert.equal(token, 'x');
  assert.equal(asked[0]?.headers['metadata'], 'true');
  assert.match(asked[0]?.url ?? '', /resource=https%3A%2F%2Fstorage.azure.com&client_id=me$/);
  const nowhere = { clock, managedEndpoint: 'http://127.0.0.1:1/token' };
  await assert.rejects(requestAzureToken(identity, SCOPE, nowhere, signal), { code: 'BLOB_CREDENTIALS_MISSING' });
});

test('a refusal says the word of the service and repeats no secret', async (t) => {
  for (const [status, answer, code] of [
    [401, { error: 'invalid_client', error_description: 'hunter2' }, 'BLOB_ACCESS_DENIED'],
    [404, { error: 'not_found' }, 'BLOB_CREDENTIALS_MISSING'],
    [503, 'busy', 'BLOB_STORE_UNAVAILABLE'],
    [200, 'no json', 'BLOB_ACCESS_DENIED'],
    [200, { access_token: 7 }, 'BLOB_ACCESS_DENIED'],
  ] as const) {
    const { url } = await server(t, status, answer);
    const identity: AzureIdentity = { kind: 'secret', tenantId: 't', clientId: 'c', secret: 'hunter2', authority: url };
    await assert.rejects(requestAzureToken(identity, SCOPE, { clock }, signal), (error: Error & { code: string }) => {
      assert.equal(error.code, code);
      assert.ok(!JSON.stringify(error).includes('hunter2'));
      return true;
    });
  }
});

test("the account's key is the one with full permissions", async (t) => {
  const keys = [
    { value: 'read-key', permissions: 'READ' },
    { value: 'full-key', permissions: 'FULL' },
  ];
  const { url, asked } = await server(t, 200, { keys });
  const place = { account: 'acc', subscriptionId: 'sub', resourceGroup: 'a group', managementEndpoint: url };
  assert.equal(await requestAccountKey(place, { token: 'tok', expiresAtMs: 0 }, signal), 'full-key');
  assert.equal(asked[0]?.headers.authorization, 'Bearer tok');
  assert.match(asked[0]?.url ?? '', /^\/subscriptions\/sub\/resourceGroups\/a%20group\/.*\/acc\/listKeys\?/);
  const denied = await server(t, 403, { error: { code: 'AuthorizationFailed' } });
  const refused = requestAccountKey(
    { ...place, managementEndpoint: denied.url },
    { token: 't', expiresAtMs: 0 },
    signal,
  );
  await assert.rejects(refused, { code: 'BLOB_ACCESS_DENIED' });
});
