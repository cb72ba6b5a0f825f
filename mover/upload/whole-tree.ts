// Before lanes are started: whether a small tree is just as the last run left it. That is found out here, on the main
// thread, in less time than a lane takes to start; nothing of it is read or written. Large trees are left to the lanes.
import type { Clock } from '../../base/clock.ts';
import {
  contentKey,
  type ContentId,
  indexObjectId,
  type IndexSet,
  type ObjectId,
  objectIdParts,
} from '../../repo-format/index.ts';
import { HintLog, type HintTable } from './change-hints.ts';
import { policyOf, type PolicyTable } from './directory-policy.ts';
import { keptDirectory, mayKeep } from './kept-directory.ts';
import type { DirectoryJob, DirectoryResult, PreviousObject } from './lane-protocol.ts';
import { UnchangedWalk } from './unchanged-walk.ts';

/** A lane takes about twice as long to start. In vain, when the time is not enough: hence the limit of size. */
const WALK_MS = 40;
/** Of the table of hints, at most half of which is in use: some 8,000 files. */
const MAX_HINT_BYTES = 1 << 17;

export interface WholeTreeDeps {
  readonly hints: HintTable | undefined;
  readonly policyTable: PolicyTable;
  readonly forceHashPercent: number;
  readonly packsAreLost: boolean;
  readonly indexSet: IndexSet;
  readonly clock: Clock;
}

export interface KeptTree {
  /** The previous root, which serves again. */
  readonly primary: PreviousObject;
  readonly result: DirectoryResult;
  /** What to remember for the next run. */
  readonly hints: Uint32Array;
}

/** The result of the root's job when nothing in the tree has changed; undefined when it has or that cannot be told quickly. */
export function keepWholeTree(job: DirectoryJob, deps: WholeTreeDeps): KeptTree | undefined {
  const { hints, policyTable, forceHashPercent, packsAreLost, indexSet, clock } = deps;
  const { primary } = job;
  if (hints === undefined || primary === undefined || !job.mayDescend) return undefined;
  if (hints.memory.byteLength > MAX_HINT_BYTES) return undefined;
  const policy = policyOf(policyTable.entries, job.policyNumber);
  const isStored = (id: ObjectId): boolean => isObjectStored(indexSet, id);
  if (!mayKeep(job, primary, { policy, forceHashPercent, packsAreLost, isStored })) return undefined;
  const hintLog = new HintLog();
  const deadline = clock.monotonicMs() + WALK_MS;
  const isOver = (): boolean => clock.monotonicMs() > deadline;
  const walk = new UnchangedWalk({ hints, hintLog, nowMs: () => clock.nowMs(), isOver });
  const facts = walk.check(job.parentFd, job.name, job.path);
  return facts === undefined
    ? undefined
    : { primary, result: keptDirectory(job, primary, facts), hints: hintLog.take() };
}

/** Its first content is in the index and not marked deleted. */
function isObjectStored(indexSet: IndexSet, objectId: ObjectId): boolean {
  let id = objectId;
  for (let index = indexObjectId(id); index !== undefined; index = indexObjectId(id)) id = index;
  return indexSet.state(contentKey(objectIdParts(id).contentId as ContentId)) === 1;
}
