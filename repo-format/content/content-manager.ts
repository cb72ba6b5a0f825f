// Contents of one open repository, on the main thread: finds and reads them, writes the few that no lane writes, and owns
// the session: marker → packs → index → marker gone (repository format §9.2). Nothing written is visible to others
// before `flush` resolves, and `flush` resolves only when index and packs are durable.
//
// A flush that fails while packs are stored leaves a session that cannot be completed: every later write and flush says
// so (`SESSION_FAILED`), and only opening the repository anew helps. One that fails at the index may be tried again.
import type { Clock } from '../../base/clock.ts';
import { isAbortError, WindlassError } from '../../base/errors.ts';
import { toHex } from '../../base/hex.ts';
import type { Logger } from '../../base/logger.ts';
import type { RandomSource } from '../../base/random.ts';
import type { FetchGate } from '../blob/fetch-gate.ts';
import type { BlobMetadata, BlobStorage } from '../blob/storage.ts';
import type { ContentCipher } from '../crypto/content-cipher.ts';
import type { EpochSnapshot, ListedEpochs } from '../epoch/snapshot.ts';
import { writeIndexShards } from '../epoch/write-index.ts';
import type { OpenFormat } from '../format/open-format.ts';
import { createKeyedHash, type KeyedHash } from '../hash/keyed-hash.ts';
import { contentKey, type ContentId } from '../index/content-id.ts';
import type { IndexEntry } from '../index/entry.ts';
import { IndexBuilder } from '../index/index-builder.ts';
import type { IndexSet, SetRow } from '../index/index-set.ts';
import { releaseBytes } from '../index/row-store.ts';
import { CommittedContents, type PackCopies } from './committed-contents.ts';
import { ContentWriter, type ContentWriterSpec } from './content-writer.ts';
import type { StagedPack } from './growing-pack.ts';
import { type LostContents, packLengths } from './lost-contents.ts';
import { type ManifestContents, manifestContents } from './manifest-contents.ts';
import { NewContents } from './new-contents.ts';
import { PackStore } from './pack-store.ts';
import { PendingRows } from './pending-rows.ts';
import type { SessionId } from './session.ts';
import type { JournalRecord } from './session-journal.ts';
import { type Session, SessionKeeper } from './session-keeper.ts';
import { removeFile } from './staging-cleanup.ts';
import { claimRows, isPackUsable } from './take-over.ts';

export type { ManifestContents } from './manifest-contents.ts';

export interface ContentManagerOptions {
  readonly spec: ContentWriterSpec;
  readonly readOnly: boolean;
  readonly username: string;
  readonly hostname: string;
  /** New contents remembered between two flushes. */
  readonly newContentsCapacity: number;
  /** Folder for session journals; without it nothing is taken over after a crash. */
  readonly journalFolder?: string | undefined;
}

export interface ContentManagerDeps {
  readonly storage: BlobStorage;
  readonly format: OpenFormat;
  readonly cipher: ContentCipher;
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly logger: Logger;
  /** Where packs are read from, when that is not the storage itself. */
  readonly packs?: PackCopies;
  /** Listings of the epochs that have begun already. */
  readonly earlyEpochs?: Promise<ListedEpochs>;
  /** Bounds what is put at a time. */
  readonly putGate?: FetchGate;
  /** Says whether the process that wrote a journal is gone; `owner` of new journals is `self`. */
  readonly processes: { readonly self: string; isGone(owner: string): boolean };
}

export interface FlushResult {
  readonly indexBlobs: number;
  readonly packs: number;
  readonly contents: number;
}

const NOTHING_FLUSHED: FlushResult = { indexBlobs: 0, packs: 0, contents: 0 };

export class ContentManager {
  readonly #options: ContentManagerOptions;
  readonly #deps: ContentManagerDeps;
  readonly #hash: KeyedHash;
  readonly #keySize: number;
  readonly #committed: CommittedContents;
  readonly #sessions: SessionKeeper;
  readonly #packs: PackStore;
  readonly #writer: ContentWriter;
  #newContents: NewContents;
  #rows: PendingRows;
  readonly #unflushedManifests = new Map<ContentId, Uint8Array>();
  #session: Session | undefined;
  #starting: Promise<void> | undefined;
  /** A flush under way: nothing may be written meanwhile. */
  #busy: Promise<void> | undefined;
  #takenOverPacks = 0;
  #closed = false;

