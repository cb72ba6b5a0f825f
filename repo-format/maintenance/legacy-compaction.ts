// Index compaction of repositories without epochs (repository format §7.6): merged indexes, a log that says what they
// replace, and inputs and logs that go when everybody has seen that. Index blobs always go before the logs that retire
// them, or they would count again.
import { WindlassError, hasCode } from '../../base/errors.ts';
import { formatTimestampNs, parseTimestampNs } from '../../base/go-time.ts';
import { encodeGoJson } from '../../base/go-json.ts';
import type { BlobId, BlobMetadata } from '../blob/storage.ts';
import { parseBlobId } from '../blob/blob-id.ts';
import { openBlob, sealBlob } from '../epoch/encrypted-blob.ts';
import {
  LEGACY_COMPACTION_PREFIX,
  LEGACY_INDEX_PREFIX,
  loadLegacyActiveBlobs,
  parseCompactionLog,
} from '../epoch/legacy.ts';
import { listAll } from '../epoch/snapshot.ts';
import { arrayMember, parseObject, stringMember } from '../format/json-members.ts';
import { mergeIndexBlobs, shardEntriesWithin } from './compact-indexes.ts';
import { deleteBlobs, totalBytes } from './delete-blobs.ts';
import { indexSource, loadedIndexBytes } from './index-source.ts';
import type { MaintenanceRun, Task, TaskStats } from './task.ts';

const LEGACY_CLEANUP_PREFIX = 'l';
/** Kopia's: with fewer blobs than this a compaction is not worth its blobs. */
const MAX_SMALL_BLOBS = 8;
/** Blobs below this part of a pack's size are very small. */
const VERY_SMALL_FRACTION = 20;
const TAIL_BYTES = 32;
const DELETE_PARALLELISM = 4;

/** Which of the active blobs to merge. Blobs larger than a pack are left alone unless `all` is wanted. */
export function legacyBlobsToCompact(
  blobs: readonly BlobMetadata[],
  options: { readonly all: boolean; readonly maxPackSizeBytes: number; readonly maxSmallBlobs: number },
): readonly BlobMetadata[] {
  const { all, maxPackSizeBytes, maxSmallBlobs } = options;
  const candidates = blobs.filter(({ length }) => all || length <= maxPackSizeBytes);
  const verySmall = candidates.filter(({ length }) => length < maxPackSizeBytes / VERY_SMALL_FRACTION);
  if (candidates.length < maxSmallBlobs) return [];
  const medium = candidates.length - verySmall.length;
  return verySmall.length > candidates.length / 2 && medium + 1 < maxSmallBlobs ? verySmall : candidates;
}

export const indexCompactionTask: Task = {
  name: 'index-compaction',
  async plan(run, signal) {
    const { storage, format } = run.repository;
    const active = await loadLegacyActiveBlobs({ storage, cipher: run.cipher }, signal);
    const { maxPackSizeBytes } = format.config;
    const inputs = legacyBlobsToCompact(active, { all: false, maxPackSizeBytes, maxSmallBlobs: MAX_SMALL_BLOBS });
    return {
      kind: 'run',
      summary:
        inputs.length > 1
          ? `merge ${inputs.length} of ${active.length} index blobs`
          : 'few index blobs: nothing to merge',
      facts: { indexBlobs: active.length, toMerge: inputs.length, bytes: totalBytes(inputs) },
      apply: (applySignal) => compactLegacyIndexes(run, inputs, {}, applySignal),
    };
  },
};

/**
 * Merges `inputs`, without the deleted contents older than `dropDeletedBeforeSeconds` when that is given, and tidies up what
 * earlier compactions left. To drop contents `inputs` must be all active blobs: an entry elsewhere would bring one back.
 */
export async function compactLegacyIndexes(
  run: MaintenanceRun,
  inputs: readonly BlobMetadata[],
  { dropDeletedBeforeSeconds }: { readonly dropDeletedBeforeSeconds?: number },
  signal: AbortSignal,
): Promise<TaskStats | undefined> {
  const drops = dropDeletedBeforeSeconds !== undefined;
  const compacts = inputs.length > 1 || (drops && inputs.length > 0);
  if (compacts) await compact(run, inputs, dropDeletedBeforeSeconds, signal);
  await removeCleanedUp(run, signal);
  if (!compacts) return { kind: 'compactIndexesStats', data: null };
  const before = drops ? formatTimestampNs(BigInt(dropDeletedBeforeSeconds) * 1_000_000_000n) : '0001-01-01T00:00:00Z';
  return { kind: 'compactIndexesStats', data: { droppedContentsDeletedBefore: before } };
}

