// Rebuilds what lost index blobs named from the rows that packs carry of themselves. Deletions that only a lost blob knew of
// come undone, which is harmless: maintenance deletes again what no snapshot needs.
import type { BlobMetadata } from '../blob/storage.ts';
import type { ContentManager } from '../content/content-manager.ts';
import type { IndexEntry } from '../index/entry.ts';
import { IndexBuilder } from '../index/index-builder.ts';
import { parseIndex } from '../index/parse-index.ts';
import { isManifestRow, type UnindexedDeps, unindexedPacks } from './unindexed-packs.ts';

export interface RebuiltIndex {
  /** With contents that no index knew. */
  readonly packs: number;
  readonly bytes: number;
  readonly contents: number;
  readonly manifests: number;
  /** Packs whose own index cannot be read. */
  readonly unreadable: number;
}

/** Looks into every pack; the rows are visible to others after the next flush of `contents` (see `indexRows`). */
export async function rebuildIndex(
  contents: ContentManager,
  listed: Iterable<BlobMetadata>,
  deps: UnindexedDeps,
  signal: AbortSignal,
): Promise<RebuiltIndex> {
  const found = { packs: 0, bytes: 0, manifests: 0, unreadable: 0 };
  const builder = new IndexBuilder();
  for await (const pack of unindexedPacks(listed, { ...deps, alsoNamed: true }, signal)) {
    if (pack.unreadable !== undefined) found.unreadable++;
    if (pack.missing.length === 0) continue;
    found.packs++;
    found.bytes += pack.length;
    for (const row of pack.missing) {
      builder.addEntry(row);
      if (isManifestRow(row)) found.manifests++;
    }
  }
  // Compact, and of several rows for one content the winner.
  const shards = builder.build({ version: 2 }).map((bytes) => parseIndex(bytes));
  const count = shards.reduce((sum, { entryCount }) => sum + entryCount, 0);
  if (count > 0) await contents.indexRows(rowsOf(shards), signal);
  return { ...found, contents: count };
}

function* rowsOf(shards: readonly { iterate(): IterableIterator<IndexEntry> }[]): IterableIterator<IndexEntry> {
  for (const shard of shards) yield* shard.iterate();
}

/**
 * Takes lost contents off the index: from now on they count as not stored, for every client. One second later than what
 * they bury, so that the row of a content that was stored again meanwhile wins.
 */
export async function dropLost(
  contents: ContentManager,
  lost: readonly IndexEntry[],
  signal: AbortSignal,
): Promise<void> {
  const tombstones = lost.map((entry) => ({ ...entry, deleted: true, timestampSeconds: entry.timestampSeconds + 1 }));
  if (tombstones.length > 0) await contents.indexRows(tombstones, signal);
}
