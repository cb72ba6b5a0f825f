import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import { hasCode } from '../../base/errors.ts';
import { CredentialsSource } from './s3-credentials.ts';
import type { S3Address } from './s3-endpoint.ts';
import { s3ErrorFacts } from './s3-errors.ts';
import { S3Requests } from './s3-requests.ts';

const signal = new AbortController().signal;
const NOW_MS = Date.UTC(2026, 0, 2, 3, 4, 5);

interface Seen {
  readonly url: string | undefined;
  readonly headers: IncomingMessage['headers'];
}

/** Requests to a server that answers so, as if the endpoint followed from the region. */
async function requestsTo(
  t: TestContext,
  answer: (seen: readonly Seen[], response: ServerResponse) => void,
): Promise<{ requests: S3Requests; seen: Seen[] }> {
  const seen: Seen[] = [];
  const server = createServer((request, response) => {
    seen.push({ url: request.url, headers: request.headers });
    answer(seen, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const addressIn = async (region: string): Promise<S3Address> => ({
    origin: `http://${host}`,
    host,
    basePath: '/some-bucket/',
    scope: { region, service: 's3' },
  });
  const credentials = new CredentialsSource(async () => ({ accessKeyId: 'a', secretAccessKey: 's' }));
  const deps = { credentials, nowMs: () => NOW_MS, addressIn };
  const requests = new S3Requests({ bucket: 'some-bucket', prefix: '' }, 'us-east-1', deps);
  t.after(() => {
    requests.close();
    server.closeAllConnections();
    server.close();
  });
  return { requests, seen };
}

const get = (key: string) => ({ method: 'GET' as const, key, maxBodyBytes: 1000 });

test('a request goes where it is signed for, dots and all', async (t) => {
  const { requests, seen } = await requestsTo(t, (_, response) => response.end('bytes'));
  const { body } = await requests.send(get('a/../b//./p 1+'), signal);
  assert.equal(Buffer.from(body).toString(), 'bytes');
  await requests.send({ method: 'GET', query: { prefix: 'a/', 'list-type': '2' }, maxBodyBytes: 1000 }, signal);
  assert.deepEqual(
    seen.map(({ url }) => url),
    ['/some-bucket/a/../b//./p%201%2B', '/some-bucket?list-type=2&prefix=a%2F'],
  );
  assert.match(seen[0]?.headers.authorization ?? '', /Credential=a\/20260102\/us-east-1\/s3\/aws4_request/);
});

test('a refusal has the members of the library', async (t) => {
  const { requests, seen } = await requestsTo(t, (_, response) => {
    response.writeHead(503, { 'retry-after': '7', 'x-amz-request-id': 'R1' });
    response.end('<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>planted-secret</Message></Error>');
  });
  const error: unknown = await requests.send(get('p1'), signal).catch((refusal: unknown) => refusal);
  const facts = { name: 'SlowDown', httpStatus: 503, requestId: 'R1', retryAfterMs: 7000, bucketRegion: undefined };
  assert.deepEqual(s3ErrorFacts(error), facts);
  assert.ok(!String(error).includes('planted-secret'));
  assert.equal(seen.length, 1);
});

test("a clock that is wrong is set by the store's, once", async (t) => {
  const storeMs = NOW_MS + 3_600_000;
  const { requests, seen } = await requestsTo(t, (all, response) => {
    const isRight = all.at(-1)?.headers['x-amz-date'] === '20260102T040405Z';
    response.writeHead(isRight ? 200 : 403, { date: new Date(storeMs).toUTCString() });
    response.end();
  });
  await requests.send(get('p1'), signal);
  await requests.send(get('p2'), signal);
  assert.equal(seen.length, 3);
});

test('a refusal that is not about the clock is one, and so is one that goes on', async (t) => {
  for (const offsetMs of [60_000, 3_600_000]) {
    const { requests, seen } = await requestsTo(t, (_, response) => {
      response.writeHead(403, { date: new Date(NOW_MS + offsetMs).toUTCString() });
      response.end();
    });
    const error: unknown = await requests.send(get('p1'), signal).catch((refusal: unknown) => refusal);
    assert.equal(s3ErrorFacts(error).httpStatus, 403);
    assert.equal(seen.length, offsetMs < 240_000 ? 1 : 2);
  }
});

test('a bucket is followed into its region', async (t) => {
  const { requests, seen } = await requestsTo(t, (all, response) => {
    const isRight = all.at(-1)?.headers.authorization?.includes('/eu-west-3/') === true;
    response.writeHead(isRight ? 200 : 301, { 'x-amz-bucket-region': 'eu-west-3' });
    response.end();
  });
  await requests.send(get('p1'), signal);
  await requests.send(get('p2'), signal);
  assert.equal(seen.length, 3);
});

test('a body that ends early, and one that is longer than it may be', async (t) => {
  const { requests } = await requestsTo(t, (all, response) => {
    response.writeHead(200, { 'content-length': all.length === 1 ? 10 : 2000 });
    response.write('abc', () => response.destroy());
  });
  await assert.rejects(requests.send(get('p1'), signal), (error) => hasCode(error, 'TooShort'));
  await assert.rejects(requests.send(get('p1'), signal), (error) => hasCode(error, 'EMSGSIZE'));
});

test('a signal ends it with its own reason', async (t) => {
  const { requests } = await requestsTo(t, () => undefined);
  const controller = new AbortController();
  const sending = requests.send(get('p1'), controller.signal);
  setImmediate(() => controller.abort(new Error('enough')));
  await assert.rejects(sending, /enough/);
});
