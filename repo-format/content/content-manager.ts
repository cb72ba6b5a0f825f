// Contents of one open repository, on the main thread: finds and reads them, writes the few that no lane writes, and owns
// the session: marker → packs → index → marker gone (repository format §9.2). Nothing written is visible to others
// before `flush` resolves, and `flush` resolves only when index and packs are durable.
import type { Clock } from '../../base/clock.ts';
import { hasCode, WindlassError } from '../../base/errors.ts';
import { toHex } from '../../base/hex.ts';
import type { Logger } from '../../base/logger.ts';
import type { RandomSource } from '../../base/random.ts';
import type { BlobId, BlobStorage } from '../blob/storage.ts';
import type { ContentCipher } from '../crypto/content-cipher.ts';
import { sealBlob } from '../epoch/encrypted-blob.ts';
import { type LoadedIndexSet, loadIndexSet } from '../epoch/load-index.ts';
import { writeIndexShards } from '../epoch/write-index.ts';
import type { OpenFormat } from '../format/open-format.ts';
import { createKeyedHash, type KeyedHash } from '../hash/keyed-hash.ts';
import { contentKey, type ContentId } from '../index/content-id.ts';
import type { IndexEntry } from '../index/entry.ts';
import { IndexBuilder } from '../index/index-builder.ts';
import { IndexSet } from '../index/index-set.ts';
import { parseIndex } from '../index/parse-index.ts';
import { openContent } from './content-codec.ts';
import { ContentWriter, type ContentWriterSpec, type StagedPack } from './content-writer.ts';
import { NewContents } from './new-contents.ts';
import { finishPack, joinPacks, type PackFinisherDeps } from './pack-finisher.ts';
import { encodeSessionMarker, newSessionId, type SessionId } from './session.ts';
import { type JournalContents, journalKey, readJournals, SessionJournal } from './session-journal.ts';

const MANIFEST_PREFIX = 'm';
const MAX_COMMITS_IN_FLIGHT = 4;
/** Readers reload indexes at least this often (repository format §9.4). */
const INDEX_REFRESH_MS = 15 * 60 * 1000;
/** Packs of a dead session are taken over only well within the 24 h that maintenance leaves them (§9.4). */
const ADOPT_WITHIN_MS = 20 * 3600 * 1000;

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
  /** Says whether the process that wrote a journal is gone; `owner` of new journals is `self`. */
  readonly processes: { readonly self: string; isGone(owner: string): boolean };
}

interface Session {
  readonly id: SessionId;
  readonly markerId: BlobId;
  readonly journal: SessionJournal | undefined;
}

/** See `manifest/manifest-store.ts`, which is above this layer and calls it. */
export interface ManifestContents {
  listManifestContents(signal: AbortSignal): Promise<readonly ContentId[]>;
  readContent(id: ContentId, signal: AbortSignal): Promise<Uint8Array>;
  writeContent(prefix: string, bytes: Uint8Array, compressor: string, signal: AbortSignal): Promise<ContentId>;
  deleteContent(id: ContentId, signal: AbortSignal): Promise<void>;
  flush(signal: AbortSignal): Promise<void>;
  revision(): number;
  refresh(signal: AbortSignal): Promise<void>;
}

export interface FlushResult {
  readonly indexBlobs: number;
  readonly packs: number;
  readonly contents: number;
}

export class ContentManager {
  readonly #options: ContentManagerOptions;
  readonly #deps: ContentManagerDeps;
  readonly #hash: KeyedHash;
  readonly #finisher: PackFinisherDeps;
  readonly #writer: ContentWriter;
  #loaded: LoadedIndexSet;
  #newContents: NewContents;
  #builder: IndexBuilder;
  #durablePacks = 0;
  #tails: StagedPack[] = [];
  #commits = new Set<Promise<void>>();
  #commitError: unknown;
  #session: Session | undefined;
  #starting: Promise<Session> | undefined;
  #adopted: JournalContents[] = [];
  readonly #unflushedManifests = new Map<ContentId, Uint8Array>();
  readonly #unflushedDeletions = new Set<ContentId>();
  #revision = 0;
  #closed = false;

