// The only door into the mover: a directory tree into a repository, and back.
export {
  type BackupDeps,
  type BackupError,
  type BackupOptions,
  type BackupResult,
  backupTree,
  type ConsistencyReport,
  type ReadTree,
} from './upload/backup.ts';
export type { BackupProgress } from './upload/progress.ts';
export { backupStream, type StreamOptions } from './upload/stream.ts';
export {
  type RestoreDeps,
  type RestoreOptions,
  type RestoreProgress,
  restoreSnapshot,
  type SkippableAttribute,
} from './restore/restore.ts';
export type { OverwriteRule } from './restore/existing-entry.ts';
export type { EntryCounts, RefusedAttribute, RestoreReceipt } from './restore/receipt.ts';
export type { SparseRule } from './restore/run-context.ts';
export {
  type VerifyDeps,
  type VerifyFailure,
  type VerifyOptions,
  type VerifyProgress,
  type VerifyReport,
  verifySnapshots,
} from './verify/verify.ts';
export type { UnindexedReport } from './verify/unindexed.ts';
export { type RepairOptions, type RepairReport, repairRepository } from './repair/repair.ts';
export { type CopyReport, copySnapshots } from './copy/copy.ts';
export { VerifyLedger } from './verify/ledger.ts';
export type { SliceReport } from './verify/slice.ts';
