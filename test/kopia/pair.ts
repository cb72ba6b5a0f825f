// One repository and both programs on it, with the source tree that tests back up. Shapes of JSON output are checked as far
// as tests use them.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { findKopia, KopiaClient } from '../harness/kopia-client.ts';
import { memoryFolder, type CleanUp } from '../harness/scratch.ts';
import { WindlassClient } from '../harness/windlass-command.ts';

export const PASSWORD = 'two-way-password';
/** Both programs back up as this source. */
export const SOURCE = 'user@host:/data';

export interface Pair {
  readonly folder: string;
  readonly repository: string;
  /** The tree that is backed up; not made yet. */
  readonly tree: string;
  readonly kopia: KopiaClient;
  readonly windlass: WindlassClient;
  /** Another client of either kind, with a cache of its own. */
  anotherKopia(name: string, password?: string): KopiaClient;
  anotherWindlass(name: string, password?: string): WindlassClient;
  /** A path below the scratch folder, for a restore. */
  target(name: string): string;
}

/** What both programs print for a snapshot, as far as tests look. */
export interface SnapshotJson {
  readonly id: string;
  readonly source: { readonly host: string; readonly userName: string; readonly path: string };
  readonly startTime: string;
  readonly endTime: string;
  readonly incomplete?: string;
  readonly rootEntry: { readonly obj: string; readonly summ?: { readonly numFailed: number; readonly files: number } };
  readonly pins?: readonly string[];
  readonly tags?: Readonly<Record<string, string>>;
  readonly description: string;
}

export function openPair(t: CleanUp): Pair {
  const program = findKopia();
  if (program === undefined) throw new Error('there is no kopia on PATH and none named by KOPIA');
  const folder = memoryFolder(t, 'two-way');
  const repository = join(folder, 'repository');
  const anotherKopia = (name: string, password = PASSWORD): KopiaClient =>
    new KopiaClient({ program, folder: join(folder, name), repository, password });
  const anotherWindlass = (name: string, password = PASSWORD): WindlassClient => {
    const cacheFolder = join(folder, name);
    mkdirSync(cacheFolder, { recursive: true });
    return new WindlassClient({ repository, cacheFolder, password });
  };
  return {
    folder,
    repository,
    tree: join(folder, 'tree'),
    kopia: anotherKopia('kopia'),
    windlass: anotherWindlass('windlass'),
    anotherKopia,
    anotherWindlass,
    target: (name) => join(folder, name),
  };
}

/** Settings of a new repository, for either program. */
export interface RepositorySettings {
  readonly hash?: string;
  readonly encryption?: string;
  readonly splitter?: string;
  readonly formatVersion?: number;
  readonly eccPercent?: number;
}

export async function createByWindlass(windlass: WindlassClient, settings: RepositorySettings): Promise<void> {
  const args = ['repository', 'create'];
  if (settings.hash !== undefined) args.push('--hash', settings.hash);
  if (settings.encryption !== undefined) args.push('--encryption', settings.encryption);
  if (settings.splitter !== undefined) args.push('--splitter', settings.splitter);
  if (settings.formatVersion !== undefined) args.push('--format-version', `${settings.formatVersion}`);
  if ((settings.eccPercent ?? 0) > 0) {
    args.push('--ecc', 'REED-SOLOMON-CRC32', '--ecc-overhead-percent', `${settings.eccPercent}`);
  }
  await windlass.ok(...args);
}

export async function createByKopia(kopia: KopiaClient, settings: RepositorySettings): Promise<void> {
  const { eccPercent = 0, ...rest } = settings;
  await kopia.create({
    ...rest,
    ...(eccPercent > 0 ? { ecc: 'REED-SOLOMON-CRC32', eccOverheadPercent: eccPercent } : {}),
  });
}

export async function backUpByWindlass(
  windlass: WindlassClient,
  tree: string,
  ...args: string[]
): Promise<SnapshotJson> {
  return (await windlass.json('snapshot', 'create', tree, '--source', SOURCE, ...args)) as SnapshotJson;
}

export async function backUpByKopia(kopia: KopiaClient, tree: string, ...args: string[]): Promise<SnapshotJson> {
  return (await kopia.json('snapshot', 'create', tree, `--override-source=${SOURCE}`, ...args)) as SnapshotJson;
}

export async function listByKopia(kopia: KopiaClient): Promise<SnapshotJson[]> {
  return ((await kopia.json('snapshot', 'list', '--all', '--incomplete')) ?? []) as SnapshotJson[];
}

export async function listByWindlass(windlass: WindlassClient): Promise<SnapshotJson[]> {
  return (await windlass.json('snapshot', 'list', '--all')) as SnapshotJson[];
}

/** All that kopia can check, with nothing in its output that sounds like trouble. */
export async function kopiaVerifiesAll(kopia: KopiaClient): Promise<void> {
  await kopia.quiet('content', 'verify', '--full');
  await kopia.quiet('snapshot', 'verify', '--verify-files-percent=100');
}
