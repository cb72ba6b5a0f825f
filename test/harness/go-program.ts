// Programs that tests need and that exist as Go modules, each pinned by test/peers/NAME/go.mod and go.sum, which name it as their
// tool. Built once.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { peerPath, peersFolder, peerSource, type Peer } from './peer-cache.ts';

const BUILD_TIMEOUT_MS = 40 * 60_000;

/** Builds the program unless that was done already; says what is missing where it cannot be. */
export function buildGoProgram(name: string): Peer {
  const path = peerPath(name, ['go.mod', 'go.sum']);
  if (existsSync(path)) return { path };
  const source = peerSource(name);
  const packagePath = /^tool (\S+)$/m.exec(readFileSync(join(source, 'go.mod'), 'utf8'))?.[1];
  if (packagePath === undefined) return { missing: `test/peers/${name}/go.mod names no tool` };
  const go = process.env['GO'] || 'go';
  if (spawnSync(go, ['version']).status !== 0) return { missing: 'there is no Go on PATH and none named by GO' };
  mkdirSync(peersFolder(), { recursive: true });
  const unfinished = `${path}.${process.pid}`;
  console.log(`building ${name}, once`);
  const built = spawnSync(go, ['build', '-buildvcs=false', '-o', unfinished, packagePath], {
    cwd: source,
    encoding: 'utf8',
    timeout: BUILD_TIMEOUT_MS,
    env: { ...process.env, GOFLAGS: '-mod=readonly' },
  });
  if (built.status !== 0) return { missing: `${name} does not build: ${built.stderr.trim().split('\n').at(-1) ?? ''}` };
  renameSync(unfinished, path);
  return { path };
}
