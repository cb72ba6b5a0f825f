// Volumes of a CSI driver: the kubelet has them in a folder `mount` of their own, beside a file of its own.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Pod } from '../../kube/api/core.ts';
import type { KubeObject } from '../../kube/api/object.ts';
import { NODE_NAME } from './certificates.ts';
import type { Cluster } from './cluster.ts';
import { STORAGE_CLASS } from './workload.ts';

const DRIVER = 'folders.csi.windlass.test';
const NAME = 'csi-driver';
const KUBELET = '/var/lib/kubelet';
const VOLUMES = '/srv/pv';

interface CsiNode extends KubeObject {
  readonly spec: { readonly drivers?: readonly { readonly name: string }[] | null };
}

/** Once it runs it stays: the kubelet needs it until the last of its volumes has gone. */
export async function startCsiDriver({ inside, kubectl }: Cluster): Promise<void> {
  await kubectl.apply({
    apiVersion: 'storage.k8s.io/v1',
    kind: 'CSIDriver',
    metadata: { name: DRIVER },
    spec: { attachRequired: false, podInfoOnMount: false, volumeLifecycleModes: ['Persistent'] },
  });
  if (!inside.isKnown(NAME) || !inside.isRunning(NAME)) {
    await inside.start(NAME, [
      process.execPath,
      fileURLToPath(new URL('csi-driver-process.ts', import.meta.url)),
      DRIVER,
      `${KUBELET}/plugins/${DRIVER}/csi.sock`,
      `${KUBELET}/plugins_registry/${DRIVER}-reg.sock`,
      VOLUMES,
    ]);
  }
  const isRegistered = ({ spec }: CsiNode): boolean => spec.drivers?.some(({ name }) => name === DRIVER) === true;
  await kubectl.whenObject<CsiNode>('csinode', [NODE_NAME], isRegistered, { explain: () => inside.log(NAME) });
}

/** An empty volume for the claim. */
export async function makeCsiVolume({ kubectl, inside }: Cluster, namespace: string, claim: string): Promise<void> {
  const name = `${namespace}-${claim}`;
  mkdirSync(join(inside.folder, 'volumes', name));
  await kubectl.apply({
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name },
    spec: {
      capacity: { storage: '1Gi' },
      accessModes: ['ReadWriteOnce'],
      storageClassName: STORAGE_CLASS,
      persistentVolumeReclaimPolicy: 'Retain',
      claimRef: { namespace, name: claim },
      csi: { driver: DRIVER, volumeHandle: name },
    },
  });
}

/** The volume as the node has it mounted, for whoever looks from outside. */
export function mountedCsiVolume({ inside }: Cluster, { metadata }: Pod, claim: string): string {
  const volume = `${metadata.namespace ?? ''}-${claim}`;
  return inside.path(`${KUBELET}/pods/${metadata.uid}/volumes/kubernetes.io~csi/${volume}/mount`);
}
