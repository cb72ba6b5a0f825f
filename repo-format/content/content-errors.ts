// Errors of the content layer that several of its files raise. Corruption and loss name pack, offset and length, so that
// someone can fetch those bytes (`windlass debug blob`).
import { WindlassError } from '../../base/errors.ts';
import type { ContentId } from '../index/content-id.ts';
import type { IndexEntry } from '../index/entry.ts';

function place(entry: IndexEntry): Record<string, string | number> {
  const { id, packId, packOffset, packedLength } = entry;
  return { contentId: id, packId, offset: packOffset, length: packedLength };
}

export function contentNotFound(id: ContentId): WindlassError {
  return new WindlassError(`content ${id} is in no index`, {
    code: 'CONTENT_NOT_FOUND',
    retry: 'after-refresh',
    context: { contentId: id },
  });
}

/** An index names the bytes, but the pack is gone or ends before them. */
export function contentLost(entry: IndexEntry, cause: unknown): WindlassError {
  const { id, packId, packOffset, packedLength } = entry;
  return new WindlassError(
    `content ${id}: pack ${packId} is missing or shorter than offset ${packOffset} + length ${packedLength}`,
    { code: 'CONTENT_LOST', retry: 'after-refresh', context: place(entry), cause },
  );
}

/** The bytes are there, but are not what was stored. */
export function contentCorrupt(entry: IndexEntry, reason: string, cause?: unknown): WindlassError {
  const { id, packId, packOffset, packedLength } = entry;
  return new WindlassError(
    `content ${id} in pack ${packId} at offset ${packOffset}, length ${packedLength}: ${reason}`,
    { code: 'CONTENT_CORRUPT', context: place(entry), cause },
  );
}
