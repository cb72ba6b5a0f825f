// Objects as this process has last written them, until the cache has caught up: a decision on an older state would take a step again.
import type { KubeObject } from '../../kube/index.ts';

export class Remembered<T extends KubeObject> {
  readonly #objects = new Map<string, T>();
  /** UIDs of objects that the server says are gone, although the cache still has them. */
  readonly #gone = new Map<string, string>();

  set(key: string, object: T): void {
    this.#objects.set(key, object);
  }

  markGone(key: string, uid: string): void {
    this.#objects.delete(key);
    this.#gone.set(key, uid);
  }

  delete(key: string): void {
    this.#objects.delete(key);
    this.#gone.delete(key);
  }

  /** `cached` or what was written, whichever is newer; undefined when the object is gone. */
  newest(key: string, cached: T | undefined): T | undefined {
    const written = this.#objects.get(key);
    if (cached === undefined) {
      // It was there when it was written to: the cache is never behind by a creation that led to the write.
      this.delete(key);
      return undefined;
    }
    if (this.#gone.get(key) === cached.metadata.uid) return undefined;
    if (written === undefined || written.metadata.uid !== cached.metadata.uid || !isNewer(written, cached)) {
      this.#objects.delete(key);
      return cached;
    }
    return written;
  }
}

/** Versions are numbers that grow, which the API promises for one kind of objects since Kubernetes 1.35 and has always held. */
function isNewer(a: KubeObject, b: KubeObject): boolean {
  const [left, right] = [BigInt(a.metadata.resourceVersion), BigInt(b.metadata.resourceVersion)];
  return left > right;
}
