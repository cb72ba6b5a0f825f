// Verifies snapshots in the repository: every directory object reads and parses, every content of every file is in an index
// and inside a pack that exists, and the contents of a share of the files are read, opened and hashed, on lanes, sorted by
// pack. It repairs nothing.
import os from 'node:os';
import type { Clock } from '../../base/clock.ts';
import { WindlassError, errorCode } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import type { RandomSource } from '../../base/random.ts';
import {
  type BlobId,
  type BlobMetadata,
  type DirectoryEntry,
  type IndexEntry,
  LaneReader,
  type LaneReaderData,
  type ObjectId,
  type Repository,
  RowsByPack,
  type SnapshotManifest,
  parseDirectory,
  readObjectSync,
} from '../../repo-format/index.ts';
import { type LocatedPiece, isDirect, locateDirect, locatePieces } from '../restore/content-pieces.ts';
import { LaneControl, type LaneReport } from '../restore/lane.ts';
import { LanePool, type LentWindow } from '../restore/lane-pool.ts';
import { DEFAULT_CAPACITY, RowKind, type WindowBuilder } from '../restore/window.ts';
import { type AffectedSnapshot, contentName, DamageReader } from './affected.ts';
import { KeySet } from './key-set.ts';
import { duePacks, type SliceOptions, type SliceReport } from './slice.ts';
import { reportUnindexed, type UnindexedReport } from './unindexed.ts';

export interface VerifyOptions {
  readonly manifests: readonly SnapshotManifest[];
  /** Share of the files whose contents are read; 100 when absent, 0 for structure only. */
  readonly percent?: number;
  readonly parallel?: number;
  /** Also read whole packs, whatever snapshot they belong to, as far as a budget goes. */
  readonly slice?: SliceOptions | undefined;
}

export interface VerifyProgress {
  readonly files: number;
  /** Read, opened and hashed. */
  readonly processedBytes: number;
  readonly errors: number;
}

export interface VerifyDeps {
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly logger?: Logger;
  readonly progress?: (progress: VerifyProgress) => void;
}

export interface VerifyFailure {
  readonly snapshotId: string;
  readonly path: string;
  readonly code: string;
  readonly message: string;
}

export interface VerifyReport {
  readonly snapshots: number;
  /** Distinct directory objects, and entries in them. */
  readonly directories: number;
  readonly files: number;
  readonly symlinks: number;
  /** Distinct contents of files whose place was checked. */
  readonly contents: number;
  readonly contentsRead: number;
  /** Of the contents read. */
  readonly bytes: number;
  readonly percent: number;
  readonly failureCount: number;
  /** The first thousand. What is shared is listed once, under the first place where it was met. */
  readonly failures: readonly VerifyFailure[];
  /** Every snapshot, of those asked for, that has something of it. */
  readonly affected: readonly AffectedSnapshot[];
  /** Packs with contents that no index names. With manifests among them snapshots may be missing from the list. */
  readonly unindexed: UnindexedReport;
  readonly slice?: SliceReport;
  readonly durationMs: number;
}

const FAILURES_LISTED = 1000;
const PROGRESS_INTERVAL_MS = 250;
/** From this share of the files on, packs that are no local files are read as a whole: another look is dearer. */
const WHOLE_PACKS_PERCENT = 30;
const ROWS_PER_WINDOW = DEFAULT_CAPACITY.rows;

/** Never throws for what is wrong with snapshots: that is in the report. */
export async function verifySnapshots(
  repository: Repository,
  options: VerifyOptions,
  deps: VerifyDeps,
  signal: AbortSignal,
): Promise<VerifyReport> {
  const startMs = deps.clock.monotonicMs();
  const verification = new Verification(repository, options, deps, signal);
  await verification.run();
  return verification.report(Math.round(deps.clock.monotonicMs() - startMs));
}

interface PendingDirectory {
  readonly objectId: ObjectId;
  readonly path: string;
}

