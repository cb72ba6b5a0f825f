// Runs a program and collects what it said. Programs under test get a small, explicit environment.
import { spawn, type ChildProcess } from 'node:child_process';

export interface CommandResult {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly input?: string | Uint8Array;
  /** The program is killed after this; the result then carries the signal. */
  readonly timeoutMs?: number;
  /** Called with the process once it runs, for tests that kill it. */
  readonly onStart?: (child: ChildProcess) => void;
}

const DEFAULT_TIMEOUT_MS = 120_000;

/** Resolves whatever the exit code; rejects only when the program cannot be started. */
export function runCommand(argv: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  const [program, ...args] = argv;
  if (program === undefined) throw new Error('no program given');
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: options.cwd,
      env: { PATH: process.env['PATH'] ?? '', LANG: 'C.UTF-8', ...compileCache(), ...options.env },
      stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout?.on('data', (bytes: Buffer) => stdout.push(bytes));
    child.stderr?.on('data', (bytes: Buffer) => stderr.push(bytes));
    const timer = setTimeout(() => child.kill('SIGKILL'), options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
    child.on('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ code, signal, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() });
    });
    if (options.input !== undefined) {
      // A program that dies before it has read its input is judged by its exit, not by the broken pipe.
      child.stdin?.on('error', () => undefined);
      child.stdin?.end(options.input);
    }
    options.onStart?.(child);
  });
}

/** The suite's: else each new cache folder of a test begins with the compilation of everything. */
function compileCache(): Record<string, string> {
  const folder = process.env['NODE_COMPILE_CACHE'];
  return folder === undefined ? {} : { NODE_COMPILE_CACHE: folder };
}

/** The result as one readable message, for assertions. */
export function describeResult(argv: readonly string[], result: CommandResult): string {
  return `${argv.join(' ')} → ${result.code ?? result.signal}\n${result.stderr.trim()}\n${result.stdout.trim()}`.trim();
}
