// Merges index blobs into few, in bounded memory: one shard of the result at a time, and from the inputs only what falls
// into it. An entry's shard follows from its content id alone, so all entries of a content meet in one shard, and shards
// are as uniform as hashes are (repository format §7.3, §7.5).
import { WindlassError } from '../../base/errors.ts';
import type { BlobMetadata } from '../blob/storage.ts';
import type { IndexEntry } from '../index/entry.ts';
import { IndexBuilder } from '../index/index-builder.ts';
import { PackNumbers } from '../index/pack-numbers.ts';
import { parseIndex } from '../index/parse-index.ts';
import type { ParsedIndex } from '../index/parsed-index.ts';
import { RowImporter } from '../index/row-importer.ts';
import { releaseBytes } from '../index/row-store.ts';
import type { IndexSource } from './index-source.ts';

export interface MergeOptions {
  readonly indexVersion: 1 | 2;
  /** 32 random bytes at the end of a shard, for names that differ; none for epochs. */
  readonly tail?: () => Uint8Array;
  /** Entries that the result is to do without. */
  readonly drop?: (winner: IndexEntry) => boolean;
  readonly maxShardEntries: number;
}

export interface MergedShard {
  /** An index in plain; released when the next shard is asked for. */
  readonly bytes: Uint8Array;
  /** How many there are in all. */
  readonly shardCount: number;
}

/** Every shard repeats the names of nearly all packs, so there are no more shards than memory asks for. */
const MAX_SHARD_ENTRIES = 1 << 21;
const MIN_SHARD_ENTRIES = 1 << 16;
/** The process without any index, and what collections leave lying about. */
const BASE_BYTES = 160 << 20;
/** While a shard is gathered, sorted, encoded and sealed. */
const BYTES_PER_ENTRY = 150;

/** How many entries a shard may have beside `loadedBytes` of indexes that are in memory anyway. */
export function shardEntriesWithin(memoryLimitBytes: number | undefined, loadedBytes: number): number {
  if (memoryLimitBytes === undefined) return MAX_SHARD_ENTRIES;
  const entries = Math.floor((memoryLimitBytes - BASE_BYTES - loadedBytes) / BYTES_PER_ENTRY);
  return Math.min(Math.max(entries, MIN_SHARD_ENTRIES), MAX_SHARD_ENTRIES);
}

/** Of either end of a key. */
const SHARD_BYTES = 4;

// After so many rows whoever waits on this thread (a signal, a timer) gets a turn.
const ROWS_PER_TURN = 1 << 16;

/** Yields shard after shard; none when there is no entry. `INDEX_CORRUPT`, `BLOB_NOT_FOUND` by the source. */
export async function* mergeIndexBlobs(
  inputs: readonly BlobMetadata[],
  source: IndexSource,
  options: MergeOptions,
  signal: AbortSignal,
): AsyncGenerator<MergedShard, void, void> {
  const { shards, of } = await occupiedShards(inputs, source, options.maxShardEntries, signal);
  const numbers = new PackNumbers();
  // What is dropped may leave a shard empty: then the count is known only when all are built.
  const shardCount = shards.length;
  for (const shard of shards) {
    const bytes = await buildShard(inputs, source, { shard, of }, options, numbers, signal);
    if (bytes === undefined) continue;
    yield { bytes, shardCount };
    releaseBytes(bytes);
  }
}

/** Which of `of` shards have entries. One for few entries, so that small compactions make one blob. */
async function occupiedShards(
  inputs: readonly BlobMetadata[],
  source: IndexSource,
  maxShardEntries: number,
  signal: AbortSignal,
): Promise<{ readonly shards: readonly number[]; readonly of: number }> {
  let rows = 0;
  for (const blob of inputs) {
    signal.throwIfAborted();
    rows += (await source(blob, signal)).entryCount;
  }
  if (rows === 0) return { shards: [], of: 1 };
  const of = Math.ceil(rows / maxShardEntries);
  if (of === 1) return { shards: [0], of };
  const seen = new Set<number>();
  for (const blob of inputs) {
    if (seen.size === of) break;
    signal.throwIfAborted();
    const index = await source(blob, signal);
    for (let entry = 0; entry < index.entryCount && seen.size < of; entry++) seen.add(shardOf(index, entry, of));
  }
  return { shards: [...seen].toSorted((a, b) => a - b), of };
}

