// Reads many contents of a repository, a range of a pack at a time: neighbours are fetched together, several ranges ahead of
// whoever takes the contents. So a store far away costs a request for some megabytes, not one for each content.
import { hasCode } from '../../base/errors.ts';
import type { BlobStorage } from '../blob/storage.ts';
import { contentLost } from '../content/content-errors.ts';
import type { IndexEntry } from '../index/entry.ts';

/** Bytes of one request; a longer content gets its own. */
const MAX_RANGE_BYTES = 2 << 20;
/** Bytes nobody wants that are cheaper to fetch than another request. */
const MAX_GAP_BYTES = 64 << 10;
// Enough to hide a network's latency; with ranges of 2 MiB, 16 MiB at most are held.
const RANGES_AHEAD = 8;

interface PackRange {
  readonly entries: IndexEntry[];
  readonly offset: number;
  end: number;
}

/**
 * Calls `onContent` with the sealed bytes of each entry, in the order given, one after the other; the bytes are good until it
 * resolves. Entries should be sorted with {@link compareByPlace}. `CONTENT_LOST` when a pack is gone.
 */
export async function readContents(
  entries: Iterable<IndexEntry>,
  storage: BlobStorage,
  onContent: (entry: IndexEntry, sealed: Uint8Array) => Promise<void> | void,
  signal: AbortSignal,
): Promise<void> {
  const ranges = rangesOf(entries);
  const ahead: { readonly range: PackRange; readonly bytes: Promise<Uint8Array> }[] = [];
  const fill = (): void => {
    while (ahead.length < RANGES_AHEAD) {
      const next = ranges.next();
      if (next.done === true) return;
      const bytes = fetchRange(next.value, storage, signal);
      bytes.catch(() => undefined); // reported when its turn comes, or another failure came first
      ahead.push({ range: next.value, bytes });
    }
  };
  fill();
  for (let next = ahead.shift(); next !== undefined; next = ahead.shift()) {
    const { range } = next;
    const bytes = await next.bytes;
    fill();
    for (const entry of range.entries) {
      signal.throwIfAborted();
      const at = entry.packOffset - range.offset;
      await onContent(entry, bytes.subarray(at, at + entry.packedLength));
    }
  }
}

/** By pack, then by offset. */
export function compareByPlace(a: IndexEntry, b: IndexEntry): number {
  if (a.packId !== b.packId) return a.packId < b.packId ? -1 : 1;
  return a.packOffset - b.packOffset;
}

function* rangesOf(entries: Iterable<IndexEntry>): Generator<PackRange, undefined> {
  let range: PackRange | undefined;
  for (const entry of entries) {
    const end = entry.packOffset + entry.packedLength;
    if (range !== undefined && isJoined(range, entry)) {
      range.entries.push(entry);
      range.end = Math.max(range.end, end);
      continue;
    }
    if (range !== undefined) yield range;
    range = { entries: [entry], offset: entry.packOffset, end };
  }
  if (range !== undefined) yield range;
}

function isJoined(range: PackRange, { packId, packOffset, packedLength }: IndexEntry): boolean {
  return (
    range.entries[0]?.packId === packId &&
    packOffset >= range.offset &&
    packOffset - range.end <= MAX_GAP_BYTES &&
    packOffset + packedLength - range.offset <= MAX_RANGE_BYTES
  );
}

async function fetchRange(range: PackRange, storage: BlobStorage, signal: AbortSignal): Promise<Uint8Array> {
  const [first] = range.entries;
  if (first === undefined) return new Uint8Array(0);
  try {
    return await storage.getBlob(first.packId, { offset: range.offset, length: range.end - range.offset }, signal);
  } catch (error) {
    if (hasCode(error, 'BLOB_NOT_FOUND') || hasCode(error, 'BLOB_INVALID_RANGE')) throw contentLost(first, error);
    throw error;
  }
}
