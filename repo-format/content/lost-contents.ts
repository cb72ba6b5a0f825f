// Contents that are gone although an index names them: their pack is missing, or ends before them. For a backup they are not stored: it stores them again where
// the source still has them (docs/design/0005-lanes-and-packs.md, Lost packs).
//
// An index says so through tombstones of its own, which are never written: each is one second later than the row it hides
// and earlier than the row of the content stored again, here or by anybody else.
import { statSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { translateFileError } from '../blob/blob-errors.ts';
import type { BlobId, BlobStorage } from '../blob/storage.ts';
import type { IndexEntry } from '../index/entry.ts';
import { IndexBuilder } from '../index/index-builder.ts';
import { DELETED, type IndexSet, LIVE, type LoadedIndex } from '../index/index-set.ts';
import { parseIndex } from '../index/parse-index.ts';
import type { ParsedIndex } from '../index/parsed-index.ts';

/**
 * Calls back with the length of every pack of `wanted` that is there; others do no harm. It looks after it was called:
 * a pack is there before the first index that names it.
 */
export type PackLengths = (
  wanted: ReadonlyMap<BlobId, number>,
  onPack: (id: BlobId, length: number) => void,
  signal: AbortSignal,
) => Promise<void>;

export interface LostContents {
  /** Packs that held live contents which are gone with them or with their ends. */
  readonly packs: number;
  /** Of files and directories: these can be stored again. */
  readonly contents: number;
  /** Of snapshots and policies: no backup can bring these back. */
  readonly manifests: number;
  /**
   * Contents were lost earlier and taken off the index (`dropLost`), which has not been forgotten: snapshots may still
   * refer to them. Maintenance deletes no pack of which the index shows a row, be it a deleted one.
   */
  readonly wereDropped: boolean;
}

const PACK_PREFIXES = ['p', 'q'];
const MANIFEST_PREFIX = 'm';

/** Files asked about between two looks at the signal. */
const STAT_BATCH = 512;

/**
 * In a folder one look at each pack that is named: 5 µs each, where walking the folders they lie in takes 25 µs a folder
 * and does not tell lengths. Elsewhere the listing has both.
 */
export function packLengths(storage: BlobStorage): PackLengths {
  const { localFiles } = storage;
  if (localFiles === undefined) {
    return async (_wanted, onPack, signal) => {
      const look = async (prefix: string): Promise<void> => {
        for await (const { id, length } of storage.listBlobs(prefix, signal)) onPack(id, length);
      };
      await Promise.all(PACK_PREFIXES.map(look));
    };
  }
  const { rootPath } = localFiles.layout;
  return async (wanted, onPack, signal) => {
    try {
      // A folder that is gone, or is not mounted, has not lost each of its packs.
      statSync(rootPath);
      let asked = 0;
      for (const id of wanted.keys()) {
        const found = statSync(localFiles.pathOf(id), { throwIfNoEntry: false });
        if (found?.isFile() === true) onPack(id, found.size);
        if (++asked % STAT_BATCH === 0) await setImmediate(undefined, { signal });
      }
    } catch (error) {
      signal.throwIfAborted();
      throw translateFileError(error, 'look for packs below', undefined, rootPath);
    }
  };
}

/**
 * Packs that are missing, or shorter than what the indexes name in them; with the bytes that are there.
 */
export async function findDamagedPacks(
  indexSet: IndexSet,
  lengthsOf: PackLengths,
  signal: AbortSignal,
): Promise<Map<BlobId, number>> {
  const ends = new Map<BlobId, number>();
  for (const { parsed } of indexSet.indexes) parsed.addPackEnds(ends);
  for (const id of ends.keys()) if (!PACK_PREFIXES.includes(id.charAt(0))) ends.delete(id);
  const damaged = new Map<BlobId, number>(Array.from(ends.keys(), (id) => [id, 0]));
  if (damaged.size === 0) return damaged;
  const onPack = (id: BlobId, length: number): void => {
    const end = ends.get(id);
    if (end === undefined) return;
    if (length >= end) damaged.delete(id);
    else damaged.set(id, length);
  };
  await lengthsOf(ends, onPack, signal);
  return damaged;
}

/**
 * What is lost in these packs, beyond the bytes that are there, and the tombstones that hide it. Rows that a later one
 * replaces lose nothing.
 */
export function hideContents(
  indexSet: IndexSet,
  damaged: ReadonlyMap<BlobId, number>,
): { lost: LostContents; tombstones: LoadedIndex[] } {
  const builder = new IndexBuilder();
  const packs = new Set<BlobId>();
  const manifests = new Set<string>();
  for (const winner of lostEntries(indexSet, damaged)) {
    packs.add(winner.packId);
    if (isManifest(winner)) manifests.add(winner.id);
    else builder.addEntry({ ...winner, deleted: true, timestampSeconds: winner.timestampSeconds + 1 });
  }
  const tombstones = builder
    .build({ version: 2 })
    .map((bytes, shard) => ({ blobId: `lost${shard}` as BlobId, parsed: parseIndex(bytes) }));
  const contents = tombstones.reduce((sum, { parsed }) => sum + parsed.entryCount, 0);
  const lost = { packs: packs.size, contents, manifests: manifests.size, wereDropped: wereDropped(indexSet, damaged) };
  return { lost, tombstones };
}

/** Live contents, manifests among them, beyond the bytes that are there; one may come more than once. */
export function* lostEntries(indexSet: IndexSet, damaged: ReadonlyMap<BlobId, number>): IterableIterator<IndexEntry> {
  for (const { parsed } of indexSet.indexes) {
    if (damaged.size === 0 || !namesAny(parsed, damaged)) continue;
    for (let number = 0; number < parsed.entryCount; number++) {
      if (parsed.isDeletedAt(number) || !damaged.has(parsed.packIdAt(number))) continue;
      const key = parsed.keyAt(number);
      const winner = indexSet.state(key) === LIVE ? indexSet.find(key) : undefined;
      if (winner !== undefined && isBeyond(winner, damaged)) yield winner;
    }
  }
}

function wereDropped(indexSet: IndexSet, damaged: ReadonlyMap<BlobId, number>): boolean {
  for (const { parsed } of indexSet.indexes) {
    if (damaged.size === 0 || !namesAny(parsed, damaged)) continue;
    for (let number = 0; number < parsed.entryCount; number++) {
      if (!parsed.isDeletedAt(number) || !damaged.has(parsed.packIdAt(number))) continue;
      const key = parsed.keyAt(number);
      const winner = indexSet.state(key) === DELETED ? indexSet.find(key) : undefined;
      if (winner !== undefined && isBeyond(winner, damaged)) return true;
    }
  }
  return false;
}

function isManifest({ id }: IndexEntry): boolean {
  return id.startsWith(MANIFEST_PREFIX);
}

function isBeyond({ packId, packOffset, packedLength }: IndexEntry, damaged: ReadonlyMap<BlobId, number>): boolean {
  const length = damaged.get(packId);
  return length !== undefined && packOffset + packedLength > length;
}

function namesAny(parsed: ParsedIndex, packs: ReadonlyMap<BlobId, number>): boolean {
  for (const id of parsed.packIds()) if (packs.has(id)) return true;
  return false;
}