/**
 * HOT. From the first and last bytes of the key, which are those of a hash: as uniform as Kopia's hash of the id's text, and
 * ten times cheaper. Readers ask every shard anyway.
 */
function shardOf(index: ParsedIndex, entry: number, of: number): number {
  if (of === 1) return 0;
  const { bytes, keySize } = index;
  const at = index.keyOffset(entry);
  const count = Math.min(SHARD_BYTES, keySize - 1);
  let mixed = bytes[at] ?? 0;
  for (let i = 1; i <= count; i++) {
    mixed = Math.imul(mixed, 257) ^ (bytes[at + i] ?? 0) ^ (bytes[at + keySize - i] ?? 0);
  }
  return (mixed >>> 0) % of;
}

async function buildShard(
  inputs: readonly BlobMetadata[],
  source: IndexSource,
  wanted: { readonly shard: number; readonly of: number },
  options: MergeOptions,
  numbers: PackNumbers,
  signal: AbortSignal,
): Promise<Uint8Array | undefined> {
  const builder = new IndexBuilder();
  const importer = new RowImporter(builder, numbers);
  await eachRow(inputs, source, wanted, signal, (index, row, key) => importer.add(index, row, key));
  const build = (from: IndexBuilder): Uint8Array | undefined => {
    const tail = options.tail?.();
    const built = from.build({
      version: options.indexVersion,
      maxShardEntries: Number.POSITIVE_INFINITY,
      ...(tail === undefined ? {} : { tail }),
    });
    from.release();
    return built[0];
  };
  const merged = build(builder);
  if (merged === undefined) return undefined;
  const index = parseIndex(merged);
  await requireWhole(index, inputs, source, wanted, numbers, signal);
  return options.drop === undefined ? merged : build(without(index, options.drop));
}

function without(index: ParsedIndex, drop: (winner: IndexEntry) => boolean): IndexBuilder {
  const kept = new IndexBuilder();
  for (const entry of index.iterate()) if (!drop(entry)) kept.addEntry(entry);
  return kept;
}

/**
 * The inputs will be deleted for the sake of this index, so it is looked at before it is stored: every entry of theirs must
 * be in it or have a greater one there. `INTERNAL` otherwise.
 */
async function requireWhole(
  merged: ParsedIndex,
  inputs: readonly BlobMetadata[],
  source: IndexSource,
  wanted: { readonly shard: number; readonly of: number },
  numbers: PackNumbers,
  signal: AbortSignal,
): Promise<void> {
  // As `compareEntries`, with names only where numbers of packs differ.
  const isThere = (found: number, index: ParsedIndex, row: number): boolean => {
    const later = merged.timestampAt(found) - index.timestampAt(row);
    if (later !== 0) return later > 0;
    const deleted = merged.isDeletedAt(found);
    if (deleted !== index.isDeletedAt(row)) return !deleted;
    const pack = numbers.numberOf(merged, found);
    const wantedPack = numbers.numberOf(index, row);
    return pack === wantedPack || numbers.nameOf(pack) > numbers.nameOf(wantedPack);
  };
  await eachRow(inputs, source, wanted, signal, (index, row, key) => {
    const found = merged.find(key);
    if (found >= 0 && isThere(found, index, row)) return;
    throw new WindlassError('a merged index lacks an entry of its inputs', { code: 'INTERNAL' });
  });
}

async function eachRow(
  inputs: readonly BlobMetadata[],
  source: IndexSource,
  { shard, of }: { readonly shard: number; readonly of: number },
  signal: AbortSignal,
  visit: (index: ParsedIndex, row: number, key: Uint8Array) => void,
): Promise<void> {
  for (const blob of inputs) {
    signal.throwIfAborted();
    const index = await source(blob, signal);
    // One for all rows: a view for each would be two million small objects.
    const key = new Uint8Array(index.keySize);
    for (let row = 0; row < index.entryCount; row++) {
      if (row % ROWS_PER_TURN === ROWS_PER_TURN - 1) await turn(signal);
      if (shardOf(index, row, of) !== shard) continue;
      const at = index.keyOffset(row);
      for (let i = 0; i < key.length; i++) key[i] = index.bytes[at + i] ?? 0;
      visit(index, row, key);
    }
  }
}

/** Lets timers and signals in. */
async function turn(signal: AbortSignal): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
  signal.throwIfAborted();
}
