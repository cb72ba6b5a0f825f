// The fault proxy in a process of its own: what is measured shares no thread with it, and its requests are counted outside of
// who makes them.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { ProxyCommand, ProxyReply } from './fault-proxy-child.ts';
import type { FaultProxyOptions, ProxyStats } from './fault-proxy.ts';

export interface ProxyProcess {
  readonly url: string;
  stats(): Promise<ProxyStats>;
  /** What was counted until now; from here on it begins at zero. */
  takeStats(): Promise<ProxyStats>;
  stop(): Promise<void>;
}

/** A way there and back of so many milliseconds is what the benchmark calls a distant store. */
export const DISTANT_MS = 30;

export async function startProxyProcess(options: FaultProxyOptions): Promise<ProxyProcess> {
  const child = fork(fileURLToPath(new URL('fault-proxy-child.ts', import.meta.url)), { stdio: 'inherit' });
  const ask = async (command: ProxyCommand): Promise<ProxyReply> => {
    child.send(command);
    const [reply] = (await once(child, 'message')) as [ProxyReply];
    return reply;
  };
  const statsBy = async (command: 'stats' | 'reset'): Promise<ProxyStats> => {
    const reply = await ask(command);
    if (!('stats' in reply)) throw new Error('the proxy answers something else');
    return reply.stats;
  };
  const started = await ask({ start: options });
  if (!('url' in started)) throw new Error('the proxy did not start');
  return {
    url: started.url,
    stats: () => statsBy('stats'),
    takeStats: () => statsBy('reset'),
    async stop() {
      const exited = once(child, 'exit');
      child.disconnect();
      await exited;
    },
  };
}
