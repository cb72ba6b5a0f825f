// Commands and long-running processes inside a cluster's namespaces. A process is known by its name to everybody who knows the
// cluster's folder, so that one test file may kill and restart what another process started.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, openSync, closeSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describeResult, runCommand, type CommandOptions, type CommandResult } from '../harness/run-command.ts';
import { entering } from './holder.ts';
import { childrenOf, isAlive } from './host-processes.ts';
import { waitFor } from './wait.ts';

interface ProcessRecord {
  readonly argv: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** As the machine sees it. */
  readonly pid: number;
}

const DEFAULT_TIMEOUT_MS = 120_000;

export class Inside {
  readonly folder: string;
  readonly holderPid: number;

  constructor(folder: string, holderPid: number) {
    this.folder = folder;
    this.holderPid = holderPid;
  }

  /** A path inside, for whoever reads it from outside. */
  path(path: string): string {
    return `/proc/${this.holderPid}/root${path}`;
  }

  /** Runs a command inside, whatever its exit code. */
  run(argv: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    // Killing what entered would not end what runs inside.
    const limited = ['timeout', '-s', 'KILL', String(Math.ceil(timeoutMs / 1000)), ...argv];
    const env = { KUBECONFIG: join(this.folder, 'admin.kubeconfig'), HOME: join(this.folder, 'home'), ...options.env };
    return runCommand(entering(this.holderPid, limited), { ...options, env, timeoutMs: timeoutMs + 30_000 });
  }

  /** Runs a command that must succeed; answers its standard output. */
  async ok(argv: readonly string[], options: CommandOptions = {}): Promise<string> {
    const result = await this.run(argv, options);
    if (result.code !== 0) throw new Error(describeResult(argv, result));
    return result.stdout;
  }

  /** Starts a process that stays, its output in `logs/NAME.log`; answers its process id as the machine sees it. */
  async start(
    name: string,
    argv: readonly string[],
    environment: Readonly<Record<string, string>> = {},
  ): Promise<number> {
    mkdirSync(join(this.folder, 'logs'), { recursive: true });
    mkdirSync(join(this.folder, 'processes'), { recursive: true });
    const log = openSync(this.logPath(name), 'a');
    const [program = '', ...args] = entering(this.holderPid, argv);
    const child = spawn(program, args, {
      env: { PATH: process.env['PATH'] ?? '', HOME: join(this.folder, 'home'), ...environment },
      stdio: ['ignore', log, log],
      detached: true,
    });
    closeSync(log);
    child.unref();
    const pid = await waitFor(`process ${name}`, () => {
      if (child.exitCode !== null) throw new Error(`${name} ended at once:\n${this.log(name)}`);
      return childrenOf(child.pid ?? 0)[0];
    });
    const record: ProcessRecord = { argv, environment, pid };
    writeFileSync(this.#recordPath(name), JSON.stringify(record));
    return pid;
  }

  /** Was it ever started? */
  isKnown(name: string): boolean {
    return existsSync(this.#recordPath(name));
  }

  pid(name: string): number {
    return this.#record(name).pid;
  }

  isRunning(name: string): boolean {
    return isAlive(this.pid(name));
  }

  /** Ends the process at once and waits until it has gone. */
  async kill(name: string, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const pid = this.pid(name);
    if (!isAlive(pid)) return;
    process.kill(pid, signal);
    await waitFor(`the end of ${name}`, () => (isAlive(pid) ? undefined : true));
  }

  /** Starts a process again as it was started, ended or not. */
  async restart(name: string): Promise<number> {
    await this.kill(name);
    const { argv, environment } = this.#record(name);
    return this.start(name, argv, environment);
  }

  log(name: string): string {
    return readFileSync(this.logPath(name), 'utf8');
  }

  logPath(name: string): string {
    return join(this.folder, 'logs', `${name}.log`);
  }

  #recordPath(name: string): string {
    return join(this.folder, 'processes', `${name}.json`);
  }

  #record(name: string): ProcessRecord {
    return JSON.parse(readFileSync(this.#recordPath(name), 'utf8')) as ProcessRecord; // written by `start`
  }
}
