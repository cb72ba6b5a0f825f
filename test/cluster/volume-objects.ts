// PodVolumeBackups and PodVolumeRestores as the server would make them, made by a test: it decides when, and changes them as somebody
// who is not the agent does.
import type { Pod } from '../../kube/api/core.ts';
import type { DataPhase, PodVolumeBackup, PodVolumeRestore } from '../../kube/api/velero.ts';
import { NODE_NAME } from './certificates.ts';
import type { Cluster } from './cluster.ts';
import type { WaitOptions } from './wait.ts';
import { VELERO_NAMESPACE } from './velero.ts';

export type VolumeObject = PodVolumeBackup | PodVolumeRestore;
export type VolumeKind = 'podvolumebackup' | 'podvolumerestore';

const TERMINAL: ReadonlySet<string | undefined> = new Set(['Completed', 'Failed', 'Canceled']);
const OWNER = 'test-owner';

export interface VolumePlan {
  readonly name: string;
  readonly pod: Pod;
  readonly volume: string;
  readonly location?: string;
  /** Of somebody who wants to see the object's end, too. */
  readonly finalizers?: readonly string[];
}

export async function createVolumeBackup(cluster: Cluster, plan: VolumePlan): Promise<void> {
  await cluster.kubectl.apply({
    apiVersion: 'velero.io/v1',
    kind: 'PodVolumeBackup',
    metadata: {
      name: plan.name,
      namespace: VELERO_NAMESPACE,
      finalizers: plan.finalizers ?? [],
      ownerReferences: [await owner(cluster)],
    },
    spec: { ...commonSpec(plan), node: NODE_NAME },
  });
}

/** The pod must have an init container that waits for `restoreUid`. */
export async function createVolumeRestore(
  cluster: Cluster,
  plan: VolumePlan & { readonly snapshotID: string; readonly sourceNamespace: string },
): Promise<void> {
  await cluster.kubectl.apply({
    apiVersion: 'velero.io/v1',
    kind: 'PodVolumeRestore',
    metadata: {
      name: plan.name,
      namespace: VELERO_NAMESPACE,
      finalizers: plan.finalizers ?? [],
      labels: { 'velero.io/pod-uid': plan.pod.metadata.uid },
      ownerReferences: [await owner(cluster)],
    },
    spec: { ...commonSpec(plan), snapshotID: plan.snapshotID, sourceNamespace: plan.sourceNamespace },
  });
}

/** What a volume's init container is told to wait for. */
export async function restoreUid(cluster: Cluster): Promise<string> {
  return (await owner(cluster)).uid;
}

export function whenPhase<T extends VolumeObject>(
  { kubectl }: Cluster,
  kind: VolumeKind,
  name: string,
  phase: DataPhase,
  options: WaitOptions = {},
): Promise<T> {
  return kubectl.whenObject<T>(
    kind,
    ['-n', VELERO_NAMESPACE, name],
    ({ status }) => {
      if (status?.phase === phase) return true;
      if (TERMINAL.has(status?.phase)) throw new Error(`${name} is to be ${phase}: ${JSON.stringify(status)}`);
      return false;
    },
    { timeoutMs: 180_000, everyMs: 100, ...options },
  );
}

/** Waits until nothing more will happen to it. */
export function whenOver<T extends VolumeObject>(
  { kubectl }: Cluster,
  kind: VolumeKind,
  name: string,
  options: WaitOptions = {},
): Promise<T> {
  const place = ['-n', VELERO_NAMESPACE, name];
  return kubectl.whenObject<T>(kind, place, ({ status }) => TERMINAL.has(status?.phase), {
    timeoutMs: 300_000,
    ...options,
  });
}

export function whenMoving(cluster: Cluster, kind: VolumeKind, name: string): Promise<VolumeObject> {
  return whenPhase(cluster, kind, name, 'InProgress');
}

/** Waits until some of the bytes have moved. */
export async function whenHalfDone(cluster: Cluster, kind: VolumeKind, name: string): Promise<VolumeObject> {
  await whenMoving(cluster, kind, name);
  return cluster.kubectl.whenObject<VolumeObject>(kind, ['-n', VELERO_NAMESPACE, name], ({ status }) => {
    if (TERMINAL.has(status?.phase)) throw new Error(`${name} was too fast: ${JSON.stringify(status)}`);
    return (status?.progress?.bytesDone ?? 0) > 0;
  });
}

export async function change({ kubectl }: Cluster, kind: VolumeKind, name: string, patch: object): Promise<void> {
  await kubectl.ok(['-n', VELERO_NAMESPACE, 'patch', kind, name, '--type=merge', '-p', JSON.stringify(patch)]);
}

function commonSpec({ pod, volume, location = 'default' }: VolumePlan): object {
  const { name, namespace, uid } = pod.metadata;
  return {
    pod: { kind: 'Pod', namespace, name, uid },
    volume,
    backupStorageLocation: location,
    repoIdentifier: '',
    uploaderType: 'kopia',
  };
}

/** An object that lives: what has no owner is collected. */
async function owner({ kubectl }: Cluster): Promise<{ readonly uid: string }> {
  const metadata = { name: OWNER, namespace: VELERO_NAMESPACE };
  await kubectl.apply({ apiVersion: 'v1', kind: 'ConfigMap', metadata });
  const { metadata: made } = await kubectl.whenObject('configmap', ['-n', VELERO_NAMESPACE, OWNER], () => true);
  return { apiVersion: 'v1', kind: 'ConfigMap', name: OWNER, uid: made.uid, controller: true } as { uid: string };
}
