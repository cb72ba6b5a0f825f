// Restores a snapshot, a directory of it or one file into a directory of this machine: wires planner, lanes and target
// (design note 0004) and answers with a receipt. What cannot be restored is in the receipt; it throws only when nothing
// more can be done: the target is unusable or full, the run was aborted, a thread died.
import { existsSync, readdirSync } from 'node:fs';
import os from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { WindlassError } from '../../base/errors.ts';
import { type Logger, silentLogger } from '../../base/logger.ts';
import {
  type DirectoryEntry,
  LaneReader,
  type LaneReaderData,
  type ObjectId,
  type Repository,
  type SnapshotManifest,
  readObjectSync,
} from '../../repo-format/index.ts';
import {
  check,
  close,
  fstat,
  O_DIRECTORY,
  O_RDONLY,
  openat,
  openFileLimit,
  StatRecord,
  syncfs,
} from '../posix/libc.ts';
import { type AttributePolicy, AttributeWriter } from './attributes.ts';
import { DirectoryTree } from './directory-tree.ts';
import { encodeName, nameKey, TemporaryNames } from './entry-name.ts';
import type { OverwriteRule } from './existing-entry.ts';
import { HardLinks } from './hard-links.ts';
import { LaneControl, type LaneOptions } from './lane.ts';
import { INLINE_BYTES, INLINE_PIECES, LanePool } from './lane-pool.ts';
import { RestorePlanner } from './planner.ts';
import { type EntryCounts, ReceiptBuilder, type RestoreReceipt } from './receipt.ts';
import { type RunContext, type SparseRule, plannedEntry } from './run-context.ts';
import { scoutPacks } from './pack-scout.ts';
import { countNeededBytes } from './space.ts';
import { findSubPath } from './sub-path.ts';
import { DirectoryHandles, TargetDirectory } from './target-directory.ts';
import { filePlace, freeBytes, openTarget } from './target-root.ts';
import { TargetVerifier } from './verify-target.ts';
import { DEFAULT_CAPACITY } from './window.ts';
import { WindowDesk } from './window-desk.ts';

export type SkippableAttribute = 'owners' | 'modes' | 'times' | 'xattrs';

export interface RestoreOptions {
  readonly manifest: SnapshotManifest;
  /** Inside the snapshot; all of it when absent. */
  readonly subPath?: string;
  /** A directory; for a single file also the path that the file shall have. */
  readonly target: string;
  readonly overwrite?: OverwriteRule;
  readonly deleteExtra?: boolean;
  /** Names directly below what is restored that are left out, whatever they are; what the target has of them stays as it is. */
  readonly leaveOut?: readonly string[];
  readonly skip?: readonly SkippableAttribute[];
  readonly dryRun?: boolean;
  /** Read everything back and compare it with the snapshot. */
  readonly verify?: boolean;
  /** Lanes; the number of cores when absent. */
  readonly parallel?: number;
  readonly memoryLimitBytes?: number;
  readonly sparse?: SparseRule;
  /** False: start although the target seems too small. */
  readonly checkSpace?: boolean;
}

export interface RestoreProgress {
  /** Entries and bytes written or found as wanted. */
  readonly entries: number;
  readonly bytes: number;
  readonly expectedEntries: number;
  readonly expectedBytes: number;
  readonly failed: number;
}

export interface RestoreDeps {
  readonly clock: Clock;
  readonly logger?: Logger;
  /** Called a few times a second. */
  readonly progress?: (progress: RestoreProgress) => void;
}

const PROGRESS_INTERVAL_MS = 250;
/** What an empty ext4 volume has. */
const LOST_AND_FOUND = 'lost+found';
/** Half of what the process may open, at most; the rest is for packs, large files and the caller. */
const MAX_HANDLES = 2048;

