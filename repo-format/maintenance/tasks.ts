// Which tasks make up a cycle, in which order (snapshots §7.4). The order matters: what marks comes before what drops,
// what drops before what deletes, and indexes are tidied when nothing refers to the old ones any more.
import type { RepositoryConfig } from '../format/repository-config.ts';
import { cleanupLogsTask } from './cleanup-logs.ts';
import { fullDeleteInQuickTask, fullDeletePacksTask, quickDeletePacksTask } from './delete-packs.ts';
import { dropDeletedTask } from './drop-deleted.ts';
import { advanceEpochTask } from './epoch-advance.ts';
import { cleanupMarkersTask, deleteSupersededIndexesTask } from './epoch-cleanup.ts';
import { compactSingleEpochTask, generateRangeTask } from './epoch-compaction.ts';
import { extendRetentionTask } from './extend-retention.ts';
import { indexCompactionTask } from './legacy-compaction.ts';
import { fullRewriteTask, quickRewriteTask } from './rewrite-contents.ts';
import { snapshotGcTask } from './snapshot-gc.ts';
import type { MaintenanceMode, Task } from './task.ts';

export function tasksOf(mode: MaintenanceMode, config: Pick<RepositoryConfig, 'epochParameters'>): readonly Task[] {
  const epochs = config.epochParameters.enabled;
  if (mode === 'full') return [...COLLECTION, extendRetentionTask, ...(epochs ? EPOCHS_FULL : []), cleanupLogsTask];
  return epochs ? EPOCHS_QUICK : [...COLLECTION_QUICK, indexCompactionTask, cleanupLogsTask];
}

/** Mark, move, drop, delete; each looks at its own gate. */
const COLLECTION: readonly Task[] = [snapshotGcTask, fullRewriteTask, dropDeletedTask, fullDeletePacksTask];

/** The same for packs of metadata only, where there are no epochs. */
const COLLECTION_QUICK: readonly Task[] = [quickRewriteTask, quickDeletePacksTask, fullDeleteInQuickTask];

const EPOCHS_QUICK: readonly Task[] = [compactSingleEpochTask, advanceEpochTask];

const EPOCHS_FULL: readonly Task[] = [
  compactSingleEpochTask,
  advanceEpochTask,
  generateRangeTask,
  cleanupMarkersTask,
  deleteSupersededIndexesTask,
];
