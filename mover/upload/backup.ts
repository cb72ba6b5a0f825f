// Backs up one directory tree as a snapshot: finds what to compare with, runs the lanes over the tree, makes everything
// durable, and only then says that there is a snapshot. A run that fails or is stopped leaves what it stored for the next.
import { closeSync } from 'node:fs';
import { basename } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { WindlassError } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import type { RandomSource } from '../../base/random.ts';
import {
  type ContentWriterStats,
  EMPTY_STATS,
  findPrevious,
  INCOMPLETE_CHECKPOINT,
  loadPolicyTree,
  loadSnapshot,
  type ManifestId,
  type NewSnapshot,
  type Repository,
  saveSnapshot,
  type SessionId,
  type SnapshotManifest,
  type SnapshotSource,
  type SourcePolicies,
} from '../../repo-format/index.ts';
import { applyRetention } from './apply-retention.ts';
import { type BackupError, type BackupResult, consistencyOf, errorsOf, statsOf } from './backup-report.ts';
import type { FinishedDirectory } from './directory-node.ts';
import { PolicyTable, requireCompressor } from './directory-policy.ts';
import { LanePool } from './lane-pool.ts';
import type { LaneInit, LaneOptions } from './lane-protocol.ts';
import { forgetLostPacks } from './lost-packs.ts';
import { MainSink } from './main-sink.ts';
import { type BackupProgress, createProgressMemory, LaneProgress, sumProgress } from './progress.ts';
import { raceTick } from './race-tick.ts';
import { SourceHints } from './source-hints.ts';
import { type OpenRoot, openRoot, partBytes, rootIgnore } from './source-root.ts';
import { StagingRoom } from './staging-room.ts';
import { defaultLanes, TreeUpload } from './tree-upload.ts';
import { keepWholeTree } from './whole-tree.ts';

export type { BackupError, BackupResult, ConsistencyReport } from './backup-report.ts';

export interface BackupOptions {
  /** A directory or a regular file. */
  readonly path: string;
  /** An open directory, the caller's: it is read instead of what lies at `path` by now. */
  readonly rootFd?: number;
  readonly source: SnapshotSource;
  readonly description?: string;
  /** Keys as stored: the command line's own have the prefix `tag:`. */
  readonly tags?: Readonly<Record<string, string>>;
  readonly pins?: readonly string[];
  /** Lanes; as many as there are processors when absent. */
  readonly parallel?: number;
  /** What to compare with: the latest of the source, nothing, or one snapshot. */
  readonly parent?: 'auto' | 'none' | ManifestId;
  /** Overrides the policy's compressor for file data. */
  readonly compression?: string;
  readonly excludes?: readonly string[];
  readonly oneFileSystem?: boolean;
  readonly failFast?: boolean;
  readonly maxErrors?: number;
  readonly forceHashPercent?: number;
  readonly maxRereads?: number;
  /** At most 45 minutes, so that maintenance never takes contents that only this run knows (snapshots §7.10). */
  readonly checkpointIntervalMs?: number;
  /** Bounds lanes and buffers; undefined for the defaults. */
  readonly memoryLimitBytes?: number;
  /** Trust the index: do not look whether the packs that it names exist. */
  readonly skipPackCheck?: boolean;
}

export interface BackupDeps {
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly logger: Logger;
  /** Folder of this repository's own for what only makes the next run faster; without it nothing is remembered. */
  readonly stateDirectory?: string | undefined;
  /** Asked when the tree has been read, before there is a snapshot: whether it was what it should be. A rejection means that there is none. */
  readonly confirmSource?: (read: ReadTree, signal: AbortSignal) => Promise<void>;
  /** Called about four times a second. */
  readonly progress?: (progress: BackupProgress) => void;
}

/** What a backup has found in its source when all of it has been read. */
export interface ReadTree {
  /** That the snapshot has: read now, or unchanged since the snapshot before. */
  readonly files: number;
  readonly errors: readonly BackupError[];
}

/** Maintenance takes contents that no snapshot refers to after a day at most: checkpoints come well before. */
const MAX_CHECKPOINT_MS = 45 * 60 * 1000;
const INDEX_FLUSH_MS = 10 * 60 * 1000;
const TICK_MS = 250;
// A stop must be over within a second: waiting for lanes, storing what they had, ending them.
const SETTLE_MS = 350;
const STORE_MS = 350;
const LANE_CLOSE_MS = 100;
const SETTLE_AFTER_FAILURE_MS = 5000;
const LARGE_FILE_BYTES = 16 << 20;
const READ_BYTES = 256 << 10;
const DEFAULT_MAX_REREADS = 2;