export async function restoreSnapshot(
  repo: Repository,
  options: RestoreOptions,
  deps: RestoreDeps,
  signal: AbortSignal,
): Promise<RestoreReceipt> {
  const startMs = deps.clock.nowMs();
  const root = options.manifest.rootEntry;
  if (root === null) {
    throw new WindlassError('the snapshot has no root entry', { code: 'RESTORE_SNAPSHOT_INVALID' });
  }
  const entry = await findSubPath(repo, root, options.subPath ?? '', signal);
  const restore = new Restore(repo, options, deps, signal);
  await restore.run(entry);
  const endMs = deps.clock.nowMs();
  return restore.receipt.build({
    snapshotId: options.manifest.id,
    subPath: options.subPath ?? '',
    target: options.target,
    dryRun: options.dryRun ?? false,
    overwrite: options.overwrite ?? 'if-different',
    skipped: options.skip ?? [],
    startTime: new Date(startMs).toISOString(),
    endTime: new Date(endMs).toISOString(),
    durationMs: endMs - startMs,
  });
}

class Restore {
  readonly receipt = new ReceiptBuilder();
  readonly #repo: Repository;
  readonly #options: RestoreOptions;
  readonly #deps: RestoreDeps;
  readonly #signal: AbortSignal;
  readonly #control = new LaneControl();
  readonly #handles: DirectoryHandles;
  readonly #handleLimit: number;
  readonly #runId: string;
  readonly #readerData: LaneReaderData;
  readonly #reader: LaneReader;

  constructor(repo: Repository, options: RestoreOptions, deps: RestoreDeps, signal: AbortSignal) {
    this.#repo = repo;
    this.#options = options;
    this.#deps = deps;
    this.#signal = signal;
    this.#handleLimit = Math.max(64, Math.min(MAX_HANDLES, Math.floor(openFileLimit() / 2)));
    this.#handles = new DirectoryHandles(this.#handleLimit);
    this.#runId = deps.clock.nowNs().toString(36);
    this.#readerData = repo.laneReaderData();
    this.#reader = new LaneReader(this.#readerData);
  }

