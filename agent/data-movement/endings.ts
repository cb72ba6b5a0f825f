// How an object ends: whoever waits for its volume is told first, then the object says it, then its events and the log.
import type { Clock } from '../../base/clock.ts';
import { errorCode } from '../../base/errors.ts';
import type { MoverResult } from '../datapath/mover-process.ts';
import type { Slots } from '../datapath/slots.ts';
import type { DataPathEvents } from './data-path-events.ts';
import type { Failure, MovementKind } from './movement-kind.ts';
import type { MovementLog } from './movement-log.ts';
import type { ObjectWriter } from './object-writer.ts';
import type { Label } from './policy.ts';
import { type Movement, phaseOf } from './subject.ts';
import * as transitions from './transitions.ts';

export type EndPhase = transitions.Ending['phase'];

export interface EndingsDeps<T extends Movement> {
  readonly kind: Pick<MovementKind<T>, 'label' | 'isOurs' | 'completed' | 'beforeFailure'>;
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly writer: Pick<ObjectWriter<T>, 'write'>;
  readonly events: Pick<DataPathEvents, 'completed' | 'failed' | 'canceled' | 'warning'>;
  readonly slots: Pick<Slots, 'release'>;
  readonly log: MovementLog;
  readonly onEnded?: ((movement: Movement, phase: EndPhase) => void) | undefined;
}

export class Endings<T extends Movement> {
  readonly #deps: EndingsDeps<T>;

  constructor(deps: EndingsDeps<T>) {
    this.#deps = deps;
  }

  async complete(movement: T, result: MoverResult, signal: AbortSignal): Promise<void> {
    const { kind, events } = this.#deps;
    const { status, message, warning, annotations, keepFinalizer = false } = kind.completed(movement, result);
    const kept = annotations === undefined ? {} : { annotations };
    await this.#write(movement, { phase: 'Completed', message, status, keepFinalizer, ...kept }, signal);
    if (warning !== undefined) events.warning(movement, warning);
    events.completed(movement, result);
    this.#over(movement, 'Completed', { result: JSON.stringify(status), message });
  }

  async fail(movement: T, failure: Failure, signal: AbortSignal): Promise<void> {
    const { kind, events } = this.#deps;
    const wasInProgress = phaseOf(movement) === 'InProgress';
    const held = await this.#tellWaiting(movement, failure);
    const text = wasInProgress ? `${pathName(kind.label)} failed: ${failure.message}` : failure.message;
    const message = transitions.statusMessage(text);
    await this.#write(movement, { phase: 'Failed', message, ...held }, signal);
    events.failed(movement, message);
    this.#over(movement, 'Failed', { message });
  }

  /** An object of another node is only ended: its volume, and who waits for it, are there. */
  async cancel(movement: T, reason: string | undefined, signal: AbortSignal): Promise<void> {
    const message = reason ?? transitions.cancelNote(movement);
    const isForeign = !this.#deps.kind.isOurs(movement);
    const failure = { code: 'CANCELED', message: message === '' ? 'the restore was cancelled' : message };
    const held = isForeign ? {} : await this.#tellWaiting(movement, failure);
    await this.#write(movement, { phase: 'Canceled', message, ...held }, signal);
    this.#deps.events.canceled(movement);
    this.#over(movement, 'Canceled', {});
  }

  #write(movement: T, ending: Omit<transitions.Ending, 'nowMs'>, signal: AbortSignal): Promise<void> {
    const { writer, clock } = this.#deps;
    return writer.write(movement, transitions.ended(movement, { ...ending, nowMs: clock.nowMs() }), signal);
  }

  async #tellWaiting(
    movement: T,
    failure: Failure,
  ): Promise<Pick<transitions.Ending, 'annotations' | 'keepFinalizer'>> {
    try {
      const annotations = await this.#deps.kind.beforeFailure?.(movement, failure);
      return annotations === undefined ? {} : { annotations, keepFinalizer: true };
    } catch (error) {
      // Its volume may be gone with its pod: then nobody waits any more.
      const fields = { code: errorCode(error), error: error instanceof Error ? error.message : String(error) };
      this.#deps.log('the waiting pod could not be told', movement, fields, 'warn');
      return {};
    }
  }

  #over(movement: T, phase: EndPhase, fields: object): void {
    const { onEnded, slots, log } = this.#deps;
    onEnded?.(movement, phase);
    slots.release(movement.metadata.uid);
    log(`ended ${phase}`, movement, fields, phase === 'Failed' ? 'warn' : 'info');
  }
}

function pathName(label: Label): string {
  return label === 'PVB' ? 'data path backup' : 'data path restore';
}
