// Writes to objects only as they were read, and knows what it has written until the cache knows it too.
import { hasCode } from '../../base/errors.ts';
import { guarded, type Kind, type KubeClient, objectKey } from '../../kube/index.ts';
import { Remembered } from './remembered.ts';
import type { Movement } from './subject.ts';

export class ObjectWriter<T extends Movement> {
  readonly #client: KubeClient;
  readonly #kind: Kind<T>;
  readonly #remembered = new Remembered<T>();

  constructor(client: KubeClient, kind: Kind<T>) {
    this.#client = client;
    this.#kind = kind;
  }

  /** The object as last written or last seen, whichever is newer; undefined when it is gone. */
  newest(key: string, cached: T | undefined): T | undefined {
    return this.#remembered.newest(key, cached);
  }

  forget(key: string): void {
    this.#remembered.delete(key);
  }

  /** Merges into the object as it was read. `KUBE_CONFLICT` when it has changed since: what is there now is known then. */
  async write(movement: T, merge: object, signal: AbortSignal): Promise<void> {
    const { name, namespace, resourceVersion } = movement.metadata;
    try {
      const patch = guarded(merge, resourceVersion);
      this.#remember(await this.#client.patch(this.#kind, { name, namespace }, patch, signal));
    } catch (error) {
      const isGone = hasCode(error, 'KUBE_NOT_FOUND');
      if (isGone || hasCode(error, 'KUBE_CONFLICT')) await this.#refresh(movement, signal);
      // Whoever looks next sees that it is gone.
      if (!isGone) throw error;
    }
  }

  /** For numbers that harm nobody, whoever has written meanwhile. */
  async merge({ metadata }: T, merge: object, signal: AbortSignal): Promise<void> {
    const { name, namespace } = metadata;
    this.#remember(await this.#client.patch(this.#kind, { name, namespace }, merge, signal));
  }

  async #refresh({ metadata }: T, signal: AbortSignal): Promise<void> {
    const { name, namespace } = metadata;
    try {
      this.#remember(await this.#client.get(this.#kind, { name, namespace }, signal));
    } catch (error) {
      if (!hasCode(error, 'KUBE_NOT_FOUND')) throw error;
      this.#remembered.markGone(objectKey(metadata), metadata.uid);
    }
  }

  #remember(movement: T): void {
    this.#remembered.set(objectKey(movement.metadata), movement);
  }
}
