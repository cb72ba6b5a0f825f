// Programs that tests need and that exist as Go modules, each pinned by test/peers/NAME/go.mod and go.sum. Built once into a
// cache folder, under a name that follows from the pin.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
const BUILD_TIMEOUT_MS = 40 * 60_000;

export interface GoProgram {
  /** Folder below test/peers. */
  readonly name: string;
  /** Package of the program. */
  readonly packagePath: string;
}

export type BuiltProgram = { readonly path: string } | { readonly missing: string };

/** Builds the program unless that was done already; says what is missing where it cannot be. */
export function buildGoProgram({ name, packagePath }: GoProgram): BuiltProgram {
  const module = join(root, 'test', 'peers', name);
  const pin = createHash('sha256');
  for (const file of ['go.mod', 'go.sum']) pin.update(readFileSync(join(module, file)));
  const folder = join(cacheFolder(), 'peers');
  const path = join(folder, `${name}-${pin.digest('hex').slice(0, 16)}`);
  if (existsSync(path)) return { path };
  const go = process.env['GO'] || 'go';
  if (spawnSync(go, ['version']).status !== 0) return { missing: 'there is no Go on PATH and none named by GO' };
  mkdirSync(folder, { recursive: true });
  const unfinished = `${path}.${process.pid}`;
  console.log(`building ${name}, once`);
  const built = spawnSync(go, ['build', '-buildvcs=false', '-o', unfinished, packagePath], {
    cwd: module,
    encoding: 'utf8',
    timeout: BUILD_TIMEOUT_MS,
    env: { ...process.env, GOFLAGS: '-mod=readonly' },
  });
  if (built.status !== 0) return { missing: `${name} does not build: ${built.stderr.trim().split('\n').at(-1) ?? ''}` };
  renameSync(unfinished, path);
  return { path };
}

/** Builds all of them; the reason when one cannot be. */
export function buildPeers(): string | undefined {
  for (const name of readdirSync(join(root, 'test', 'peers'))) {
    const packagePath = /^tool (\S+)$/m.exec(readFileSync(join(root, 'test', 'peers', name, 'go.mod'), 'utf8'))?.[1];
    if (packagePath === undefined) return `test/peers/${name}/go.mod names no tool`;
    const built = buildGoProgram({ name, packagePath });
    if ('missing' in built) return built.missing;
  }
  return undefined;
}

function cacheFolder(): string {
  const xdg = process.env['XDG_CACHE_HOME'];
  const home = process.env['HOME'];
  if (xdg !== undefined && xdg.startsWith('/')) return join(xdg, 'windlass-tests');
  if (home !== undefined && home !== '') return join(home, '.cache', 'windlass-tests');
  return join(root, 'node_modules', '.cache', 'windlass-tests');
}
