import assert from 'node:assert/strict';
import { request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import { type HttpPages, startHttpServer } from './http-server.ts';

const pages: HttpPages = {
  metrics: () => Promise.resolve('a_total 1\n'),
  unhealthy: () => undefined,
  unready: () => undefined,
};

async function started(t: TestContext, more: Partial<HttpPages> = {}): Promise<Server> {
  const server = await startHttpServer('127.0.0.1:0', { ...pages, ...more });
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return server;
}

/** As it is written: `fetch` would mend the path. */
function ask(
  server: Server,
  path: string,
): Promise<{ readonly status: number | undefined; readonly type: string | undefined; readonly body: string }> {
  const { port } = server.address() as AddressInfo;
  return new Promise((resolve, reject) => {
    request({ host: '127.0.0.1', port, path, agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (text: string) => (body += text));
      response.on('end', () => resolve({ status: response.statusCode, type: response.headers['content-type'], body }));
    })
      .on('error', reject)
      .end();
  });
}

test('metrics, health and readiness, and nothing else', async (t) => {
  const server = await started(t);
  const metrics = await ask(server, '/metrics?name[]=a_total');
  assert.deepEqual(metrics, { status: 200, type: 'text/plain; version=0.0.4; charset=utf-8', body: 'a_total 1\n' });
  assert.deepEqual(await ask(server, '/healthz'), { status: 200, type: 'text/plain', body: 'ok\n' });
  assert.equal((await ask(server, '/readyz')).status, 200);
  assert.equal((await ask(server, '/')).status, 404);
  assert.equal((await ask(server, '/metrics/../../etc/passwd')).status, 404);
});

test('what is wrong is said with 503', async (t) => {
  const server = await started(t, { unhealthy: () => 'the queue is stuck', unready: () => 'not read yet' });
  assert.deepEqual(await ask(server, '/healthz'), { status: 503, type: 'text/plain', body: 'the queue is stuck\n' });
  assert.deepEqual(await ask(server, '/readyz'), { status: 503, type: 'text/plain', body: 'not read yet\n' });
});

test('a page that fails, or a path that is none, ends neither the process nor the next request', async (t) => {
  const server = await started(t, { metrics: () => Promise.reject(new Error('no metrics')) });
  assert.equal((await ask(server, '/metrics')).status, 500);
  assert.ok(((await ask(server, '//')).status ?? 0) >= 400);
  assert.equal((await ask(server, '/healthz')).status, 200);
});

test('an address that is taken, and one that is none, are said', async (t) => {
  const { port } = (await started(t)).address() as AddressInfo;
  await assert.rejects(startHttpServer(`127.0.0.1:${port}`, pages), { code: 'LISTEN_FAILED' });
  await assert.rejects(startHttpServer('host.invalid:1', pages), { code: 'LISTEN_FAILED' });
  for (const address of ['8085', ':port', ':70000', ''])
    await assert.rejects(startHttpServer(address, pages), { code: 'LISTEN_FAILED' }, address);
});
