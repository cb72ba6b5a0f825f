// The relay before a small server of our own. No upper bounds on time: a busy machine adds to it.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';

import { startRelay } from './relay-process.ts';

const BODY = Buffer.alloc(3_000_000, 'windlass');
const LATENCY_MS = 40;

async function startEcho(t: TestContext): Promise<number> {
  const server = createServer((incoming, response) => {
    const parts: Buffer[] = [];
    incoming.on('data', (part: Buffer) => parts.push(part));
    incoming.on('end', () => response.end(incoming.method === 'GET' ? BODY : Buffer.concat(parts)));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port; // it listens on TCP
}

function ask(agent: Agent, url: string, method: string, body?: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { agent, method }, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('end', () => resolve(Buffer.concat(parts)));
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

for (const latencyMs of [0, LATENCY_MS]) {
  test(`bytes pass as they are and are counted, ${latencyMs} ms away`, async (t) => {
    const relay = await startRelay({ port: await startEcho(t), latencyMs });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    t.after(async () => {
      agent.destroy();
      await relay.stop();
    });
    const timed = async (method: string, path: string, body?: Buffer): Promise<number> => {
      const startedMs = performance.now();
      const answer = await ask(agent, `${relay.endpoint}${path}`, method, body);
      const spentMs = performance.now() - startedMs;
      assert.ok(answer.equals(body ?? BODY));
      return spentMs;
    };
    // Timers may be early by a millisecond.
    assert.ok((await timed('PUT', '/bucket/p1', BODY)) >= 2 * latencyMs - 3, 'a new connection takes one more turn');
    assert.ok((await timed('GET', '/bucket/q1')) >= latencyMs - 3);
    const { traffic } = await relay.take();
    assert.deepEqual([traffic.requests.put, traffic.requests.get, traffic.connections], [1, 1, 1]);
    assert.deepEqual(traffic.getsByKind, { q: 1 });
    for (const bytes of [traffic.bytesUp, traffic.bytesDown]) assert.ok(bytes > BODY.length);
    assert.equal((await relay.take()).traffic.requests.put, 0, 'taken is taken');
  });
}
