// Container images without a registry: an archive that `ctr images import` reads, made of folders.
import { createHash } from 'node:crypto';
import { createReadStream, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { describeResult, runCommand } from '../harness/run-command.ts';

/** What `tar` is to take from a folder. */
export interface Layer {
  readonly folder: string;
  /** Paths in the folder; default all of it. */
  readonly paths?: readonly string[];
  /** Where it lies in the image, as `app/`; default at the root. */
  readonly below?: string;
}

export interface ImageRecipe {
  /** With registry and tag. */
  readonly name: string;
  readonly layers: readonly Layer[];
  readonly entrypoint?: readonly string[];
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly user?: string;
  readonly workingFolder?: string;
}

const TAR_TIMEOUT_MS = 10 * 60_000;

/** Writes the archive at `path`, whole or not at all. */
export async function writeImage(path: string, recipe: ImageRecipe): Promise<void> {
  mkdirSync(dirname(path), { recursive: true });
  const folder = mkdtempSync(`${path}.`);
  try {
    const layers = [];
    for (const layer of recipe.layers) layers.push(await writeLayer(folder, layer));
    const config = JSON.stringify({
      architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
      os: 'linux',
      config: {
        Env: Object.entries({ PATH: '/usr/local/bin:/usr/bin:/bin', ...recipe.environment }).map(
          ([k, v]) => `${k}=${v}`,
        ),
        Entrypoint: recipe.entrypoint ?? null,
        Cmd: recipe.command ?? null,
        User: recipe.user ?? '',
        WorkingDir: recipe.workingFolder ?? '/',
      },
      rootfs: { type: 'layers', diff_ids: layers.map((digest) => `sha256:${digest}`) },
      history: layers.map(() => ({ created: '1970-01-01T00:00:00Z' })),
    });
    const configName = `${createHash('sha256').update(config).digest('hex')}.json`;
    writeFileSync(join(folder, configName), config);
    const manifest = [{ Config: configName, RepoTags: [recipe.name], Layers: layers.map((digest) => `${digest}.tar`) }];
    writeFileSync(join(folder, 'manifest.json'), JSON.stringify(manifest));
    await tar(['-cf', `${folder}.tar`, '-C', folder, '.']);
    renameSync(`${folder}.tar`, path);
  } finally {
    rmSync(folder, { recursive: true, force: true });
    rmSync(`${folder}.tar`, { force: true });
  }
}

/** Answers the digest, which is also the file's name. The same files give the same digest. */
async function writeLayer(folder: string, layer: Layer): Promise<string> {
  const unnamed = join(folder, 'layer.tar');
  const moved = layer.below === undefined ? [] : [`--transform=flags=r;s,^\\./,,;s,^,${layer.below},`];
  await tar([
    '--numeric-owner',
    '--owner=0',
    '--group=0',
    '--sort=name',
    '--hard-dereference',
    '--mtime=@0',
    ...moved,
    '-cf',
    unnamed,
    '-C',
    layer.folder,
    ...(layer.paths ?? ['.']),
  ]);
  const digest = await sha256(unnamed);
  renameSync(unnamed, join(folder, `${digest}.tar`));
  return digest;
}

async function tar(args: readonly string[]): Promise<void> {
  const argv = ['tar', ...args];
  const result = await runCommand(argv, { timeoutMs: TAR_TIMEOUT_MS });
  if (result.code !== 0) throw new Error(describeResult(argv.slice(0, 8), result));
}

async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash);
  return hash.digest('hex');
}
