// Runs one command and measures it whole: wall time, CPU of it and everything it started, peak memory of its process tree.
// Linux only (reads /proc).
//
// CPU: a small shell starts the command and says `times` at its end: exact, including processes waited for.
// Memory: every SAMPLE_MS the resident sizes of all descendants are added; a process's own high-water mark (VmHWM) corrects
// what falls between two samples. Pages shared between processes count in each, so the sum is never too small.
import { spawn } from 'node:child_process';
import { openSync, closeSync, readFileSync, readdirSync } from 'node:fs';

export interface Measurement {
  readonly wallSeconds: number;
  readonly cpuSeconds: number;
  readonly peakBytes: number;
  readonly code: number;
  readonly stdout: string;
}

export interface MeasureOptions {
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** Standard error goes here. */
  readonly logPath: string;
  /** Called about a hundred times a second while the command runs. */
  readonly onSample?: () => void;
}

const SAMPLE_MS = 10;
/** What Linux counts CPU time in, on every machine we know. */
const TICKS_A_SECOND = 100;
const SHELL_SCRIPT = '"$@"; code=$?; times >&3; exit $code';

/** Rejects when the command fails: a wrong run has no time. */
export async function measure(argv: readonly string[], options: MeasureOptions): Promise<Measurement> {
  const log = openSync(options.logPath, 'a');
  try {
    return await run(argv, options, log);
  } finally {
    closeSync(log);
  }
}

function run(argv: readonly string[], options: MeasureOptions, log: number): Promise<Measurement> {
  return new Promise((resolve, reject) => {
    const startedMs = performance.now();
    const shell = spawn('/bin/sh', ['-c', SHELL_SCRIPT, 'sh', ...argv], {
      env: { PATH: process.env['PATH'] ?? '', LANG: 'C.UTF-8', ...options.env },
      cwd: options.cwd,
      stdio: ['ignore', 'pipe', log, 'pipe'],
    });
    const memory = new TreeMemory(shell.pid ?? 0);
    // A bench that is interrupted leaves nothing running, which would write where the scratch folder was removed.
    const endAll = (): void => descendants(shell.pid ?? 0).forEach((pid) => process.kill(pid, 'SIGKILL'));
    process.prependListener('exit', endAll);
    const sampler = setInterval(() => {
      memory.sample();
      options.onSample?.();
    }, SAMPLE_MS);
    const stdout: Buffer[] = [];
    const times: Buffer[] = [];
    shell.stdout?.on('data', (bytes: Buffer) => stdout.push(bytes));
    shell.stdio[3]?.on('data', (bytes: Buffer) => times.push(bytes));
    let wallSeconds = 0;
    shell.on('exit', () => {
      wallSeconds = (performance.now() - startedMs) / 1000;
      clearInterval(sampler);
      process.off('exit', endAll);
    });
    shell.on('error', reject);
    shell.on('close', (code) => {
      const output = Buffer.concat(stdout).toString();
      if (code !== 0)
        return reject(
          new Error(`${argv.join(' ')} ended with ${code}: see ${options.logPath}\n${output.slice(0, 2000)}`),
        );
      const cpuSeconds = childSeconds(Buffer.concat(times).toString());
      resolve({ wallSeconds, cpuSeconds, peakBytes: memory.peakBytes, code, stdout: output });
    });
  });
}

/** The second line of `times`: user and system time of the children, as `1m2.34s`. */
function childSeconds(text: string): number {
  const line = text.trim().split('\n')[1] ?? '';
  let seconds = 0;
  for (const [, minutes, rest] of line.matchAll(/(\d+)m([\d.]+)s/g)) seconds += Number(minutes) * 60 + Number(rest);
  return seconds;
}

/** Resident memory of all processes below a root (the root, our shell, is not counted). */
class TreeMemory {
  readonly #rootPid: number;
  #peakOfSums = 0;
  readonly #highWater = new Map<number, number>();

  constructor(rootPid: number) {
    this.#rootPid = rootPid;
  }

  get peakBytes(): number {
    return Math.max(this.#peakOfSums, ...this.#highWater.values());
  }

  sample(): void {
    let sum = 0;
    for (const pid of descendants(this.#rootPid)) {
      const status = readProc(`/proc/${pid}/status`);
      sum += kibibytes(status, 'VmRSS') * 1024;
      const high = kibibytes(status, 'VmHWM') * 1024;
      if (high > (this.#highWater.get(pid) ?? 0)) this.#highWater.set(pid, high);
    }
    this.#peakOfSums = Math.max(this.#peakOfSums, sum);
  }
}

function kibibytes(status: string, field: string): number {
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0);
}

function descendants(pid: number): number[] {
  const found: number[] = [];
  for (const child of childrenOf(pid)) found.push(child, ...descendants(child));
  return found;
}

function childrenOf(pid: number): number[] {
  const children: number[] = [];
  let tasks: string[] = [];
  try {
    tasks = readdirSync(`/proc/${pid}/task`);
  } catch {
    // The process ended between two looks: it has no children any more.
  }
  for (const task of tasks) {
    const text = readProc(`/proc/${pid}/task/${task}/children`).trim();
    if (text !== '') children.push(...text.split(' ').map(Number));
  }
  return children;
}

function readProc(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

/** CPU time that one process of ours has taken so far. */
export function cpuSecondsOf(pid: number): number {
  // After the name, which may hold anything: state is the third field, user and system ticks the 14th and 15th.
  const fields = readProc(`/proc/${pid}/stat`).split(') ').at(-1)?.split(' ') ?? [];
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / TICKS_A_SECOND;
}

/** Used to tell a machine's size in reports. */
export function memoryOfMachineBytes(): number {
  return kibibytes(readProc('/proc/meminfo'), 'MemTotal') * 1024;
}
