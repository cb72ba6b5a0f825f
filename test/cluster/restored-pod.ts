// A pod as Velero's server restores it: its init container waits for its volumes.
import type { Pod } from '../../kube/api/core.ts';
import type { Cluster } from './cluster.ts';
import { restoreUid } from './volume-objects.ts';
import { makePod, type PodPlan } from './workload.ts';

export interface Helper {
  readonly image: string;
  readonly command: string;
}

export const STOCK_HELPER: Helper = { image: 'velero/velero:v1.18.3', command: '/velero-restore-helper' };

/** Answers it before it runs; its volumes are those of the plan. */
export async function makeRestoredPod(cluster: Cluster, plan: PodPlan, helper: Helper = STOCK_HELPER): Promise<Pod> {
  const volumes = [...(plan.claims ?? []), ...(plan.emptyDirs ?? [])];
  const initContainer = {
    name: 'restore-wait',
    image: helper.image,
    imagePullPolicy: 'Never',
    command: [helper.command],
    args: [await restoreUid(cluster)],
    volumeMounts: volumes.map((name) => ({ name, mountPath: `/restores/${name}` })),
    resources: { requests: { cpu: '1m', memory: '128Mi' }, limits: { cpu: '100m', memory: '128Mi' } },
    securityContext: {
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'] },
      runAsNonRoot: true,
      runAsUser: 1000,
      seccompProfile: { type: 'RuntimeDefault' },
    },
  };
  return makePod(cluster, { ...plan, podSpec: { ...plan.podSpec, initContainers: [initContainer] } }, 'not-started');
}
