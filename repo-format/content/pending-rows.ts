// What the next flush will write to the index: rows of durable packs, and changes to contents that are indexed already.
// Nothing leaves before the index blobs are stored, so a failed flush can be tried again.
import type { BlobId } from '../blob/storage.ts';
import { contentKey, type ContentId } from '../index/content-id.ts';
import { compareEntries, type IndexEntry, nextTimestampSeconds } from '../index/entry.ts';
import { IndexBuilder } from '../index/index-builder.ts';
import { parseIndex } from '../index/parse-index.ts';
import type { ParsedIndex } from '../index/parsed-index.ts';
import { RowImporter } from '../index/row-importer.ts';
import { RowsByKey } from '../index/rows-by-key.ts';

export interface PendingRowsOptions {
  readonly keySize: number;
  readonly indexVersion: 1 | 2;
  /** The repository's, which entries carry. */
  readonly formatVersion: number;
}

export class PendingRows {
  readonly #options: PendingRowsOptions;
  readonly #builder: IndexBuilder;
  /**
   * The newest row of this session for a content of an earlier one, by its number in the builder: collections change a hundred
   * thousand between two flushes, and an entry for each would cost 70 MB.
   */
  readonly #changes: RowsByKey;
  readonly #importer: RowImporter;
  /** Contents of this session that are not wanted any more, since when; their rows may still be on their way. */
  readonly #dropped = new Map<ContentId, number>();
  #packs = 0;
  #stored = 0;

  constructor(options: PendingRowsOptions) {
    this.#options = options;
    this.#builder = new IndexBuilder(options.keySize);
    this.#changes = new RowsByKey(this.#builder);
    this.#importer = new RowImporter(this.#builder);
  }

  get packs(): number {
    return this.#packs;
  }

  get rowCount(): number {
    return this.#builder.rowCount;
  }

  /** Rows of packs, without changes: must match what the set of new contents has promised. */
  get storedRows(): number {
    return this.#stored;
  }

  /** The pack is durable. */
  addPack(packId: BlobId, rows: Uint8Array, rowCount: number): void {
    this.#builder.addRows(rows, this.#builder.addPack(packId), this.#options.formatVersion);
    this.#packs++;
    this.#stored += rowCount;
  }

  /** A row of a pack of another session, as it is. */
  addEntry(entry: IndexEntry): void {
    this.#builder.addEntry(entry);
  }

  isDeleted(id: ContentId): boolean {
    return this.#dropped.has(id) || this.#changeOf(id)?.deleted === true;
  }

  /** Forgets a content written in this session (repository format §7.4): it will be indexed as deleted. */
  drop(id: ContentId, nowSeconds: number): void {
    this.#dropped.set(id, nowSeconds);
  }

  /** Marks an indexed content deleted, where it is. */
  delete(committed: IndexEntry, nowSeconds: number): void {
    const latest = this.#latest(committed);
    if (!latest.deleted) this.#change(latest, true, nowSeconds);
  }

  /** HOT. As {@link delete}, for a live row of an index as it is there; `key` is its key. */
  deleteRow(index: ParsedIndex, entry: number, key: Uint8Array, nowSeconds: number): void {
    if (this.#changes.get(key) >= 0) return this.delete(index.entryAt(entry), nowSeconds);
    this.#changes.set(key, this.#importer.addDeleted(index, entry, key, nowSeconds));
  }

  /** The content was written again after all: takes back what this session did to delete it. */
  revive(id: ContentId, nowSeconds: number): void {
    this.#dropped.delete(id);
    const change = this.#changeOf(id);
    // Its bytes are where they were: not even the deletion has been published.
    if (change?.deleted === true) this.#change(change, false, nowSeconds);
  }

  /** Index blobs' plaintexts; may be called again. */
  build(): Uint8Array[] {
    const version = this.#options.indexVersion;
    const shards = this.#builder.build({ version });
    if (this.#dropped.size === 0) return shards;
    const indexes = shards.map((shard) => parseIndex(shard));
    for (const [id, nowSeconds] of this.#dropped) {
      for (const index of indexes) {
        const number = index.find(contentKey(id));
        if (number < 0) continue;
        const entry = index.entryAt(number);
        if (!entry.deleted) this.#change(entry, true, nowSeconds);
      }
    }
    this.#dropped.clear();
    return this.#builder.build({ version });
  }

  /** Gives the memory back at once; nothing is left to be asked for. */
  release(): void {
    this.#changes.clear();
    this.#builder.release();
  }

  #latest(committed: IndexEntry): IndexEntry {
    const change = this.#changeOf(committed.id);
    return change !== undefined && compareEntries(change, committed) > 0 ? change : committed;
  }

  #change(previous: IndexEntry, deleted: boolean, nowSeconds: number): void {
    const timestampSeconds = nextTimestampSeconds(nowSeconds, previous.timestampSeconds);
    const row = this.#builder.addEntry({ ...previous, deleted, timestampSeconds });
    this.#changes.set(contentKey(previous.id), row);
  }

  #changeOf(id: ContentId): IndexEntry | undefined {
    const row = this.#changes.get(contentKey(id));
    return row < 0 ? undefined : this.#builder.entryOf(row);
  }
}
