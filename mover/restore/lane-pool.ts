// The main thread's side of the restore lanes: lends out windows to be filled, hands them to every lane, and gives them back
// when all lanes are through. The first window runs without threads when it is small: restoring a file or two must not pay
// for starting them.
import { Worker } from 'node:worker_threads';
import { WindlassError, deserializeError } from '../../base/errors.ts';
import type { LaneReaderData, PackParts } from '../../repo-format/index.ts';
import { Lane, type LaneControl, type LaneOptions, type LaneReport, type PackSource } from './lane.ts';
import type { FromLane, LaneInit, ToLane } from './restore-lane.ts';
import { PlanWindow, WindowBuilder, type WindowCapacity } from './window.ts';
import { WindowPacks } from './window-packs.ts';

/** JavaScript heap of a lane; its buffers lie outside. Short-lived objects only, so a small young generation does. */
const LANE_LIMITS = { maxYoungGenerationSizeMb: 4, maxOldGenerationSizeMb: 256 };

/** Less than this is done by the main thread itself: starting a thread and loading its modules takes longer. */
export const INLINE_PIECES = 256;
export const INLINE_BYTES = 8 << 20;

// One being planned, one being worked on, one waiting so that no lane idles at a window's end.
const WINDOWS = 3;

const ALONE = { index: 0, count: 1 };

export interface LanePoolOptions {
  readonly parallel: number;
  readonly capacity: WindowCapacity;
  readonly lane: LaneOptions;
  /** Undefined when everything shall run on the main thread through `source`. */
  readonly readerData: LaneReaderData | undefined;
  /** Where packs are no local files: what brings them. `readerData` and `source` then read from there. */
  readonly parts?: PackParts | undefined;
  /** For work on the main thread. */
  readonly source: PackSource;
  readonly control: LaneControl;
}

/** A window lent out for filling. */
export interface LentWindow {
  readonly builder: WindowBuilder;
  /** Counts all windows of a run from 0. */
  readonly number: number;
}

interface Slot {
  readonly builder: WindowBuilder;
  readonly index: number;
  number: number;
  reportsLeft: number;
  reports: LaneReport[];
  state: 'free' | 'filling' | 'working';
  packs: WindowPacks | undefined;
}

/** Called when all lanes are through with a window, in the order of windows or not. */
export type OnWindowDone = (number: number, builder: WindowBuilder, reports: readonly LaneReport[]) => void;

export class LanePool {
  readonly #options: LanePoolOptions;
  readonly #onDone: OnWindowDone;
  readonly #slots: Slot[] = [];
  #lanes: { readonly worker: Worker; exited: boolean }[] = [];
  #mainLane: Lane | undefined;
  #nextNumber = 0;
  #failure: Error | undefined;
  #waiters: (() => void)[] = [];

  constructor(options: LanePoolOptions, onDone: OnWindowDone) {
    this.#options = options;
    this.#onDone = onDone;
  }

  /** A window to fill; waits while all are at work. Rejects when a lane has failed. */
  async lend(): Promise<LentWindow> {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure;
      const slot = this.#slots.find(({ state }) => state === 'free') ?? this.#addSlot();
      if (slot !== undefined) {
        slot.state = 'filling';
        slot.number = this.#nextNumber++;
        slot.builder.reset();
        return { builder: slot.builder, number: slot.number };
      }
      await new Promise<void>((resolve) => this.#waiters.push(resolve));
    }
  }

