// The port: what the rest of the code asks of a cluster.
import type { Draft, Kind, KubeObject, ObjectList, ObjectName } from '../api/object.ts';

export interface Selection {
  /** All namespaces when absent. */
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
}

export interface ListOptions extends Selection {
  readonly limit?: number;
  readonly continueToken?: string | undefined;
  /** `0`: whatever the server has at hand. */
  readonly resourceVersion?: string;
}

export interface WatchOptions extends Selection {
  /**
   * From where; undefined: every object there is comes first, as `ADDED`, then a bookmark that says that this was all. `KUBE_INVALID`
   * from a server that cannot do so (before Kubernetes 1.32, or set up without it).
   */
  readonly resourceVersion: string | undefined;
  /** After which the server ends the watch. */
  readonly timeoutSeconds: number;
  /** The server has accepted the watch; events may be long in coming. */
  readonly onOpened?: () => void;
}

export type WatchEvent<T> =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: T }
  /** `isAll`: every object there is has come. */
  | { readonly type: 'BOOKMARK'; readonly resourceVersion: string; readonly isAll: boolean };

export interface DeleteOptions {
  readonly propagationPolicy?: 'Background' | 'Foreground' | 'Orphan';
  /** Only the object with this uid. */
  readonly uid?: string;
  readonly gracePeriodSeconds?: number;
}

/** Every failure is a `KubeError`, an abort the signal's own reason. */
export interface KubeClient {
  get<T extends KubeObject>(kind: Kind<T>, name: ObjectName, signal?: AbortSignal): Promise<T>;
  list<T extends KubeObject>(kind: Kind<T>, options: ListOptions, signal?: AbortSignal): Promise<ObjectList<T>>;
  /** Ends when the server ends it; `KUBE_GONE` when its resourceVersion is too old. */
  watch<T extends KubeObject>(
    kind: Kind<T>,
    options: WatchOptions,
    signal: AbortSignal,
  ): AsyncGenerator<WatchEvent<T>, void>;
  create<T extends KubeObject>(kind: Kind<T>, object: Draft<T>, signal?: AbortSignal): Promise<T>;
  /** `KUBE_CONFLICT` when the object has changed since it was read. */
  replace<T extends KubeObject>(kind: Kind<T>, object: T, signal?: AbortSignal): Promise<T>;
  /** An RFC 7386 merge; with `metadata.resourceVersion` in it only if the object has not changed since. */
  patch<T extends KubeObject>(kind: Kind<T>, name: ObjectName, mergePatch: object, signal?: AbortSignal): Promise<T>;
  delete(kind: Kind<KubeObject>, name: ObjectName, options?: DeleteOptions, signal?: AbortSignal): Promise<void>;
  close(): Promise<void>;
}
