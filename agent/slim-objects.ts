// What is kept of objects that are followed: a node agent sees all volumes of a cluster and all pods of its node, and few members of
// them count.
import { type KubeObject, LABEL, type Pod, type PodVolumeBackup, type PodVolumeRestore } from '../kube/index.ts';
import { isDeleting, phaseOf } from './data-movement/subject.ts';

const NOTHING = { pod: {}, volume: '', backupStorageLocation: '', repoIdentifier: '' };

/** Of backups on other nodes only what decisions look at: there are thousands. Those that may have to be ended for their node are whole. */
export function slimBackup(nodeName: string): (backup: PodVolumeBackup) => PodVolumeBackup {
  return (given) => {
    const backup = completeBackup(given);
    const isOurs = backup.spec.node === nodeName;
    const isWhole = isOurs || backup.spec.cancel === true || isDeleting(backup);
    return isWhole ? withoutManagedFields(backup) : foreignBackup(backup);
  };
}

export function slimRestore(restore: PodVolumeRestore): PodVolumeRestore {
  return withoutManagedFields(completeRestore(restore));
}

/** The schema asks for members of a `spec`, not for a `spec`. Made by hand without one, an object is nobody's. */
function completeBackup(backup: PodVolumeBackup): PodVolumeBackup {
  if ((backup.spec as unknown) !== undefined) return backup;
  return { ...backup, spec: { node: '', ...NOTHING } };
}

function completeRestore(restore: PodVolumeRestore): PodVolumeRestore {
  if ((restore.spec as unknown) !== undefined) return restore;
  return { ...restore, spec: { snapshotID: '', sourceNamespace: '', ...NOTHING } };
}

function foreignBackup(backup: PodVolumeBackup): PodVolumeBackup {
  const { apiVersion, kind, metadata, spec } = backup;
  const { name, namespace, uid, resourceVersion, creationTimestamp, labels } = metadata;
  const onGoing = labels?.[LABEL.exposeOnGoing];
  return {
    apiVersion,
    kind,
    metadata: {
      name,
      ...(namespace === undefined ? {} : { namespace }),
      uid,
      resourceVersion,
      creationTimestamp,
      ...(onGoing === undefined ? {} : { labels: { [LABEL.exposeOnGoing]: onGoing } }),
    },
    spec: {
      node: spec.node,
      ...NOTHING,
    },
    status: { phase: phaseOf(backup) },
  };
}

/** Environments and statuses of containers can be large. */
export function slimPod(pod: Pod): Pod {
  const { apiVersion, kind, spec, status } = pod;
  const { phase, initContainerStatuses } = status ?? {};
  return {
    apiVersion,
    kind,
    metadata: withoutManagedFields(pod).metadata,
    spec: {
      ...(spec.nodeName === undefined ? {} : { nodeName: spec.nodeName }),
      ...(spec.volumes === undefined ? {} : { volumes: spec.volumes }),
    },
    status: {
      ...(phase === undefined ? {} : { phase }),
      ...(initContainerStatuses === undefined ? {} : { initContainerStatuses }),
    },
  };
}

/** Name and labels. */
export function onlyMetadata<T extends KubeObject>({ apiVersion, kind, metadata }: T): T {
  return { apiVersion, kind, metadata } as T;
}

export function withoutManagedFields<T extends KubeObject>(object: T): T {
  const { managedFields: _, ...metadata } = object.metadata as T['metadata'] & { managedFields?: unknown };
  return { ...object, metadata };
}
