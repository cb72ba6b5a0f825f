// One row of an index: where a content is, and the order that decides between rows for one content (repository
// format §7.5).
import type { BlobId } from '../blob/storage.ts';
import type { ContentId } from './content-id.ts';

export interface IndexEntry {
  readonly id: ContentId;
  readonly packId: BlobId;
  /** Bytes from the start of the pack. */
  readonly packOffset: number;
  /** Bytes in the pack, sealed. */
  readonly packedLength: number;
  readonly originalLength: number;
  /** 0 when stored as it is. */
  readonly compressionId: number;
  /** The repository's format version when it was written. */
  readonly formatVersion: number;
  /** Always 0 so far. */
  readonly encryptionKeyId: number;
  /** Unix seconds. */
  readonly timestampSeconds: number;
  /** A deleted content stays readable until the watermark passes it. */
  readonly deleted: boolean;
}

/** What decides between two entries of one content. */
export type EntryRank = Pick<IndexEntry, 'timestampSeconds' | 'deleted' | 'packId'>;

/** Positive when `a` beats `b`: later, then not deleted, then the larger pack name. Names are ASCII, so `<` is bytewise. */
export function compareEntries(a: EntryRank, b: EntryRank): number {
  if (a.timestampSeconds !== b.timestampSeconds) return a.timestampSeconds - b.timestampSeconds;
  if (a.deleted !== b.deleted) return a.deleted ? -1 : 1;
  if (a.packId === b.packId) return 0;
  return a.packId > b.packId ? 1 : -1;
}

/** `newTimestamp(previous)` of repository format §7.4: strictly later than the entry it replaces. */
export function nextTimestampSeconds(nowSeconds: number, previousSeconds: number | undefined): number {
  return previousSeconds === undefined ? nowSeconds : Math.max(nowSeconds, previousSeconds + 1);
}
