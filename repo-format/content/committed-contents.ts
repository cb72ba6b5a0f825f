// The contents that indexes know, as of the last look: found, read, and looked up anew when the index has grown old or a
// pack has gone (repository format §9.4).
import type { Clock } from '../../base/clock.ts';
import { hasCode, isAbortError } from '../../base/errors.ts';
import type { BlobId, BlobStorage, ByteRange } from '../blob/storage.ts';
import type { ContentCipher } from '../crypto/content-cipher.ts';
import { type LoadedIndexSet, loadIndexSet } from '../epoch/load-index.ts';
import type { EpochSnapshot, IndexConfig, ListedEpochs } from '../epoch/snapshot.ts';
import { contentKey, type ContentId } from '../index/content-id.ts';
import type { IndexEntry } from '../index/entry.ts';
import type { IndexSet, LoadedIndex } from '../index/index-set.ts';
import { parseIndex } from '../index/parse-index.ts';
import { openContent } from './content-codec.ts';
import { contentLost, contentNotFound } from './content-errors.ts';
import { findDamagedPacks, hideContents, type LostContents, lostEntries, type PackLengths } from './lost-contents.ts';

/** Kopia's own limit on the age of an index that is read from or deduplicated against. */
export const INDEX_REFRESH_MS = 15 * 60 * 1000;

export interface CommittedContentsDeps {
  readonly storage: BlobStorage;
  readonly cipher: ContentCipher;
  readonly config: IndexConfig;
  readonly clock: Clock;
  /** Read in place of the storage. */
  readonly packs?: PackCopies | undefined;
}

interface PackReader {
  getBlob(id: BlobId, range: ByteRange, signal: AbortSignal): Promise<Uint8Array>;
}

/** Local copies of packs; what is damaged there may be whole in the storage. */
export interface PackCopies extends PackReader {
  forget(id: BlobId): Promise<void>;
}

interface OwnIndex extends LoadedIndex {
  /** Loads that had started when it was written: a later one sees it in the storage. */
  readonly loadsBefore: number;
}

export class CommittedContents {
  readonly #deps: CommittedContentsDeps;
  #loaded: LoadedIndexSet;
  #own: OwnIndex[] = [];
  /** Never written: rows that hide contents that are gone, and rows that a repair would bring. */
  #unwritten: readonly LoadedIndex[] = [];
  #loadsStarted = 0;
  #installedLoad = 0;
  #revision = 0;
  #refreshing: Promise<void> | undefined;
  #listener: () => void = () => undefined;

  private constructor(deps: CommittedContentsDeps, loaded: LoadedIndexSet) {
    this.#deps = deps;
    this.#loaded = loaded;
  }

  /** `early`: listings that have begun already. */
  static async load(
    deps: CommittedContentsDeps,
    signal: AbortSignal,
    early?: Promise<ListedEpochs>,
  ): Promise<CommittedContents> {
    return new CommittedContents(deps, await loadIndexSet({ ...deps, early }, signal));
  }

  /** `listener` is called, at once, whenever the set has been replaced. */
  onChange(listener: () => void): void {
    this.#listener = listener;
  }

  get indexSet(): IndexSet {
    return this.#loaded.indexSet;
  }

  /** As of the last load; undefined without epochs. */
  get epochSnapshot(): EpochSnapshot | undefined {
    return this.#loaded.epochSnapshot;
  }

  /** Changes whenever the set may have changed. */
  get revision(): number {
    return this.#revision;
  }

  /** Changes whenever the set was read from storage anew, so that it may have what others wrote. */
  get refreshes(): number {
    return this.#installedLoad;
  }

  find(id: ContentId): IndexEntry | undefined {
    return this.indexSet.find(contentKey(id));
  }

