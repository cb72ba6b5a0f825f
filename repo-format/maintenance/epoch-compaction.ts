// Merges the index blobs of a settled epoch, or of many, into few (repository format §8.5 a, c). Nothing is dropped, not even
// what the watermark hides: an older entry elsewhere would come back to life. The inputs stay; when the new set has been
// there long enough another task deletes them.
import { toHex } from '../../base/hex.ts';
import { WindlassError } from '../../base/errors.ts';
import type { BlobMetadata } from '../blob/storage.ts';
import { activeBlobsOf } from '../epoch/active-blobs.ts';
import { sealBlob } from '../epoch/encrypted-blob.ts';
import { RANGE_PREFIX, SINGLE_EPOCH_PREFIX, uncompactedPrefix } from '../epoch/names.ts';
import { listAll, type EpochSnapshot } from '../epoch/snapshot.ts';
import { releaseBytes } from '../index/row-store.ts';
import { mergeIndexBlobs, shardEntriesWithin } from './compact-indexes.ts';
import { totalBytes } from './delete-blobs.ts';
import { indexSource, loadedIndexBytes } from './index-source.ts';
import type { MaintenanceRun, Task, TaskName } from './task.ts';

type Compactions = Pick<EpochSnapshot, 'writeEpoch' | 'rangeChain' | 'singleEpochSets'>;

function firstUncovered({ rangeChain }: Pick<EpochSnapshot, 'rangeChain'>): number {
  return (rangeChain.at(-1)?.max ?? -1) + 1;
}

/** The oldest epoch without a compaction, when it is settled. */
export function epochToCompact(snapshot: Compactions): number | undefined {
  let epoch = firstUncovered(snapshot);
  while (snapshot.singleEpochSets.has(epoch)) epoch++;
  return epoch <= snapshot.writeEpoch - 2 ? epoch : undefined;
}

/** All settled epochs past the last range, when they are more than `fullCheckpointFrequency`. */
export function rangeToCompact(
  snapshot: Compactions,
  fullCheckpointFrequency: number,
): { readonly min: number; readonly max: number } | undefined {
  const min = firstUncovered(snapshot);
  const max = snapshot.writeEpoch - 2;
  return max >= 0 && max - min >= fullCheckpointFrequency ? { min, max } : undefined;
}

export const compactSingleEpochTask: Task = {
  name: 'compact-single-epoch',
  async plan(run, signal) {
    const snapshot = await run.epochs(signal);
    const epoch = epochToCompact(snapshot);
    if (epoch === undefined) {
      const apply = async () => ({ kind: 'compactSingleEpochStats', data: null });
      return { kind: 'run', summary: 'no settled epoch to compact', facts: {}, apply };
    }
    const inputs =
      snapshot.uncompacted.get(epoch) ?? (await listAll(run.repository.storage, uncompactedPrefix(epoch), signal));
    const bytes = totalBytes(inputs);
    return {
      kind: 'run',
      summary: `merge ${inputs.length} index blobs of epoch ${epoch}`,
      facts: { epoch, indexBlobs: inputs.length, bytes },
      async apply(applySignal) {
        const prefix = `${SINGLE_EPOCH_PREFIX}${epoch}_`;
        await compact(run, 'compact-single-epoch', { inputs, prefix, snapshot }, applySignal);
        const data = { supersededIndexBlobCount: inputs.length, supersededIndexTotalSize: bytes, epoch };
        return { kind: 'compactSingleEpochStats', data };
      },
    };
  },
};

export const generateRangeTask: Task = {
  name: 'generate-epoch-range-index',
  async plan(run, signal) {
    const snapshot = await run.epochs(signal);
    const range = rangeToCompact(snapshot, run.repository.format.config.epochParameters.fullCheckpointFrequency);
    if (range === undefined) {
      const apply = async () => ({ kind: 'generateRangeCheckpointStats', data: null });
      return { kind: 'run', summary: 'too few settled epochs for a range', facts: {}, apply };
    }
    const { min, max } = range;
    const inputs = await activeBlobsOf(snapshot, min, max, run.repository.storage, signal);
    return {
      kind: 'run',
      summary: `merge ${inputs.length} index blobs of epochs ${min} to ${max}`,
      facts: { minEpoch: min, maxEpoch: max, indexBlobs: inputs.length, bytes: totalBytes(inputs) },
      async apply(applySignal) {
        const prefix = `${RANGE_PREFIX}${min}_${max}_`;
        await compact(run, 'generate-epoch-range-index', { inputs, prefix, snapshot }, applySignal);
        return { kind: 'generateRangeCheckpointStats', data: { rangeMinEpoch: min, rangeMaxEpoch: max } };
      },
    };
  },
};

interface Compaction {
  readonly inputs: readonly BlobMetadata[];
  readonly prefix: string;
  /** What `inputs` were found by. */
  readonly snapshot: EpochSnapshot;
}

const SET_ID_BYTES = 8;

/**
 * Publishes the merge of `inputs`. The set counts once its last blob is there, so a run that is cut off leaves blobs that
 * nobody uses. Without any entry nothing is written, as kopia does.
 */
async function compact(
  run: MaintenanceRun,
  task: TaskName,
  { inputs, prefix, snapshot }: Compaction,
  signal: AbortSignal,
): Promise<void> {
  const { storage, format } = run.repository;
  requireValid(run, snapshot);
  const set = `s${toHex(run.random.bytes(SET_ID_BYTES))}`;
  const source = indexSource(run);
  const maxShardEntries = shardEntriesWithin(run.memoryLimitBytes, loadedIndexBytes(run));
  const options = { indexVersion: format.config.indexVersion, maxShardEntries };
  const shards = mergeIndexBlobs(inputs, source, options, signal);
  let done = 0;
  for await (const { bytes, shardCount } of shards) {
    const sealed = sealBlob(run, prefix, `${set}-c${shardCount}`, bytes);
    await storage.putBlob(sealed.id, sealed.bytes, signal);
    releaseBytes(sealed.bytes);
    run.progress({ task, done: ++done, total: shardCount, unit: 'index blobs' });
  }
  run.forgetEpochs();
}

/**
 * The list was complete when it was made, and a settled epoch never grows; so the merge of what it names stays right
 * however long merging takes. An outdated list may name too little: inputs that a compaction has replaced are deleted in
 * the end. Wall-clock time, so that a machine that slept notices.
 */
function requireValid(run: MaintenanceRun, { validUntilMs, startedAtMs }: EpochSnapshot): void {
  const nowMs = run.clock.nowMs();
  if (nowMs >= startedAtMs && nowMs < validUntilMs) return;
  throw new WindlassError('the list of index blobs has grown too old to merge by', {
    code: 'EPOCH_REFRESH_TOO_SLOW',
    retry: 'transient',
    context: { validForMs: validUntilMs - startedAtMs },
  });
}
