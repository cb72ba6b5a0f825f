// Which of the kubelet's plugin folders has the volume: exactly one must.
import { readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { hasCode, WindlassError } from '../../base/errors.ts';
import type { VolumePlace } from '../datapath/job.ts';
import type { VolumeDirectory } from './volume-directory.ts';

/** Plugins whose volumes may be plain folders of the node. */
const PLAIN_FOLDERS = new Set(['kubernetes.io~empty-dir', 'kubernetes.io~git-repo']);
const NAME = /^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/;

/** `VOLUME_NOT_FOUND` unless one plugin has it: it may come yet. */
export async function findVolume(root: string, podUid: string, { names }: VolumeDirectory): Promise<VolumePlace> {
  for (const name of [podUid, ...names]) {
    if (!NAME.test(name)) throw notFound(`${JSON.stringify(name)} cannot be the name of a volume`, 'never');
  }
  const volumes = join(root, podUid, 'volumes');
  const plugins = await readdir(volumes).catch((error: unknown) => {
    if (hasCode(error, 'ENOENT')) return [];
    throw error;
  });
  const found: string[] = [];
  for (const plugin of plugins) if (await hasFolder(join(volumes, plugin, ...names))) found.push(plugin);
  const [plugin] = found;
  if (plugin === undefined || found.length > 1) {
    const pattern = join(root, podUid, 'volumes', '*', ...names);
    throw notFound(`expected one matching path: ${pattern}, got ${found.length}`, 'transient');
  }
  return { root, names: [podUid, 'volumes', plugin, ...names], isMount: !PLAIN_FOLDERS.has(plugin) };
}

/**
 * As the folder above has it, without a look at the volume itself: a network volume whose server has gone answers nobody, and a few
 * such looks would keep this process from every file.
 */
async function hasFolder(path: string): Promise<boolean> {
  try {
    const entries = await readdir(dirname(path), { withFileTypes: true });
    return entries.some((entry) => entry.name === basename(path) && entry.isDirectory());
  } catch (error) {
    if (hasCode(error, 'ENOENT') || hasCode(error, 'ENOTDIR')) return false;
    throw error;
  }
}

function notFound(message: string, retry: 'never' | 'transient'): WindlassError {
  return new WindlassError(message, { code: 'VOLUME_NOT_FOUND', retry });
}
