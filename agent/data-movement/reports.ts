// What an object says of itself on its way: how far its volume is, or why it does not go on. Seldom enough not to weigh on the API.
import type { Clock } from '../../base/clock.ts';
import type { DataPathEvents } from './data-path-events.ts';
import type { NoteBook } from './notes.ts';
import type { ObjectWriter } from './object-writer.ts';
import type { RunView } from './run-view.ts';
import type { Movement } from './subject.ts';
import { statusMessage } from './transitions.ts';

export interface ReportsDeps<T extends Movement> {
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly notes: NoteBook;
  readonly writer: Pick<ObjectWriter<T>, 'write' | 'merge'>;
  readonly events: Pick<DataPathEvents, 'progress'>;
}

/** When progress is to be written again. */
export const PROGRESS_MS = 10_000;
/** Places in the queue move often; the API is told of it seldom. */
const MESSAGE_MS = 30_000;

export class Reports<T extends Movement> {
  readonly #deps: ReportsDeps<T>;

  constructor(deps: ReportsDeps<T>) {
    this.#deps = deps;
  }

  /** Why it does not go on, for whoever looks at it. */
  async say(movement: T, text: string, signal: AbortSignal): Promise<void> {
    const { clock, notes: book, writer } = this.#deps;
    const notes = book.of(movement);
    const nowMs = clock.monotonicMs();
    const message = statusMessage(text);
    if (movement.status?.message === message || nowMs - (notes.messageMs ?? -Infinity) < MESSAGE_MS) return;
    notes.messageMs = nowMs;
    await writer.write(movement, { status: { message } }, signal);
  }

  /** Its mover has just been started: small volumes are over before there is anything to report. */
  begin(movement: T): void {
    this.#deps.notes.of(movement).progressMs = this.#deps.clock.monotonicMs();
  }

  /** How far it is, when that is due and has changed. Answers when to look again. */
  async progress(movement: T, run: RunView | undefined, signal: AbortSignal): Promise<number> {
    const { clock, notes: book, writer, events } = this.#deps;
    const notes = book.of(movement);
    const nowMs = clock.monotonicMs();
    const dueMs = (notes.progressMs ?? -Infinity) + PROGRESS_MS;
    if (run?.state !== 'running' || run.progress === undefined) return PROGRESS_MS;
    const { bytesDone, totalBytes } = run.progress;
    const text = `${bytesDone}/${totalBytes}`;
    if (nowMs < dueMs) return dueMs - nowMs;
    if (text === notes.progressText) return PROGRESS_MS;
    // What it waited for before is of no interest any more.
    const hadMessage = (movement.status?.message ?? '') !== '';
    const status = { progress: { bytesDone, totalBytes }, ...(hadMessage ? { message: '' } : {}) };
    await writer.merge(movement, { status }, signal);
    notes.progressMs = nowMs;
    notes.progressText = text;
    events.progress(movement, run.progress);
    return PROGRESS_MS;
  }
}
