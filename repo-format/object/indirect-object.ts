// The index object: a JSON list of the pieces of a long object (snapshots §2.4).
import { WindlassError } from '../../base/errors.ts';
import { type ObjectId, isObjectId, parseObjectId } from './object-id.ts';

/** One piece: bytes [start, start + length) of the object are the object `objectId`. */
export interface IndirectEntry {
  readonly start: number;
  readonly length: number;
  readonly objectId: ObjectId;
}

const STREAM = 'kopia:indirect';

/** The bytes of an index object; zero starts and lengths are left out, and a newline ends it. */
export function encodeIndirect(entries: readonly IndirectEntry[]): Uint8Array {
  const parts = entries.map(({ start, length, objectId }) => {
    const from = start === 0 ? '' : `"s":${start},`;
    const size = length === 0 ? '' : `"l":${length},`;
    return `{${from}${size}"o":"${objectId}"}`;
  });
  return Buffer.from(`{"stream":"${STREAM}","entries":[${parts.join(',')}]}\n`, 'latin1');
}

/**
 * Reads an index object. Kopia ignores the stream's name, so do we. The pieces must follow each other without a gap
 * from 0, and there must be one at least: anything else cannot be read back (snapshots §10 item 9). `OBJECT_CORRUPT`.
 */
export function parseIndirect(bytes: Uint8Array, indexId: ObjectId): IndirectEntry[] {
  let document: unknown;
  try {
    document = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'));
  } catch (cause) {
    throw corruptIndex(indexId, 'it is not JSON', cause);
  }
  const list =
    typeof document === 'object' && document !== null && 'entries' in document ? document.entries : undefined;
  if (!Array.isArray(list) || list.length === 0) throw corruptIndex(indexId, 'it lists no pieces');
  const entries: IndirectEntry[] = [];
  let position = 0;
  for (const item of list as unknown[]) {
    const entry = parseEntry(item);
    if (entry === undefined) throw corruptIndex(indexId, `piece ${entries.length} is malformed`);
    if (entry.start !== position) throw corruptIndex(indexId, `piece ${entries.length} does not follow the one before`);
    position += entry.length;
    if (!Number.isSafeInteger(position)) throw corruptIndex(indexId, 'its pieces are impossibly long');
    entries.push(entry);
  }
  return entries;
}

function parseEntry(item: unknown): IndirectEntry | undefined {
  if (typeof item !== 'object' || item === null) return undefined;
  const { s = 0, l = 0, o } = item as { s?: unknown; l?: unknown; o?: unknown };
  if (!isCount(s) || !isCount(l) || typeof o !== 'string') return undefined;
  if (isObjectId(o)) return { start: s, length: l, objectId: o };
  try {
    return { start: s, length: l, objectId: parseObjectId(o) };
  } catch {
    // The caller reports which piece it was.
    return undefined;
  }
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

export function corruptIndex(indexId: ObjectId, reason: string, cause?: unknown): WindlassError {
  return new WindlassError(`index object ${indexId} cannot be used: ${reason}`, {
    code: 'OBJECT_CORRUPT',
    context: { objectId: indexId },
    cause,
  });
}