/** Where the content of a row is used; the first place that was met. */
interface Place {
  readonly snapshotId: string;
  readonly path: string;
  /** Of the content, as among what is damaged. */
  readonly content: string;
  /** Of a slice: the pack being read. */
  readonly pack?: PackUnderWay;
}

interface PackUnderWay {
  readonly id: BlobId;
  rowsLeft: number;
  isDamaged: boolean;
}

class Verification {
  readonly #repository: Repository;
  readonly #options: VerifyOptions;
  readonly #deps: VerifyDeps;
  readonly #signal: AbortSignal;
  readonly #control = new LaneControl();
  readonly #readerData: LaneReaderData;
  readonly #reader: LaneReader;
  readonly #packs = new Map<BlobId, BlobMetadata>();
  #unindexed: UnindexedReport = { packs: 0, bytes: 0, contents: 0, manifests: 0, unreadable: 0 };
  readonly #directoriesSeen = new KeySet();
  readonly #listsSeen = new KeySet();
  readonly #contentsSeen = new KeySet();
  readonly #chosen = new KeySet();
  readonly #failures: VerifyFailure[] = [];
  /** Objects and contents that failed. */
  readonly #damaged = new KeySet();
  readonly #affected: AffectedSnapshot[] = [];
  readonly #places = new Map<number, Place[]>();
  #pool: LanePool | undefined;
  #lent: LentWindow | undefined;
  #lentBytes = 0;
  #failureCount = 0;
  #files = 0;
  #contentsRead = 0;
  #symlinks = 0;
  #bytes = 0;
  #snapshotId = '';
  #slice: SliceReport | undefined;
  #packsVerified = 0;
  #packsDamaged = 0;

  constructor(repository: Repository, options: VerifyOptions, deps: VerifyDeps, signal: AbortSignal) {
    this.#repository = repository;
    this.#options = options;
    this.#deps = deps;
    this.#signal = signal;
    this.#readerData = repository.laneReaderData();
    this.#reader = new LaneReader(this.#readerData);
  }