/**
 * Stores a snapshot of `options.path`. Resolves when it is durable. Files that could not be read are listed in `errors`
 * and in the snapshot; with `failFast` or `maxErrors` they make it reject instead, and no snapshot is saved.
 */
export async function backupTree(
  repository: Repository,
  options: BackupOptions,
  deps: BackupDeps,
  signal: AbortSignal,
): Promise<BackupResult> {
  signal.throwIfAborted();
  requireCompressor(options.compression);
  const policies = await loadPolicyTree(repository.manifests, options.source, signal);
  const previous = await previousSnapshots(repository, options, signal);
  const { skipPackCheck: isSkipped = false } = options;
  const packsAreLost = await forgetLostPacks(repository, { isSkipped, logger: deps.logger }, signal);
  const run = new BackupRun(repository, options, deps, { policies, previous, packsAreLost });
  return run.execute(signal);
}

async function previousSnapshots(
  repository: Repository,
  { parent = 'auto', source }: BackupOptions,
  signal: AbortSignal,
): Promise<readonly SnapshotManifest[]> {
  if (parent === 'none') return [];
  if (parent === 'auto') return findPrevious(repository.manifests, source, signal);
  return [await loadSnapshot(repository.manifests, parent, signal)];
}

/** What the repository says before the run. */
interface Before {
  readonly policies: SourcePolicies;
  readonly previous: readonly SnapshotManifest[];
  readonly packsAreLost: boolean;
}

interface LaneStart {
  readonly policyTable: PolicyTable;
  readonly hints: SourceHints;
  readonly sessionId: SessionId;
}

class BackupRun {
  readonly #repository: Repository;
  readonly #options: BackupOptions;
  readonly #deps: BackupDeps;
  readonly #policies: SourcePolicies;
  readonly #previous: readonly SnapshotManifest[];
  readonly #packsAreLost: boolean;
  readonly #control = new Int32Array(new SharedArrayBuffer(4));
  readonly #lanes: number;
  readonly #progressMemory: SharedArrayBuffer;
  readonly #startNs: bigint;
  readonly #startedMs: number;
  #checkpoint: ManifestId | undefined;
  #lastCheckpointMs: number;
  #lastFlushMs: number;
  /** Ends when the run does: packs on their way to storage. */
  readonly #storing = new AbortController();
  /** Ends with the run, or when it is stopped: a lane that waits for a pack waits no longer. */
  readonly #fetching = new AbortController();
  #adoptedBefore = 0;
  #statsBefore: ContentWriterStats = { hashedBytes: 0, hashedContents: 0, newContents: 0, newBytes: 0, packedBytes: 0 };
  #hashedBytes = 0;
  #newContents = 0;
  #uploadedBytes = 0;

  constructor(
    repository: Repository,
    options: BackupOptions,
    deps: BackupDeps,
    { policies, previous, packsAreLost }: Before,
  ) {
    this.#repository = repository;
    this.#options = options;
    this.#deps = deps;
    this.#policies = policies;
    this.#previous = previous;
    this.#packsAreLost = packsAreLost;
    this.#lanes = lanesWithin(options.memoryLimitBytes, options.parallel ?? defaultLanes(), repository.putBytes);
    this.#progressMemory = createProgressMemory(this.#lanes);
    this.#startNs = deps.clock.nowNs();
    this.#startedMs = deps.clock.monotonicMs();
    this.#lastCheckpointMs = this.#startedMs;
    this.#lastFlushMs = this.#startedMs;
  }

