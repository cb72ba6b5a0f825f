// The relay as a process of its own: `fork`ed by `relay-process.ts` and told what to do by messages.
import { Relay, type RelayOptions } from './relay.ts';
import type { Traffic } from './request-counter.ts';

export type RelayCommand = RelayOptions | 'take';
export type RelayReply = { readonly port: number } | { readonly traffic: Traffic; readonly cpuSeconds: number };

let relay: Relay | undefined;

async function obey(command: RelayCommand): Promise<RelayReply> {
  if (typeof command === 'object') {
    relay = await Relay.start(command);
    return { port: relay.port };
  }
  if (relay === undefined) throw new Error('not started');
  const { user, system } = process.cpuUsage();
  return { traffic: relay.takeTraffic(), cpuSeconds: (user + system) / 1e6 };
}

// Only our own parent speaks here; when it goes, so do we.
process.on('message', (command: RelayCommand) => void obey(command).then((reply) => process.send?.(reply)));
process.on('disconnect', () => process.exit());
