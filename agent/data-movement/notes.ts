// What is remembered of objects between two looks at them. All of it may be lost: another agent goes on without.
import { objectKey } from '../../kube/index.ts';
import type { Movement } from './subject.ts';

/** Times of this process (`monotonicMs`). */
export interface Notes {
  cancelSeenMs?: number;
  leavingSeenMs?: number;
  acceptedSeenMs?: number;
  progressMs?: number;
  progressText?: string;
  messageMs?: number;
}

export class NoteBook {
  /** Both by UID: an object that is made anew under its name is another one. */
  readonly #notes = new Map<string, Notes>();
  readonly #keys = new Map<string, string>();

  /** The object's, to be written into. */
  of({ metadata }: Movement): Notes {
    this.#keys.set(metadata.uid, objectKey(metadata));
    let notes = this.#notes.get(metadata.uid);
    if (notes === undefined) this.#notes.set(metadata.uid, (notes = {}));
    return notes;
  }

  /** Under which the object is found; undefined for one that was not looked at, or is forgotten. */
  keyOf(uid: string): string | undefined {
    return this.#keys.get(uid);
  }

  /** Of all objects that were looked at under this key. */
  uidsOf(key: string): readonly string[] {
    return [...this.#keys].filter(([, known]) => known === key).map(([uid]) => uid);
  }

  forget(uid: string): void {
    this.#notes.delete(uid);
    this.#keys.delete(uid);
  }
}
