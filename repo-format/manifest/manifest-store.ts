// The store of labelled JSON documents: snapshots, policies, maintenance settings (snapshots §4). Its state is the merge of
// all live `m` contents, by time. Changes stay in memory until `flush`, and become visible to others with the backend's.
import type { Clock } from '../../base/clock.ts';
import { WindlassError, errorCode, hasCode } from '../../base/errors.ts';
import { toHex } from '../../base/hex.ts';
import type { RandomSource } from '../../base/random.ts';
import type { ContentId } from '../index/content-id.ts';
import {
  MANIFEST_COMPRESSOR,
  MANIFEST_PREFIX,
  encodeManifestContent,
  parseManifestContent,
} from './manifest-content.ts';
import {
  type Labels,
  type ManifestEntry,
  type ManifestId,
  type ManifestMetadata,
  corruptManifest,
  matchesLabels,
} from './manifest-entry.ts';

/** What the store needs of the content layer. */
export interface ManifestBackend {
  /** The live contents with prefix `m`, those written since the last flush included. */
  listManifestContents(signal: AbortSignal): Promise<readonly ContentId[]>;
  /** `CONTENT_NOT_FOUND` when it is gone. */
  readContent(id: ContentId, signal: AbortSignal): Promise<Uint8Array>;
  writeContent(prefix: string, bytes: Uint8Array, compressor: string, signal: AbortSignal): Promise<ContentId>;
  deleteContent(id: ContentId, signal: AbortSignal): Promise<void>;
  /** Makes everything written and deleted since the last call visible together, in one index blob. */
  flush(signal: AbortSignal): Promise<void>;
  /** Changes whenever the set of live contents may have changed. */
  revision(): number;
  /** Looks for changes by others; called when a listed content has disappeared. */
  refresh?(signal: AbortSignal): Promise<void>;
}

export interface ManifestStoreOptions {
  /** Loading never writes then. */
  readonly readOnly?: boolean;
  /** Loading this many contents merges them into one. */
  readonly compactionThreshold?: number;
  /**
   * Told once of each content that is lost or damaged; what was in it is then missing from every answer, and deletions
   * in it are undone. Without it the first one is thrown. Nothing is merged while something is lost.
   */
  readonly onLost?: ((contentId: ContentId, error: unknown) => void) | undefined;
}

export interface ManifestStoreDeps {
  readonly clock: Clock;
  readonly random: RandomSource;
}

const DEFAULT_COMPACTION_THRESHOLD = 16;
const MANIFEST_ID_BYTES = 16;
const LOAD_PARALLELISM = 8;
// Each time round, someone else has just compacted: that many in a row means that the index lies.
const MAX_LOAD_ATTEMPTS = 10;

/** Looking again does not bring these back. */
const LOST_CODES: ReadonlySet<string> = new Set(['CONTENT_LOST', 'CONTENT_CORRUPT', 'MANIFEST_CORRUPT']);

/** A document and what is known of it. */
export interface Manifest extends ManifestMetadata {
  /** The document's JSON as written. */
  readonly dataJson: string;
}

export class ManifestStore {
  readonly #backend: ManifestBackend;
  readonly #options: { readonly readOnly: boolean; readonly compactionThreshold: number };
  readonly #onLost: ManifestStoreOptions['onLost'];
  readonly #lost = new Set<ContentId>();
  readonly #deps: ManifestStoreDeps;
  readonly #pending = new Map<ManifestId, ManifestEntry>();
  /** Parsed live contents: a content never changes, so each is read once. */
  #contents = new Map<ContentId, readonly ManifestEntry[]>();
  #committed = new Map<ManifestId, ManifestEntry>();
  #loadedRevision: number | undefined;
  /** The end of the last operation: one at a time touches the state. */
  #queue: Promise<unknown> = Promise.resolve();

