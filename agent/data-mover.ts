// Composition root of the data mover: one backup or restore of one volume in a process of its own, so that its memory and its
// crashes are its own. It ends when the agent closes its standard input, whatever the reason.
import { createInterface, type Interface } from 'node:readline';
import { systemClock } from '../base/clock.ts';
import { isAbortError, serializeError, WindlassError } from '../base/errors.ts';
import { systemRandom } from '../base/random.ts';
import { createLogger } from '../program/logger.ts';
import { newStorageStats } from '../repo-format/index.ts';
import type { Answer, Job, Message } from './datapath/job.ts';
import { runBackupJob } from './mover-process/backup-job.ts';
import type { MoverContext } from './mover-process/context.ts';
import { runMarkJob } from './mover-process/mark-job.ts';
import { runRestoreJob } from './mover-process/restore-job.ts';
import { tellOfLife } from './mover-process/signs-of-life.ts';

async function main(): Promise<void> {
  const stopped = new AbortController();
  const stop = (reason: string): void => stopped.abort(new DOMException(reason, 'AbortError'));
  process.on('SIGTERM', () => stop('the agent stopped the data mover'));
  process.on('SIGINT', () => stop('the agent stopped the data mover'));
  const lines = createInterface({ input: process.stdin });
  lines.on('close', () => stop('the agent is gone'));
  const job = await jobFrom(lines, stopped.signal);
  if (job !== undefined) await work(job, lines, stopped.signal);
  lines.close();
  process.stdin.destroy();
}

/** Undefined: this one was started ahead, and is not wanted any more. */
async function jobFrom(lines: Interface, signal: AbortSignal): Promise<Job | undefined> {
  let line: string;
  try {
    line = await nextLine(lines, signal);
  } catch (error) {
    if (isAbortError(error)) return undefined;
    throw error;
  }
  return JSON.parse(line) as Job; // from the agent, the same build of it
}

async function work(job: Job, lines: Interface, signal: AbortSignal): Promise<void> {
  const logger = createLogger('info', { component: 'data-mover', ...job.subject });
  const context: MoverContext = {
    clock: systemClock,
    random: systemRandom,
    logger,
    // oxlint-disable-next-line node/no-process-env -- a composition root
    environment: process.env,
    storageStats: newStorageStats(),
    signal,
    send,
    confirmPod: () => confirmPod(lines, signal),
  };
  const stopTelling = tellOfLife(context.storageStats, send);
  try {
    send(await run(job, context));
  } catch (error) {
    send({ type: 'failed', error: serializeError(error), maxRssBytes: maxRssBytes() });
    process.exitCode = 1;
  } finally {
    stopTelling();
  }
}

async function run(job: Job, context: MoverContext): Promise<Message> {
  switch (job.kind) {
    case 'backup':
      return { type: 'backed-up', outcome: await runBackupJob(job, context), maxRssBytes: maxRssBytes() };
    case 'restore':
      return { type: 'restored', outcome: await runRestoreJob(job, context), maxRssBytes: maxRssBytes() };
    case 'mark':
      return { type: 'marked', closedRootMode: runMarkJob(job) };
  }
}

async function nextLine(lines: Interface, signal: AbortSignal): Promise<string> {
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    lines.once('line', (line) => {
      signal.removeEventListener('abort', onAbort);
      resolve(line);
    });
  });
}

async function confirmPod(lines: Interface, signal: AbortSignal): Promise<void> {
  const answered = nextLine(lines, signal);
  send({ type: 'confirm' });
  const { problem, mayPass = false } = JSON.parse(await answered) as Answer; // from the agent, the same build of it
  if (problem === undefined) return;
  throw new WindlassError(problem, { code: 'POD_GONE', retry: mayPass ? 'transient' : 'never' });
}

function send(message: Message): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

function maxRssBytes(): number {
  return process.resourceUsage().maxRSS * 1024;
}

void main();
