// How a lane that misses a pack gets it: it asks the main thread through a port of its own and waits on a shared word. The
// main thread answers every question, with an error if need be, and never waits for a lane: nobody waits for ever.
import { MessageChannel, type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { deserializeError, serializeError, type SerializedError, WindlassError } from '../../base/errors.ts';
import type { PackFolder } from '../blob/pack-folder.ts';
import type { BlobId } from '../blob/storage.ts';

/** The lane's end. The port has to be in the transfer list of the worker that gets it. */
export interface PackPort {
  readonly port: MessagePort;
  /** Int32: [0] counts answers. */
  readonly answers: SharedArrayBuffer;
}

interface Question {
  readonly packId: BlobId;
  /** What is there is damaged. */
  readonly isDamaged: boolean;
}

type Answer = { readonly error: SerializedError | undefined };

/** A new lane's end; the other end is served until the lane is gone. After `signal` every question is answered with its reason. */
export function servePacks(folder: PackFolder, signal: AbortSignal): PackPort {
  const { port1: ours, port2: port } = new MessageChannel();
  const answers = new SharedArrayBuffer(4);
  const count = new Int32Array(answers);
  const answer = async ({ packId, isDamaged }: Question): Promise<void> => {
    let error: SerializedError | undefined;
    try {
      if (isDamaged) await folder.forget(packId);
      await folder.ensure(packId, signal, true);
    } catch (thrown) {
      error = serializeError(thrown);
    }
    ours.postMessage({ error } satisfies Answer);
    Atomics.add(count, 0, 1);
    Atomics.notify(count, 0);
  };
  ours.on('message', (question: Question) => void answer(question));
  // Lanes keep the process alive, their questions do not.
  ours.unref();
  return { port, answers };
}

/** For the lane: makes packs be there. */
export class PackRequests {
  readonly #port: MessagePort;
  readonly #answers: Int32Array;
  #seen = 0;

  constructor({ port, answers }: PackPort) {
    this.#port = port;
    this.#answers = new Int32Array(answers);
  }

  /** Returns when the pack is there; throws what the storage said. */
  fetch(packId: BlobId, isDamaged: boolean): void {
    this.#port.postMessage({ packId, isDamaged } satisfies Question);
    while (Atomics.load(this.#answers, 0) === this.#seen) Atomics.wait(this.#answers, 0, this.#seen);
    this.#seen++;
    const received = receiveMessageOnPort(this.#port) as { message: Answer } | undefined;
    if (received === undefined) throw new WindlassError('an answer without a message', { code: 'INTERNAL' });
    const { error } = received.message;
    if (error !== undefined) throw deserializeError(error);
  }
}
