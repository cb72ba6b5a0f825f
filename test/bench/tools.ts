// The programs the bench compares, each as the same few commands. Windlass runs as users get it: the bundled build.
import { cpSync, mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { findKopia, findProgram, KopiaClient } from '../harness/kopia-client.ts';
import { runCommand, describeResult } from '../harness/run-command.ts';

export type ToolName = 'windlass' | 'windlass-same' | 'kopia' | 'restic';

export interface Command {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** One tool with one repository of its own. */
export interface Tool {
  readonly name: ToolName;
  readonly repository: string;
  create(): Promise<void>;
  backup(path: string): Command;
  /** Remembers what a later restore names, from a backup's output. */
  noteBackup(stdout: string): void;
  restore(target: string): Command;
  restoreFile(file: string, target: string): Command;
  verify(): Command;
  /** Before a restore: what earlier phases left in a content cache must not help it. */
  dropCaches(): Promise<void>;
}

export interface ToolOptions {
  /** Scratch folder of this tool and cycle. */
  readonly folder: string;
  /** The launcher to run. */
  readonly windlass: string;
  readonly windlassArgs: readonly string[];
}

export const PASSWORD = 'bench-password';
export const PARALLEL = availableParallelism();
export const KOPIA_HASH = 'BLAKE2B-256-128';

const CLONE = fileURLToPath(new URL('../../', import.meta.url));
const NODE = join(CLONE, 'node_modules/.bin/node');

/**
 * Lays the package out as an installation does, without the sources, so that the launcher starts the bundled build as it
 * does for users; answers the launcher's path.
 */
export function installPackage(folder: string): string {
  mkdirSync(folder, { recursive: true });
  cpSync(join(CLONE, 'bin'), join(folder, 'bin'), { recursive: true });
  for (const name of ['dist', 'node_modules', 'package.json']) symlinkSync(join(CLONE, name), join(folder, name));
  return join(folder, 'bin/windlass');
}

export function availableTools(): ToolName[] {
  const tools: ToolName[] = ['windlass', 'windlass-same'];
  if (findKopia() !== undefined) tools.push('kopia');
  if (findProgram('restic', 'RESTIC') !== undefined) tools.push('restic');
  return tools;
}

export function openTool(name: ToolName, options: ToolOptions): Tool {
  mkdirSync(options.folder, { recursive: true });
  switch (name) {
    case 'windlass':
      return windlass(name, options, []);
    case 'windlass-same':
      return windlass(name, options, ['--hash', KOPIA_HASH]);
    case 'kopia':
      return kopia(options);
    case 'restic':
      return restic(options);
  }
}

/** Runs what is not measured and must succeed. */
export async function must(command: Command): Promise<string> {
  const result = await runCommand(command.argv, { env: command.env });
  if (result.code !== 0) throw new Error(describeResult(command.argv, result));
  return result.stdout;
}

function windlass(name: ToolName, options: ToolOptions, createArgs: readonly string[]): Tool {
  const repository = join(options.folder, 'repository');
  const cache = join(options.folder, 'cache');
  const command = (...args: string[]): Command => ({
    argv: [options.windlass, '-r', repository, '--cache-dir', cache, ...options.windlassArgs, ...args],
    env: { WINDLASS_PASSWORD: PASSWORD, HOME: options.folder },
  });
  let snapshot = '';
  return {
    name,
    repository,
    create: async () => void (await must(command('repository', 'create', ...createArgs))),
    backup: (path) => command('snapshot', 'create', path, '--json'),
    noteBackup: (stdout) => {
      snapshot = (JSON.parse(stdout) as { id: string }).id;
    },
    restore: (target) => command('snapshot', 'restore', snapshot, target),
    restoreFile: (file, target) => command('snapshot', 'restore', `${snapshot}/${file}`, target),
    verify: () => command('snapshot', 'verify', snapshot),
    // Restores read packs straight from the repository: there is no cache of contents to drop.
    dropCaches: async () => undefined,
  };
}

/** As Velero runs it: BLAKE2B-256-128, no compression, as many files at a time as there are cores. */
function kopia(options: ToolOptions): Tool {
  const program = findKopia();
  if (program === undefined) throw new Error('no kopia on PATH');
  const repository = join(options.folder, 'repository');
  const client = new KopiaClient({ program, folder: join(options.folder, 'home'), repository, password: PASSWORD });
  const command = (...args: string[]): Command => ({ argv: client.argv(args), env: client.env() });
  let rootObject = '';
  return {
    name: 'kopia',
    repository,
    create: async () => {
      await client.create({ hash: KOPIA_HASH, encryption: 'AES256-GCM-HMAC-SHA256', splitter: 'DYNAMIC-4M-BUZHASH' });
      await client.ok('policy', 'set', '--global', '--compression=none');
    },
    backup: (path) => command('snapshot', 'create', path, `--parallel=${PARALLEL}`, '--json'),
    noteBackup: (stdout) => {
      rootObject = (JSON.parse(stdout) as { rootEntry: { obj: string } }).rootEntry.obj;
    },
    restore: (target) => command('snapshot', 'restore', rootObject, target, `--parallel=${PARALLEL}`),
    restoreFile: (file, target) =>
      command('snapshot', 'restore', `${rootObject}/${file}`, target, `--parallel=${PARALLEL}`),
    verify: () => command('snapshot', 'verify', '--verify-files-percent=100', `--file-parallelism=${PARALLEL}`),
    dropCaches: async () => void (await client.ok('cache', 'clear')),
  };
}

function restic(options: ToolOptions): Tool {
  const program = findProgram('restic', 'RESTIC');
  if (program === undefined) throw new Error('no restic on PATH');
  const repository = join(options.folder, 'repository');
  const cache = join(options.folder, 'cache');
  const command = (...args: string[]): Command => ({
    argv: [program, '-q', '-r', repository, '--cache-dir', cache, '--compression', 'off', ...args],
    env: { RESTIC_PASSWORD: PASSWORD, HOME: options.folder },
  });
  let root = '';
  return {
    name: 'restic',
    repository,
    create: async () => void (await must(command('init'))),
    backup: (path) => {
      root = path;
      return command('backup', path);
    },
    noteBackup: () => undefined,
    restore: (target) => command('restore', `latest:${root}`, '--target', target),
    restoreFile: (file, target) => command('restore', `latest:${root}`, '--include', `/${file}`, '--target', target),
    verify: () => command('check', '--read-data'),
    dropCaches: async () => rmSync(cache, { recursive: true, force: true }),
  };
}

/** Versions as the programs tell them, for the report. */
export async function toolVersions(tools: readonly ToolName[], windlassPath: string): Promise<string[]> {
  const lines: string[] = [];
  const ask = async (label: string, argv: readonly string[]): Promise<void> => {
    const result = await runCommand(argv);
    lines.push(`${label} ${/\d+\.\d+\.\d+\S*/.exec(result.stdout + result.stderr)?.[0] ?? 'of unknown version'}`);
  };
  await ask('windlass', [windlassPath, '--version']);
  await ask('Node.js', [NODE, '--version']);
  // Stored results may be of tools that are not here any more.
  for (const [name, variable, argument] of [
    ['kopia', 'KOPIA', '--version'],
    ['restic', 'RESTIC', 'version'],
  ] as const) {
    const program = findProgram(name, variable);
    if (tools.includes(name) && program !== undefined) await ask(name, [program, argument]);
  }
  return lines;
}