  private constructor(options: ContentManagerOptions, deps: ContentManagerDeps, loaded: LoadedIndexSet) {
    this.#options = options;
    this.#deps = deps;
    this.#loaded = loaded;
    this.#hash = createKeyedHash(options.spec.hash, options.spec.secret);
    const keySize = 1 + this.#hash.sizeBytes;
    this.#newContents = NewContents.create(keySize, options.newContentsCapacity);
    this.#builder = this.#newBuilder();
    this.#finisher = {
      storage: deps.storage,
      cipher: deps.cipher,
      hash: this.#hash,
      random: deps.random,
      indexVersion: options.spec.indexVersion,
      formatVersion: deps.format.config.version,
      formatReplicaBytes: options.spec.formatReplica.length,
      keySize,
    };
    this.#writer = new ContentWriter(options.spec, this.known(), {
      random: deps.random,
      clock: deps.clock,
      onPack: (pack) => this.#tails.push(pack),
    });
  }

  static async open(options: ContentManagerOptions, deps: ContentManagerDeps, signal: AbortSignal): Promise<ContentManager> {
    const loaded = await loadIndexSet(
      { storage: deps.storage, cipher: deps.cipher, config: deps.format.config, clock: deps.clock },
      signal,
    );
    return new ContentManager(options, deps, loaded);
  }

  #newBuilder(): IndexBuilder {
    return new IndexBuilder(1 + this.#hash.sizeBytes);
  }

  /** Everything committed, as of the last refresh or flush. */
  get indexSet(): IndexSet {
    return this.#loaded.indexSet;
  }

  /** Changes whenever the set of visible contents may have changed. */
  get revision(): number {
    return this.#revision;
  }

  /** What lanes ask before they store a content. */
  known(): { indexSet: IndexSet; newContents: NewContents } {
    return { indexSet: this.#loaded.indexSet, newContents: this.#newContents };
  }

  get writerSpec(): ContentWriterSpec {
    return this.#options.spec;
  }

  /** New contents since the last flush, of all lanes. */
  get pendingContents(): number {
    return this.#newContents.size;
  }

  /** After so many new contents a flush is due, or duplicates are no longer noticed. */
  get newContentsCapacity(): number {
    return this.#options.newContentsCapacity;
  }

  find(id: ContentId): IndexEntry | undefined {
    return this.#loaded.indexSet.find(contentKey(id));
  }

  /**
   * Reads and opens one content. `CONTENT_NOT_FOUND` when no index mentions it; a pack that has gone (rewritten by
   * maintenance) makes it reload the index once.
   */
  async readContent(id: ContentId, signal: AbortSignal): Promise<Uint8Array> {
    if (this.#deps.clock.nowMs() - this.#loaded.loadedAtMs > INDEX_REFRESH_MS) await this.refresh(signal);
    const entry = this.find(id);
    if (entry === undefined) throw contentNotFound(id);
    try {
      return await this.#readEntry(entry, signal);
    } catch (error) {
      if (!hasCode(error, 'BLOB_NOT_FOUND')) throw error;
      await this.refresh(signal);
      const again = this.find(id);
      if (again === undefined) throw contentNotFound(id);
      if (again.packId === entry.packId) throw contentLost(entry, error);
      return await this.#readEntry(again, signal);
    }
  }

  async #readEntry(entry: IndexEntry, signal: AbortSignal): Promise<Uint8Array> {
    const range = { offset: entry.packOffset, length: entry.packedLength };
    try {
      return openContent(this.#deps.cipher, entry, await this.#deps.storage.getBlob(entry.packId, range, signal));
    } catch (error) {
      if (hasCode(error, 'BLOB_INVALID_RANGE')) throw contentLost(entry, error);
      throw error;
    }
  }

  /** Reloads the index set from storage; what this session has not flushed stays pending. */
  async refresh(signal: AbortSignal): Promise<void> {
    const { storage, cipher, format, clock } = this.#deps;
    this.#loaded = await loadIndexSet({ storage, cipher, config: format.config, clock }, signal, this.#loaded.indexSet);
    this.#revision++;
    this.#writer.setKnown(this.known());
  }

  /**
   * Makes sure that a session runs and that its marker is stored: packs may be opened after this resolves. Also takes
   * over what a killed process of this machine has left behind (see session-journal.ts).
   */
  async startSession(signal: AbortSignal): Promise<SessionId> {
    if (this.#options.readOnly) throw new WindlassError('the repository is open for reading only', { code: 'REPOSITORY_READ_ONLY' });
    if (this.#session !== undefined) return this.#session.id;
    this.#starting ??= this.#openSession(signal).finally(() => (this.#starting = undefined));
    const session = await this.#starting;
    return session.id;
  }

  async #openSession(signal: AbortSignal): Promise<Session> {
    const { clock, random, storage, logger, format, processes } = this.#deps;
    const id = newSessionId(clock, random);
    const marker = encodeSessionMarker({
      id,
      startTimeMs: clock.nowMs(),
      username: this.#options.username,
      hostname: this.#options.hostname,
    });
    const sealed = sealBlob({ cipher: this.#deps.cipher, hash: this.#hash }, 's', id, marker);
    await storage.putBlob(sealed.id, sealed.bytes, signal);
    let journal: SessionJournal | undefined;
    const { journalFolder } = this.#options;
    if (journalFolder !== undefined) {
      const key = journalKey(journalSecret(format), format.uniqueId);
      const repositoryId = toHex(format.uniqueId);
      try {
        await this.#adopt(readJournals(journalFolder, repositoryId, key), signal);
        const header = { repositoryId, sessionId: id, markerId: sealed.id, owner: processes.self };
        journal = SessionJournal.create(journalFolder, header, key);
      } catch (error) {
        logger.warn('going on without a session journal: a killed run will start again', { error: String(error) });
      }
    }
    this.#session = { id, markerId: sealed.id, journal };
    this.#writer.setSession(id);
    return this.#session;
  }

  /** Packs that an earlier, killed process stored but never indexed become part of this session. */
  async #adopt(journals: readonly JournalContents[], signal: AbortSignal): Promise<void> {
    for (const found of journals) {
      if (found.path === this.#session?.journal?.path || this.#adopted.some((known) => known.path === found.path)) continue;
      if (!this.#deps.processes.isGone(found.header.owner)) continue;
      for (const record of found.records) {
        if (this.#deps.clock.nowMs() - record.storedAtMs > ADOPT_WITHIN_MS) continue;
        const stored = await this.#deps.storage.getMetadata(record.packId, signal).catch((error: unknown) => {
          if (hasCode(error, 'BLOB_NOT_FOUND')) return undefined;
          throw error;
        });
        if (stored?.length !== record.length) continue;
        this.#rememberKeys(record.rows, record.rowCount);
        this.#addDurable(record.packId, record.rows);
        this.#adoptedPacks++;
      }
      this.#adopted.push(found);
    }
  }

  /** Lanes insert keys as they write; those of adopted packs come in here. */
  #rememberKeys(rows: Uint8Array, rowCount: number): void {
    const keySize = 1 + this.#hash.sizeBytes;
    const stride = rows.length / Math.max(1, rowCount);
    for (let at = 0; at < rows.length; at += stride) this.#newContents.insert(rows.subarray(at, at + keySize));
  }

  #adoptedPacks = 0;

  /** Packs taken over from killed runs since this repository was opened. */
  get adoptedPacks(): number {
    return this.#adoptedPacks;
  }

  #addDurable(packId: BlobId, rows: Uint8Array): void {
    this.#builder.addRows(rows, this.#builder.addPack(packId), this.#deps.format.config.version);
    this.#durablePacks++;
  }

  /** Stores `bytes` as a content unless they are stored already. Visible to others after the next flush. */
  async write(prefix: string, bytes: Uint8Array, compressor: string, signal: AbortSignal): Promise<ContentId> {
    await this.startSession(signal);
    const id = this.#writer.write(prefix, bytes, compressor);
    await this.storeFullPacks(signal);
    return id;
  }

  /** The main thread's writer, for callers that have started a session and write many contents in a row. */
  get writer(): ContentWriter {
    return this.#writer;
  }

  /**
   * The content layer as the manifest store needs it. Manifests written since the last flush are read from memory and
   * count as live.
   */
  manifestBackend(): ManifestContents {
    const prefix = MANIFEST_PREFIX;
    return {
      listManifestContents: () => {
        const live = new Set<ContentId>(this.#unflushedManifests.keys());
        for (const entry of this.#loaded.indexSet.iterate(prefix)) if (!entry.deleted) live.add(entry.id);
        for (const id of this.#unflushedDeletions) live.delete(id);
        return Promise.resolve([...live]);
      },
      readContent: (id, signal) => {
        const pending = this.#unflushedManifests.get(id);
        return pending === undefined ? this.readContent(id, signal) : Promise.resolve(pending);
      },
      writeContent: async (prefixLetter, bytes, compressor, signal) => {
        const id = await this.write(prefixLetter, bytes, compressor, signal);
        this.#unflushedManifests.set(id, bytes);
        this.#unflushedDeletions.delete(id);
        return id;
      },
      deleteContent: (id, signal) => this.delete(id, signal),
      flush: async (signal) => {
        await this.flush(signal);
      },
      revision: () => this.#revision,
      refresh: (signal) => this.refresh(signal),
    };
  }

  /** Marks a content deleted: a new index entry at its old place (repository format §7.4). Unknown ids are ignored. */
  async delete(id: ContentId, signal: AbortSignal): Promise<void> {
    const entry = this.find(id);
    if (entry === undefined || entry.deleted) return;
    await this.startSession(signal);
    this.#unflushedDeletions.add(id);
    const now = Math.floor(this.#deps.clock.nowMs() / 1000);
    this.#builder.addEntry({ ...entry, deleted: true, timestampSeconds: Math.max(now, entry.timestampSeconds + 1) });
  }

  /**
   * Takes over a full pack of a lane: makes it durable in the background. A failure surfaces at the next call of
   * `flush` or `throwIfFailed`.
   */
  acceptPack(pack: StagedPack, signal: AbortSignal): void {
    const commit = this.#commit(pack, signal).catch((error: unknown) => {
      this.#commitError ??= error;
    });
    const tracked = commit.finally(() => this.#commits.delete(tracked));
    this.#commits.add(tracked);
  }

  /** Packs on their way to storage. */
  get packsInFlight(): number {
    return this.#commits.size;
  }

  /** Unfinished packs that a lane hands over at the end; joined and stored by the next flush. */
  acceptTail(pack: StagedPack): void {
    this.#tails.push(pack);
  }

  throwIfFailed(): void {
    if (this.#commitError !== undefined) throw this.#commitError;
  }

  async #commit(pack: StagedPack, signal: AbortSignal): Promise<void> {
    const metadata = await finishPack(pack, this.#finisher, signal);
    this.#addDurable(pack.packId, pack.rows);
    const journal = this.#session?.journal;
    if (journal === undefined) return;
    try {
      const { packId, rows, rowCount } = pack;
      journal.append({ packId, rows, rowCount, length: metadata.length, storedAtMs: this.#deps.clock.nowMs() });
    } catch (error) {
      this.#deps.logger.warn('session journal: append failed', { error: String(error) });
    }
  }

  /**
   * Sends full packs of the main thread's own writer on their way. Waits when many are under way already, so that a
   * caller who awaits this between writes bounds what is staged.
   */
  async storeFullPacks(signal: AbortSignal): Promise<void> {
    if (this.#tails.length === 0) return;
    for (const pack of this.#tails.splice(0)) {
      if (pack.length >= this.#options.spec.maxPackSizeBytes) this.acceptPack(pack, signal);
      else this.#tails.push(pack);
    }
    while (this.#commits.size > MAX_COMMITS_IN_FLIGHT) await Promise.race(this.#commits);
    this.throwIfFailed();
  }

  /**
   * Makes every pack durable without indexing it: after a stop, the next run takes the packs over from the journal.
   * Lanes must have handed over their packs before.
   */
  async storePacks(signal: AbortSignal): Promise<void> {
    const tails = [...this.#tails.splice(0), ...this.#writer.takeOpenPacks()];
    const joined = await joinPacks(tails, this.#options.spec.maxPackSizeBytes, this.#finisher);
    for (const pack of joined) this.acceptPack(pack, signal);
    while (this.#commits.size > 0) await Promise.all(this.#commits);
    this.throwIfFailed();
  }

  /**
   * The commit point: every pack durable, then the index blobs, then the session's marker goes (§9.2). Lanes must have
   * handed over their packs before; none may write until it resolves.
   */
  async flush(signal: AbortSignal): Promise<FlushResult> {
    await this.storePacks(signal);
    const contents = this.#builder.rowCount;
    const packs = this.#durablePacks;
    const session = this.#session;
    if (session === undefined || contents === 0) {
      if (session !== undefined) await this.#endSession(session, signal);
      return { indexBlobs: 0, packs: 0, contents: 0 };
    }
    const { storage, cipher, format, clock } = this.#deps;
    const shards = this.#builder.build({ version: this.#options.spec.indexVersion });
    const written = await writeIndexShards(
      { storage, cipher, hash: this.#hash, config: format.config, sessionId: session.id, clock },
      shards,
      signal,
    );
    this.#builder = this.#newBuilder();
    this.#durablePacks = 0;
    this.#unflushedManifests.clear();
    this.#unflushedDeletions.clear();
    this.#loaded = {
      ...this.#loaded,
      indexSet: this.#loaded.indexSet.with(
        shards.map((bytes, i) => ({ blobId: written[i]?.id ?? ('' as BlobId), parsed: parseIndex(bytes) })),
      ),
    };
    this.#newContents = NewContents.create(1 + this.#hash.sizeBytes, this.#options.newContentsCapacity);
    this.#writer.setKnown(this.known());
    this.#revision++;
    await this.#endSession(session, signal);
    return { indexBlobs: written.length, packs, contents };
  }

  /** After the commit point: a marker or journal that cannot be removed is garbage, not a failure (§9.3, I3). */
  async #endSession(session: Session, signal: AbortSignal): Promise<void> {
    this.#session = undefined;
    const { storage, logger } = this.#deps;
    const remove = async (id: BlobId): Promise<void> => {
      try {
        await storage.deleteBlob(id, signal);
      } catch (error) {
        logger.warn('a session marker could not be removed; maintenance will', { blobId: id, error: String(error) });
      }
    };
    await remove(session.markerId);
    session.journal?.remove();
    for (const adopted of this.#adopted.splice(0)) {
      await remove(adopted.header.markerId);
      SessionJournal.discard(adopted.path);
    }
  }

  /**
   * Drops what was not flushed: staging files go, packs that are durable already stay for the next run to take over.
   */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    while (this.#commits.size > 0) await Promise.all(this.#commits);
    for (const path of this.#writer.abandon()) SessionJournal.discard(path);
    for (const pack of this.#tails.splice(0)) ContentWriter.discard(pack);
    this.#session?.journal?.close();
    if (this.#session !== undefined && this.#durablePacks === 0) {
      this.#session.journal?.remove();
      await this.#deps.storage.deleteBlob(this.#session.markerId, AbortSignal.timeout(5000)).catch(() => undefined);
    }
  }
}

/** Known to everyone who can open the repository, and to nobody else. */
function journalSecret(format: OpenFormat): Uint8Array {
  return format.config.masterKey.length > 0 ? format.config.masterKey : format.config.secret;
}

function contentNotFound(id: ContentId): WindlassError {
  return new WindlassError(`content ${id} is in no index`, { code: 'CONTENT_NOT_FOUND', retry: 'after-refresh', context: { contentId: id } });
}

function contentLost(entry: IndexEntry, cause: unknown): WindlassError {
  const { id, packId, packOffset, packedLength } = entry;
  return new WindlassError(`content ${id}: pack ${packId} is missing or shorter than offset ${packOffset} + length ${packedLength}`, {
    code: 'CONTENT_LOST',
    context: { contentId: id, packId, offset: packOffset, length: packedLength },
    cause,
  });
}
