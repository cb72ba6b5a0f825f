// A port on loopback where connections are neither accepted nor refused: a listener that is stopped, its queue full.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { CleanUp } from './scratch.ts';

const QUIET_MS = 300;
const MAX_FILLERS = 20;

/** `http://127.0.0.1:PORT` of it; gone after the test. */
export async function silentListener(t: CleanUp): Promise<string> {
  const child = fork(fileURLToPath(new URL('silent-listener-child.ts', import.meta.url)));
  t.after(() => void child.kill('SIGKILL'));
  const [port] = (await once(child, 'message')) as [number];
  child.kill('SIGSTOP');
  const fillers: Socket[] = [];
  t.after(() => fillers.forEach((socket) => socket.destroy()));
  for (let isFull = false; !isFull && fillers.length < MAX_FILLERS;) {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined);
    fillers.push(socket);
    isFull = await Promise.race([once(socket, 'connect').then(() => false), delay(QUIET_MS, true)]);
  }
  return `http://127.0.0.1:${port}`;
}
