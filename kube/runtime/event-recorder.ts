// Events on an object, as client-go's recorder makes them: the first of a reason is created, later ones count on in it
// (node-agent §2.6). They are for people: one that cannot be written is dropped, not waited for.
import type { Clock } from '../../base/clock.ts';
import { errorCode, hasCode } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import type { CoreEvent } from '../api/core.ts';
import { KINDS } from '../api/kinds.ts';
import type { KubeObject, ObjectName } from '../api/object.ts';
import type { KubeClient } from '../client/kube-client.ts';

export interface RecordedEvent {
  readonly type?: 'Normal' | 'Warning';
  readonly reason: string;
  readonly message: string;
}

export interface EventRecorderOptions {
  readonly client: KubeClient;
  readonly host?: string | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

interface Known {
  readonly name: ObjectName;
  count: number;
}

const MAX_MESSAGE_LENGTH = 1024;
/** Of any object. */
const MAX_NAME_LENGTH = 253;
const MAX_KNOWN = 2000;
const MAX_WAITING = 1000;

export class EventRecorder {
  readonly #options: EventRecorderOptions;
  /** By object and reason. */
  readonly #known = new Map<string, Known>();
  #tail: Promise<void> = Promise.resolve();
  #waiting = 0;

  constructor(options: EventRecorderOptions) {
    this.#options = options;
  }

  /** Returns at once; events are written in their order. `component` is the object's own name, as Velero has it. */
  record(object: KubeObject, event: RecordedEvent): void {
    if (this.#waiting >= MAX_WAITING) return;
    this.#waiting++;
    const at = new Date(this.#options.clock.nowMs()).toISOString().replace(/\.\d+Z$/, 'Z');
    const stampNs = this.#options.clock.nowNs();
    this.#tail = this.#tail.then(async () => {
      try {
        await this.#write(object, event, { at, stampNs });
      } catch (error) {
        const { reason } = event;
        this.#options.logger.debug('an event could not be written', { reason, code: errorCode(error) });
      } finally {
        this.#waiting--;
      }
    });
  }

  /** When everything recorded so far is written or given up. */
  async flush(): Promise<void> {
    await this.#tail;
  }

  /** False when the server has forgotten the event, as it does after an hour. */
  async #countOn({ name }: Known, change: object): Promise<boolean> {
    try {
      await this.#options.client.patch(KINDS.event, name, change);
      return true;
    } catch (error) {
      if (hasCode(error, 'KUBE_NOT_FOUND')) return false;
      throw error;
    }
  }

  async #write(
    object: KubeObject,
    { type = 'Normal', reason, message: full }: RecordedEvent,
    { at, stampNs }: { readonly at: string; readonly stampNs: bigint },
  ): Promise<void> {
    const { client, host } = this.#options;
    const { name, namespace, uid, resourceVersion } = object.metadata;
    const message = full.slice(0, MAX_MESSAGE_LENGTH);
    const key = `${uid}/${reason}`;
    const known = this.#known.get(key);
    if (known !== undefined) {
      known.count++;
      if (await this.#countOn(known, { count: known.count, message, lastTimestamp: at })) return;
    }
    const place = { name: eventName(name, stampNs), ...(namespace === undefined ? {} : { namespace }) };
    const { apiVersion, kind } = object;
    await client.create<CoreEvent>(KINDS.event, {
      metadata: place,
      involvedObject: {
        apiVersion,
        kind,
        name,
        uid,
        resourceVersion,
        ...(namespace === undefined ? {} : { namespace }),
      },
      type,
      reason,
      message,
      source: { component: name, ...(host === undefined ? {} : { host }) },
      firstTimestamp: at,
      lastTimestamp: at,
      count: 1,
    });
    this.#known.set(key, { name: place, count: 1 });
    if (this.#known.size > MAX_KNOWN) this.#known.delete(this.#known.keys().next().value ?? '');
  }
}

/** The object's own name, of a long one as much as there is room for. */
function eventName(name: string, stampNs: bigint): string {
  const suffix = `.${stampNs.toString(16)}`;
  const stem = name.slice(0, MAX_NAME_LENGTH - suffix.length).replace(/[-.]+$/, '');
  return `${stem}${suffix}`;
}