  async execute(signal: AbortSignal): Promise<BackupResult> {
    const { contents } = this.#repository;
    this.#adoptedBefore = contents.adoptedPacks;
    this.#statsBefore = { ...contents.writer.stats };
    const sessionId = await contents.startSession(signal);
    const root = openRoot(this.#options.path, this.#options.rootFd);
    let tree: TreeUpload | undefined;
    let pool: LanePool | undefined;
    const stop = (): void => {
      Atomics.store(this.#control, 0, 1);
      this.#fetching.abort(new DOMException('the backup was stopped', 'AbortError'));
      pool?.stop(new DOMException('the backup was stopped', 'AbortError'));
    };
    signal.addEventListener('abort', stop, { once: true });
    try {
      const [previous] = this.#previous;
      const hints = new SourceHints(this.#deps.stateDirectory, {
        source: this.#options.source,
        device: root.device,
        previous,
      });
      const policyTable = this.#policyTable();
      tree = this.#openTree(root, policyTable, hints);
      if (!this.#keepWhole(tree, policyTable, hints)) {
        pool = this.#startLanes(tree, { policyTable, hints, sessionId });
        await this.#drive(tree, pool, hints, signal);
        await this.#collectPacks(pool, hints);
      }
      const result = await this.#finish(tree, signal);
      hints.store(result.manifest.rootEntry?.objectId, this.#deps.logger);
      return result;
    } catch (error) {
      stop();
      if (pool !== undefined) await this.#keepWhatIsSafe(pool, signal.aborted ? undefined : error);
      throw signal.aborted ? signal.reason : error;
    } finally {
      signal.removeEventListener('abort', stop);
      this.#storing.abort();
      this.#fetching.abort(new DOMException('the backup is over', 'AbortError'));
      // Lanes first: they use the descriptors of the tree.
      await pool?.close(LANE_CLOSE_MS);
      if (tree === undefined) closeSync(root.fd);
      tree?.close();
    }
  }

  #openTree(root: OpenRoot, policyTable: PolicyTable, { primary }: SourceHints): TreeUpload {
    return new TreeUpload(
      {
        ...root,
        previous: this.#previous.flatMap(({ rootEntry }) =>
          rootEntry?.type === 'd' && rootEntry.objectId !== '' ? [rootEntry.objectId] : [],
        ),
        primary,
        policies: this.#policies.root,
        ignore: rootIgnore(this.#policies, this.#options),
        oneFileSystem: this.#options.oneFileSystem ?? false,
      },
      {
        lanes: this.#lanes,
        policyTable,
        partBytes: partBytes(this.#policies.effective.policy),
        maxRereads: this.#options.maxRereads ?? DEFAULT_MAX_REREADS,
        failFast: this.#options.failFast ?? false,
        maxErrors: this.#options.maxErrors,
      },
      new MainSink(this.#repository.contents, this.#repository.format.config),
    );
  }

  /** True when nothing in the tree has changed, and that was found without lanes. */
  #keepWhole(tree: TreeUpload, policyTable: PolicyTable, hints: SourceHints): boolean {
    return tree.keepWhole((job) => {
      const kept = keepWholeTree(job, {
        hints: hints.table,
        policyTable,
        forceHashPercent: this.#options.forceHashPercent ?? 0,
        packsAreLost: this.#packsAreLost,
        indexSet: this.#repository.contents.indexSet,
        clock: this.#deps.clock,
      });
      if (kept === undefined) return undefined;
      hints.add([kept.hints]);
      const { summary } = kept.primary;
      const progress = new LaneProgress(this.#progressMemory, 0);
      progress.cachedTree(summary.files + summary.symlinks, summary.dirs, summary.size);
      return kept.result;
    });
  }

  #startLanes(tree: TreeUpload, { policyTable, hints, sessionId }: LaneStart): LanePool {
    const { contents } = this.#repository;
    const known = contents.known();
    const reader = this.#repository.laneReaderData();
    const readerOfLane = (): LaneInit['reader'] => {
      const requests = this.#repository.packRequests(this.#fetching.signal);
      return requests === undefined ? reader : { ...reader, requests };
    };
    const room = this.#repository.putBytes > 0 ? new StagingRoom() : undefined;
    const inits = Array.from({ length: this.#lanes }, (_, laneNumber): LaneInit => ({
      writer: contents.writerSpec,
      reader: readerOfLane(),
      newContents: known.newContents.data,
      sessionId,
      options: this.#laneOptions(),
      policies: policyTable.entries,
      control: this.#control.buffer as SharedArrayBuffer,
      progress: this.#progressMemory,
      laneNumber,
      staging: room?.shared,
      hints: hints.table?.memory,
      keepHints: hints.isKept,
    }));
    return LanePool.start(inits, {
      nextJobs: () => tree.nextJobs(),
      hasJobs: () => tree.hasJobs,
      onResult: (result) => tree.onResult(result),
      onPack: (pack) => {
        this.#uploadedBytes += pack.length;
        // Not the run's own signal: full packs are kept even when the run is stopped.
        void contents.acceptPack(pack, this.#storing.signal).then(() => room?.leave());
      },
    });
  }

  /** Feeds the lanes until the tree is done, with pauses for checkpoints and index flushes. */
  async #drive(tree: TreeUpload, pool: LanePool, hints: SourceHints, signal: AbortSignal): Promise<void> {
    const { clock } = this.#deps;
    pool.supply();
    // Waited for again and again, and made anew only when it is over: a long run has very many ticks.
    let idle = pool.idle();
    for (;;) {
      const finished = await raceTick(idle, TICK_MS);
      this.#repository.contents.throwIfFailed();
      signal.throwIfAborted();
      if (tree.failure !== undefined) throw tree.failure;
      this.#report(tree);
      if (finished) {
        if (tree.isDone) return;
        pool.supply();
        if (pool.isIdle && !tree.isDone)
          throw new WindlassError('the tree has neither work nor a root', { code: 'INTERNAL' });
        idle = pool.idle();
        continue;
      }
      const now = clock.monotonicMs();
      const { pendingContents, newContentsCapacity } = this.#repository.contents;
      const isFull = pendingContents > newContentsCapacity * 0.75;
      const { checkpointIntervalMs = MAX_CHECKPOINT_MS } = this.#options;
      const checkpointDue = now - this.#lastCheckpointMs >= Math.min(checkpointIntervalMs, MAX_CHECKPOINT_MS);
      if (checkpointDue || isFull || now - this.#lastFlushMs >= INDEX_FLUSH_MS) {
        await pool.pause();
        await this.#collectPacks(pool, hints);
        if (checkpointDue) await this.#saveCheckpoint(tree, signal);
        await this.#flushMidway(pool, signal);
        idle = pool.idle();
      }
    }
  }

  /** Makes durable what lanes that stand still have handed over, and lets them go on. */
  async #flushMidway(pool: LanePool, signal: AbortSignal): Promise<void> {
    const { contents } = this.#repository;
    await this.#repository.flush(signal);
    const sessionId = await contents.startSession(signal);
    const known = contents.known();
    pool.setKnown({
      type: 'known',
      index: known.indexSet.transferable(),
      newContents: known.newContents.data,
      sessionId,
    });
    this.#lastFlushMs = this.#deps.clock.monotonicMs();
    pool.resume();
  }

