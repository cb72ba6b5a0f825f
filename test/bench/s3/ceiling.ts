// What the relay can pass at most, beside what the same two ends pass without it: `npm run bench -- --store s3` says so before
// it measures, since a relay that is the limit would make all tools equal.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { fileURLToPath } from 'node:url';

import { startRelay } from './relay-process.ts';

export interface Ceiling {
  readonly latencyMs: number;
  /** Bytes a second from the client to the other end, and back; through the relay and without it. */
  readonly up: number;
  readonly down: number;
  readonly directUp: number;
  readonly directDown: number;
  /** How long one small request takes through it, on a connection that is open. */
  readonly turnMs: number;
}

const CONNECTIONS = 4;
const BYTES = 256 << 20;
const TURNS = 20;

export async function measureCeiling(latencyMs: number): Promise<Ceiling> {
  const child = fork(fileURLToPath(new URL('ceiling-child.ts', import.meta.url)), { stdio: 'inherit' });
  const [port] = (await once(child, 'message')) as [number];
  const relay = await startRelay({ port, latencyMs });
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  try {
    const rates = async (endpoint: string): Promise<{ up: number; down: number }> => {
      await rate(agent, endpoint, 'PUT', CONNECTIONS);
      const up = await rate(agent, endpoint, 'PUT', BYTES);
      return { up, down: await rate(agent, endpoint, 'GET', BYTES) };
    };
    const { up: directUp, down: directDown } = await rates(`http://127.0.0.1:${port}`);
    const through = await rates(relay.endpoint);
    const startedMs = performance.now();
    for (let turn = 0; turn < TURNS; turn++) await pass(agent, relay.endpoint, 'GET', 1);
    const turnMs = (performance.now() - startedMs) / TURNS;
    return { latencyMs, ...through, directUp, directDown, turnMs };
  } finally {
    agent.destroy();
    await relay.stop();
    child.disconnect();
  }
}

async function rate(agent: Agent, endpoint: string, method: 'GET' | 'PUT', bytes: number): Promise<number> {
  const startedMs = performance.now();
  const each = bytes / CONNECTIONS;
  await Promise.all(Array.from({ length: CONNECTIONS }, () => pass(agent, endpoint, method, each)));
  return bytes / ((performance.now() - startedMs) / 1000);
}

function pass(agent: Agent, endpoint: string, method: 'GET' | 'PUT', bytes: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const headers = method === 'PUT' ? { 'content-length': bytes } : {};
    const outgoing = request(`${endpoint}/bucket/${bytes}`, { agent, method, headers }, (response) => {
      response.resume().on('end', resolve).on('error', reject);
    });
    outgoing.on('error', reject);
    if (method === 'GET') return void outgoing.end();
    const piece = Buffer.alloc(Math.min(bytes, 1 << 20));
    let left = bytes;
    const send = (): void => {
      while (left > 0) {
        left -= piece.length;
        if (!outgoing.write(piece) && left > 0) return void outgoing.once('drain', send);
      }
      outgoing.end();
    };
    send();
  });
}
