// The main thread's side of the backup lanes: starts them, keeps each supplied with work, collects results and packs, and
// holds them still for a flush. One failed lane fails the upload: what it claimed to be storing may not be stored.
import { type MessagePort, Worker } from 'node:worker_threads';
import type { Clock } from '../../base/clock.ts';
import { deserializeError, WindlassError } from '../../base/errors.ts';
import type { ContentWriterStats, StagedPack } from '../../repo-format/index.ts';
import { raceTick } from './race-tick.ts';
import type { FromLane, LaneInit, LaneJob, LaneResult, ToLane } from './lane-protocol.ts';

/** Messages a lane may hold: one being worked on, one waiting, so that it never idles for the main thread. */
const MESSAGES_PER_LANE = 2;

const NEVER = new AbortController().signal;

export interface LanePoolHandlers {
  /** The next jobs for an idle lane; empty when there are none now. */
  nextJobs(): readonly LaneJob[];
  /** True while `nextJobs` would answer some. */
  hasJobs(): boolean;
  onResult(result: LaneResult): void;
  onPack(pack: StagedPack): void;
}

export interface FinishedLanes {
  readonly tails: readonly StagedPack[];
  readonly stats: ContentWriterStats;
  /** Change hints gathered since the last time. */
  readonly hints: readonly Uint32Array[];
}

/** Memory limits of a lane's JavaScript heap; file data and packs live outside of it. */
const LANE_LIMITS = { maxYoungGenerationSizeMb: 3, maxOldGenerationSizeMb: 512 };

interface LaneState {
  readonly worker: Worker;
  outstanding: number;
  exited: boolean;
  /** It reported a failure of its own: what it holds is not to be trusted. */
  failed: boolean;
}

/** Time a lane has to end after it was told to by force; one that hangs in a system call is left behind. */
const TERMINATE_MS = 200;

export class LanePool {
  readonly #lanes: LaneState[] = [];
  /** Lanes not started yet. */
  readonly #waiting: LaneInit[] = [];
  readonly #handlers: LanePoolHandlers;
  #failure: Error | undefined;
  #paused = false;
  #waiters: (() => void)[] = [];
  #finishing: { tails: StagedPack[]; hints: Uint32Array[]; stats: ContentWriterStats } | undefined;

  private constructor(handlers: LanePoolHandlers) {
    this.#handlers = handlers;
  }

  /** The first lane starts now, the others when there is work for them: a small tree needs one. */
  static start(inits: readonly LaneInit[], handlers: LanePoolHandlers): LanePool {
    const pool = new LanePool(handlers);
    pool.#waiting.push(...inits);
    pool.#startLane();
    return pool;
  }