  #addSlot(): Slot | undefined {
    // Lanes know the windows they were started with, so all are made before; until then one or two do.
    if (this.#slots.length >= WINDOWS) return undefined;
    const builder = new WindowBuilder(new PlanWindow(this.#options.capacity));
    const slot: Slot = {
      builder,
      index: this.#slots.length,
      number: 0,
      reportsLeft: 0,
      reports: [],
      state: 'free',
      packs: undefined,
    };
    this.#slots.push(slot);
    return slot;
  }

  /** Hands a filled window to the lanes. `isLast` when no more is planned for now. */
  submit(lent: LentWindow, contentBytes: number, isLast: boolean): void {
    const slot = this.#slots.find(({ builder }) => builder === lent.builder);
    if (slot === undefined) throw new Error('not a window of this pool');
    const { builder } = slot;
    builder.seal();
    slot.state = 'working';
    slot.reports = [];
    const isSmall = isLast && builder.pieceCount <= INLINE_PIECES && contentBytes <= INLINE_BYTES;
    const isHere = this.#options.readerData === undefined || (this.#lanes.length === 0 && isSmall);
    slot.packs = this.#bringPacks(slot, isHere ? 1 : this.#options.parallel);
    if (isHere || this.#options.readerData === undefined) {
      this.#runHere(slot);
      return;
    }
    this.#startLanes(this.#options.readerData);
    slot.reportsLeft = this.#lanes.length;
    for (const lane of this.#lanes) {
      this.#send(lane.worker, { type: 'window', slot: slot.index, packs: builder.packs, number: slot.number });
    }
  }

  #bringPacks({ builder }: Slot, lanes: number): WindowPacks | undefined {
    const { parts } = this.#options;
    if (parts === undefined) return undefined;
    return new WindowPacks(parts, builder, lanes, (error) => {
      this.#fail(error instanceof Error ? error : new Error(String(error)));
    });
  }

  #runHere(slot: Slot): void {
    if (slot.packs === undefined) this.#runNow(slot);
    else void slot.packs.all().then(() => this.#runNow(slot));
  }

  #runNow(slot: Slot): void {
    const { source, control, lane } = this.#options;
    // It must not wait: what arrives is there.
    this.#mainLane ??= new Lane(source, control, { ...lane, packsArrive: false });
    slot.reports.push(this.#mainLane.run(slot.builder.window, slot.builder.packs, slot.number, ALONE));
    this.#complete(slot);
  }

  /** Starts the threads while the first window is being planned; for runs that are known to need them. */
  warmUp(): void {
    if (this.#options.readerData !== undefined) this.#startLanes(this.#options.readerData);
  }

  #startLanes(reader: LaneReaderData): void {
    if (this.#lanes.length > 0) return;
    while (this.#addSlot() !== undefined);
    const { parallel, capacity, lane: options, control } = this.#options;
    const windows = this.#slots.map(({ builder }) => builder.window.shared);
    for (let index = 0; index < parallel; index++) {
      const place = { index, count: parallel };
      const restoreLane: LaneInit = { reader, control: control.shared, windows, capacity, options, place };
      const worker = new Worker(new URL('./restore-lane.ts', import.meta.url), {
        workerData: { restoreLane },
        resourceLimits: LANE_LIMITS,
      });
      const lane = { worker, exited: false };
      this.#lanes.push(lane);
      worker.on('message', (message: FromLane) => this.#receive(message));
      worker.on('error', (error) => this.#fail(error instanceof Error ? error : new Error(String(error))));
      worker.on('exit', () => {
        lane.exited = true;
        if (this.#slots.some(({ state }) => state === 'working')) {
          this.#fail(new WindlassError('a restore lane ended unexpectedly', { code: 'LANE_FAILED' }));
        }
      });
    }
  }

  #send(worker: Worker, message: ToLane): void {
    worker.postMessage(message);
  }

  #receive(message: FromLane): void {
    if (message.type === 'error') {
      this.#fail(deserializeError(message.error));
      return;
    }
    const slot = this.#slots.find(({ number, state }) => state === 'working' && number === message.number);
    if (slot === undefined) return;
    if (message.type === 'pack-waits') {
      slot.packs?.waits(message.pack);
      return;
    }
    if (message.type === 'pack-done') {
      slot.packs?.done(message.pack);
      return;
    }
    slot.reports.push(message.report);
    if (--slot.reportsLeft === 0) this.#complete(slot);
  }

  #complete(slot: Slot): void {
    slot.packs?.close();
    slot.packs = undefined;
    try {
      this.#onDone(slot.number, slot.builder, slot.reports);
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)));
    }
    slot.state = 'free';
    this.#wake();
  }

  /** Resolves when no window is at work; rejects when a lane has failed. */
  async idle(): Promise<void> {
    while (this.#failure === undefined && this.#slots.some(({ state }) => state === 'working')) {
      await new Promise<void>((resolve) => this.#waiters.push(resolve));
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  get isWorking(): boolean {
    return this.#slots.some(({ state }) => state === 'working');
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.stop();
    this.#wake();
  }

  /** Lanes stop before their next content, those that wait for a pack as well. */
  stop(): void {
    this.#options.control.stop();
    for (const { packs } of this.#slots) packs?.wakeAll();
  }

  /** Why nothing more can be done. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  #wake(): void {
    for (const resolve of this.#waiters.splice(0)) resolve();
  }

  /** Stops the lanes after their current content and ends the threads. */
  async close(graceMs = 2000): Promise<void> {
    if (this.isWorking) this.stop();
    await Promise.all(
      this.#lanes.map(async ({ worker, exited }) => {
        if (exited) return;
        const gone = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
        this.#send(worker, { type: 'exit' });
        const timer = setTimeout(() => void worker.terminate(), graceMs);
        await gone;
        clearTimeout(timer);
      }),
    );
    this.#lanes = [];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
