// When a sub-tree's object of an earlier snapshot serves again as a whole, and what is said of such a directory.
import type { ObjectId } from '../../repo-format/index.ts';
import type { DirectoryPolicy } from './directory-policy.ts';
import type { DirectoryJob, DirectoryResult, EntryFacts, PreviousObject } from './lane-protocol.ts';

export interface KeepRules {
  readonly policy: DirectoryPolicy;
  readonly forceHashPercent: number;
  readonly packsAreLost: boolean;
  readonly isStored: (objectId: ObjectId) => boolean;
}

/** Whether the object of an earlier snapshot may serve for a whole sub-tree, if nothing in it has changed. */
export function mayKeep(
  job: DirectoryJob,
  primary: PreviousObject,
  { policy, forceHashPercent, packsAreLost, isStored }: KeepRules,
): boolean {
  // Nobody looks at what is below it.
  if (packsAreLost) return false;
  const { numFailed, numIgnoredErrors, incomplete } = primary.summary;
  if (numFailed > 0 || numIgnoredErrors !== undefined || incomplete !== undefined) return false;
  if (job.ignore.length > 0 || job.ownIgnore !== undefined || forceHashPercent > 0) return false;
  return !policy.ignoreCacheDirs && isStored(primary.objectId as ObjectId);
}

/** The result for a directory of which nothing changed, nor anything below it: its object serves again. */
export function keptDirectory(job: DirectoryJob, primary: PreviousObject, facts: EntryFacts): DirectoryResult {
  const { summary } = primary;
  return {
    kind: 'directory',
    id: job.id,
    facts,
    failed: [],
    failedBelow: [],
    changedPaths: [],
    vanishedPathsBelow: [],
    counts: {
      directories: summary.dirs,
      files: summary.files,
      cachedFiles: summary.files + summary.symlinks,
      readFiles: 0,
      storedFiles: 0,
      bytes: summary.size,
      excludedFiles: 0,
      excludedDirs: 0,
      excludedBytes: 0,
      changed: 0,
      vanished: [],
      vanishedBelow: 0,
      rereads: 0,
    },
    done: primary,
    open: undefined,
  };
}
