// What the kubelet says of the init container that waits for a pod's volumes.
import type { Pod } from '../../kube/index.ts';

export const HELPER = 'restore-wait';

/** `absent`: the pod has none, or the kubelet has not come to it yet. */
export type HelperState = 'absent' | 'running' | 'ended';

export function helperState({ status }: Pod): HelperState {
  const state = status?.initContainerStatuses?.find(({ name }) => name === HELPER)?.state;
  if (state?.running !== undefined) return 'running';
  return state?.terminated === undefined ? 'absent' : 'ended';
}
