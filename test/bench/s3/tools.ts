// The programs of the S3 bench, each as the same few commands, with what they do by themselves: no flag on parallelism or
// caches. Windlass runs as users get it, the bundled build.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { findKopia, findProgram, KopiaClient } from '../../harness/kopia-client.ts';
import { removeTree } from '../../harness/scratch.ts';
import { KOPIA_HASH, must, PASSWORD, type Command } from '../tools.ts';
import type { Place } from './store.ts';

export const STORE_TOOLS = ['windlass', 'kopia', 'restic'] as const;
export type StoreToolName = (typeof STORE_TOOLS)[number];

/** One tool with one repository in a bucket. */
export interface StoreTool {
  readonly name: StoreToolName;
  create(): Promise<void>;
  /** To a repository that is there. */
  connect(): Promise<void>;
  backup(path: string): Command;
  /** Remembers what a later restore names, from a backup's output; answers the snapshot's ID. */
  noteBackup(stdout: string): string;
  deleteSnapshots(ids: readonly string[]): Command;
  restore(target: string): Command;
  /** Opens the repository and lists its snapshots. */
  list(): Command;
  /** Becomes the owner of maintenance. */
  own(): Promise<void>;
  maintain(): Command;
  /** As on a machine that never saw the repository. */
  dropCache(): void;
  /** As hours later on the same machine: what is held for seconds only has gone. */
  ageCache(): void;
}

export interface StoreToolOptions {
  /** Of this tool and cycle: caches and configuration. */
  readonly folder: string;
  readonly place: Place;
  readonly windlass: string;
  readonly password?: string;
}

export function availableStoreTools(): StoreToolName[] {
  const isThere = { windlass: true, kopia: findKopia() !== undefined, restic: findRestic() !== undefined };
  return STORE_TOOLS.filter((tool) => isThere[tool]);
}

export function openStoreTool(name: StoreToolName, options: StoreToolOptions): StoreTool {
  mkdirSync(options.folder, { recursive: true });
  return { windlass, kopia, restic }[name](options);
}

function windlass({ folder, place, windlass: program, password = PASSWORD }: StoreToolOptions): StoreTool {
  const cache = join(folder, 'cache');
  const repository = `s3://${place.bucket}?endpoint=${encodeURIComponent(place.endpoint)}`;
  const command = (...args: string[]): Command => ({
    argv: [program, '-r', repository, '--cache-dir', cache, ...args],
    env: { ...place.environment, WINDLASS_PASSWORD: password, HOME: folder },
  });
  let snapshot = '';
  return {
    name: 'windlass',
    create: async () => void (await must(command('repository', 'create'))),
    connect: async () => undefined,
    backup: (path) => command('snapshot', 'create', path, '--json'),
    noteBackup: (stdout) => {
      snapshot = (JSON.parse(stdout) as { id: string }).id;
      return snapshot;
    },
    deleteSnapshots: (ids) => command('snapshot', 'delete', ...ids),
    restore: (target) => command('snapshot', 'restore', snapshot, target),
    list: () => command('snapshot', 'list'),
    own: async () => void (await must(command('maintenance', 'set', '--owner', 'me'))),
    maintain: () => command('maintenance', 'run', '--full', '--safety', 'none'),
    dropCache: () => removeTree(cache),
    ageCache: () => undefined,
  };
}

function kopia({ folder, place, password = PASSWORD }: StoreToolOptions): StoreTool {
  const program = findKopia();
  if (program === undefined) throw new Error('no kopia on PATH');
  const repository = [
    's3',
    `--bucket=${place.bucket}`,
    `--endpoint=${new URL(place.endpoint).host}`,
    '--region=us-east-1',
    '--disable-tls',
  ];
  const { environment } = place;
  const client = new KopiaClient({ program, folder, repository, password, environment, listCache: '30s' });
  const command = (...args: string[]): Command => ({ argv: client.argv(args), env: client.env() });
  let rootObject = '';
  return {
    name: 'kopia',
    create: async () => {
      await client.create({ hash: KOPIA_HASH, encryption: 'AES256-GCM-HMAC-SHA256', splitter: 'DYNAMIC-4M-BUZHASH' });
      await client.ok('policy', 'set', '--global', '--compression=none');
    },
    connect: () => client.connect(),
    backup: (path) => command('snapshot', 'create', path, '--json'),
    noteBackup: (stdout) => {
      const { id, rootEntry } = JSON.parse(stdout) as { id: string; rootEntry: { obj: string } };
      rootObject = rootEntry.obj;
      return id;
    },
    deleteSnapshots: (ids) => command('snapshot', 'delete', '--delete', ...ids),
    restore: (target) => command('snapshot', 'restore', rootObject, target),
    list: () => command('snapshot', 'list', '--all'),
    own: async () => void (await client.ok('maintenance', 'set', '--owner=me')),
    maintain: () => command('maintenance', 'run', '--full', '--safety=none'),
    dropCache: () => removeTree(join(folder, 'cache')),
    ageCache: () => removeTree(join(folder, 'cache/blob-list')),
  };
}

function findRestic(): string | undefined {
  return findProgram('restic', 'RESTIC');
}

function restic({ folder, place, password = PASSWORD }: StoreToolOptions): StoreTool {
  const program = findRestic();
  if (program === undefined) throw new Error('no restic on PATH');
  const cache = join(folder, 'cache');
  const repository = `s3:${place.endpoint}/${place.bucket}`;
  const command = (...args: string[]): Command => ({
    argv: [program, '-q', '-r', repository, '--cache-dir', cache, '--compression', 'off', ...args],
    env: { ...place.environment, RESTIC_PASSWORD: password, HOME: folder },
  });
  let root = '';
  return {
    name: 'restic',
    create: async () => void (await must(command('init'))),
    connect: async () => undefined,
    backup: (path) => {
      root = path;
      return command('backup', path);
    },
    noteBackup: () => 'latest',
    deleteSnapshots: (ids) => command('forget', ...ids),
    restore: (target) => command('restore', `latest:${root}`, '--target', target),
    list: () => command('snapshots'),
    own: async () => undefined,
    maintain: () => command('prune'),
    dropCache: () => removeTree(cache),
    ageCache: () => undefined,
  };
}
