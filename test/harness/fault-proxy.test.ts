// The proxy itself, before a small store of our own.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, createServer, request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import { FaultProxy, type FaultProxyOptions } from './fault-proxy.ts';
import { DISTANT_MS, startProxyProcess } from './fault-proxy-process.ts';
import { type Fault, verbOf } from './proxy-faults.ts';

const BODY = Buffer.from(Uint8Array.from({ length: 300_000 }, (_, i) => i * 7));

interface Subject {
  readonly proxy: FaultProxy;
  /** What the store was asked and got. */
  readonly got: { method: string; path: string; body: Buffer }[];
}

async function start(t: TestContext, options: Partial<FaultProxyOptions> = {}): Promise<Subject> {
  const { target, got } = await startStore(t);
  const proxy = await FaultProxy.start({ target, ...options });
  t.after(() => proxy.close());
  return { proxy, got };
}

async function startStore(t: TestContext): Promise<{ target: string; got: Subject['got'] }> {
  const got: Subject['got'] = [];
  const store = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      got.push({ method: request.method ?? '', path: request.url ?? '', body: Buffer.concat(chunks) });
      response.setHeader('etag', '"right"');
      response.setHeader('content-length', request.method === 'GET' ? BODY.length : 0);
      response.end(request.method === 'GET' ? BODY : undefined);
    });
  });
  store.listen(0, '127.0.0.1');
  await once(store, 'listening');
  const target = `http://127.0.0.1:${(store.address() as AddressInfo).port}`; // it listens on TCP
  t.after(() => {
    store.closeAllConnections();
    store.close();
  });
  return { target, got };
}

interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** One request on a connection of its own, or on one of `agent`'s. */
function ask(url: string, method = 'GET', body?: Buffer, agent: Agent | false = false): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const headers = { host: 'signed.example', ...(body === undefined ? {} : { 'content-length': body.length }) };
    const outgoing = httpRequest(url, { method, agent, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) }),
      );
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

test('without faults everything passes as it is, and is counted', async (t) => {
  const { proxy, got } = await start(t);
  const reply = await ask(`${proxy.url}/bucket/key`);
  assert.ok(reply.body.equals(BODY));
  assert.deepEqual([reply.status, reply.headers.etag], [200, '"right"']);
  await ask(`${proxy.url}/bucket/key?x=1`, 'PUT', BODY);
  assert.equal(got[1]?.path, '/bucket/key?x=1');
  assert.ok(got[1]?.body.equals(BODY));
  await ask(`${proxy.url}/bucket/key`, 'DELETE');
  assert.deepEqual(proxy.stats, {
    requests: { get: 1, head: 0, put: 1, list: 0, delete: 1, other: 0 },
    bytesUp: BODY.length,
    bytesDown: BODY.length,
  });
});

test('a fault strikes the requests it is planned for, as often as planned', async (t) => {
  const { proxy } = await start(t);
  const fault: Fault = { kind: 'answer', answer: { status: 503, headers: { 'retry-after': '1' }, body: 'slow down' } };
  proxy.plan({ fault, matching: ({ verb }) => verb === 'get', skip: 1, times: 2 });
  const statuses: number[] = [];
  for (let i = 0; i < 4; i++) statuses.push((await ask(`${proxy.url}/bucket/key`)).status);
  assert.equal((await ask(`${proxy.url}/bucket/key`, 'PUT', BODY)).status, 200);
  assert.deepEqual(statuses, [200, 503, 503, 200]);
  proxy.plan({ fault, times: 1 });
  assert.deepEqual(proxy.unmet(), ['answer: hit 0 of 1 times']);
  assert.deepEqual(proxy.clear(), [2, 0]);
  assert.deepEqual(proxy.unmet(), []);
});

test('bodies break off where planned', async (t) => {
  const { proxy, got } = await start(t);
  for (const kind of ['reset-response', 'cut-response'] as const) {
    proxy.plan({ fault: { kind, atByte: 100_000 }, times: 1 });
    await assert.rejects(ask(`${proxy.url}/bucket/key`), { code: 'ECONNRESET' });
  }
  proxy.plan({ fault: { kind: 'short-response', atByte: 100_000 }, times: 1 });
  assert.ok((await ask(`${proxy.url}/bucket/key`)).body.equals(BODY.subarray(0, 100_000)));
  proxy.plan({ fault: { kind: 'corrupt-response', atByte: 100_000 }, times: 1 });
  const { body } = await ask(`${proxy.url}/bucket/key`);
  assert.deepEqual([body.length, body[100_000]], [BODY.length, (BODY[100_000] ?? 0) ^ 0xff]);
  const before = got.length;
  proxy.plan({ fault: { kind: 'reset-request', atByte: 100_000 }, times: 1 });
  await assert.rejects(ask(`${proxy.url}/bucket/key`, 'PUT', BODY));
  assert.equal(got.length, before, 'the store did not get a whole request');
  proxy.plan({ fault: { kind: 'refuse' }, times: 1 });
  await assert.rejects(ask(`${proxy.url}/bucket/key`), { code: 'ECONNRESET' });
  assert.deepEqual(proxy.unmet(), []);
});