  private constructor(options: ContentManagerOptions, deps: ContentManagerDeps, committed: CommittedContents) {
    const { spec } = options;
    const { config } = deps.format;
    this.#options = options;
    this.#deps = deps;
    this.#committed = committed;
    this.#hash = createKeyedHash(spec.hash, spec.secret);
    this.#keySize = 1 + this.#hash.sizeBytes;
    this.#newContents = NewContents.create(this.#keySize, options.newContentsCapacity);
    this.#rows = this.#newRows();
    this.#sessions = new SessionKeeper(options, { ...deps, hash: this.#hash });
    this.#packs = new PackStore({
      ...deps,
      hash: this.#hash,
      indexVersion: spec.indexVersion,
      formatVersion: config.version,
      formatReplicaBytes: spec.formatReplica.length,
      keySize: this.#keySize,
      maxPackSizeBytes: spec.maxPackSizeBytes,
      gate: deps.putGate,
      onStored: (pack, metadata) => this.#onStored(pack, metadata),
    });
    this.#writer = new ContentWriter(spec, this.known(), { ...deps, onPack: (pack) => this.#packs.acceptTail(pack) });
    committed.onChange(() => this.#writer.setKnown(this.known()));
  }

  static async open(
    options: ContentManagerOptions,
    deps: ContentManagerDeps,
    signal: AbortSignal,
  ): Promise<ContentManager> {
    const { storage, cipher, clock, format, packs, earlyEpochs } = deps;
    const committed = await CommittedContents.load(
      { storage, cipher, clock, config: format.config, packs },
      signal,
      earlyEpochs,
    );
    return new ContentManager(options, deps, committed);
  }

  /** Everything committed, as of the last refresh or flush. */
  get indexSet(): IndexSet {
    return this.#committed.indexSet;
  }

  /** As of the last load of the indexes; undefined without epochs. */
  get epochSnapshot(): EpochSnapshot | undefined {
    return this.#committed.epochSnapshot;
  }

  /** Changes whenever the set of visible contents may have changed. */
  get revision(): number {
    return this.#committed.revision;
  }

  /** What lanes ask before they store a content. */
  known(): { indexSet: IndexSet; newContents: NewContents } {
    return { indexSet: this.indexSet, newContents: this.#newContents };
  }

  get writerSpec(): ContentWriterSpec {
    return this.#options.spec;
  }

  /** The main thread's writer, for callers that have started a session and write many contents in a row. */
  get writer(): ContentWriter {
    return this.#writer;
  }

  /** New contents since the last flush, of all lanes. */
  get pendingContents(): number {
    return this.#newContents.size;
  }

  /** After so many new contents a flush is due, or duplicates are no longer noticed. */
  get newContentsCapacity(): number {
    return this.#options.newContentsCapacity;
  }

  /** Packs taken over from killed runs since this repository was opened. */
  get adoptedPacks(): number {
    return this.#takenOverPacks;
  }

  /** Packs on their way to storage. */
  get packsInFlight(): number {
    return this.#packs.inFlight;
  }

  find(id: ContentId): IndexEntry | undefined {
    return this.#committed.find(id);
  }

  /** `CONTENT_NOT_FOUND`, `CONTENT_LOST`, `CONTENT_CORRUPT`; what this session has not flushed cannot be read. */
  readContent(id: ContentId, signal: AbortSignal): Promise<Uint8Array> {
    return this.#committed.readContent(id, signal);
  }

  /** Reloads the index set from storage; what this session has not flushed stays pending. */
  refresh(signal: AbortSignal): Promise<void> {
    return this.#committed.refresh(signal);
  }

  /**
   * Looks for packs that are gone or too short although an index names them, and makes their contents count as not stored, so that
   * writing them stores them again. To be asked before lanes get what is known.
   */
  hideLostContents(signal: AbortSignal): Promise<LostContents> {
    return this.#committed.hideLost(packLengths(this.#deps.storage), signal);
  }

  /** The id that these bytes have as a content. */
  idOf(prefix: string, bytes: Uint8Array): ContentId {
    return (prefix + toHex(this.#hash.digest(bytes))) as ContentId;
  }

  /** Live contents that are gone with their packs, or beyond the ends of them; manifests are among them. */
  findLostContents(signal: AbortSignal): Promise<IndexEntry[]> {
    return this.#committed.findLost(packLengths(this.#deps.storage), signal);
  }

  /**
   * For repair: rows of packs that are stored and that no index names. Visible to others after the next flush; in a
   * repository that is only read, to this object alone.
   */
  async indexRows(entries: Iterable<IndexEntry>, signal: AbortSignal): Promise<void> {
    if (this.#options.readOnly) {
      const builder = new IndexBuilder(this.#keySize);
      for (const entry of entries) builder.addEntry(entry);
      this.#committed.pretend(builder.build({ version: this.#options.spec.indexVersion }));
      return;
    }
    do await this.startSession(signal);
    while (!this.#isReady);
    for (const entry of entries) this.#rows.addEntry(entry);
  }

  /**
   * Makes sure that a session runs, that its marker is stored and that the index is fresh: packs may be opened after this
   * resolves. A new session takes over what a killed process of this machine has left behind (session-journal.ts).
   */
  async startSession(signal: AbortSignal): Promise<SessionId> {
    this.#requireWritable();
    for (;;) {
      while (this.#busy !== undefined) await this.#busy;
      this.#packs.throwIfFailed();
      await this.#committed.refreshIfStale(signal);
      if (this.#busy !== undefined) continue;
      if (this.#session !== undefined) return this.#session.id;
      const starting = (this.#starting ??= this.#openSession(signal).finally(() => (this.#starting = undefined)));
      await starting.catch((error: unknown) => {
        // Another caller's cancellation is not ours.
        if (!isAbortError(error) || signal.aborted) throw error;
      });
    }
  }

  /** Stores `bytes` as a content unless they are stored already. Visible to others after the next flush. */
  async write(prefix: string, bytes: Uint8Array, compressor: string, signal: AbortSignal): Promise<ContentId> {
    do await this.startSession(signal);
    while (!this.#isReady);
    const id = this.#writer.write(prefix, bytes, compressor);
    this.#rows.revive(id, this.#nowSeconds());
    await this.#packs.storeFull(signal);
    return id;
  }

  /**
   * Marks a content deleted: a new index entry at its old place (repository format §7.4). One of this session is dropped;
   * writing it again through `write` brings it back. Unknown ids are ignored.
   */
  async delete(id: ContentId, signal: AbortSignal): Promise<void> {
    const isNew = (): boolean => this.#newContents.has(contentKey(id));
    if (!isNew() && this.find(id)?.deleted !== false) return;
    do await this.startSession(signal);
    while (!this.#isReady);
    const entry = this.find(id);
    if (isNew()) this.#rows.drop(id, this.#nowSeconds());
    else if (entry?.deleted === false) this.#rows.delete(entry, this.#nowSeconds());
  }

  /** Changes whenever the index was read from storage anew, so that it may have what others wrote. */
  get refreshes(): number {
    return this.#committed.refreshes;
  }

  /**
   * HOT. Marks the content of a live row deleted, unless somebody has changed it since the index was read. That was when
   * `refreshes` had the value given; while it has, nobody else's changes are known, and nothing needs to be looked up.
   * Done at once where it can be, and then there is nothing to wait for.
   */
  deleteRow(row: Pick<SetRow, 'index' | 'entry'>, readAt: number, signal: AbortSignal): Promise<void> | undefined {
    if (!this.#isReady || this.#committed.isStale) return this.#deleteRowLater(row, readAt, signal);
    this.#packs.throwIfFailed();
    this.#deleteRow(row, readAt);
    return undefined;
  }

  async #deleteRowLater(row: Pick<SetRow, 'index' | 'entry'>, readAt: number, signal: AbortSignal): Promise<void> {
    do await this.startSession(signal);
    while (!this.#isReady);
    this.#deleteRow(row, readAt);
  }

  #deleteRow({ index, entry }: Pick<SetRow, 'index' | 'entry'>, readAt: number): void {
    if (index.isDeletedAt(entry)) return;
    const key = index.keyAt(entry);
    if (this.#newContents.has(key)) return;
    if (this.refreshes !== readAt && !this.isCurrent(index.entryAt(entry))) return;
    this.#rows.deleteRow(index, entry, key, this.#nowSeconds());
  }

  /**
   * Stores an indexed content once more, live, in a pack of this session, by its sealed bytes, which the caller has checked
   * (repository format §7.4). False when there is nothing to do: this session has stored it already, or somebody else has
   * changed it since `entry` was read.
   */
  async move(entry: IndexEntry, sealed: Uint8Array, signal: AbortSignal): Promise<boolean> {
    do await this.startSession(signal);
    while (!this.#isReady);
    if (!this.isCurrent(entry)) return false;
    const moved = this.#writer.move(entry, sealed);
    await this.#packs.storeFull(signal);
    return moved;
  }

  /** True while `entry` is what the index says of its content. */
  isCurrent(entry: IndexEntry): boolean {
    const now = this.find(entry.id);
    return (
      now !== undefined &&
      now.timestampSeconds === entry.timestampSeconds &&
      now.deleted === entry.deleted &&
      now.packId === entry.packId
    );
  }

  /** Deleted since the last flush. */
  isPendingDeletion(id: ContentId): boolean {
    return this.#rows.isDeleted(id);
  }

  manifestBackend(): ManifestContents {
    return manifestContents(this, this.#unflushedManifests);
  }

  /**
   * Says that a lane lost packs whose contents count as stored: nothing can be flushed any more (`SESSION_FAILED`), so
   * that no snapshot ever refers to them.
   */
  markFailed(error: unknown): void {
    this.#packs.fail(error);
  }

  /**
   * Takes over a full pack of a lane: makes it durable in the background. A failure surfaces at the next call of
   * `flush` or `throwIfFailed`. Resolves when the pack is stored or lost, never rejects.
   */
  acceptPack(pack: StagedPack, signal: AbortSignal): Promise<void> {
    return this.#packs.accept(pack, signal);
  }

  /** Unfinished packs that a lane hands over at the end; joined and stored by the next flush. */
  acceptTail(pack: StagedPack): void {
    this.#packs.acceptTail(pack);
  }

  throwIfFailed(): void {
    this.#packs.throwIfFailed();
  }

  /**
   * Sends full packs of the main thread's own writer on their way. Waits when many are under way already, so that a
   * caller who awaits this between writes bounds what is staged.
   */
  storeFullPacks(signal: AbortSignal): Promise<void> {
    return this.#packs.storeFull(signal);
  }

  /**
   * Makes every pack durable without indexing it: after a stop, the next run takes the packs over from the journal.
   * Lanes must have handed over their packs before.
   */
  storePacks(signal: AbortSignal): Promise<void> {
    return this.#exclusively(() => this.#storePacks(signal));
  }

  /**
   * The commit point: every pack durable, then the index blobs, then the session's marker goes (§9.2). Lanes must have
   * handed over their packs before; none may write until it resolves. `SESSION_INCOMPLETE` when a content that others
   * may refer to was never stored.
   */
  flush(signal: AbortSignal): Promise<FlushResult> {
    return this.#exclusively(() => this.#flush(signal));
  }

  /**
   * Drops what was not flushed: staging files go, packs that are durable already stay for the next run to take over.
   */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    while (this.#busy !== undefined) await this.#busy;
    await this.#starting?.catch(() => undefined); // its caller hears of it
    await this.#packs.close();
    for (const path of this.#writer.abandon()) await removeFile(path);
    const session = this.#session;
    this.#session = undefined;
    if (session !== undefined) await this.#sessions.abandon(session);
  }

  #newRows(): PendingRows {
    const { indexVersion } = this.#options.spec;
    return new PendingRows({ keySize: this.#keySize, indexVersion, formatVersion: this.#deps.format.config.version });
  }

  #nowSeconds(): number {
    return Math.floor(this.#deps.clock.nowMs() / 1000);
  }

  #requireWritable(): void {
    if (this.#closed) throw new WindlassError('the repository is closed', { code: 'REPOSITORY_CLOSED' });
    if (!this.#options.readOnly) return;
    throw new WindlassError('the repository is open for reading only', { code: 'REPOSITORY_READ_ONLY' });
  }

  /** Asked again after every wait: a flush may have begun in between. */
  get #isReady(): boolean {
    return this.#session !== undefined && this.#busy === undefined;
  }

  async #openSession(signal: AbortSignal): Promise<void> {
    const session = await this.#sessions.start((record) => this.#takeOver(record, signal), signal);
    this.#session = session;
    this.#writer.setSession(session.id);
  }

  /** A pack that an earlier, killed process stored but never indexed becomes part of this session. */
  async #takeOver(record: JournalRecord, signal: AbortSignal): Promise<void> {
    const { storage, clock } = this.#deps;
    if (!(await isPackUsable(record, { storage, nowMs: clock.nowMs() }, signal))) return;
    const { rows, rowCount } = claimRows(record, this.known(), this.#keySize);
    if (rowCount === 0) return;
    this.#rows.addPack(record.packId, rows, rowCount);
    this.#takenOverPacks++;
  }

  #onStored({ packId, rows, rowCount }: StagedPack, { length }: BlobMetadata): void {
    this.#rows.addPack(packId, rows, rowCount);
    const storedAtMs = this.#deps.clock.nowMs();
    if (this.#session !== undefined) this.#sessions.note(this.#session, { packId, rows, rowCount, length, storedAtMs });
  }

  /** One at a time; whoever comes meanwhile waits. */
  async #exclusively<Result>(work: () => Promise<Result>): Promise<Result> {
    while (this.#busy !== undefined) await this.#busy;
    const done = work();
    const free = (): void => {
      this.#busy = undefined;
    };
    this.#busy = done.then(free, free);
    return done;
  }

  async #storePacks(signal: AbortSignal): Promise<void> {
    await this.#starting?.catch(() => undefined); // its caller hears of it
    for (const pack of this.#writer.takeOpenPacks()) this.#packs.acceptTail(pack);
    await this.#packs.storeAll(signal);
  }

  async #flush(signal: AbortSignal): Promise<FlushResult> {
    await this.#storePacks(signal);
    this.#requireComplete();
    const session = this.#session;
    if (session === undefined) return NOTHING_FLUSHED;
    const result = this.#rows.rowCount === 0 ? NOTHING_FLUSHED : await this.#commit(session, signal);
    this.#unflushedManifests.clear();
    this.#session = undefined;
    await this.#sessions.end(session, signal);
    return result;
  }

  async #commit(session: Session, signal: AbortSignal): Promise<FlushResult> {
    const { storage, cipher, format, clock } = this.#deps;
    const { epochSnapshot } = this.#committed;
    const deps = {
      storage,
      cipher,
      hash: this.#hash,
      config: format.config,
      sessionId: session.id,
      clock,
      epochSnapshot,
    };
    const rows = this.#rows;
    const shards = rows.build();
    const { packs, rowCount } = rows;
    const written = await writeIndexShards(deps, shards, signal);
    // Rows that came while the index was written would be lost without a word.
    if (rows.rowCount !== rowCount) this.#packs.fail(packDuringFlush());
    this.#rows = this.#newRows();
    this.#newContents = NewContents.create(this.#keySize, this.#options.newContentsCapacity);
    this.#committed.add(
      written.map(({ id }) => id),
      shards,
    );
    // Both are copied by now; a maintenance cycle flushes dozens of times before a collection would find them.
    for (const shard of shards) releaseBytes(shard);
    rows.release();
    this.#packs.throwIfFailed();
    return { indexBlobs: written.length, packs, contents: rowCount };
  }

  /** Each content that some lane was told is being stored must have brought its row. */
  #requireComplete(): void {
    const { promised } = this.#newContents;
    const { storedRows, rowCount } = this.#rows;
    if (promised !== storedRows) {
      throw new WindlassError(`${promised - storedRows} contents that others may refer to were not stored`, {
        code: 'SESSION_INCOMPLETE',
        context: { promised, stored: storedRows },
      });
    }
    if (this.#session === undefined && rowCount > 0) {
      throw new WindlassError('contents were stored without a session', { code: 'INTERNAL' });
    }
  }
}

function packDuringFlush(): WindlassError {
  return new WindlassError('a pack was handed over while the index was written', { code: 'INTERNAL' });
}
