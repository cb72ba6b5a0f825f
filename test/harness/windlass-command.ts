// The `windlass` command as a user runs it, each client with its own cache and password.
import { fileURLToPath } from 'node:url';

import { describeResult, runCommand, type CommandOptions, type CommandResult } from './run-command.ts';

/** The launcher in this clone. */
export const WINDLASS_PATH = fileURLToPath(new URL('../../bin/windlass', import.meta.url));

export interface WindlassClientOptions {
  readonly repository: string;
  readonly cacheFolder: string;
  readonly password: string;
  /** Besides the password: what a store's library looks for. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Another way to start it (the bundled build). */
  readonly program?: readonly string[];
}

export class WindlassClient {
  readonly #options: WindlassClientOptions;

  constructor(options: WindlassClientOptions) {
    this.#options = options;
  }

  argv(args: readonly string[]): string[] {
    const { program, repository, cacheFolder } = this.#options;
    return [...(program ?? [WINDLASS_PATH]), '-r', repository, '--cache-dir', cacheFolder, ...args];
  }

  env(): Record<string, string> {
    const { password, cacheFolder, environment } = this.#options;
    return { WINDLASS_PASSWORD: password, HOME: cacheFolder, ...environment };
  }

  run(args: readonly string[], options: Omit<CommandOptions, 'env'> = {}): Promise<CommandResult> {
    return runCommand(this.argv(args), { ...options, env: this.env() });
  }

  /** Runs a command that must succeed; answers its standard output. */
  async ok(...args: string[]): Promise<string> {
    const result = await this.run(args);
    if (result.code !== 0) throw new Error(describeResult(['windlass', ...args], result));
    return result.stdout;
  }

  async json(...args: string[]): Promise<unknown> {
    return JSON.parse(await this.ok(...args, '--json')) as unknown;
  }
}
