// Starts a data mover and follows it: what it says, how it ends. One process a volume: it can be killed, and its memory is its own.
import { type ChildProcess, type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { deserializeError, WindlassError } from '../../base/errors.ts';
import type { LogFields, Logger } from '../../base/logger.ts';
import type { Answer, Job, Message } from './job.ts';

export type MoverMessage = Extract<
  Message,
  { readonly type: 'started' | 'progress' | 'alive' | 'derived' | 'confirm' }
>;
/** The last it says. */
type MoverEnd = Exclude<Message, MoverMessage>;
/** What a job is answered with at its end. */
export type MoverResult = Extract<Message, { readonly type: 'backed-up' | 'restored' | 'marked' }>;

export interface MoverProcess {
  readonly pid: number | undefined;
  /**
   * Rejects with what the mover failed with, `MOVER_DIED` when it ended without a word, `MOVER_STUCK` when it was to be ended and could
   * not even be killed: then its process is still there, and does nothing more.
   */
  readonly result: Promise<MoverResult>;
  /** The most memory it has had, as it said at its end, whatever that was; 0 when it said nothing. */
  readonly maxRssBytes: number;
  /** To its `confirm`. */
  answer(answer: Answer): void;
  /** Asks it to end; it is killed when it does not. */
  stop(): void;
}

export interface ProcessOptions {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Folder for compiled code: it halves the start of the next mover. */
  readonly compileCache?: string | undefined;
}

/** How long a mover that is to end is waited for. */
export interface Patience {
  readonly killAfterMs: number;
  /** After it was killed: a process in a call of a file system whose server is away does not die. */
  readonly giveUpAfterMs: number;
}

export interface MoverOptions extends ProcessOptions {
  readonly patience?: Patience;
  readonly onMessage: (message: MoverMessage) => void;
  readonly logger: Logger;
}

const MIDWAY: ReadonlySet<string> = new Set<MoverMessage['type']>([
  'started',
  'progress',
  'alive',
  'derived',
  'confirm',
]);
const PATIENCE: Patience = { killAfterMs: 10_000, giveUpAfterMs: 30_000 };
const MAX_ERROR_BYTES = 4096;
/** The heap of its main thread, in MiB; buffers and lanes come beside it. */
const HEAP_SHARE = 0.5;
const DEFAULT_BUDGET_BYTES = 256 << 20;

const program = fileURLToPath(new URL('../data-mover.ts', import.meta.url));

/** A process that waits for its job. */
export interface PreparedMover {
  readonly heapMib: number;
  readonly child: ChildProcessWithoutNullStreams;
  readonly lastWords: () => string;
}

/** Of the main thread, in MiB: what a job of this budget needs. */
export function heapMibOf({ memoryLimitBytes = DEFAULT_BUDGET_BYTES }: Pick<Job, 'memoryLimitBytes'>): number {
  return Math.max(64, Math.round((memoryLimitBytes * HEAP_SHARE) / 2 ** 20));
}

/** `MOVER_DIED` when the system starts no process. */
export function prepareMover(heapMib: number, { environment, compileCache }: ProcessOptions): PreparedMover {
  const child = spawnProgram([`--max-old-space-size=${heapMib}`], {
    ...environment,
    NODE_OPTIONS: '',
    ...(compileCache === undefined ? {} : { NODE_COMPILE_CACHE: compileCache }),
  });
  // It may have died before it took the job; how it ended says so.
  child.stdin.on('error', () => undefined);
  return { heapMib, child, lastWords: forwardErrors(child.stderr) };
}

export function startMover(job: Job, options: MoverOptions, prepared?: PreparedMover): MoverProcess {
  const { onMessage, logger, patience = PATIENCE } = options;
  const { child, lastWords } = prepared ?? prepareMover(heapMibOf(job), options);
  child.stdin.write(`${JSON.stringify(job)}\n`);
  const stuck = Promise.withResolvers<never>();
  let isStopping = false;
  let maxRssBytes = 0;
  const onEnd = (end: MoverEnd): void => {
    if ('maxRssBytes' in end) maxRssBytes = end.maxRssBytes;
  };
  return {
    pid: child.pid,
    result: Promise.race([follow(child, { onMessage, onEnd, lastWords, logger }), stuck.promise]),
    get maxRssBytes() {
      return maxRssBytes;
    },
    answer: (answer) => child.stdin.write(`${JSON.stringify(answer)}\n`),
    stop: () => {
      if (isStopping) return;
      isStopping = true;
      stop(child, patience, () => {
        leave(child, { ...job.subject, pid: child.pid }, logger);
        stuck.reject(stuckError(child.pid));
      });
    },
  };
}

/** It may end one day; until then nothing here waits for it. */
function leave(child: ChildProcessWithoutNullStreams, fields: LogFields, logger: Logger): void {
  logger.error('a data mover cannot be ended, and is left behind', fields);
  child.once('exit', () => logger.info('a data mover that was left behind has ended', fields));
  child.stdin.destroy();
  child.stdout.destroy();
  child.stderr.destroy();
  child.unref();
}

function stuckError(pid: number | undefined): WindlassError {
  return new WindlassError(
    'the data mover cannot be ended, not even killed: it waits for a file system that does not answer',
    { code: 'MOVER_STUCK', context: { pid } },
  );
}

function spawnProgram(flags: readonly string[], env: NodeJS.ProcessEnv): ChildProcessWithoutNullStreams {
  let child: ChildProcessWithoutNullStreams;
  try {
    child = spawn(process.execPath, [...flags, program], { stdio: ['pipe', 'pipe', 'pipe'], env });
  } catch (cause) {
    throw notStarted(cause);
  }
  // Out of descriptors, Node makes no streams at all, and tells the rest by an event that nobody would hear.
  if ((child as ChildProcess).stdin === undefined) {
    child.once('error', () => undefined);
    throw notStarted(new Error('the process has no descriptors left'));
  }
  return child;
}

function stop(child: ChildProcess, { killAfterMs, giveUpAfterMs }: Patience, onStuck: () => void): void {
  child.kill('SIGTERM');
  let timer = setTimeout(() => {
    child.kill('SIGKILL');
    timer = setTimeout(onStuck, giveUpAfterMs);
  }, killAfterMs);
  child.once('close', () => clearTimeout(timer));
}

/** The mover's log lines are ours; the last of them are kept for a mover that dies. */
function forwardErrors(stream: Readable): () => string {
  let last = '';
  stream.setEncoding('utf8');
  stream.on('data', (text: string) => {
    process.stderr.write(text);
    last = (last + text).slice(-MAX_ERROR_BYTES);
  });
  return () => last;
}

interface Listeners extends Pick<MoverOptions, 'onMessage' | 'logger'> {
  readonly onEnd: (end: MoverEnd) => void;
  readonly lastWords: () => string;
}

async function follow(
  child: ChildProcess & { readonly stdout: Readable },
  { onMessage, onEnd, lastWords, logger }: Listeners,
): Promise<MoverResult> {
  let end: MoverEnd | undefined;
  const lines = createInterface({ input: child.stdout });
  lines.on('line', (line) => {
    const message = parseMessage(line);
    if (message === undefined) logger.warn('the data mover said something unexpected', { line: line.slice(0, 200) });
    else if (isEnd(message)) end = message;
    else onMessage(message);
  });
  const { code, signal } = await new Promise<Ending>((resolve, reject) => {
    child.on('error', (cause) => {
      if (child.pid === undefined) reject(notStarted(cause));
    });
    child.once('close', (exitCode, exitSignal) => resolve({ code: exitCode, signal: exitSignal }));
  });
  if (end === undefined) throw died({ code, signal }, lastWords());
  onEnd(end);
  if (end.type === 'failed') throw deserializeError(end.error);
  return end;
}

interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** The node has no memory or no processes left for it: that may pass. */
function notStarted(cause: unknown): WindlassError {
  return new WindlassError('the data mover could not be started', { code: 'MOVER_DIED', retry: 'transient', cause });
}

/** Killed from outside, or out of memory: it may go well the next time. */
function died({ code, signal }: Ending, lastWords: string): WindlassError {
  const isHeap = lastWords.includes('heap out of memory');
  const how = signal === null ? `with exit code ${code}` : `by ${signal}`;
  const why = isHeap || signal === 'SIGKILL' ? ', probably because it ran out of memory' : '';
  return new WindlassError(`the data mover was ended ${how}${why}`, {
    code: 'MOVER_DIED',
    retry: 'transient',
    context: { exitCode: code, signal },
  });
}

function isEnd(message: Message): message is MoverEnd {
  return !MIDWAY.has(message.type);
}

function parseMessage(line: string): Message | undefined {
  try {
    const value = JSON.parse(line) as Message;
    return typeof value.type === 'string' ? value : undefined;
  } catch {
    return undefined;
  }
}
