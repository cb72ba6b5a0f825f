// Where programs that tests need are kept: a cache folder outside of the checkout, each under a name that follows from its pin, so
// that it is built or installed once and anew when the pin changes.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** A program that is there, or why it is not. */
export type Peer = { readonly path: string } | { readonly missing: string };

/** The folder that pins the program. */
export function peerSource(name: string): string {
  return join(root, 'test', 'peers', name);
}

export function peersFolder(): string {
  return join(cacheFolder(), 'peers');
}

/** Where the program belongs. `files` are what pins it. */
export function peerPath(name: string, files: readonly string[]): string {
  const pin = createHash('sha256');
  for (const file of files) pin.update(readFileSync(join(peerSource(name), file)));
  return join(peersFolder(), `${name}-${pin.digest('hex').slice(0, 16)}`);
}

function cacheFolder(): string {
  const xdg = process.env['XDG_CACHE_HOME'];
  const home = process.env['HOME'];
  if (xdg !== undefined && xdg.startsWith('/')) return join(xdg, 'windlass-tests');
  if (home !== undefined && home !== '') return join(home, '.cache', 'windlass-tests');
  return join(root, 'node_modules', '.cache', 'windlass-tests');
}
