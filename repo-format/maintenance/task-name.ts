// The names of maintenance tasks and what is recorded of their runs: what the schedule blob and the tasks share.
import type { ExactJson } from '../../base/go-json.ts';

/** Kopia's names: they are keys of the schedule blob, and their successes decide what later runs may do. */
export type TaskName =
  | 'snapshot-gc'
  | 'quick-delete-blobs'
  | 'full-delete-blobs'
  | 'quick-rewrite-contents'
  | 'full-rewrite-contents'
  | 'full-drop-deleted-content'
  | 'index-compaction'
  | 'extend-blob-retention-time'
  | 'cleanup-logs'
  | 'advance-epoch'
  | 'delete-superseded-epoch-indexes'
  | 'cleanup-epoch-markers'
  | 'generate-epoch-range-index'
  | 'compact-single-epoch';

/** Stored with the run as `extra`; kind and members are kopia's. `data` is null when there was nothing to do. */
export interface TaskStats {
  readonly kind: string;
  readonly data: ExactJson;
}
