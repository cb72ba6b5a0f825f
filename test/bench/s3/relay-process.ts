// Starts the relay in a process of its own, so that it shares no thread with what is measured.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import type { RelayOptions } from './relay.ts';
import type { RelayCommand, RelayReply } from './relay-child.ts';
import type { Traffic } from './request-counter.ts';

export interface RelayProcess {
  readonly endpoint: string;
  /** What passed since the last time, and the CPU time that the relay took for it. */
  take(): Promise<{ readonly traffic: Traffic; readonly cpuSeconds: number }>;
  stop(): Promise<void>;
}

export async function startRelay(options: RelayOptions): Promise<RelayProcess> {
  const child = fork(fileURLToPath(new URL('relay-child.ts', import.meta.url)), { stdio: 'inherit' });
  const exited = once(child, 'exit');
  const ask = async (command: RelayCommand): Promise<RelayReply> => {
    child.send(command);
    const reply = await Promise.race([once(child, 'message'), exited.then(() => undefined)]);
    if (reply === undefined) throw new Error('the relay ended');
    return reply[0] as RelayReply;
  };
  const started = await ask(options);
  if (!('port' in started)) throw new Error('the relay did not start');
  let cpuBefore = 0;
  return {
    endpoint: `http://127.0.0.1:${started.port}`,
    async take() {
      const reply = await ask('take');
      if (!('traffic' in reply)) throw new Error('the relay answers something else');
      const cpuSeconds = reply.cpuSeconds - cpuBefore;
      cpuBefore = reply.cpuSeconds;
      return { traffic: reply.traffic, cpuSeconds };
    },
    async stop() {
      if (child.connected) child.disconnect();
      await exited;
    },
  };
}