  async #saveCheckpoint(tree: TreeUpload, signal: AbortSignal): Promise<void> {
    this.#lastCheckpointMs = this.#deps.clock.monotonicMs();
    const root = tree.writePartial(INCOMPLETE_CHECKPOINT);
    if (root === undefined) return;
    const { manifests } = this.#repository;
    const older = this.#checkpoint;
    this.#checkpoint = saveSnapshot(manifests, {
      source: this.#options.source,
      description: '',
      startTimeNs: this.#startNs,
      endTimeNs: this.#deps.clock.nowNs(),
      stats: EMPTY_STATS,
      incomplete: INCOMPLETE_CHECKPOINT,
      rootEntry: this.#rootEntry(root),
    });
    // By the store itself: a checkpoint that somebody else has tidied away is no failure.
    if (older !== undefined) await manifests.delete(older, signal);
  }

  async #collectPacks(pool: LanePool, hintsOfRun: SourceHints): Promise<void> {
    const { tails, stats, hints } = await pool.finishPacks();
    hintsOfRun.add(hints);
    for (const pack of tails) {
      this.#uploadedBytes += pack.length;
      this.#repository.contents.acceptTail(pack);
    }
    this.#hashedBytes = stats.hashedBytes;
    this.#newContents = stats.newContents;
  }

  async #finish(tree: TreeUpload, signal: AbortSignal): Promise<BackupResult> {
    const { totals } = tree;
    const rootEntry = tree.rootFile ?? (tree.root === undefined ? undefined : this.#rootEntry(tree.root));
    if (rootEntry === undefined) throw new WindlassError('the tree ended without a root', { code: 'INTERNAL' });
    await this.#deps.confirmSource?.({ files: totals.files, errors: errorsOf(totals.errors) }, signal);
    const { manifests, contents } = this.#repository;
    const snapshot: NewSnapshot = {
      source: this.#options.source,
      description: this.#options.description ?? '',
      startTimeNs: this.#startNs,
      endTimeNs: this.#deps.clock.nowNs(),
      stats: statsOf(totals),
      rootEntry,
      tags: this.#options.tags,
      pins: this.#options.pins,
    };
    const id = saveSnapshot(manifests, snapshot);
    if (this.#checkpoint !== undefined) await manifests.delete(this.#checkpoint, signal);
    // The commit point: before this nobody sees the snapshot, after this nobody can lose it.
    await this.#repository.flush(signal);
    const expired = await applyRetention(
      this.#repository,
      this.#options.source,
      this.#policies,
      this.#deps.logger,
      signal,
    );
    this.#report(tree);
    return {
      manifest: await loadSnapshot(manifests, id, signal),
      errors: errorsOf(totals.errors),
      ignoredErrors: errorsOf(totals.ignoredErrors),
      consistency: consistencyOf(totals),
      expired,
      bytesHashed: this.#hashedBytes + this.#mainStats().hashedBytes,
      bytesUploaded: this.#uploadedBytes + this.#mainStats().packedBytes,
      newContents: this.#newContents + this.#mainStats().newContents,
      resumedPacks: contents.adoptedPacks - this.#adoptedBefore,
    };
  }

  /** What the main thread wrote in this run: directories, large files joined, manifests. */
  #mainStats(): Pick<ContentWriterStats, 'hashedBytes' | 'packedBytes' | 'newContents'> {
    const { stats } = this.#repository.contents.writer;
    const before = this.#statsBefore;
    return {
      hashedBytes: stats.hashedBytes - before.hashedBytes,
      packedBytes: stats.packedBytes - before.packedBytes,
      newContents: stats.newContents - before.newContents,
    };
  }

  #rootEntry({ facts, summary, objectId }: FinishedDirectory): NewSnapshot['rootEntry'] {
    return {
      name: basename(this.#options.path) || '/',
      type: 'd',
      mode: facts.mode & 0o7777,
      mtimeSeconds: facts.mtimeSeconds,
      mtimeNanos: facts.mtimeNanos,
      uid: facts.uid,
      gid: facts.gid,
      objectId,
      summary,
    };
  }

  /**
   * After a failure or a stop: unfinished packs of the lanes are made durable and journalled, so that the next run has
   * them. What could not be kept must never be taken for stored: then this repository flushes nothing more.
   * @param failure undefined when the run was stopped
   */
  async #keepWhatIsSafe(pool: LanePool, failure: unknown): Promise<void> {
    const { contents } = this.#repository;
    const isStop = failure === undefined;
    try {
      const rest = await pool.settle(isStop ? SETTLE_MS : SETTLE_AFTER_FAILURE_MS, this.#deps.clock);
      for (const pack of rest?.tails ?? []) contents.acceptTail(pack);
      if (rest?.isWhole !== true) contents.markFailed(failure ?? packsLost());
      const storing = contents.storePacks(this.#storing.signal);
      await (isStop ? withinMs(storing, STORE_MS) : storing);
    } catch (cause) {
      contents.markFailed(failure ?? cause);
      this.#deps.logger.debug('what was stored so far could not all be kept', { error: String(cause) });
    }
  }

  #policyTable(): PolicyTable {
    return new PolicyTable(this.#policies.root, {
      storedAtRoot: this.#policies.effective.stored,
      defaultSplitter: this.#repository.format.config.splitter,
      compression: this.#options.compression,
    });
  }

  #laneOptions(): LaneOptions {
    return {
      splitterName: this.#repository.format.config.splitter,
      largeFileBytes: LARGE_FILE_BYTES,
      maxRereads: this.#options.maxRereads ?? DEFAULT_MAX_REREADS,
      forceHashPercent: this.#options.forceHashPercent ?? 0,
      readBytes: READ_BYTES,
      packsAreLost: this.#packsAreLost,
    };
  }

  #report({ totals }: TreeUpload): void {
    const { progress } = this.#deps;
    if (progress === undefined) return;
    const sum = sumProgress(this.#progressMemory);
    const summary = this.#previous[0]?.rootEntry?.summary;
    progress({
      files: sum.files,
      cachedFiles: sum.cachedFiles,
      hashedBytes: sum.readBytes,
      cachedBytes: sum.cachedBytes,
      directories: sum.directories,
      errors: totals.errors.length,
      uploadedBytes: this.#uploadedBytes + this.#mainStats().packedBytes,
      estimatedFiles: summary === undefined ? undefined : summary.files + summary.symlinks,
      estimatedBytes: summary?.size,
      elapsedMs: this.#deps.clock.monotonicMs() - this.#startedMs,
    });
  }
}

/** What the process needs without lanes, and what each lane adds: heap, window, output buffer, directory listings. */
const BASE_MEMORY_BYTES = 120 << 20;
const LANE_MEMORY_BYTES = 40 << 20;

/** @param putBytes of packs that are held while they are put */
function lanesWithin(memoryLimitBytes: number | undefined, wanted: number, putBytes: number): number {
  if (memoryLimitBytes === undefined) return wanted;
  return Math.max(
    1,
    Math.min(wanted, Math.floor((memoryLimitBytes - BASE_MEMORY_BYTES - putBytes) / LANE_MEMORY_BYTES)),
  );
}

function packsLost(): WindlassError {
  return new WindlassError('the backup was stopped before its packs were stored', { code: 'LANE_FAILED' });
}

/** As `work`, but rejects when that takes too long; `work` then goes on by itself. */
async function withinMs(work: Promise<void>, timeoutMs: number): Promise<void> {
  if (!(await raceTick(work, timeoutMs))) throw new WindlassError('storing took too long', { code: 'LANE_FAILED' });
}
