// What the end of a volume's way adds to the metrics.
import { LABEL, type PodVolumeBackup } from '../../kube/index.ts';
import { type Movement, timeMs } from '../data-movement/subject.ts';
import type { AgentMetrics, BackupNames, Ending } from './registry.ts';

/** `movement` as it was before its last step. */
export function observeEnding(metrics: AgentMetrics, movement: Movement, ending: Ending, nowMs: number): void {
  const kind = movement.kind === 'PodVolumeBackup' ? 'backup' : 'restore';
  metrics.ended(kind, ending);
  const createdMs = timeMs(movement.metadata.creationTimestamp) ?? nowMs;
  const startedMs = timeMs(movement.status?.startTimestamp);
  if (startedMs === undefined) return;
  metrics.stage(kind, 'wait', Math.max(0, (startedMs - createdMs) / 1000));
  if (kind === 'backup' && ending === 'Completed')
    metrics.backupCompleted(namesOf(movement as PodVolumeBackup), (nowMs - startedMs) / 1000);
}

function namesOf({ metadata, spec }: PodVolumeBackup): BackupNames {
  const { name, namespace, labels, ownerReferences } = metadata;
  const backup = ownerReferences?.[0]?.name ?? labels?.[LABEL.backupName] ?? '';
  return {
    operation: `${name}-${spec.backupStorageLocation}-${spec.pod.namespace ?? ''}-${spec.uploaderType ?? 'kopia'}-backup`,
    backupName: `${namespace}/${backup}`,
    podVolumeBackup: name,
  };
}
