// Packs that no index names. Most are garbage of killed runs and of maintenance; but when an index blob was lost, what it
// named is only known from the packs' own copies of their rows (repository format §6.3). These are read to tell.
//
// Order matters: packs are listed before the session markers, and the indexes are read after both. A session's marker stays
// until its index is there, so a pack without either belongs to nobody who is still at work.
import { errorCode } from '../../base/errors.ts';
import type { BlobId, BlobMetadata, BlobStorage } from '../blob/storage.ts';
import { readLocalIndex } from '../content/pack-recovery.ts';
import type { ContentCipher } from '../crypto/content-cipher.ts';
import { contentKey } from '../index/content-id.ts';
import type { IndexEntry } from '../index/entry.ts';
import { type IndexSet, LIVE } from '../index/index-set.ts';

export interface UnindexedPack {
  readonly packId: BlobId;
  readonly length: number;
  /** Rows of contents that no index knows, or knows only as deleted before they were stored in this pack. */
  readonly missing: readonly IndexEntry[];
  /** Why the pack's own index cannot be read; undefined when it was. */
  readonly unreadable: string | undefined;
}

export interface UnindexedDeps {
  readonly storage: BlobStorage;
  readonly cipher: ContentCipher;
  readonly indexSet: () => IndexSet;
  /**
   * Packs that an index names are looked into as well: of a lost index blob some packs may be named by a later one, which
   * deleted something in them. Absent: no.
   */
  readonly alsoNamed?: boolean;
  /** Reads the indexes anew. */
  readonly refresh: (signal: AbortSignal) => Promise<void>;
}

const PACK_NAME = /^[pq][0-9a-f]{32}(?:-(s[0-9a-f]+))?$/;
/** Nothing is at work longer than that; maintenance goes by the same number (repository format §9.4). */
const SESSION_LIFE_MS = 24 * 3600 * 1000;
/** Enough to hide a network's latency; each holds the end of one pack. */
const PARALLEL_READS = 16;
const MANIFEST_PREFIX = 'm';

export function isManifestRow({ id }: IndexEntry): boolean {
  return id.startsWith(MANIFEST_PREFIX);
}

/** Packs that no index names and no session at work has written, oldest name first. `listed` are all packs. */
export async function* unindexedPacks(
  listed: Iterable<BlobMetadata>,
  deps: UnindexedDeps,
  signal: AbortSignal,
): AsyncGenerator<UnindexedPack> {
  let newestMs = 0;
  let candidates: BlobMetadata[] = [];
  const named = namedPacks(deps.indexSet());
  for (const pack of listed) {
    newestMs = Math.max(newestMs, pack.timestampMs);
    if ((deps.alsoNamed === true || !named.has(pack.id)) && PACK_NAME.test(pack.id)) candidates.push(pack);
  }
  if (candidates.length === 0) return;
  const atWork = new Set<string>();
  for await (const { id, timestampMs } of deps.storage.listBlobs('s', signal)) {
    newestMs = Math.max(newestMs, timestampMs);
    atWork.add(id.slice(id.indexOf('-') + 1));
  }
  await deps.refresh(signal);
  const indexSet = deps.indexSet();
  const namedNow = namedPacks(indexSet);
  // Both times are the store's own: no clock of this machine decides.
  const isAtWork = ({ id, timestampMs }: BlobMetadata): boolean =>
    atWork.has(PACK_NAME.exec(id)?.[1] ?? '') && newestMs - timestampMs < SESSION_LIFE_MS;
  const isWanted = (pack: BlobMetadata): boolean => deps.alsoNamed === true || !namedNow.has(pack.id);
  candidates = candidates.filter((pack) => isWanted(pack) && !isAtWork(pack));
  candidates.sort((a, b) => (a.id < b.id ? -1 : 1));
  for (let at = 0; at < candidates.length; at += PARALLEL_READS) {
    const batch = candidates.slice(at, at + PARALLEL_READS);
    const found = await Promise.all(batch.map((pack) => inspect(pack, indexSet, deps, signal)));
    yield* found.filter((pack) => pack !== undefined);
  }
}

async function inspect(
  { id: packId, length }: BlobMetadata,
  indexSet: IndexSet,
  { storage, cipher }: UnindexedDeps,
  signal: AbortSignal,
): Promise<UnindexedPack | undefined> {
  try {
    const rows = await readLocalIndex(storage, packId, cipher, signal);
    const missing = rows.filter((row) => row.packId === packId && isMissing(row, length, indexSet));
    return { packId, length, missing, unreadable: undefined };
  } catch (error) {
    signal.throwIfAborted();
    const code = errorCode(error) ?? 'UNKNOWN';
    if (code === 'BLOB_NOT_FOUND') return undefined; // maintenance was here
    if (code !== 'PACK_TRAILER_INVALID' && code !== 'PACK_INDEX_CORRUPT') throw error;
    return { packId, length, missing: [], unreadable: code };
  }
}

/** A row that is later than its content's deletion brings it back; one that is earlier was deleted for good reason. */
function isMissing(row: IndexEntry, packLength: number, indexSet: IndexSet): boolean {
  if (row.deleted || row.packOffset + row.packedLength > packLength) return false;
  const key = contentKey(row.id);
  return indexSet.state(key) !== LIVE && row.timestampSeconds >= indexSet.winnerTimestamp(key);
}

function namedPacks(indexSet: IndexSet): Set<BlobId> {
  const named = new Set<BlobId>();
  for (const { parsed } of indexSet.indexes) for (const id of parsed.packIds()) named.add(id);
  return named;
}