  get #percent(): number {
    return Math.min(100, Math.max(0, this.#options.percent ?? 100));
  }

  async run(): Promise<void> {
    const { hash: algorithm, secret } = this.#repository.format.config;
    const onAbort = (): void => this.#control.stop();
    this.#signal.addEventListener('abort', onAbort);
    const timer = setInterval(() => this.#progress(), PROGRESS_INTERVAL_MS);
    await using parts = this.#repository.openPackParts(this.#signal);
    const partReader = parts === undefined ? undefined : new LaneReader({ ...this.#readerData, layout: parts.layout });
    await using pool = new LanePool(
      {
        parallel: this.#options.parallel ?? os.availableParallelism(),
        capacity: DEFAULT_CAPACITY,
        lane: {
          policy: NO_POLICY,
          opensInPlace: this.#readerData.cipher.ecc === undefined,
          runId: '',
          packsArrive: parts !== undefined,
          hash: { algorithm, secret },
        },
        readerData: { ...this.#readerData, layout: parts?.layout ?? this.#readerData.layout },
        parts,
        source: partReader ?? this.#reader,
        control: this.#control,
      },
      (number, builder, reports) => this.#settle(number, builder, reports),
    );
    this.#pool = pool;
    const stop = (): void => pool.stop();
    this.#signal.addEventListener('abort', stop);
    try {
      await this.#listPacks();
      if (parts !== undefined && (this.#percent >= WHOLE_PACKS_PERCENT || this.#options.slice !== undefined))
        parts.takeWhole((id) => this.#packs.get(id)?.length);
      this.#unindexed = await reportUnindexed(this.#repository, this.#packs.values(), this.#signal);
      for (const manifest of this.#options.manifests) await this.#verifySnapshot(manifest);
      const left = await this.#verifySlice();
      if (this.#lent !== undefined) pool.submit(this.#lent, this.#lentBytes, true);
      await pool.idle();
      this.#signal.throwIfAborted();
      this.#reportSlice(left);
      if (this.#failureCount > 0) await this.#findAffected();
    } finally {
      clearInterval(timer);
      this.#signal.removeEventListener('abort', onAbort);
      this.#signal.removeEventListener('abort', stop);
      this.#options.slice?.ledger.save((id) => this.#packs.has(id as BlobId));
      partReader?.close();
      this.#reader.close();
    }
  }

  /** Answers how many packs are due that the budget does not reach. */
  async #verifySlice(): Promise<number> {
    const { slice } = this.#options;
    if (slice === undefined) return 0;
    const { clock } = this.#deps;
    const rows = new RowsByPack(this.#repository.contents.indexSet);
    const due = duePacks(rows.packIds, slice, Math.floor(clock.nowMs() / 1000));
    const startMs = clock.monotonicMs();
    const { maxBytes = Infinity, maxMs = Infinity } = slice;
    let bytes = 0;
    for (const [number, id] of due.entries()) {
      // One at least, or a small budget would never get on.
      if (number > 0 && (bytes >= maxBytes || clock.monotonicMs() - startMs >= maxMs)) return due.length - number;
      this.#signal.throwIfAborted();
      bytes += this.#packs.get(id)?.length ?? 0;
      await this.#verifyPack(id, rows.liveIn(id));
    }
    return 0;
  }

  async #verifyPack(id: BlobId, entries: readonly IndexEntry[]): Promise<void> {
    const pack: PackUnderWay = { id, rowsLeft: entries.length, isDamaged: false };
    if (entries.length === 0) this.#settlePack(pack);
    let isReported = false;
    for (const entry of entries) {
      const piece = locateDirect(this.#repository, entry.id as string as ObjectId, entry.originalLength);
      const content = contentName(entry.id);
      try {
        this.#checkPlace(piece, content);
      } catch (error) {
        // Once a pack: it is missing or short, and every content in it is lost for the same reason.
        this.#snapshotId = '';
        if (!isReported) this.#failWith(id, error);
        isReported = true;
        pack.isDamaged = true;
        if (--pack.rowsLeft === 0) this.#settlePack(pack);
        continue;
      }
      await this.#addRow(piece, { snapshotId: '', path: id, content, pack });
    }
  }

  /** All of its rows have come back. */
  #settlePack({ id, isDamaged }: PackUnderWay): void {
    const ledger = this.#options.slice?.ledger;
    if (isDamaged) {
      this.#packsDamaged++;
      ledger?.forget(id);
    } else {
      this.#packsVerified++;
      ledger?.note(id, Math.floor(this.#deps.clock.nowMs() / 1000));
    }
  }

  #reportSlice(packsLeft: number): void {
    const ledger = this.#options.slice?.ledger;
    if (ledger === undefined) return;
    const oldest = Array.from(this.#packs.keys(), (id) => ledger.verifiedAt(id)).reduce(
      (a, b) => Math.min(a, b),
      Infinity,
    );
    this.#slice = {
      packs: this.#packsVerified,
      packsLeft,
      packsDamaged: this.#packsDamaged,
      ...(oldest >= 0 && oldest < Infinity ? { oldestSeconds: oldest } : {}),
    };
  }

  report(durationMs: number): VerifyReport {
    return {
      snapshots: this.#options.manifests.length,
      directories: this.#directoriesSeen.size,
      files: this.#files,
      symlinks: this.#symlinks,
      contents: this.#contentsSeen.size,
      contentsRead: this.#contentsRead,
      bytes: this.#bytes,
      percent: this.#percent,
      failureCount: this.#failureCount,
      failures: this.#failures,
      affected: this.#affected,
      unindexed: this.#unindexed,
      ...(this.#slice === undefined ? {} : { slice: this.#slice }),
      durationMs,
    };
  }

  #progress(): void {
    this.#deps.progress?.({
      files: this.#files,
      processedBytes: this.#control.bytesDone,
      errors: this.#failureCount,
    });
  }

  async #listPacks(): Promise<void> {
    for (const prefix of ['p', 'q']) {
      for await (const pack of this.#repository.storage.listBlobs(prefix, this.#signal)) this.#packs.set(pack.id, pack);
    }
  }

  async #findAffected(): Promise<void> {
    const reader = new DamageReader(this.#damaged, {
      readDirectory: (id) => this.#unlessDamaged(async () => parseDirectory(await this.#read(id)).entries),
      contentsOf: (id) =>
        this.#unlessDamaged(async () =>
          (await locatePieces(this.#repository, id, this.#signal)).map((piece) => contentName(piece.id)),
        ),
    });
    for (const manifest of this.#options.manifests) {
      const affected = await reader.affected(manifest);
      if (affected !== undefined) this.#affected.push(affected);
    }
  }

  /** What cannot be read has been reported. */
  async #unlessDamaged<Result>(work: () => Promise<Result>): Promise<Result | undefined> {
    this.#signal.throwIfAborted();
    try {
      return await work();
    } catch {
      this.#signal.throwIfAborted();
      return undefined;
    }
  }

  async #verifySnapshot({ id, rootEntry }: SnapshotManifest): Promise<void> {
    this.#snapshotId = id;
    if (rootEntry === null || rootEntry.objectId === '') {
      this.#fail('', 'SNAPSHOT_INVALID', 'the snapshot has no root entry');
      return;
    }
    if (rootEntry.type !== 'd') {
      await this.#verifyEntry(rootEntry, rootEntry.name);
      return;
    }
    const pending: PendingDirectory[] = [{ objectId: rootEntry.objectId, path: '' }];
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      this.#signal.throwIfAborted();
      if (!this.#directoriesSeen.add(next.objectId)) continue;
      await this.#verifyDirectory(next, pending);
    }
  }

  async #verifyDirectory({ objectId, path }: PendingDirectory, pending: PendingDirectory[]): Promise<void> {
    let entries: readonly DirectoryEntry[];
    try {
      ({ entries } = parseDirectory(await this.#read(objectId)));
    } catch (error) {
      this.#signal.throwIfAborted();
      this.#damaged.add(objectId);
      this.#failWith(path, error);
      return;
    }
    for (const entry of entries) {
      const childPath = path === '' ? entry.name : `${path}/${entry.name}`;
      if (entry.type !== 'd') await this.#verifyEntry(entry, childPath);
      else if (entry.objectId === '') this.#fail(childPath, 'DIRECTORY_CORRUPT', 'the directory has no object');
      else {
        this.#repository.wantSoon(entry.objectId);
        pending.push({ objectId: entry.objectId, path: childPath });
      }
    }
  }

  async #read(id: ObjectId): Promise<Uint8Array> {
    try {
      return readObjectSync((contentId) => this.#reader.readContent(contentId), id);
    } catch {
      // The repository looks again after a refresh, and words the error when it is lost.
      return this.#repository.readObject(id, this.#signal);
    }
  }

  async #verifyEntry(entry: DirectoryEntry, path: string): Promise<void> {
    if (entry.type === 's') this.#symlinks++;
    else this.#files++;
    const isRead = this.#isChosen();
    const id = entry.objectId;
    if (id === '') {
      this.#fail(path, 'DIRECTORY_CORRUPT', 'the entry has no object');
      return;
    }
    try {
      if (isDirect(id)) {
        await this.#verifyPiece(locateDirect(this.#repository, id, entry.size), path, isRead);
        return;
      }
      // Lists are read once, unless their contents are to be read now and were not then.
      if (!this.#listsSeen.add(id) && (!isRead || this.#percent === 100)) return;
      for (const piece of await locatePieces(this.#repository, id, this.#signal)) {
        await this.#verifyPiece(piece, path, isRead);
      }
    } catch (error) {
      this.#signal.throwIfAborted();
      if (errorCode(error) === 'LANE_FAILED') throw error;
      this.#damaged.add(id);
      this.#failWith(path, error);
    }
  }

  async #verifyPiece(piece: LocatedPiece, path: string, isRead: boolean): Promise<void> {
    const id = contentName(piece.id);
    const isNew = this.#contentsSeen.add(id);
    if (isNew) this.#checkPlace(piece, id);
    if (!isRead) return;
    // With a share of the files read, a content may be met before a file that is chosen has it.
    const isUnread = this.#percent === 100 ? isNew : this.#chosen.add(id);
    if (!isUnread) return;
    await this.#addRow(piece, { snapshotId: this.#snapshotId, path, content: id });
  }

  async #addRow(piece: LocatedPiece, place: Place): Promise<void> {
    this.#contentsRead++;
    if (this.#lent === undefined || this.#isFull(this.#lent)) await this.#turn();
    const lent = this.#lent;
    if (lent === undefined) return;
    const row = lent.builder.addRow(CONTENT_ROW);
    lent.builder.addPiece(row, 0, piece);
    this.#lentBytes += piece.packedLength;
    this.#places.get(lent.number)?.push(place);
  }

  #isFull({ builder }: LentWindow): boolean {
    return !builder.fits(0) || builder.rowCount >= ROWS_PER_WINDOW;
  }

  async #turn(): Promise<void> {
    const pool = this.#pool;
    if (pool === undefined) throw new Error('not running');
    if (this.#lent !== undefined) pool.submit(this.#lent, this.#lentBytes, false);
    this.#lent = undefined;
    this.#lent = await pool.lend();
    this.#lentBytes = 0;
    this.#places.set(this.#lent.number, []);
    this.#signal.throwIfAborted();
  }

  #checkPlace(piece: LocatedPiece, name: string): void {
    const length = this.#packs.get(piece.packId as BlobId)?.length;
    if (length !== undefined && piece.packOffset + piece.packedLength <= length) return;
    this.#damaged.add(name);
    const end = `offset ${piece.packOffset} + length ${piece.packedLength}`;
    const reason = length === undefined ? 'is missing' : `has ${length} bytes, fewer than ${end}`;
    throw new WindlassError(`pack ${piece.packId} ${reason}`, {
      code: 'CONTENT_LOST',
      context: { packId: piece.packId, offset: piece.packOffset, length: piece.packedLength },
    });
  }

  #isChosen(): boolean {
    const percent = this.#percent;
    if (percent >= 100) return true;
    if (percent <= 0) return false;
    const [a = 0, b = 0] = this.#deps.random.bytes(2);
    return ((a << 8) | b) / 65_536 < percent / 100;
  }

  #settle(number: number, _builder: WindowBuilder, reports: readonly LaneReport[]): void {
    const places = this.#places.get(number) ?? [];
    this.#places.delete(number);
    for (const { failures, checkedBytes } of reports) {
      this.#bytes += checkedBytes;
      for (const { row, code, message } of failures) {
        const place = places[row];
        if (place !== undefined) this.#damaged.add(place.content);
        if (place?.pack !== undefined) place.pack.isDamaged = true;
        this.#add({ snapshotId: place?.snapshotId ?? '', path: place?.path ?? '', code, message });
      }
    }
    for (const { pack } of places) if (pack !== undefined && --pack.rowsLeft === 0) this.#settlePack(pack);
  }

  #failWith(path: string, error: unknown): void {
    this.#fail(path, errorCode(error) ?? 'UNKNOWN', error instanceof Error ? error.message : String(error));
  }

  #fail(path: string, code: string, message: string): void {
    this.#add({ snapshotId: this.#snapshotId, path, code, message });
  }

  #add(error: VerifyFailure): void {
    this.#failureCount++;
    if (this.#failures.length < FAILURES_LISTED) this.#failures.push(error);
  }
}

/** Nothing is written, so nothing is described. */
const NO_POLICY = { owners: false, modes: false, times: false, xattrs: false, euid: 0, egid: 0, umask: 0 };

const CONTENT_ROW = {
  kind: RowKind.checkContent,
  flags: 0,
  dirFd: -1,
  fd: -1,
  mode: 0,
  uid: 0,
  gid: 0,
  mtimeSeconds: 0,
  mtimeNanoseconds: 0,
  size: 0,
  name: new Uint8Array(0),
  xattrs: undefined,
  deviceMajor: 0,
  deviceMinor: 0,
};
