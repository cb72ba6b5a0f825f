// The shape that all objects of a cluster share, and how a kind of them is named.

export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
  readonly blockOwnerDeletion?: boolean;
}

export interface ObjectMeta {
  readonly name: string;
  readonly namespace?: string;
  readonly generateName?: string;
  readonly uid: string;
  readonly resourceVersion: string;
  /** RFC 3339. */
  readonly creationTimestamp: string;
  readonly deletionTimestamp?: string;
  readonly generation?: number;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly finalizers?: readonly string[];
  readonly ownerReferences?: readonly OwnerReference[];
}

export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: ObjectMeta;
}

export interface ObjectName {
  readonly name: string;
  readonly namespace?: string | undefined;
}

/** A kind of objects. `T` is their type; nothing holds a value of it. */
export interface Kind<T extends KubeObject> {
  /** '' for the core group. */
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly kind: string;
  readonly namespaced: boolean;
  readonly objectType?: T;
}

/** An object that is to be made: the server gives it what is left out. */
export type Draft<T extends KubeObject> = Omit<T, 'metadata' | 'apiVersion' | 'kind'> & {
  readonly metadata: Partial<ObjectMeta>;
};

export interface ObjectList<T> {
  readonly items: readonly T[];
  readonly resourceVersion: string;
  /** Where the next page begins. */
  readonly continueToken?: string | undefined;
}

/** `namespace/name`, or `name` for what has no namespace. */
export function objectKey({ name, namespace }: ObjectName): string {
  return namespace === undefined || namespace === '' ? name : `${namespace}/${name}`;
}

export function nameOfKey(key: string): ObjectName {
  const at = key.indexOf('/');
  return at < 0 ? { name: key } : { namespace: key.slice(0, at), name: key.slice(at + 1) };
}

export function apiVersionOf({ group, version }: Pick<Kind<KubeObject>, 'group' | 'version'>): string {
  return group === '' ? version : `${group}/${version}`;
}
