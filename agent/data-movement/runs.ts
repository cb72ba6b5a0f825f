// The data movers of this node, by the UID of the object that each works for. A mover that fails in a way that may pass is kept as
// waiting, for its object's next look to start again; results are kept until their object says that they have been written.
import type { Clock } from '../../base/clock.ts';
import { errorCode, isAbortError, serializeError, WindlassError } from '../../base/errors.ts';
import { formatGoDuration } from '../../base/go-duration.ts';
import type { Logger } from '../../base/logger.ts';
import { type MoverMessage, type MoverOptions, type MoverProcess, startMover } from '../datapath/mover-process.ts';
import type { Answer, DerivedKey, Job, RestoreJob } from '../datapath/job.ts';
import { pathOf } from '../host/volume-root.ts';
import { SpareMover } from '../datapath/spare-mover.ts';
import type { RunProgress, RunView, StopReason } from './run-view.ts';

export interface RunsDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly mover: Omit<MoverOptions, 'onMessage' | 'logger'>;
  /** A mover has derived the key of the repository that its job names. */
  readonly onDerivedKey: (job: Job, key: DerivedKey) => void;
  /** Why what was read of the object's pod cannot be trusted; undefined: it can. Never rejects. */
  readonly podProblem: (uid: string) => Promise<Answer>;
  /** A mover that shows no progress for so long is ended, and its volume tried again; 0: never. */
  readonly stallMs: number;
  /** Something about the run of this object has changed. */
  readonly onChange: (uid: string, change: 'started' | 'progress' | 'ended') => void;
  readonly onEnded?: (ended: EndedRun) => void;
}

export interface EndedRun {
  readonly kind: Job['kind'];
  readonly outcome: 'done' | 'failed' | 'stopped';
  readonly durationMs: number;
  readonly maxRssBytes: number;
}

interface Run {
  readonly job: Job;
  attempts: number;
  /** What the last attempts have failed with, and how many of them in a row. */
  failure: { readonly code: string; readonly times: number } | undefined;
  readonly firstMs: number;
  view: RunView;
  process: MoverProcess | undefined;
  stopping: StopReason | undefined;
  /** When it last showed that it goes on. */
  aliveMs: number;
  isStalled: boolean;
  /** Nobody asks for it any more: it goes with its process. */
  isForgotten: boolean;
}

const RETRY_FIRST_MS = 2_000;
const RETRY_MAX_MS = 300_000;
const STALL_LOOK_MS = 30_000;
/** What may pass only at first: how many attempts in a row may end with it. */
const MAX_ATTEMPTS: ReadonlyMap<string, number> = new Map([
  // A mover that dies again and again has a reason of its own.
  ['MOVER_DIED', 5],
  // A minute: after a reboot of the node the agent may run before a volume's driver, and before the kubelet has mounted it.
  ['VOLUME_NOT_MOUNTED', 6],
  // Two minutes: keys that have just been replaced are read anew by the next attempt, but a mounted Secret only when the kubelet has
  // renewed it.
  ['BLOB_ACCESS_DENIED', 7],
]);

export class Runs {
  readonly #deps: RunsDeps;
  readonly #spare: SpareMover;
  #lastBudget: Pick<Job, 'memoryLimitBytes'> | undefined;
  readonly #runs = new Map<string, Run>();

  constructor(deps: RunsDeps) {
    this.#deps = deps;
    this.#spare = new SpareMover(deps.mover);
  }

  view(uid: string): RunView | undefined {
    return this.#runs.get(uid)?.view;
  }

