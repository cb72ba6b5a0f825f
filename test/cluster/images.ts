// The images that a cluster's pods use. Those of pinned programs are kept beside the programs; ours are made of what is built here.
import { createHash } from 'node:crypto';
import { existsSync, globSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { peersFolder } from '../harness/peer-cache.ts';
import { writeImage, type ImageRecipe } from './image-archive.ts';
import { placeProgram, stageBusybox, stageLibraries, stageNode } from './image-trees.ts';
import type { Inside } from './inside.ts';
import { ctr } from './node.ts';
import { productionPackages } from './production-packages.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

export const BUSYBOX_IMAGE = 'localhost/busybox:1.35';
export const NODE_IMAGE = 'localhost/node:24';
export const AGENT_IMAGE = 'localhost/windlass-agent:test';
export const HELPER_IMAGE = 'localhost/windlass-restore-helper:test';
const VELERO_IMAGE = 'docker.io/velero/velero:v1.18.3';
const PLUGIN_IMAGE = 'docker.io/velero/velero-plugin-for-aws:v1.14.3';

/** Change it when a recipe below changes. */
const RECIPES = 1;
const IMPORT_TIMEOUT_MS = 5 * 60_000;
// Ends at once when asked to.
const PAUSE = "trap 'exit 0' TERM INT; while :; do sleep 100000 & wait; done";

export type ImageName = 'pause' | 'busybox' | 'node' | 'velero' | 'velero-plugin-for-aws' | 'agent' | 'restore-helper';

export interface ImagePrograms {
  /** The folder of the Velero programs. */
  readonly velero: string;
  readonly awsPlugin: string;
}

/** Makes the images where they are missing, and puts them into the node's store. */
export async function importImages(
  inside: Inside,
  names: readonly ImageName[],
  programs: ImagePrograms,
): Promise<void> {
  for (const name of names) {
    const isOurs = name === 'agent' || name === 'restore-helper';
    const pin = createHash('sha256').update(
      `${RECIPES} ${name} ${process.version} ${programs.velero} ${programs.awsPlugin}`,
    );
    const kept = join(dirname(peersFolder()), 'images', `${name}-${pin.digest('hex').slice(0, 16)}.tar`);
    const path = isOurs ? join(inside.folder, `${name}.tar`) : kept;
    if (isOurs || !existsSync(path)) await makeImage(path, name, programs);
    await inside.ok(ctr(inside.folder, 'images', 'import', path), { timeoutMs: IMPORT_TIMEOUT_MS });
    if (isOurs) rmSync(path);
  }
}

async function makeImage(path: string, name: ImageName, programs: ImagePrograms): Promise<void> {
  const staging = mkdtempSync(join(tmpdir(), 'windlass-image-'));
  try {
    await writeImage(path, await recipeOf(name, staging, programs));
  } finally {
    rmSync(staging, { recursive: true });
  }
}

async function recipeOf(name: ImageName, staging: string, programs: ImagePrograms): Promise<ImageRecipe> {
  const base = join(staging, 'base');
  await stageBusybox(base);
  const more = join(staging, 'more');
  const layers = [{ folder: base }, { folder: more }];
  switch (name) {
    case 'pause':
      return { name: 'localhost/pause:1', layers: [{ folder: base }], entrypoint: ['/bin/sh', '-c', PAUSE] };
    case 'busybox':
      return { name: BUSYBOX_IMAGE, layers: [{ folder: base }], command: ['/bin/sh'] };
    case 'node':
      await stageNode(more);
      return { name: NODE_IMAGE, layers, command: ['node'] };
    case 'velero':
      for (const program of ['velero', 'velero-helper', 'velero-restore-helper'])
        placeProgram(more, program, join(programs.velero, program));
      return { name: VELERO_IMAGE, layers, entrypoint: ['/velero'], environment: { HOME: '/home/cnb' } };
    case 'velero-plugin-for-aws':
      placeProgram(more, 'plugins/velero-plugin-for-aws', programs.awsPlugin);
      return { name: PLUGIN_IMAGE, layers, entrypoint: ['/bin/sh', '-c', 'cp /plugins/* /target/'] };
    case 'agent':
      return agentRecipe(base, more);
    case 'restore-helper':
      return helperRecipe(base, more);
  }
}

const ADDONS = ['node_modules/@napi-rs/*-linux-x64-gnu/*.node', 'node_modules/zstd-napi/build/Release/*.node'];

/** What is bundled in dist/ and the packages it asks for. */
async function agentRecipe(base: string, more: string): Promise<ImageRecipe> {
  await stageNode(more);
  for (const addon of ADDONS.flatMap((pattern) => globSync(pattern, { cwd: root })))
    await stageLibraries(more, join(root, addon));
  return {
    name: AGENT_IMAGE,
    layers: [
      { folder: base },
      { folder: more },
      { folder: root, paths: ['package.json', ...productionPackages(root)], below: 'app/' },
      { folder: root, paths: ['dist'], below: 'app/' },
    ],
    entrypoint: ['/usr/local/bin/node', '/app/dist/agent.cjs'],
    environment: { HOME: '/tmp' },
    workingFolder: '/app',
  };
}

/** As in Dockerfile: the bundle under the name that Velero starts. */
async function helperRecipe(base: string, more: string): Promise<ImageRecipe> {
  await stageNode(more);
  const bundle = join(root, 'dist', 'restore-helper.cjs');
  if (!existsSync(bundle)) throw new Error(`no ${basename(bundle)}: npm run build`);
  placeProgram(more, 'velero-restore-helper', bundle);
  return {
    name: HELPER_IMAGE,
    layers: [{ folder: base }, { folder: more }],
    entrypoint: ['/velero-restore-helper'],
    user: '1000',
  };
}
