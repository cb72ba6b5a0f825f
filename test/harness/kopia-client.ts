// A real `kopia` as tests use it: found in KOPIA or on PATH, with its own configuration, cache and log folders, a fixed
// identity, no update check and no maintenance of its own accord.
import { accessSync, constants, mkdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';

import { describeResult, runCommand, type CommandResult } from './run-command.ts';

/** The program's path, or undefined where none is installed. */
export function findProgram(name: string, variable: string): string | undefined {
  const named = process.env[variable];
  const candidates =
    named === undefined || named === ''
      ? (process.env['PATH'] ?? '').split(delimiter).map((folder) => join(folder, name))
      : [named];
  return candidates.find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

export function findKopia(): string | undefined {
  return findProgram('kopia', 'KOPIA');
}

export interface KopiaClientOptions {
  readonly program: string;
  /** Configuration, cache and logs go here. */
  readonly folder: string;
  /** The path of a folder; elsewhere, the arguments from the provider's name on. */
  readonly repository: string | readonly string[];
  readonly password: string;
  /** Besides the password: keys of a store. */
  readonly environment?: Readonly<Record<string, string>>;
  /** How long it believes a listing it has made; by itself 30 s, here not at all: a kopia command must see what others wrote. */
  readonly listCache?: '0s' | '30s';
}

export interface KopiaCreateOptions {
  /** Further arguments of `repository create`. */
  readonly more?: readonly string[];
  readonly hash?: string;
  readonly encryption?: string;
  readonly splitter?: string;
  readonly formatVersion?: number;
  readonly ecc?: string;
  readonly eccOverheadPercent?: number;
}

export class KopiaClient {
  readonly #options: KopiaClientOptions;

  constructor(options: KopiaClientOptions) {
    this.#options = options;
    mkdirSync(options.folder, { recursive: true });
  }

  argv(args: readonly string[]): string[] {
    const { program, folder } = this.#options;
    return [
      program,
      `--config-file=${join(folder, 'repository.config')}`,
      `--log-dir=${join(folder, 'logs')}`,
      '--disable-file-logging',
      '--no-progress',
      ...args,
    ];
  }

  env(): Record<string, string> {
    return {
      HOME: this.#options.folder,
      KOPIA_PASSWORD: this.#options.password,
      KOPIA_CHECK_FOR_UPDATES: 'false',
      ...this.#options.environment,
    };
  }

  /** Runs a command, whatever its exit code. */
  run(args: readonly string[], timeoutMs?: number): Promise<CommandResult> {
    return runCommand(this.argv(args), { env: this.env(), ...(timeoutMs === undefined ? {} : { timeoutMs }) });
  }

  /** Runs a command that must succeed; answers its standard output. */
  async ok(...args: string[]): Promise<string> {
    const result = await this.run(args);
    if (result.code !== 0) throw new Error(describeResult(['kopia', ...args], result));
    return result.stdout;
  }

  /** The same, and nothing in what it says may sound like trouble. */
  async quiet(...args: string[]): Promise<string> {
    const result = await this.run(args);
    if (result.code !== 0 || /\b(error|warn|corrupt|unable|failed)\b/i.test(withoutCounters(result.stderr))) {
      throw new Error(describeResult(['kopia', ...args], result));
    }
    return result.stdout;
  }

  async json(...args: string[]): Promise<unknown> {
    return JSON.parse(await this.ok(...args, '--json')) as unknown;
  }

  async create(options: KopiaCreateOptions = {}): Promise<void> {
    const { repository } = this.#options;
    if (typeof repository === 'string') mkdirSync(repository, { recursive: true });
    await this.ok(
      'repository',
      'create',
      ...this.#place(),
      ...this.#connection(),
      ...flag('--block-hash', options.hash),
      ...flag('--encryption', options.encryption),
      ...flag('--object-splitter', options.splitter),
      ...flag('--format-version', options.formatVersion),
      ...flag('--ecc', options.ecc),
      ...flag('--ecc-overhead-percent', options.eccOverheadPercent),
      ...(options.more ?? []),
    );
    await this.disableMaintenance();
  }

  async connect(): Promise<void> {
    await this.ok('repository', 'connect', ...this.#place(), ...this.#connection());
  }

  /** Nothing runs by itself while a test watches. */
  async disableMaintenance(): Promise<void> {
    await this.ok('maintenance', 'set', '--enable-full=false', '--enable-quick=false');
  }

  #place(): readonly string[] {
    const { repository } = this.#options;
    return typeof repository === 'string' ? ['filesystem', `--path=${repository}`] : repository;
  }

  #connection(): string[] {
    return [
      `--cache-directory=${join(this.#options.folder, 'cache')}`,
      '--override-hostname=host',
      '--override-username=user',
      `--max-list-cache-duration=${this.#options.listCache ?? '0s'}`,
    ];
  }
}

function flag(name: string, value: string | number | undefined): string[] {
  return value === undefined ? [] : [`${name}=${value}`];
}

/** `0 errors` is good news. */
function withoutCounters(text: string): string {
  return text.replace(/\b(0|no) errors?\b|errors?: ?0\b/gi, '');
}
