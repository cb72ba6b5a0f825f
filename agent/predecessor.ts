// Two agents on one node, as an update with `maxSurge` makes them, or a pod that is deleted by force: the second would start a data
// mover for every volume that the first one moves. The younger one waits for the end of the older.
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/logger.ts';
import { objectKey, type Pod, type Store } from '../kube/index.ts';

export interface PredecessorOptions {
  readonly pods: Store<Pod>;
  readonly namespace: string;
  /** Of the pod that this process runs in; undefined or unknown: nobody is waited for. */
  readonly podName: string | undefined;
}

/** Velero's agents have it, too. */
const ROLE = { label: 'role', value: 'node-agent' } as const;
const LOOK_MS = 1_000;
const LOOKS_PER_LINE = 60;

/** The agent that was on this node before this one, and that may still move volumes. */
export function predecessor({ pods, namespace, podName = '' }: PredecessorOptions): Pod | undefined {
  const self = pods.get(`${namespace}/${podName}`);
  if (self === undefined) return undefined;
  return pods.list().find((pod) => {
    const { labels = {}, namespace: place } = pod.metadata;
    const isAgent = place === namespace && labels[ROLE.label] === ROLE.value;
    return isAgent && pod.status?.phase === 'Running' && isOlder(pod, self);
  });
}

/** Resolves when there is none any more. */
export async function whenAlone(
  options: PredecessorOptions,
  { clock, logger }: { readonly clock: Clock; readonly logger: Logger },
  signal: AbortSignal,
): Promise<void> {
  for (let looks = 0; ; looks++) {
    const before = predecessor(options);
    if (before === undefined) return;
    if (looks % LOOKS_PER_LINE === 0)
      logger.info('another agent is on this node: its end is waited for', { pod: objectKey(before.metadata) });
    await clock.sleep(LOOK_MS, signal);
  }
}

function isOlder({ metadata: a }: Pod, { metadata: b }: Pod): boolean {
  if (a.uid === b.uid) return false;
  const [left, right] = [Date.parse(a.creationTimestamp), Date.parse(b.creationTimestamp)];
  return left === right ? a.uid < b.uid : left < right;
}
