// What test/peers pins, by name: a suite prepares those it needs, once.
import { buildGoProgram, buildGoPrograms } from './go-program.ts';
import { installNpmProgram } from './npm-program.ts';
import type { Peer } from './peer-cache.ts';

const PEERS = {
  azurite: installNpmProgram,
  etcd: buildGoProgram,
  'fake-gcs-server': buildGoProgram,
  helm: buildGoProgram,
  kubernetes: buildGoPrograms,
  velero: buildGoPrograms,
  'velero-plugin-for-aws': buildGoPrograms,
  versitygw: buildGoProgram,
} satisfies Readonly<Record<string, (name: string) => Peer>>;

export type PeerName = keyof typeof PEERS;

/** Builds and installs what is not there yet; answers the reason when something cannot be had. */
export function preparePeers(names: readonly PeerName[]): string | undefined {
  for (const name of names) {
    const peer = PEERS[name](name);
    if ('missing' in peer) return peer.missing;
  }
  return undefined;
}
