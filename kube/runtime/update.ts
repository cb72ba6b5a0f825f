// Read, change, write, and again when somebody else was faster.
import { hasCode } from '../../base/errors.ts';
import type { Kind, KubeObject, ObjectName } from '../api/object.ts';
import type { KubeClient } from '../client/kube-client.ts';

const MAX_CONFLICTS = 20;

/**
 * `change` says from the present object what to merge into it (RFC 7386), or undefined when nothing is to be done. The answer is the
 * object as written, or undefined when nothing was, or when it is gone.
 */
export async function updateObject<T extends KubeObject>(
  client: KubeClient,
  kind: Kind<T>,
  name: ObjectName,
  change: (now: T) => object | undefined,
  signal?: AbortSignal,
): Promise<T | undefined> {
  for (let conflicts = 0; ; conflicts++) {
    try {
      const now = await client.get(kind, name, signal);
      const merge = change(now);
      if (merge === undefined) return undefined;
      return await client.patch(kind, name, guarded(merge, now.metadata.resourceVersion), signal);
    } catch (error) {
      if (hasCode(error, 'KUBE_NOT_FOUND')) return undefined;
      if (!hasCode(error, 'KUBE_CONFLICT') || conflicts >= MAX_CONFLICTS) throw error;
    }
  }
}

/** The merge counts only for the object as it was read. */
export function guarded(merge: object, resourceVersion: string): object {
  const { metadata = {} } = merge as { readonly metadata?: object };
  return { ...merge, metadata: { ...metadata, resourceVersion } };
}