  get running(): number {
    return [...this.#runs.values()].filter(({ view }) => view.state === 'running').length;
  }

  /**
   * `VOLUME_BUSY` while another restores into the same volume: of two snapshots in one nothing whole would be left.
   *
   * @param retryForMs failures that may pass are tried again for so long, from the first start
   */
  start(uid: string, job: Job, retryForMs: number): void {
    const { clock } = this.#deps;
    const before = this.#runs.get(uid);
    if (before?.view.state === 'running') return;
    if (job.kind === 'restore') this.#requireFree(uid, job);
    const run: Run = {
      job,
      attempts: (before?.attempts ?? 0) + 1,
      failure: before?.failure,
      firstMs: before?.firstMs ?? clock.monotonicMs(),
      view: { state: 'running', progress: undefined, stopping: undefined },
      process: undefined,
      stopping: undefined,
      aliveMs: clock.monotonicMs(),
      isStalled: false,
      isForgotten: false,
    };
    const startedMs = clock.monotonicMs();
    const { mover, logger } = this.#deps;
    const onMessage = (message: MoverMessage): void => this.#onMessage(uid, run, job, message);
    const process = startMover(job, { ...mover, logger, onMessage }, this.#spare.take(job));
    this.#lastBudget = { memoryLimitBytes: job.memoryLimitBytes };
    run.process = process;
    // Not before it has been started: nobody waits for one that could not be.
    this.#runs.set(uid, run);
    const watching = this.#watch(run);
    void process.result
      .finally(() => clearInterval(watching))
      .then(
        (result) => {
          run.view = { state: 'done', result };
          this.#end(uid, run, { kind: job.kind, outcome: 'done', startedMs, maxRssBytes: process.maxRssBytes });
        },
        (error: unknown) => {
          run.view = this.#failedView(run, error, retryForMs);
          const outcome = run.view.state === 'stopped' ? 'stopped' : 'failed';
          this.#end(uid, run, { kind: job.kind, outcome, startedMs, maxRssBytes: process.maxRssBytes });
        },
      );
  }

  /**
   * Another volume waits for its turn: the process for it may begin to start. While others run beside the one it waits for, they have
   * the processors, and one process more would only be memory.
   */
  expectMore(): void {
    if (this.#lastBudget === undefined || this.running > 1) return;
    try {
      this.#spare.prepare(this.#lastBudget);
    } catch (error) {
      // It only saves time: the volume that has just begun must not fail with it.
      this.#deps.logger.debug('no data mover could be started ahead', { code: errorCode(error) });
    }
  }

  stop(uid: string, reason: StopReason): void {
    const run = this.#runs.get(uid);
    if (run?.view.state !== 'running' || run.stopping !== undefined) return;
    run.stopping = reason;
    run.view = { ...run.view, stopping: reason };
    run.process?.stop();
  }

  /** The object is done with; a mover that still runs for it is stopped. */
  forget(uid: string): void {
    const run = this.#runs.get(uid);
    if (run?.view.state === 'running') {
      run.isForgotten = true;
      this.stop(uid, 'over');
    } else this.#runs.delete(uid);
  }

  uids(): string[] {
    return [...this.#runs.keys()];
  }

  /** Ends all movers; their objects go on with the next agent. */
  async stopAll(): Promise<void> {
    this.#spare.close();
    const running = [...this.#runs.entries()].filter(([, { view }]) => view.state === 'running');
    for (const [uid] of running) this.stop(uid, 'over');
    await Promise.allSettled(running.map(async ([, { process }]) => process?.result));
  }

  /** One that waits for its next attempt has the volume, too: half of its files are there. */
  #requireFree(uid: string, { volume }: RestoreJob): void {
    const path = pathOf(volume);
    const other = [...this.#runs].find(([otherUid, { job, view }]) => {
      const isUnderWay = view.state === 'running' || view.state === 'waiting';
      return otherUid !== uid && isUnderWay && job.kind === 'restore' && pathOf(job.volume) === path;
    });
    if (other === undefined) return;
    const name = other[1].job.subject['podVolumeRestore'] ?? '';
    throw new WindlassError(`${name} is being restored into the same volume`, {
      code: 'VOLUME_BUSY',
      retry: 'transient',
      context: { path, podVolumeRestore: name },
    });
  }

  #watch(run: Run): NodeJS.Timeout | undefined {
    const { clock, logger, stallMs } = this.#deps;
    if (stallMs === 0) return undefined;
    const look = (): void => {
      if (run.isStalled || clock.monotonicMs() - run.aliveMs < stallMs) return;
      run.isStalled = true;
      logger.warn('the data mover shows no progress, and is ended', { ...run.job.subject, pid: run.process?.pid });
      run.process?.stop();
    };
    return setInterval(look, Math.min(STALL_LOOK_MS, stallMs)).unref();
  }

  #onMessage(uid: string, run: Run, job: Job, message: MoverMessage): void {
    if (message.type !== 'progress') run.aliveMs = this.#deps.clock.monotonicMs();
    switch (message.type) {
      case 'alive':
        break;
      case 'started':
        this.#deps.onChange(uid, 'started');
        break;
      case 'progress':
        this.#progress(uid, run, message);
        break;
      case 'derived':
        this.#deps.onDerivedKey(job, message.derivedKey);
        break;
      case 'confirm':
        void this.#deps.podProblem(uid).then((answer) => run.process?.answer(answer));
        break;
    }
  }

  #progress(uid: string, run: Run, progress: RunProgress): void {
    if (run.view.state !== 'running') return;
    const { bytesDone, files } = run.view.progress ?? {};
    // It is told many times a second, whether there is any or not.
    if (progress.bytesDone !== bytesDone || progress.files !== files) run.aliveMs = this.#deps.clock.monotonicMs();
    run.view = { ...run.view, progress };
    this.#deps.onChange(uid, 'progress');
  }

