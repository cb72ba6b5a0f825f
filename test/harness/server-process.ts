// A server that a test starts on a free port of this machine, waits for, and ends by its process.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { setTimeout } from 'node:timers/promises';

export interface ServerProcess {
  readonly child: ChildProcess;
  /** What it has said so far. */
  output(): string;
  /** Ends it and waits until it has gone. */
  stop(): Promise<void>;
}

// A busy machine starts an API server in a minute, an idle one in three seconds.
const READY_TIMEOUT_MS = 180_000;
const POLL_MS = 50;
const STOP_TIMEOUT_MS = 5000;

/** A port that nobody listens on, a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

/** Starts it and waits until `isReady` says so; throws with its output when it ends before or never is. */
export async function startServer(
  argv: readonly string[],
  environment: Readonly<Record<string, string>>,
  isReady: () => Promise<boolean>,
): Promise<ServerProcess> {
  const [program = '', ...args] = argv;
  const child = spawn(program, args, {
    env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '', ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => (output = `${output}${chunk.toString()}`.slice(-10_000)));
  }
  let failure: Error | undefined;
  child.on('error', (error) => (failure = error));
  const hasEnded = (): boolean => failure !== undefined || child.exitCode !== null || child.signalCode !== null;
  const server = { child, output: () => output, stop: () => stop(child, hasEnded) };
  const until = performance.now() + READY_TIMEOUT_MS;
  while (!(await isReady())) {
    if (hasEnded()) throw new Error(`${program} ended at once: ${failure?.message ?? output}`);
    if (performance.now() > until) {
      await server.stop();
      throw new Error(`${program} was not ready in time: ${output}`);
    }
    await setTimeout(POLL_MS);
  }
  return server;
}

async function stop(child: ChildProcess, hasEnded: () => boolean): Promise<void> {
  if (hasEnded()) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  const killer = globalThis.setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
  await exited;
  clearTimeout(killer);
}

/** True once anything answers HTTP at the address, whatever it says. */
export async function answersHttp(url: string): Promise<boolean> {
  try {
    await (await fetch(url)).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}

/** True once something listens on the port. */
export async function listens(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