test('an answer can be lost although the store did what it was asked', async (t) => {
  const { proxy, got } = await start(t);
  proxy.plan({ fault: { kind: 'lose-answer' }, times: 1 });
  await assert.rejects(ask(`${proxy.url}/bucket/key`, 'PUT', BODY), { code: 'ECONNRESET' });
  assert.ok(got[0]?.body.equals(BODY));
});

test('headers can be changed and left out', async (t) => {
  const { proxy } = await start(t);
  proxy.plan({ fault: { kind: 'headers', headers: { etag: '"wrong"', date: undefined } } });
  const { headers } = await ask(`${proxy.url}/bucket/key`);
  assert.equal(headers.etag, '"wrong"');
});

test('a stall lasts until the client goes', async (t) => {
  const { proxy } = await start(t);
  for (const [kind, method] of [
    ['stall-response', 'GET'],
    ['stall-request', 'PUT'],
  ] as const) {
    proxy.plan({ fault: { kind, atByte: 10_000 }, times: 1 });
    const outgoing = httpRequest(`${proxy.url}/bucket/key`, { method, agent: false });
    outgoing.on('error', () => undefined);
    outgoing.end(method === 'PUT' ? BODY : undefined);
    const ended = new Promise((resolve) => outgoing.on('close', resolve));
    const quiet = await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 200, 'quiet'))]);
    assert.equal(quiet, 'quiet');
    outgoing.destroy();
    await ended;
  }
});

test('latency is added once a request, and once a connection', async (t) => {
  const { proxy } = await start(t, { latencyMs: 50 });
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  const timed = async (): Promise<number> => {
    const startMs = performance.now();
    await ask(`${proxy.url}/bucket/key`, 'GET', undefined, agent);
    return performance.now() - startMs;
  };
  // Only what is the least: a busy machine adds to it.
  assert.ok((await timed()) >= 99);
  assert.ok((await timed()) >= 49);
});

test('the rate is bounded', async (t) => {
  const { proxy } = await start(t, { bytesPerSecond: 1_000_000 });
  const startMs = performance.now();
  await ask(`${proxy.url}/bucket/key`);
  assert.ok(performance.now() - startMs >= 200);
});

test('in a process of its own it counts the same', async (t) => {
  const { target } = await startStore(t);
  const proxy = await startProxyProcess({ target, latencyMs: DISTANT_MS });
  t.after(() => proxy.stop());
  assert.ok((await ask(`${proxy.url}/bucket/key`)).body.equals(BODY));
  assert.equal((await proxy.takeStats()).bytesDown, BODY.length);
  await ask(`${proxy.url}/bucket/key`, 'PUT', BODY);
  const { requests, bytesUp, bytesDown } = await proxy.stats();
  assert.deepEqual([requests.put, requests.get, bytesUp, bytesDown], [1, 0, BODY.length, 0]);
});

test('verbs of the three protocols', () => {
  for (const [verb, method, path] of [
    ['list', 'GET', '/bucket?list-type=2&prefix=a%2F'],
    ['list', 'GET', '/bucket/?prefix=a'],
    ['get', 'GET', '/bucket/a/p123?x-id=GetObject'],
    ['head', 'HEAD', '/bucket/a/p123'],
    ['put', 'PUT', '/bucket/a/p123?x-id=PutObject'],
    ['put', 'POST', '/bucket/a/p123?uploadId=7'],
    ['other', 'POST', '/bucket?delete'],
    ['delete', 'DELETE', '/bucket/a/p123'],
    ['list', 'GET', '/devstoreaccount1/container?restype=container&comp=list&prefix=a'],
    ['get', 'GET', '/devstoreaccount1/container/a/p123'],
    ['list', 'GET', '/storage/v1/b/bucket/o?prefix=a'],
    ['get', 'GET', '/storage/v1/b/bucket/o/a%2Fp123?alt=media'],
    ['get', 'GET', '/download/storage/v1/b/bucket/o/a%2Fp123?alt=media'],
    ['head', 'GET', '/storage/v1/b/bucket/o/a%2Fp123?'],
    ['other', 'GET', '/storage/v1/b/bucket'],
    ['put', 'POST', '/upload/storage/v1/b/bucket/o?uploadType=multipart&name=a'],
  ] as const) {
    assert.equal(verbOf(method, path), verb, `${method} ${path}`);
  }
});
