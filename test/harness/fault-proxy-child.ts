// The fault proxy as a process of its own, for measurements: `fork`ed by `fault-proxy-process.ts` and told what to do by messages.
import { FaultProxy, type FaultProxyOptions, type ProxyStats } from './fault-proxy.ts';

export type ProxyCommand = { readonly start: FaultProxyOptions } | 'stats' | 'reset';
export type ProxyReply = { readonly url: string } | { readonly stats: ProxyStats };

let proxy: FaultProxy | undefined;

async function obey(command: ProxyCommand): Promise<ProxyReply> {
  if (typeof command === 'object') {
    proxy = await FaultProxy.start(command.start);
    return { url: proxy.url };
  }
  if (proxy === undefined) throw new Error('not started');
  const { stats } = proxy;
  if (command === 'reset') proxy.resetStats();
  return { stats };
}

// Only our own parent speaks here.
process.on('message', (command: ProxyCommand) => void obey(command).then((reply) => process.send?.(reply)));
process.on('disconnect', () => process.exit());
