// The state of all epochs at one time, from listings alone (repository format §8.2). Valid for a limited time only: what
// it names may be compacted and deleted later.
import type { Clock } from '../../base/clock.ts';
import { WindlassError } from '../../base/errors.ts';
import type { BlobMetadata, BlobStorage } from '../blob/storage.ts';
import { NO_WATERMARK } from '../index/index-set.ts';
import { firstCompleteSet } from './complete-sets.ts';
import {
  EPOCH_MARKER_PREFIX,
  epochNumberOf,
  epochRangeOf,
  RANGE_PREFIX,
  SINGLE_EPOCH_PREFIX,
  uncompactedPrefix,
  WATERMARK_PREFIX,
  watermarkSecondsOf,
} from './names.ts';
import { longestChain, type EpochRange } from './range-chain.ts';

/** What of a repository's configuration indexes depend on. */
export interface IndexConfig {
  readonly epochParameters: { readonly enabled: boolean; readonly epochRefreshFrequencyMs: number };
}

export interface EpochDeps {
  readonly storage: BlobStorage;
  readonly config: IndexConfig;
  readonly clock: Pick<Clock, 'nowMs' | 'monotonicMs' | 'sleep'>;
}

export interface EpochSnapshot {
  /** Where new index blobs go. Epochs ≤ this − 2 are settled. */
  readonly writeEpoch: number;
  /** Unix seconds; `NO_WATERMARK` without one. */
  readonly watermarkSeconds: number;
  /** The complete compaction of each epoch that has one. */
  readonly singleEpochSets: ReadonlyMap<number, readonly BlobMetadata[]>;
  /** Range compactions to use, from epoch 0 on. */
  readonly rangeChain: readonly EpochRange[];
  /** Blobs of the write epoch and its neighbours. */
  readonly uncompacted: ReadonlyMap<number, readonly BlobMetadata[]>;
  /** Local time before the first listing. */
  readonly startedAtMs: number;
  readonly startedMonotonicMs: number;
  /** Local wall-clock time after which this must not be used. Ask {@link validityLeftMs}: the clock may be set. */
  readonly validUntilMs: number;
}

/**
 * How much longer a snapshot may be used, by whichever clock says less: the one on the wall may be set back, the other does
 * not count while the machine sleeps. Negative when it is over.
 */
export function validityLeftMs(snapshot: EpochSnapshot, clock: Pick<Clock, 'nowMs' | 'monotonicMs'>): number {
  const { startedAtMs, startedMonotonicMs, validUntilMs } = snapshot;
  const elapsedMs = Math.max(clock.nowMs() - startedAtMs, clock.monotonicMs() - startedMonotonicMs);
  return validUntilMs - startedAtMs - elapsedMs;
}

const FIRST_BACKOFF_MS = 100;
const BACKOFF_FACTOR = 1.5;
const MAX_BACKOFF_MS = 15_000;
// Kopia tries for ever. Listings that take 20 minutes twenty times in a row are a failure to report.
const MAX_ATTEMPTS = 20;

/** What listings alone say. For how long it is valid the configuration says. */
export type ListedEpochs = Omit<EpochSnapshot, 'validUntilMs'>;

/**
 * `EPOCH_REFRESH_TOO_SLOW` when listings keep taking longer than their results are valid. `early` are listings that have
 * begun already.
 */
export async function loadEpochSnapshot(
  deps: EpochDeps,
  signal: AbortSignal,
  early?: Promise<ListedEpochs>,
): Promise<EpochSnapshot> {
  const validForMs = deps.config.epochParameters.epochRefreshFrequencyMs;
  let backoffMs = FIRST_BACKOFF_MS;
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
    const listed = await (attempt === 1 && early !== undefined ? early : listEpochs(deps, signal));
    const snapshot = { ...listed, validUntilMs: listed.startedAtMs + validForMs };
    if (validityLeftMs(snapshot, deps.clock) >= 0) return snapshot;
    await deps.clock.sleep(backoffMs, signal);
    backoffMs = Math.min(backoffMs * BACKOFF_FACTOR, MAX_BACKOFF_MS);
  }
  throw new WindlassError('listing the index blobs takes longer than the lists stay valid', {
    code: 'EPOCH_REFRESH_TOO_SLOW',
    retry: 'transient',
    context: { attempts: MAX_ATTEMPTS, validForMs },
  });
}

export async function listEpochs(
  { storage, clock }: Pick<EpochDeps, 'storage' | 'clock'>,
  signal: AbortSignal,
): Promise<ListedEpochs> {
  const startedAtMs = clock.nowMs();
  const startedMonotonicMs = clock.monotonicMs();
  const list = (prefix: string): Promise<BlobMetadata[]> => listAll(storage, prefix, signal);
  const [markers, watermarks, singles, ranges] = await Promise.all(
    [EPOCH_MARKER_PREFIX, WATERMARK_PREFIX, SINGLE_EPOCH_PREFIX, RANGE_PREFIX].map(list),
  );
  const writeEpoch = highestEpoch(markers ?? []);
  const recent = [writeEpoch - 1, writeEpoch, writeEpoch + 1].filter((epoch) => epoch >= 0);
  const uncompacted = await Promise.all(
    recent.map(async (epoch) => [epoch, await list(uncompactedPrefix(epoch))] as const),
  );
  return {
    writeEpoch,
    watermarkSeconds: (watermarks ?? []).reduce(
      (latest, blob) => Math.max(latest, watermarkSecondsOf(blob.id) ?? NO_WATERMARK),
      NO_WATERMARK,
    ),
    singleEpochSets: completeSetsByEpoch(singles ?? []),
    rangeChain: longestChain(completeRanges(ranges ?? [])),
    uncompacted: new Map(uncompacted),
    startedAtMs,
    startedMonotonicMs,
  };
}

/** The write epoch alone, as of now. */
export async function loadWriteEpoch(storage: BlobStorage, signal: AbortSignal): Promise<number> {
  return highestEpoch(await listAll(storage, EPOCH_MARKER_PREFIX, signal));
}

function highestEpoch(markers: readonly BlobMetadata[]): number {
  return markers.reduce((highest, blob) => Math.max(highest, epochNumberOf(blob.id) ?? 0), 0);
}

export async function listAll(storage: BlobStorage, prefix: string, signal: AbortSignal): Promise<BlobMetadata[]> {
  const blobs: BlobMetadata[] = [];
  for await (const blob of storage.listBlobs(prefix, signal)) blobs.push(blob);
  return blobs;
}

function completeSetsByEpoch(blobs: readonly BlobMetadata[]): Map<number, BlobMetadata[]> {
  const sets = new Map<number, BlobMetadata[]>();
  for (const [epoch, members] of Map.groupBy(blobs, (blob) => epochNumberOf(blob.id))) {
    const complete = firstCompleteSet(members);
    if (epoch !== undefined && complete !== undefined) sets.set(epoch, complete);
  }
  return sets;
}

function completeRanges(blobs: readonly BlobMetadata[]): EpochRange[] {
  const ranges: EpochRange[] = [];
  const byBounds = Map.groupBy(blobs, (blob) => {
    const range = epochRangeOf(blob.id);
    return range === undefined ? undefined : `${range.min}-${range.max}`;
  });
  for (const [bounds, members] of byBounds) {
    const range = bounds === undefined ? undefined : epochRangeOf(members[0]?.id ?? '');
    const complete = firstCompleteSet(members);
    if (range !== undefined && complete !== undefined) ranges.push({ ...range, blobs: complete });
  }
  return ranges;
}
