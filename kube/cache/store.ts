// What a reflector has seen last, by key.
import { type KubeObject, objectKey } from '../api/object.ts';

export interface Store<T> {
  get(key: string): T | undefined;
  list(): T[];
  readonly size: number;
}

export class ObjectStore<T extends KubeObject> implements Store<T> {
  readonly #objects = new Map<string, T>();

  get size(): number {
    return this.#objects.size;
  }

  get(key: string): T | undefined {
    return this.#objects.get(key);
  }

  list(): T[] {
    return [...this.#objects.values()];
  }

  keys(): string[] {
    return [...this.#objects.keys()];
  }

  /** What was there before. */
  set(object: T): T | undefined {
    const key = objectKey(object.metadata);
    const before = this.#objects.get(key);
    this.#objects.set(key, object);
    return before;
  }

  delete(key: string): T | undefined {
    const before = this.#objects.get(key);
    this.#objects.delete(key);
    return before;
  }
}
