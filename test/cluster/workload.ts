// Pods with data: a namespace with one pod, its volumes filled before a backup, looked at from outside after a restore.
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Pod } from '../../kube/api/core.ts';
import { NODE_NAME } from './certificates.ts';
import type { Cluster } from './cluster.ts';
import { BUSYBOX_IMAGE } from './images.ts';

/** Of volumes that are folders of the node: made by {@link makeLocalVolume}, given to the claim that is named. */
export const STORAGE_CLASS = 'local';
const SIZE = '1Gi';

export interface PodPlan {
  readonly namespace: string;
  readonly name: string;
  /** Names of claims, each mounted at `/NAME`: a volume of the same name. */
  readonly claims?: readonly string[];
  /** Names of emptyDir volumes, each mounted at `/NAME`. */
  readonly emptyDirs?: readonly string[];
  readonly command?: string;
  /** Added to the pod's and the container's own. */
  readonly podSpec?: object;
  readonly containerSpec?: object;
}

export async function makeNamespace(cluster: Cluster, name: string, labels: object = {}): Promise<void> {
  await makeStorageClass(cluster);
  await cluster.kubectl.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } });
  await cluster.kubectl.whenObject('serviceaccount', ['-n', name, 'default'], () => true);
}

/** Of claims that are given a folder of the node. */
export async function makeStorageClass({ kubectl }: Cluster): Promise<void> {
  await kubectl.apply({
    apiVersion: 'storage.k8s.io/v1',
    kind: 'StorageClass',
    metadata: { name: STORAGE_CLASS },
    provisioner: 'kubernetes.io/no-provisioner',
    volumeBindingMode: 'WaitForFirstConsumer',
    reclaimPolicy: 'Retain',
  });
}

/** An empty volume for the claim, in the place of the one that it had. Answers its folder, as seen from outside. */
export async function makeLocalVolume({ kubectl, inside }: Cluster, namespace: string, claim: string): Promise<string> {
  const name = `${namespace}-${claim}`;
  await kubectl.ok(['delete', 'pv', name, '--ignore-not-found']);
  const folder = join(inside.folder, 'volumes', name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  await kubectl.apply({
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name },
    spec: {
      capacity: { storage: SIZE },
      accessModes: ['ReadWriteOnce'],
      storageClassName: STORAGE_CLASS,
      persistentVolumeReclaimPolicy: 'Delete',
      claimRef: { namespace, name: claim },
      local: { path: `/srv/pv/${name}` },
      nodeAffinity: {
        required: {
          nodeSelectorTerms: [
            { matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values: [NODE_NAME] }] },
          ],
        },
      },
    },
  });
  return folder;
}

/** Makes the pod and its claims; the volumes of the claims must be there. Waits until it runs, or only until it is made. */
export async function makePod(
  cluster: Cluster,
  plan: PodPlan,
  until: 'running' | 'not-started' = 'running',
): Promise<Pod> {
  const { namespace, name, claims = [], emptyDirs = [], command = 'exec sleep 1000000' } = plan;
  const volumes = [
    ...claims.map((claim) => ({ name: claim, persistentVolumeClaim: { claimName: claim } })),
    ...emptyDirs.map((emptyDir) => ({ name: emptyDir, emptyDir: {} })),
  ];
  await cluster.kubectl.apply(
    ...claims.map((claim) => ({
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: { name: claim, namespace },
      spec: {
        accessModes: ['ReadWriteOnce'],
        storageClassName: STORAGE_CLASS,
        resources: { requests: { storage: SIZE } },
      },
    })),
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace, labels: { app: name } },
      spec: {
        terminationGracePeriodSeconds: 1,
        containers: [
          {
            name: 'app',
            image: BUSYBOX_IMAGE,
            imagePullPolicy: 'Never',
            command: ['sh', '-c', command],
            volumeMounts: volumes.map((volume) => ({ name: volume.name, mountPath: `/${volume.name}` })),
            ...plan.containerSpec,
          },
        ],
        volumes,
        ...plan.podSpec,
      },
    },
  );
  if (until === 'running') return whenRunning(cluster, namespace, name);
  return cluster.kubectl.whenObject<Pod>('pod', ['-n', namespace, name], () => true);
}

export function whenRunning({ kubectl }: Cluster, namespace: string, name: string): Promise<Pod> {
  return kubectl.whenObject<Pod>(
    'pod',
    ['-n', namespace, name],
    ({ status }) => status?.containerStatuses?.[0]?.state?.running !== undefined,
    { timeoutMs: 180_000 },
  );
}

/** The volume as the node has it mounted, for whoever looks from outside. */
export function mountedVolume({ inside }: Cluster, pod: Pod, volume: string): string {
  const claimed = pod.spec.volumes?.find(({ name }) => name === volume)?.persistentVolumeClaim !== undefined;
  const place = claimed
    ? `kubernetes.io~local-volume/${pod.metadata.namespace ?? ''}-${volume}`
    : `kubernetes.io~empty-dir/${volume}`;
  return inside.path(`/var/lib/kubelet/pods/${pod.metadata.uid}/volumes/${place}`);
}

/** Ends the namespace with everything in it, as a disaster would: nothing is given the time to end in good order. */
export async function loseNamespace({ kubectl }: Cluster, name: string): Promise<void> {
  if ((await kubectl.get('namespace', name)) === undefined) return;
  // The namespace itself would wait longer than its pods do.
  await kubectl.ok(['-n', name, 'delete', 'deployments,replicasets,pods', '--all', '--force', '--grace-period=0']);
  await kubectl.ok(['delete', 'namespace', name, '--timeout=120s'], { timeoutMs: 150_000 });
}

/** A name that no earlier run on the same cluster has used. */
export function freshName(name: string): string {
  return `${name}-${Date.now().toString(36)}`;
}