  #startLane(): void {
    const init = this.#waiting.shift();
    if (init !== undefined) this.#add(init);
  }

  #add(init: LaneInit): void {
    const worker = new Worker(new URL('./backup-lane.ts', import.meta.url), {
      workerData: init,
      transferList: portsOf(init),
      resourceLimits: LANE_LIMITS,
      // Descriptors cross threads here: who opened one need not be who closes it.
      trackUnmanagedFds: false,
    });
    const lane: LaneState = { worker, outstanding: 0, exited: false, failed: false };
    this.#lanes.push(lane);
    worker.on('message', (message: FromLane) => this.#receive(lane, message));
    worker.on('error', (cause: unknown) => {
      const reason = cause instanceof Error ? cause.message : String(cause);
      this.#laneFailed(lane, new WindlassError(`a backup lane failed: ${reason}`, { code: 'LANE_FAILED', cause }));
    });
    worker.on('exit', () => {
      lane.exited = true;
      if (lane.outstanding > 0)
        this.#laneFailed(lane, new WindlassError('a backup lane ended unexpectedly', { code: 'LANE_FAILED' }));
      this.#wake();
    });
  }

  /** Offers work to every lane that has room for it. */
  supply(): void {
    if (this.#paused || this.#failure !== undefined) return;
    for (let round = 0; round < MESSAGES_PER_LANE; round++) {
      // Grows while it is walked: a lane started here gets its jobs in the same round.
      for (const lane of this.#lanes) {
        if (lane.outstanding > round || lane.failed) continue;
        const jobs = this.#handlers.nextJobs();
        if (jobs.length === 0) return;
        lane.outstanding++;
        this.#send(lane, { type: 'jobs', jobs });
        if (
          this.#waiting.length > 0 &&
          this.#lanes.every((started) => started.outstanding > 0) &&
          this.#handlers.hasJobs()
        )
          this.#startLane();
      }
    }
  }

  /** Gives out no more work; whoever waits for the lanes is told at once. */
  stop(reason: Error): void {
    this.#paused = true;
    this.#fail(reason);
  }

  /** True when no lane has anything to do. */
  get isIdle(): boolean {
    return this.#lanes.every((lane) => lane.outstanding === 0);
  }

  /** Resolves when no lane has anything outstanding; rejects with the first failure of any. */
  async idle(): Promise<void> {
    while (this.#failure === undefined && !this.isIdle) {
      await new Promise<void>((resolve) => this.#waiters.push(resolve));
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Gives out no more work until {@link resume}; resolves when the lanes stand still. */
  async pause(): Promise<void> {
    this.#paused = true;
    await this.idle();
  }

  resume(): void {
    this.#paused = false;
    this.supply();
  }

  /** Takes the unfinished packs of all lanes, which must be idle. */
  async finishPacks(): Promise<FinishedLanes> {
    const stats: ContentWriterStats = {
      hashedBytes: 0,
      hashedContents: 0,
      newContents: 0,
      newBytes: 0,
      packedBytes: 0,
    };
    // What lanes have handed over to a call that was interrupted is not theirs any more: it belongs to the next one.
    const finishing = (this.#finishing ??= { tails: [], hints: [], stats });
    for (const lane of this.#lanes) {
      if (lane.exited || lane.failed) continue;
      lane.outstanding++;
      this.#send(lane, { type: 'finish' });
    }
    await this.idle();
    this.#finishing = undefined;
    return finishing;
  }

  /**
   * After a failure or a stop: waits for lanes to come to rest, then takes what packs the sound ones have. Undefined when
   * one did not come to rest in time. `isWhole` says whether that is everything the lanes had.
   */
  async settle(graceMs: number, clock: Clock): Promise<(FinishedLanes & { readonly isWhole: boolean }) | undefined> {
    this.#paused = true;
    const deadline = clock.monotonicMs() + graceMs;
    while (!this.isIdle) {
      if (clock.monotonicMs() > deadline) return undefined;
      await clock.sleep(5, NEVER);
    }
    this.#failure = undefined;
    const finished = await this.finishPacks();
    return { ...finished, isWhole: this.#lanes.every((lane) => !lane.failed && !lane.exited) };
  }

  /** Tells all lanes, those that start later included, what is stored by now. */
  setKnown(known: Extract<ToLane, { type: 'known' }>): void {
    const { index, newContents, sessionId } = known;
    this.#waiting.forEach((init, i) => {
      this.#waiting[i] = { ...init, reader: { ...init.reader, index }, newContents, sessionId };
    });
    for (const lane of this.#lanes) this.#send(lane, known);
  }

  /** Ends the lanes. Those that hang in a system call are ended by force after `graceMs`. */
  async close(graceMs = 1000): Promise<void> {
    await Promise.all(
      this.#lanes.map(async ({ worker, exited }) => {
        if (exited) return;
        const gone = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
        worker.postMessage({ type: 'exit' } satisfies ToLane);
        if (await raceTick(gone, graceMs)) return;
        // Does not wait for its promise: a thread in an endless system call never ends.
        void worker.terminate();
        if (!(await raceTick(gone, TERMINATE_MS))) worker.unref();
      }),
    );
  }

  #send(lane: LaneState, message: ToLane): void {
    if (!lane.exited) lane.worker.postMessage(message);
  }

  #receive(lane: LaneState, message: FromLane): void {
    switch (message.type) {
      case 'ready':
        return;
      case 'pack':
        this.#handlers.onPack(message.pack);
        return;
      case 'results':
        if (lane.outstanding > 0) lane.outstanding--;
        for (const result of message.results) this.#handlers.onResult(result);
        this.supply();
        break;
      case 'finished':
        if (lane.outstanding > 0) lane.outstanding--;
        this.#collect(message);
        break;
      case 'stopped':
        if (lane.outstanding > 0) lane.outstanding--;
        this.#fail(new DOMException('the backup was stopped', 'AbortError'));
        break;
      case 'error':
        this.#laneFailed(lane, deserializeError(message.error));
        break;
    }
    this.#wake();
  }

  #laneFailed(lane: LaneState, error: Error): void {
    lane.failed = true;
    lane.outstanding = 0;
    this.#fail(error);
  }

  #collect({ tails, stats, hints }: Extract<FromLane, { type: 'finished' }>): void {
    const finishing = this.#finishing;
    if (finishing === undefined) return;
    finishing.hints.push(hints);
    finishing.tails.push(...tails);
    finishing.stats.hashedBytes += stats.hashedBytes;
    finishing.stats.hashedContents += stats.hashedContents;
    finishing.stats.newContents += stats.newContents;
    finishing.stats.newBytes += stats.newBytes;
    finishing.stats.packedBytes += stats.packedBytes;
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#wake();
  }

  #wake(): void {
    for (const resolve of this.#waiters.splice(0)) resolve();
  }
}

/** What a lane's thread takes over; one that was given nothing fails by itself. */
function portsOf({ reader }: { readonly reader?: LaneInit['reader'] }): MessagePort[] {
  return reader?.requests === undefined ? [] : [reader.requests.port];
}
