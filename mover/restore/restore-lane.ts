// Entry of a restore lane: a worker thread that works off the windows it is told of.
import { parentPort, workerData } from 'node:worker_threads';
import { serializeError, type SerializedError } from '../../base/errors.ts';
import { LaneReader, type LaneReaderData } from '../../repo-format/lane.ts';
import type { LanePlace } from './job-order.ts';
import { Lane, LaneControl, type LaneOptions, type LaneReport } from './lane.ts';
import { PlanWindow, type WindowCapacity } from './window.ts';

export interface LaneInit {
  readonly reader: LaneReaderData;
  readonly control: SharedArrayBuffer;
  readonly windows: readonly SharedArrayBuffer[];
  readonly capacity: WindowCapacity;
  readonly options: LaneOptions;
  readonly place: LanePlace;
}

export type ToLane =
  | { readonly type: 'window'; readonly slot: number; readonly packs: readonly string[]; readonly number: number }
  | { readonly type: 'exit' };

export type FromLane =
  | { readonly type: 'pack-waits'; readonly number: number; readonly pack: number }
  | { readonly type: 'pack-done'; readonly number: number; readonly pack: number }
  | { readonly type: 'report'; readonly number: number; readonly report: LaneReport }
  | { readonly type: 'error'; readonly number: number; readonly error: SerializedError };

/** The lane's side of the conversation; the file does nothing when it is imported elsewhere. */
function serve(init: LaneInit, port: NonNullable<typeof parentPort>): void {
  const reader = new LaneReader(init.reader);
  let number = 0;
  const say = (type: 'pack-waits' | 'pack-done', pack: number): void => {
    port.postMessage({ type, number, pack } satisfies FromLane);
  };
  const listener = { waits: (pack: number) => say('pack-waits', pack), done: (pack: number) => say('pack-done', pack) };
  const lane = new Lane(reader, new LaneControl(init.control), init.options, listener);
  const windows = init.windows.map((shared) => new PlanWindow(init.capacity, shared));
  port.on('message', (message: ToLane) => {
    if (message.type === 'exit') {
      reader.close();
      port.close();
      return;
    }
    number = message.number;
    port.postMessage(answer(lane, windows, message, init.place));
    // Packs that arrive go again and grow: none is kept open from one window to the next.
    if (init.options.packsArrive === true) reader.close();
  });
}

function answer(
  lane: Lane,
  windows: readonly PlanWindow[],
  message: Extract<ToLane, { type: 'window' }>,
  place: LanePlace,
): FromLane {
  const { number } = message;
  try {
    const window = windows[message.slot];
    if (window === undefined) throw new Error(`no window ${message.slot}`);
    return { type: 'report', number, report: lane.run(window, message.packs, number, place) };
  } catch (error) {
    return { type: 'error', number, error: serializeError(error) };
  }
}

// Set by the pool that starts this thread; anything else that imports the file gets its types only.
const data = workerData as { readonly restoreLane?: LaneInit } | null;
if (parentPort !== null && data?.restoreLane !== undefined) serve(data.restoreLane, parentPort);