  /** Reads the indexes in storage anew. Never loses sight of what `add` brought meanwhile. */
  async refresh(signal: AbortSignal): Promise<void> {
    const load = ++this.#loadsStarted;
    const loaded = await loadIndexSet(this.#deps, signal, this.#loaded.indexSet);
    if (load < this.#installedLoad) return; // one that began later has come in already
    this.#installedLoad = load;
    this.#own = this.#own.filter((index) => index.loadsBefore >= load);
    const listed = new Set(loaded.blobIds);
    const unlisted = this.#own.filter((index) => !listed.has(index.blobId));
    const also = [...this.#unwritten, ...unlisted];
    this.#loaded = also.length === 0 ? loaded : { ...loaded, indexSet: loaded.indexSet.with(also) };
    this.#changed();
  }

  /**
   * Makes contents whose packs are gone or too short count as not stored, for as long as this object lives; they stay to be found, as
   * deleted ones. Manifests are counted only.
   */
  async hideLost(lengthsOf: PackLengths, signal: AbortSignal): Promise<LostContents> {
    const first = await findDamagedPacks(this.indexSet, lengthsOf, signal);
    const seen = hideContents(this.indexSet, first).lost;
    if (seen.packs === 0) return seen;
    // Maintenance may have moved contents and deleted their old packs since the indexes were loaded.
    await this.refresh(signal);
    const damaged = await findDamagedPacks(this.indexSet, lengthsOf, signal);
    const { lost, tombstones } = hideContents(this.indexSet, damaged);
    if (tombstones.length === 0) return lost;
    const indexSet = this.indexSet.with(tombstones);
    this.#unwritten = [...this.#unwritten, ...indexSet.indexes.slice(-tombstones.length)];
    this.#loaded = { ...this.#loaded, indexSet };
    this.#changed();
    return lost;
  }

  /** Live contents that are gone with their packs, or beyond the ends of them; manifests are among them. */
  async findLost(lengthsOf: PackLengths, signal: AbortSignal): Promise<IndexEntry[]> {
    let damaged = await findDamagedPacks(this.indexSet, lengthsOf, signal);
    if (damaged.size > 0) {
      // As for hiding: maintenance may have been here since the indexes were loaded.
      await this.refresh(signal);
      damaged = await findDamagedPacks(this.indexSet, lengthsOf, signal);
    }
    return [...new Map(Array.from(lostEntries(this.indexSet, damaged), (entry) => [entry.id, entry])).values()];
  }

  /** Shows this object contents that no stored index has, as if it were stored; for as long as the object lives. */
  pretend(plaintexts: readonly Uint8Array[]): void {
    const added = plaintexts.map((bytes, number) => ({
      blobId: `pretended${this.#unwritten.length + number}` as BlobId,
      parsed: parseIndex(bytes),
    }));
    const indexSet = this.indexSet.with(added);
    this.#unwritten = [...this.#unwritten, ...indexSet.indexes.slice(this.indexSet.indexes.length)];
    this.#loaded = { ...this.#loaded, indexSet };
    this.#changed();
  }

  /** Refreshes when the last look is too long ago; callers who ask at once share one look. */
  async refreshIfStale(signal: AbortSignal): Promise<void> {
    while (this.isStale) {
      const refreshing = (this.#refreshing ??= this.refresh(signal).finally(() => (this.#refreshing = undefined)));
      try {
        await refreshing;
        return;
      } catch (error) {
        // Another caller's cancellation is not ours.
        if (!isAbortError(error) || signal.aborted) throw error;
      }
    }
  }

  /** Adds index blobs that were just stored. */
  add(blobIds: readonly BlobId[], plaintexts: readonly Uint8Array[]): void {
    const added = blobIds.flatMap((blobId, number) => {
      const bytes = plaintexts[number];
      return bytes === undefined ? [] : [{ blobId, parsed: parseIndex(bytes) }];
    });
    const indexSet = this.indexSet.with(added);
    const shared = indexSet.indexes.slice(-added.length);
    if (added.length > 0) this.#own.push(...shared.map((index) => ({ ...index, loadsBefore: this.#loadsStarted })));
    this.#loaded = { ...this.#loaded, indexSet };
    this.#changed();
  }

  /**
   * Reads and opens one content. `CONTENT_NOT_FOUND` when no index mentions it; `CONTENT_LOST` when its pack is gone, even
   * for an index read anew; `CONTENT_CORRUPT`.
   */
  async readContent(id: ContentId, signal: AbortSignal): Promise<Uint8Array> {
    await this.refreshIfStale(signal);
    const entry = this.find(id);
    if (entry === undefined) throw contentNotFound(id);
    try {
      return await this.#readEntry(entry, signal);
    } catch (error) {
      if (!hasCode(error, 'CONTENT_LOST')) throw error;
      // Maintenance may have moved it to another pack.
      await this.refresh(signal);
      const again = this.find(id);
      if (again === undefined) throw contentNotFound(id);
      if (again.packId === entry.packId && again.packOffset === entry.packOffset) throw error;
      return await this.#readEntry(again, signal);
    }
  }

  async #readEntry(entry: IndexEntry, signal: AbortSignal): Promise<Uint8Array> {
    const { storage, packs } = this.#deps;
    if (packs === undefined) return this.#readFrom(storage, entry, signal);
    try {
      return await this.#readFrom(packs, entry, signal);
    } catch (error) {
      if (!hasCode(error, 'CONTENT_CORRUPT') && !hasCode(error, 'CONTENT_LOST')) throw error;
      await packs.forget(entry.packId);
      return await this.#readFrom(storage, entry, signal);
    }
  }

  async #readFrom(from: PackReader, entry: IndexEntry, signal: AbortSignal): Promise<Uint8Array> {
    const { cipher } = this.#deps;
    const range = { offset: entry.packOffset, length: entry.packedLength };
    let sealed: Uint8Array;
    try {
      sealed = await from.getBlob(entry.packId, range, signal);
    } catch (error) {
      if (hasCode(error, 'BLOB_NOT_FOUND') || hasCode(error, 'BLOB_INVALID_RANGE')) throw contentLost(entry, error);
      throw error;
    }
    return openContent(cipher, entry, sealed);
  }

  /** The last look is too long ago. */
  get isStale(): boolean {
    const ageMs = this.#deps.clock.nowMs() - this.#loaded.loadedAtMs;
    // A clock that was set back tells nothing about the age.
    return ageMs < 0 || ageMs > INDEX_REFRESH_MS;
  }

  #changed(): void {
    this.#revision++;
    this.#listener();
  }
}