  constructor(backend: ManifestBackend, deps: ManifestStoreDeps, options: ManifestStoreOptions = {}) {
    this.#backend = backend;
    this.#deps = deps;
    this.#onLost = options.onLost;
    this.#options = {
      readOnly: options.readOnly ?? false,
      compactionThreshold: options.compactionThreshold ?? DEFAULT_COMPACTION_THRESHOLD,
    };
  }

  /** True while something would be lost without a flush. */
  get hasPending(): boolean {
    return this.#pending.size > 0;
  }

  /** Adds a document; its id is final at once, the document is stored by `flush`. */
  put(labels: Labels, dataJson: string): ManifestId {
    return this.#putAt(labels, dataJson, this.#deps.clock.nowNs());
  }

  #putAt(labels: Labels, dataJson: string, modifiedNs: bigint): ManifestId {
    if (!labels['type']) {
      throw new WindlassError('a manifest needs the label type', { code: 'MANIFEST_INVALID' });
    }
    const id = toHex(this.#deps.random.bytes(MANIFEST_ID_BYTES)) as ManifestId;
    this.#pending.set(id, { id, labels: { ...labels }, modifiedNs, deleted: false, dataJson });
    return id;
  }

  /** `MANIFEST_NOT_FOUND` when there is none, or no more. */
  async get(id: ManifestId, signal: AbortSignal): Promise<Manifest> {
    return this.#exclusive(async () => {
      await this.#load(signal);
      const entry = this.#pending.get(id) ?? this.#committed.get(id);
      const found = entry === undefined ? undefined : asManifest(entry);
      if (found !== undefined) return found;
      throw new WindlassError(`manifest ${id} does not exist`, {
        code: 'MANIFEST_NOT_FOUND',
        context: { manifestId: id },
      });
    });
  }

  /** Every document whose labels include all of `labels`, oldest first. */
  async find(labels: Labels, signal: AbortSignal): Promise<Manifest[]> {
    return this.#exclusive(async () => {
      await this.#load(signal);
      return this.#matching(labels);
    });
  }

  #matching(labels: Labels): Manifest[] {
    const found: Manifest[] = [];
    for (const entry of [...this.#pending.values(), ...this.#committed.values()]) {
      if (entry !== this.#pending.get(entry.id) && this.#pending.has(entry.id)) continue;
      const manifest = matchesLabels(entry.labels, labels) ? asManifest(entry) : undefined;
      if (manifest !== undefined) found.push(manifest);
    }
    return found.sort(byTimeThenId);
  }

  /** Makes `dataJson` the only document with exactly these labels' pairs. */
  async replace(labels: Labels, dataJson: string, signal: AbortSignal): Promise<ManifestId> {
    return this.#exclusive(async () => {
      await this.#load(signal);
      let modifiedNs = this.#deps.clock.nowNs();
      for (const old of this.#matching(labels)) {
        this.#bury(old);
        // Later than what it replaces even when this machine's clock is behind, so that readers prefer it.
        if (old.modifiedNs >= modifiedNs) modifiedNs = old.modifiedNs + 1n;
      }
      return this.#putAt(labels, dataJson, modifiedNs);
    });
  }

  /** Deletes; deleting a missing document is success. */
  async delete(id: ManifestId, signal: AbortSignal): Promise<void> {
    return this.#exclusive(async () => {
      await this.#load(signal);
      const entry = this.#pending.get(id) ?? this.#committed.get(id);
      if (entry !== undefined && !entry.deleted) this.#bury(entry);
    });
  }

  /** A tombstone counts only when it is later than the document, whatever the clocks say (snapshots §4.4). */
  #bury(entry: Pick<ManifestEntry, 'id' | 'modifiedNs'>): void {
    const now = this.#deps.clock.nowNs();
    const modifiedNs = now > entry.modifiedNs ? now : entry.modifiedNs + 1n;
    this.#pending.set(entry.id, { id: entry.id, labels: null, modifiedNs, deleted: true, dataJson: 'null' });
  }

  /** Writes pending changes as one content. They are visible to others after the backend's own flush. */
  async flush(signal: AbortSignal): Promise<void> {
    return this.#exclusive(async () => {
      if (this.#pending.size === 0) return;
      const entries = [...this.#pending.values()];
      const contentId = await this.#write(entries, signal);
      this.#contents.set(contentId, entries);
      for (const entry of entries) {
        if (this.#pending.get(entry.id) === entry) this.#pending.delete(entry.id);
      }
      this.#merge();
    });
  }

  /** Merges all contents into one and flushes the backend. Does nothing with fewer than two. */
  async compact(signal: AbortSignal): Promise<void> {
    return this.#exclusive(async () => {
      await this.#load(signal);
      await this.#compact(signal);
    });
  }

  async #compact(signal: AbortSignal): Promise<void> {
    if (this.#contents.size < 2 || this.#lost.size > 0) return;
    const old = [...this.#contents.keys()];
    const entries = [...this.#committed.values()];
    // When nothing is left, nothing is written.
    const contentId = entries.length === 0 ? undefined : await this.#write(entries, signal);
    for (const id of old) {
      if (id !== contentId) await this.#backend.deleteContent(id, signal);
    }
    await this.#backend.flush(signal);
    this.#contents = new Map(contentId === undefined ? [] : [[contentId, entries]]);
    this.#loadedRevision = this.#backend.revision();
  }

  #write(entries: readonly ManifestEntry[], signal: AbortSignal): Promise<ContentId> {
    return this.#backend.writeContent(MANIFEST_PREFIX, encodeManifestContent(entries), MANIFEST_COMPRESSOR, signal);
  }

  /** Brings the committed state up to date when the backend says that it may have changed. */
  async #load(signal: AbortSignal): Promise<void> {
    const revision = this.#backend.revision();
    if (this.#loadedRevision === revision) return;
    await this.#loadContents(signal);
    this.#merge();
    this.#loadedRevision = revision;
    if (!this.#options.readOnly && this.#contents.size >= this.#options.compactionThreshold)
      await this.#compact(signal);
  }

  async #loadContents(signal: AbortSignal): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        this.#contents = await this.#readContents(signal);
        return;
      } catch (error) {
        // Another client compacted between the listing and the reading: the list is out of date.
        if (!hasCode(error, 'CONTENT_NOT_FOUND') || attempt === MAX_LOAD_ATTEMPTS) throw error;
        await this.#backend.refresh?.(signal);
      }
    }
  }

  async #readContents(signal: AbortSignal): Promise<Map<ContentId, readonly ManifestEntry[]>> {
    const ids = [...(await this.#backend.listManifestContents(signal))];
    const result = new Map<ContentId, readonly ManifestEntry[]>();
    const next = ids.values();
    const readers = Array.from({ length: Math.min(LOAD_PARALLELISM, ids.length) }, async () => {
      for (const id of next) result.set(id, this.#contents.get(id) ?? (await this.#readContent(id, signal)));
    });
    await Promise.all(readers);
    return result;
  }

  async #readContent(id: ContentId, signal: AbortSignal): Promise<readonly ManifestEntry[]> {
    try {
      return await this.#readWhole(id, signal);
    } catch (error) {
      if (this.#onLost === undefined || !LOST_CODES.has(errorCode(error) ?? '')) throw error;
      if (!this.#lost.has(id)) this.#onLost(id, error);
      this.#lost.add(id);
      return [];
    }
  }

  async #readWhole(id: ContentId, signal: AbortSignal): Promise<readonly ManifestEntry[]> {
    const bytes = await this.#backend.readContent(id, signal);
    try {
      return parseManifestContent(bytes);
    } catch (cause) {
      throw corruptManifest(`content ${id} is malformed`, cause);
    }
  }

  /** An entry replaces another only when it is strictly later; then tombstones go (snapshots §4.3). */
  #merge(): void {
    const merged = new Map<ManifestId, ManifestEntry>();
    for (const entries of this.#contents.values()) {
      for (const entry of entries) {
        const present = merged.get(entry.id);
        if (present === undefined || entry.modifiedNs > present.modifiedNs) merged.set(entry.id, entry);
      }
    }
    for (const entry of merged.values()) {
      if (entry.deleted) merged.delete(entry.id);
    }
    this.#committed = merged;
  }

  /** Runs operations one after the other, whether or not callers wait for them. */
  async #exclusive<T>(operation: () => Promise<T>): Promise<T> {
    const before = this.#queue;
    const { promise, resolve } = Promise.withResolvers<undefined>();
    this.#queue = promise;
    await before;
    try {
      return await operation();
    } finally {
      resolve(undefined);
    }
  }
}

function asManifest(entry: ManifestEntry): Manifest | undefined {
  if (entry.deleted) return undefined;
  return {
    id: entry.id,
    labels: entry.labels ?? {},
    modifiedNs: entry.modifiedNs,
    length: entry.dataJson.length,
    dataJson: entry.dataJson,
  };
}

function byTimeThenId(a: Manifest, b: Manifest): number {
  if (a.modifiedNs !== b.modifiedNs) return a.modifiedNs < b.modifiedNs ? -1 : 1;
  return a.id < b.id ? -1 : 1;
}
