// The pod in which an agent of Velero's moves a volume, where one was here before: two of them would both go on.
import { hasCode } from '../../base/errors.ts';
import { KINDS, type KubeClient, LABEL, type Pod, type Store } from '../../kube/index.ts';
import type { Movement } from './subject.ts';

export interface HostingPodDeps {
  readonly client: KubeClient;
  readonly pods: Store<Pod>;
  readonly namespace: string;
}

/** True when there was one. */
export async function removeHostingPod(
  movement: Movement,
  { client, pods, namespace }: HostingPodDeps,
  signal: AbortSignal,
): Promise<boolean> {
  const { name, uid } = movement.metadata;
  const pod = pods.get(`${namespace}/${name}`);
  const label = movement.kind === 'PodVolumeBackup' ? LABEL.podVolumeBackup : LABEL.podVolumeRestore;
  const isHosting =
    pod?.metadata.labels?.[label] === name &&
    pod.metadata.ownerReferences?.some((owner) => owner.uid === uid) === true &&
    pod.metadata.deletionTimestamp === undefined;
  if (!isHosting) return false;
  try {
    await client.delete(KINDS.pod, { name, namespace }, { uid: pod.metadata.uid, gracePeriodSeconds: 0 }, signal);
  } catch (error) {
    if (!hasCode(error, 'KUBE_NOT_FOUND')) throw error;
  }
  return true;
}