  #failedView(run: Run, reason: unknown, retryForMs: number): RunView {
    const { clock, stallMs } = this.#deps;
    if (run.stopping !== undefined) return { state: 'stopped', reason: run.stopping };
    const error = run.isStalled && errorCode(reason) !== 'MOVER_STUCK' ? stalled(stallMs) : reason;
    const serialized = serializeError(error);
    const isOver = clock.monotonicMs() - run.firstMs >= retryForMs;
    const { code } = serialized;
    run.failure = { code, times: run.failure?.code === code ? run.failure.times + 1 : 1 };
    const isEnough = run.failure.times >= (MAX_ATTEMPTS.get(code) ?? Infinity);
    if (!mayPass(error) || isOver || isEnough) return { state: 'failed', error: serialized };
    const delayMs = Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** (run.attempts - 1));
    return { state: 'waiting', error: serialized, attempts: run.attempts, nextMs: clock.nowMs() + delayMs };
  }

  #end(uid: string, run: Run, ended: Omit<EndedRun, 'durationMs'> & { readonly startedMs: number }): void {
    const { startedMs, ...rest } = ended;
    if (run.isForgotten) this.#runs.delete(uid);
    this.#deps.onEnded?.({ ...rest, durationMs: this.#deps.clock.monotonicMs() - startedMs });
    this.#deps.onChange(uid, 'ended');
  }
}

function stalled(stallMs: number): WindlassError {
  const text = `the data mover had shown no progress for ${formatGoDuration(stallMs)}, and was ended`;
  return new WindlassError(text, { code: 'MOVER_STALLED', retry: 'transient' });
}

/**
 * What fails for good at a terminal may pass on a node: a location has been used before, so a host without a name is a name service
 * that is away; a pod that is there will have its volume mounted; and keys may be older than those that the store knows.
 */
const MAY_PASS_HERE = new Set(['BLOB_STORE_UNKNOWN', 'VOLUME_NOT_MOUNTED', 'BLOB_ACCESS_DENIED']);

/** Whether another try may go well. */
export function mayPass(error: unknown): boolean {
  if (isAbortError(error)) return true;
  return error instanceof WindlassError && (error.retry !== 'never' || MAY_PASS_HERE.has(error.code));
}
