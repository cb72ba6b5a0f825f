// What the kubelet says of the init container that waits for a pod's volumes.
import type { Pod } from '../../kube/index.ts';

export const HELPER = 'restore-wait';

/**
 * `absent`: the pod has none, or the kubelet has not come to it yet. `waits`: it was started and has not ended well; the pod's volumes
 * are mounted, and it looks for its markers, now or when it is started again. `over`: it has seen them all.
 */
export type HelperState = 'absent' | 'waits' | 'over';

export function helperState({ status }: Pod): HelperState {
  const helper = status?.initContainerStatuses?.find(({ name }) => name === HELPER);
  if (helper === undefined) return 'absent';
  const { state, lastState, restartCount = 0 } = helper;
  if (state?.terminated?.exitCode === 0) return 'over';
  if (state?.running !== undefined || state?.terminated !== undefined) return 'waits';
  return restartCount > 0 || lastState?.terminated !== undefined ? 'waits' : 'absent';
}