async function compact(
  run: MaintenanceRun,
  inputs: readonly BlobMetadata[],
  dropDeletedBeforeSeconds: number | undefined,
  signal: AbortSignal,
): Promise<void> {
  const { storage, format } = run.repository;
  const options = {
    indexVersion: format.config.indexVersion,
    maxShardEntries: shardEntriesWithin(run.memoryLimitBytes, loadedIndexBytes(run)),
    tail: () => run.random.bytes(TAIL_BYTES),
    ...(dropDeletedBeforeSeconds === undefined
      ? {}
      : {
          drop: ({ deleted, timestampSeconds }: { readonly deleted: boolean; readonly timestampSeconds: number }) =>
            deleted && timestampSeconds < dropDeletedBeforeSeconds,
        }),
  };
  const outputs: BlobMetadata[] = [];
  for await (const { bytes } of mergeIndexBlobs(inputs, indexSource(run), options, signal)) {
    const sealed = sealBlob(run, LEGACY_INDEX_PREFIX, '', bytes);
    outputs.push(await storage.putBlob(sealed.id, sealed.bytes, signal));
    run.progress({ task: 'index-compaction', done: outputs.length, unit: 'index blobs' });
  }
  const log = encodeGoJson({ inputMetadata: inputs.map(describe), outputMetadata: outputs.map(describe) });
  const sealedLog = sealBlob(run, LEGACY_COMPACTION_PREFIX, '', new TextEncoder().encode(log));
  const written = await storage.putBlob(sealedLog.id, sealedLog.bytes, signal);
  await retireInputs(run, written.timestampMs, signal);
}

function describe({ id, length, timestampMs }: BlobMetadata): { id: string; length: number; timestamp: string } {
  return { id, length, timestamp: formatTimestampNs(BigInt(Math.floor(timestampMs)) * 1_000_000n) };
}

/** Deletes the inputs of compactions that everybody has seen, then schedules the logs themselves. */
async function retireInputs(run: MaintenanceRun, nowMs: number, signal: AbortSignal): Promise<void> {
  const { storage } = run.repository;
  const logs = await listAll(storage, LEGACY_COMPACTION_PREFIX, signal);
  const settled = logs.filter(({ timestampMs }) => timestampMs <= nowMs - run.safety.settleTimeMs);
  const listed = new Set((await listAll(storage, LEGACY_INDEX_PREFIX, signal)).map(({ id }) => id));
  const retired = new Set<BlobId>();
  const spent: BlobId[] = [];
  for (const { id } of settled) {
    const plain = await readQuietly(run, id, signal);
    if (plain === undefined) continue;
    const log = parseCompactionLog(id, plain);
    spent.push(id);
    // A log whose outputs are not all there retires nothing, and its inputs are in use (§7.6). Kopia looks at the age only.
    const isInForce = log.outputs.every((output) => listed.has(output as BlobId));
    if (isInForce) for (const input of log.inputs) retired.add(parseBlobId(input));
  }
  await deleteBlobs(
    storage,
    [...retired].map((id) => ({ id })),
    { parallel: DELETE_PARALLELISM },
    signal,
  );
  if (spent.length === 0) return;
  const entry = encodeGoJson({
    blobIDs: spent,
    cleanupScheduleTime: formatTimestampNs(BigInt(Math.floor(nowMs)) * 1_000_000n),
  });
  const sealed = sealBlob(run, LEGACY_CLEANUP_PREFIX, '', new TextEncoder().encode(entry));
  await storage.putBlob(sealed.id, sealed.bytes, signal);
}

/** Deletes the logs that were scheduled long enough ago, then the entries that scheduled them. */
async function removeCleanedUp(run: MaintenanceRun, signal: AbortSignal): Promise<void> {
  const { storage } = run.repository;
  const { safety } = run;
  const entries = await listAll(storage, LEGACY_CLEANUP_PREFIX, signal);
  const latestMs = entries.reduce((latest, { timestampMs }) => Math.max(latest, timestampMs), 0);
  const logs: BlobId[] = [];
  const done: BlobId[] = [];
  for (const { id } of entries) {
    const plain = await readQuietly(run, id, signal);
    if (plain === undefined) continue;
    const { blobIds, scheduledMs } = parseCleanup(id, plain);
    if (latestMs - scheduledMs < safety.settleTimeMs) continue;
    // Only logs: whatever else such an entry names is not for it to decide.
    logs.push(...blobIds.filter((name) => name.startsWith(LEGACY_COMPACTION_PREFIX)));
    done.push(id);
  }
  for (const ids of [logs, done]) {
    await deleteBlobs(
      storage,
      ids.map((id) => ({ id })),
      { parallel: DELETE_PARALLELISM },
      signal,
    );
  }
}

function parseCleanup(id: BlobId, plain: Uint8Array): { readonly blobIds: BlobId[]; readonly scheduledMs: number } {
  try {
    const json = parseObject(plain, 'cleanup entry');
    const scheduledNs = parseTimestampNs(stringMember(json, 'cleanupScheduleTime'));
    if (scheduledNs === undefined) throw new TypeError('cleanupScheduleTime is not a time');
    const blobIds = arrayMember(json, 'blobIDs').map((name) => {
      if (typeof name !== 'string') throw new TypeError('a blob without a name');
      return parseBlobId(name);
    });
    return { blobIds, scheduledMs: Number(scheduledNs / 1_000_000n) };
  } catch (cause) {
    throw new WindlassError(`cleanup entry ${id} cannot be read`, {
      code: 'INDEX_CORRUPT',
      context: { blobId: id },
      cause,
    });
  }
}

/** Undefined when the blob has vanished since it was listed. */
async function readQuietly(run: MaintenanceRun, id: BlobId, signal: AbortSignal): Promise<Uint8Array | undefined> {
  try {
    return openBlob(run.cipher, id, await run.repository.storage.getBlob(id, undefined, signal));
  } catch (error) {
    if (hasCode(error, 'BLOB_NOT_FOUND')) return undefined;
    throw error;
  }
}
