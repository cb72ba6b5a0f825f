// Contents whose pack is gone although an index names it. For a backup they are not stored: it stores them again where
// the source still has them (docs/design/0005-lanes-and-packs.md, Lost packs).
//
// An index says so through tombstones of its own, which are never written: each is one second later than the row it hides
// and earlier than the row of the content stored again, here or by anybody else.
import { translateFileError } from '../blob/blob-errors.ts';
import { listBlobNames } from '../blob/filesystem-list.ts';
import type { BlobId, BlobStorage } from '../blob/storage.ts';
import { IndexBuilder } from '../index/index-builder.ts';
import { type IndexSet, LIVE, type LoadedIndex } from '../index/index-set.ts';
import { parseIndex } from '../index/parse-index.ts';
import type { ParsedIndex } from '../index/parsed-index.ts';

/** Calls back with the name of every blob that begins with `prefix`; with others it has no harm. */
export type ListNames = (prefix: string, onName: (id: BlobId) => void, signal: AbortSignal) => Promise<void>;

export interface LostContents {
  /** Packs that hold live contents and do not exist. */
  readonly packs: number;
  /** Of files and directories: these can be stored again. */
  readonly contents: number;
  /** Of snapshots and policies: no backup can bring these back. */
  readonly manifests: number;
}

export const NOTHING_LOST: LostContents = { packs: 0, contents: 0, manifests: 0 };

const PACK_PREFIXES = ['p', 'q'];
const MANIFEST_PREFIX_BYTE = 0x6d; // m

/** Names only where the storage is a folder: one look at every pack would cost more than all else of an unchanged run. */
export function namesLister(storage: BlobStorage): ListNames {
  const rootPath = storage.localFiles?.layout.rootPath;
  if (rootPath !== undefined) {
    return async (prefix, onName, signal) => {
      try {
        await listBlobNames(rootPath, prefix, onName, signal);
      } catch (error) {
        throw translateFileError(error, 'list blobs below', undefined, rootPath);
      }
    };
  }
  return async (prefix, onName, signal) => {
    for await (const { id } of storage.listBlobs(prefix, signal)) onName(id);
  };
}

/**
 * Packs that the indexes name and the list does not have. The list must begin after the indexes were loaded: a pack is
 * there before the first index that names it.
 */
export async function findMissingPacks(
  indexSet: IndexSet,
  listNames: ListNames,
  signal: AbortSignal,
): Promise<Set<BlobId>> {
  const missing = new Set<BlobId>();
  for (const { parsed } of indexSet.indexes) {
    for (const id of parsed.packIds()) if (PACK_PREFIXES.includes(id.charAt(0))) missing.add(id);
  }
  if (missing.size === 0) return missing;
  for (const prefix of PACK_PREFIXES) await listNames(prefix, (id) => missing.delete(id), signal);
  return missing;
}

/** What is lost with these packs, and the tombstones that hide it. Rows that a later one replaces lose nothing. */
export function hideContents(
  indexSet: IndexSet,
  missing: ReadonlySet<BlobId>,
): { lost: LostContents; tombstones: LoadedIndex[] } {
  const builder = new IndexBuilder();
  const packs = new Set<BlobId>();
  const manifests = new Set<string>();
  for (const { parsed } of indexSet.indexes) {
    if (missing.size === 0 || !namesAny(parsed, missing)) continue;
    for (let number = 0; number < parsed.entryCount; number++) {
      if (parsed.isDeletedAt(number) || !missing.has(parsed.packIdAt(number))) continue;
      const key = parsed.keyAt(number);
      const winner = indexSet.state(key) === LIVE ? indexSet.find(key) : undefined;
      if (winner === undefined || !missing.has(winner.packId)) continue;
      packs.add(winner.packId);
      if (key[0] === MANIFEST_PREFIX_BYTE) manifests.add(winner.id);
      else builder.addEntry({ ...winner, deleted: true, timestampSeconds: winner.timestampSeconds + 1 });
    }
  }
  const tombstones = builder
    .build({ version: 2 })
    .map((bytes, shard) => ({ blobId: `lost${shard}` as BlobId, parsed: parseIndex(bytes) }));
  const contents = tombstones.reduce((sum, { parsed }) => sum + parsed.entryCount, 0);
  return { lost: { packs: packs.size, contents, manifests: manifests.size }, tombstones };
}

function namesAny(parsed: ParsedIndex, packs: ReadonlySet<BlobId>): boolean {
  for (const id of parsed.packIds()) if (packs.has(id)) return true;
  return false;
}