  async run(entry: DirectoryEntry): Promise<void> {
    const isTree = entry.type === 'd';
    const place = isTree ? undefined : filePlace(this.#options.target, entry.name);
    const target = openTarget(place?.directory ?? this.#options.target, this.#options.dryRun ?? false);
    const onAbort = (): void => this.#control.stop();
    this.#signal.addEventListener('abort', onAbort);
    const timer = this.#startProgress(entry);
    try {
      const context = this.#context();
      await this.#checkSpace(context, entry, target.fd);
      await this.#restore(context, entry, { target, rename: place?.name });
      // What the receipt calls done is on the disk; a write that failed late (EIO, ENOSPC) is reported here, or never.
      if (this.#options.dryRun !== true) check(syncfs(target.fd), 'syncfs', this.#options.target);
    } finally {
      clearInterval(timer);
      this.#signal.removeEventListener('abort', onAbort);
      this.#handles.close();
      this.#reader.close();
    }
    this.#reportProgress(entry);
  }

  #readSmallObject(id: ObjectId, signal: AbortSignal): Uint8Array | Promise<Uint8Array> {
    try {
      return readObjectSync((contentId) => this.#reader.readContent(contentId), id);
    } catch {
      // The repository looks again after a refresh (maintenance may have moved it), and words the error when it is lost.
      return this.#repo.readObject(id, signal);
    }
  }

  #context(): RunContext {
    const { overwrite, deleteExtra, leaveOut = [], sparse, dryRun, skip = [] } = this.#options;
    const policy: AttributePolicy = {
      owners: !skip.includes('owners'),
      modes: !skip.includes('modes'),
      times: !skip.includes('times'),
      xattrs: !skip.includes('xattrs'),
      euid: process.geteuid?.() ?? 0,
      egid: process.getegid?.() ?? 0,
      umask: skip.includes('modes') ? process.umask() : 0,
    };
    return {
      finder: this.#repo,
      readSmallObject: (id, abort) => this.#readSmallObject(id, abort),
      wantSoon: (id) => this.#repo.wantSoon(id),
      clock: this.#deps.clock,
      handles: this.#handles,
      receipt: this.receipt,
      policy,
      attributes: new AttributeWriter(policy),
      control: this.#control,
      temporaryNames: new TemporaryNames(this.#runId),
      overwrite: overwrite ?? 'if-different',
      deleteExtra: deleteExtra ?? false,
      leftOut: new Set(leaveOut.map((name) => nameKey(encodeName(name)))),
      sparse: sparse ?? 'as-stored',
      dryRun: dryRun ?? false,
      signal: this.#signal,
    };
  }

  async #restore(
    context: RunContext,
    entry: DirectoryEntry,
    place: { readonly target: { readonly fd: number; readonly existed: boolean }; readonly rename: string | undefined },
  ): Promise<void> {
    const tree = new DirectoryTree(context);
    const links = new HardLinks(context, tree);
    const desk = new WindowDesk(context, { tree, links, directoriesPerWindow: Math.floor(this.#handleLimit / 4) });
    await using parts = this.#repo.openPackParts(this.#signal);
    const partReader = parts === undefined ? undefined : new LaneReader({ ...this.#readerData, layout: parts.layout });
    using _reader = { [Symbol.dispose]: () => partReader?.close() };
    await using pool = new LanePool(
      {
        parallel: this.#parallel(),
        capacity: DEFAULT_CAPACITY,
        lane: this.#laneOptions(context.policy, parts !== undefined),
        readerData: { ...this.#readerData, layout: parts?.layout ?? this.#readerData.layout },
        parts,
        source: partReader ?? this.#reader,
        control: this.#control,
      },
      (number, builder, reports) => desk.settle(number, builder, reports),
    );
    const stop = (): void => pool.stop();
    this.#signal.addEventListener('abort', stop);
    using _stop = { [Symbol.dispose]: () => this.#signal.removeEventListener('abort', stop) };
    desk.attach(pool);
    const { files = 0, size = 0 } = entry.summary ?? {};
    const isLarge = files > INLINE_PIECES || size > INLINE_BYTES;
    if (isLarge && context.dryRun !== true && !place.target.existed) pool.warmUp();
    const planner = new RestorePlanner(context, { tree, links, desk });
    const root = this.#rootDirectory(entry, place.target, tree);
    // Where something is there already, only what is missing is wanted, and only the planner finds out what that is.
    const isFresh = !place.target.existed || this.#isNew(place.rename);
    if (parts !== undefined && isFresh && context.dryRun !== true) {
      parts.expect(await scoutPacks(context, entry, this.#signal));
    }
    if (place.rename === undefined) await planner.planTree(root, entry.objectId);
    else await this.#planOne(planner, { tree, root }, entry, place.rename);
    desk.submit(true);
    await pool.idle();
    planner.throwIfStopped();
    await this.#verify(context, entry, { desk, pool, targetFd: place.target.fd, rename: place.rename });
    this.#signal.throwIfAborted();
  }

  #laneOptions(policy: AttributePolicy, packsArrive: boolean): LaneOptions {
    const { hash: algorithm, secret } = this.#repo.format.config;
    return {
      policy,
      opensInPlace: this.#readerData.cipher.ecc === undefined,
      runId: this.#runId,
      packsArrive,
      ...(this.#options.verify === true ? { hash: { algorithm, secret } } : {}),
    };
  }

  /** There is nothing that the restore may find good already: a guess by paths, on which only requests depend. */
  #isNew(rename: string | undefined): boolean {
    const { target } = this.#options;
    if (rename !== undefined) return !existsSync(join(filePlace(target, rename).directory, rename));
    return readdirSync(target).every((name) => name === LOST_AND_FOUND);
  }

  /** Compares what is there now with the snapshot, on the lanes that wrote it. */
  async #verify(
    context: RunContext,
    entry: DirectoryEntry,
    at: {
      readonly desk: WindowDesk;
      readonly pool: LanePool;
      readonly targetFd: number;
      readonly rename: string | undefined;
    },
  ): Promise<void> {
    if (this.#options.verify !== true || at.targetFd < 0 || this.#options.dryRun === true) return;
    this.receipt.verified = { files: 0, bytes: 0, mismatches: 0 };
    const root = new TargetDirectory(undefined, new Uint8Array(0));
    const identity = new StatRecord();
    const fd = check(openat(at.targetFd, '.', O_RDONLY | O_DIRECTORY), 'open', this.#options.target);
    check(fstat(fd, identity), 'fstat', this.#options.target);
    this.#handles.adopt(root, fd, identity);
    const verifier = new TargetVerifier(context, at.desk);
    if (at.rename === undefined) await verifier.verifyTree(root, entry.objectId);
    else await verifier.verifyEntry(root, plannedEntry(entry, new TextEncoder().encode(at.rename)));
    at.desk.submit(true);
    await at.pool.idle();
  }

  /** One file, under the name that the target gives it. */
  async #planOne(
    planner: RestorePlanner,
    { tree, root }: { readonly tree: DirectoryTree; readonly root: TargetDirectory },
    entry: DirectoryEntry,
    name: string,
  ): Promise<void> {
    root.isOurs = false;
    const existing = root.existed ? tree.names(root) : new Set<string>();
    await planner.planFile(root, entry, new TextEncoder().encode(name), existing);
    tree.done(root);
  }

  #rootDirectory(
    entry: DirectoryEntry,
    target: { readonly fd: number; readonly existed: boolean },
    tree: DirectoryTree,
  ): TargetDirectory {
    const root = new TargetDirectory(undefined, new Uint8Array(0));
    root.existed = target.existed;
    root.attributes = {
      mode: entry.mode,
      uid: entry.uid,
      gid: entry.gid,
      mtimeSeconds: entry.mtimeSeconds,
      mtimeNanoseconds: entry.mtimeNanos,
      xattrs: undefined,
    };
    if (target.fd >= 0) tree.adopt(root, target.fd);
    return root;
  }

  /** Closes the handle when it throws: nothing has taken it over yet. */
  async #checkSpace(context: RunContext, entry: DirectoryEntry, targetFd: number): Promise<void> {
    if (targetFd < 0 || this.#options.checkSpace === false || this.#options.dryRun === true) return;
    try {
      const free = freeBytes(targetFd);
      if ((entry.summary?.size ?? entry.size) <= free) return;
      const needed = entry.type === 'd' ? await countNeededBytes(context, entry, targetFd) : entry.size;
      if (needed <= free) return;
      throw new WindlassError(`the restore needs ${needed} bytes, ${this.#options.target} has ${free}`, {
        code: 'RESTORE_NO_SPACE',
        context: { target: this.#options.target, needed, free },
      });
    } catch (error) {
      close(targetFd);
      throw error;
    }
  }

  /** Each lane costs its heap and two buffers that grow to the largest content; packs that are fetched are held in memory. */
  #parallel(): number {
    const wanted = Math.max(1, this.#options.parallel ?? os.availableParallelism());
    const { memoryLimitBytes } = this.#options;
    if (memoryLimitBytes === undefined) return wanted;
    const forLanes = memoryLimitBytes - BASE_BYTES - 2 * this.#repo.fetchBytes;
    return Math.max(1, Math.min(wanted, Math.floor(forLanes / LANE_BYTES)));
  }

  #startProgress(entry: DirectoryEntry): NodeJS.Timeout | undefined {
    if (this.#deps.progress === undefined) return undefined;
    return setInterval(() => this.#reportProgress(entry), PROGRESS_INTERVAL_MS);
  }

  #reportProgress(entry: DirectoryEntry): void {
    const { summary } = entry;
    const { unchanged } = this.receipt;
    this.#deps.progress?.({
      entries: this.#control.rowsDone + entriesOf(unchanged),
      bytes: this.#control.bytesDone + unchanged.bytes,
      expectedEntries: summary === undefined ? 1 : summary.files + summary.symlinks,
      expectedBytes: summary?.size ?? entry.size,
      failed: this.receipt.failedCount,
    });
  }

  get logger(): Logger {
    return this.#deps.logger ?? silentLogger;
  }
}

// Rounded up from what was seen with 200,000 contents: 134 MiB with one lane, 160 to 170 MiB with two.
const BASE_BYTES = 110 << 20;
const LANE_BYTES = 36 << 20;

function entriesOf({ files, symlinks, hardLinks, specials }: EntryCounts): number {
  return files + symlinks + hardLinks + specials;
}
