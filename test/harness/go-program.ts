// Programs that tests need and that exist as Go modules, each pinned by test/peers/NAME/go.mod and go.sum, which name them as their
// tools. Built once.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { peerPath, peersFolder, peerSource, type Peer } from './peer-cache.ts';

const BUILD_TIMEOUT_MS = 40 * 60_000;

/** What a program says of itself is set when it is linked: others look at it. */
const LINKED_VALUES: Readonly<Record<string, readonly string[]>> = {
  kubernetes: [
    'k8s.io/component-base/version.gitVersion=v1.34.4',
    'k8s.io/component-base/version.gitMajor=1',
    'k8s.io/component-base/version.gitMinor=34',
    'k8s.io/component-base/version.gitCommit=v1.34.4',
    'k8s.io/component-base/version.gitTreeState=archive',
    'k8s.io/component-base/version.buildDate=2026-01-01T00:00:00Z',
  ],
  velero: [
    'github.com/vmware-tanzu/velero/pkg/buildinfo.Version=v1.18.3',
    'github.com/vmware-tanzu/velero/pkg/buildinfo.GitSHA=v1.18.3',
    'github.com/vmware-tanzu/velero/pkg/buildinfo.GitTreeState=clean',
  ],
};

/** Builds the one program of the pin unless that was done already; says what is missing where it cannot be. */
export function buildGoProgram(name: string): Peer {
  return build(name, (path, packages) => (packages.length === 1 ? path : undefined));
}

/** Builds all programs of the pin; answers the folder that they lie in, each under its own name. */
export function buildGoPrograms(name: string): Peer {
  return build(name, (path) => `${path}/`);
}

/** The packages that the pin names as its tools. */
export function goTools(name: string): readonly string[] {
  const text = readFileSync(join(peerSource(name), 'go.mod'), 'utf8');
  const block = /^tool \(\n([^)]*)\)/m.exec(text)?.[1];
  if (block !== undefined) return block.trim().split(/\s+/);
  return [...text.matchAll(/^tool (\S+)$/gm)].map(([, path = '']) => path);
}

function build(name: string, outputOf: (path: string, packages: readonly string[]) => string | undefined): Peer {
  const path = peerPath(name, ['go.mod', 'go.sum']);
  if (existsSync(path)) return { path };
  const packages = goTools(name);
  const unfinished = `${path}.${process.pid}`;
  const output = outputOf(unfinished, packages);
  if (packages.length === 0 || output === undefined)
    return { missing: `test/peers/${name}/go.mod names ${packages.length} tools` };
  const go = process.env['GO'] || 'go';
  if (spawnSync(go, ['version']).status !== 0) return { missing: 'there is no Go on PATH and none named by GO' };
  mkdirSync(peersFolder(), { recursive: true });
  if (output.endsWith('/')) mkdirSync(output, { recursive: true });
  console.log(`building ${name}, once`);
  const linked = ['-s', '-w', ...(LINKED_VALUES[name] ?? []).flatMap((value) => ['-X', value])].join(' ');
  const built = spawnSync(
    go,
    ['build', '-buildvcs=false', '-trimpath', '-ldflags', linked, '-o', output, ...packages],
    {
      cwd: peerSource(name),
      encoding: 'utf8',
      timeout: BUILD_TIMEOUT_MS,
      env: { ...process.env, GOFLAGS: '-mod=readonly', CGO_ENABLED: '0' },
    },
  );
  if (built.status !== 0) {
    rmSync(unfinished, { recursive: true, force: true });
    return { missing: `${name} does not build: ${built.stderr.trim().split('\n').at(-1) ?? ''}` };
  }
  renameSync(unfinished, path);
  return { path };
}
