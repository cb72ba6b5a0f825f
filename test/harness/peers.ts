// Everything that test/peers pins, for a suite that needs all of it.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { buildGoProgram } from './go-program.ts';
import { installNpmProgram } from './npm-program.ts';
import { peerSource } from './peer-cache.ts';

/** Builds and installs what is not there yet; answers the reason when something cannot be had. */
export function preparePeers(): string | undefined {
  for (const name of readdirSync(peerSource('.'))) {
    const peer = existsSync(join(peerSource(name), 'go.mod')) ? buildGoProgram(name) : installNpmProgram(name);
    if ('missing' in peer) return peer.missing;
  }
  return undefined;
}
