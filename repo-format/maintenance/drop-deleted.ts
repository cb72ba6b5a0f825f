// Forgets contents that were marked deleted long enough ago (snapshots §7.5, §7.8): a new watermark hides them from every
// reader. Their packs go later, as any pack that no index names. Without epochs the indexes are merged without them instead.
import type { BlobId } from '../blob/storage.ts';
import { WATERMARK_PREFIX } from '../epoch/names.ts';
import { loadLegacyActiveBlobs } from '../epoch/legacy.ts';
import type { IndexSet } from '../index/index-set.ts';
import { eachRow } from './each-row.ts';
import { compactLegacyIndexes } from './legacy-compaction.ts';
import { safeDropTimeNs } from './safety-gates.ts';
import type { MaintenanceRun, Task, TaskPlan, TaskStats } from './task.ts';
import { formatTimestampNs } from '../../base/go-time.ts';

const WATERMARK_BODY = new TextEncoder().encode('deletion-watermark');
const NS_PER_SECOND = 1_000_000_000n;

export interface DropPlan {
  /** Unix seconds: deleted contents of this second and before are forgotten. */
  readonly watermarkSeconds: number;
  readonly count: number;
  readonly bytes: number;
}

/** What a watermark would hide. */
export async function planDrop(indexSet: IndexSet, watermarkSeconds: number, signal: AbortSignal): Promise<DropPlan> {
  const found = { count: 0, bytes: 0 };
  await eachRow(
    indexSet,
    ({ index, entry }) => {
      if (!index.isDeletedAt(entry) || index.timestampAt(entry) > watermarkSeconds) return;
      found.count++;
      found.bytes += index.packedLengthAt(entry);
    },
    { signal },
  );
  return { watermarkSeconds, ...found };
}

/**
 * Without safety everything deleted by now goes. A content that was stored and deleted within a second has a deletion
 * time a second or two ahead of the clock; that much further, and no more, the watermark may go.
 */
const AHEAD_SECONDS = 60;

async function newestDeletionSeconds(indexSet: IndexSet, limitSeconds: number, signal: AbortSignal): Promise<number> {
  let newest = 0;
  await eachRow(
    indexSet,
    ({ index, entry }) => {
      const seconds = index.isDeletedAt(entry) ? index.timestampAt(entry) : 0;
      if (seconds > newest && seconds <= limitSeconds) newest = seconds;
    },
    { signal },
  );
  return newest;
}

export const dropDeletedTask: Task = {
  name: 'full-drop-deleted-content',
  async plan(run, signal): Promise<TaskPlan> {
    const { clock, repository, safety, schedule } = run;
    const dropNs = safeDropTimeNs(schedule, safety, clock.nowNs());
    if (dropNs === undefined) {
      return { kind: 'skip', reason: 'no two successful collections are far enough apart yet' };
    }
    const indexSet = repository.contents.indexSet;
    let seconds = Number(dropNs / NS_PER_SECOND);
    if (!safety.requireTwoGcCycles) {
      seconds = Math.max(seconds, await newestDeletionSeconds(indexSet, seconds + AHEAD_SECONDS, signal));
    }
    const plan = await planDrop(indexSet, seconds, signal);
    return {
      kind: 'run',
      summary: `${plan.count} contents marked deleted until ${new Date(seconds * 1000).toISOString()} to forget`,
      facts: { droppedContentCount: plan.count, droppedContentSize: plan.bytes, droppedBefore: dateOf(seconds) },
      apply: (applySignal) => applyDrop(run, plan, applySignal),
    };
  },
};

async function applyDrop(
  run: MaintenanceRun,
  { watermarkSeconds }: DropPlan,
  signal: AbortSignal,
): Promise<TaskStats | undefined> {
  const { cipher, repository } = run;
  const { storage, format, contents } = repository;
  if (!format.config.epochParameters.enabled) {
    const active = await loadLegacyActiveBlobs({ storage, cipher }, signal);
    // Dropped there is what is strictly older.
    const dropDeletedBeforeSeconds = watermarkSeconds + 1;
    const stats = await compactLegacyIndexes(run, active, { dropDeletedBeforeSeconds }, signal);
    await repository.refresh(signal);
    return stats;
  }
  // Only forwards: what was forgotten once must not come back.
  if (watermarkSeconds > contents.indexSet.watermarkSeconds) {
    await storage.putBlob(`${WATERMARK_PREFIX}${watermarkSeconds}` as BlobId, WATERMARK_BODY, signal);
    run.forgetEpochs();
    await repository.refresh(signal);
  }
  return { kind: 'compactIndexesStats', data: { droppedContentsDeletedBefore: dateOf(watermarkSeconds) } };
}

function dateOf(seconds: number): string {
  return formatTimestampNs(BigInt(seconds) * NS_PER_SECOND);
}
