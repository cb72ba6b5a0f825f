// Reads a whole small object without waiting: for worker threads, whose contents are local files (snapshots §2.6).
import { WindlassError } from '../../base/errors.ts';
import type { ContentId } from '../index/content-id.ts';
import { corruptIndex, parseIndirect } from './indirect-object.ts';
import { indexObjectId, type ObjectId, objectIdParts } from './object-id.ts';
import { decompressObject } from './object-reader.ts';

const MAX_DEPTH = 8;
const MAX_BYTES = 512 << 20;

/** All bytes of an object; meant for directories. `OBJECT_TOO_LARGE` past 512 MiB, `OBJECT_CORRUPT` when its list lies. */
export function readObjectSync(readContent: (id: ContentId) => Uint8Array, id: ObjectId): Uint8Array {
  return readAtDepth(readContent, id, undefined, 0);
}

function readAtDepth(
  readContent: (id: ContentId) => Uint8Array,
  id: ObjectId,
  expectedLength: number | undefined,
  depth: number,
): Uint8Array {
  if (depth > MAX_DEPTH) throw corruptIndex(id, 'it is nested too deeply');
  const indexId = indexObjectId(id);
  if (indexId === undefined) {
    const { contentId, compressed } = objectIdParts(id);
    const bytes = readContent(contentId);
    return compressed ? decompressObject(id, bytes, undefined, MAX_BYTES) : bytes;
  }
  const pieces = parseIndirect(readAtDepth(readContent, indexId, undefined, depth + 1), indexId);
  const last = pieces.at(-1);
  const length = last === undefined ? 0 : last.start + last.length;
  // Checked before anything is read, so that lists that name each other cannot multiply.
  if (expectedLength !== undefined && length !== expectedLength) {
    throw corruptIndex(indexId, `its pieces make ${length} bytes, expected ${expectedLength}`);
  }
  if (length > MAX_BYTES) {
    throw new WindlassError(`object ${id} has ${length} bytes, more than ${MAX_BYTES}`, {
      code: 'OBJECT_TOO_LARGE',
      context: { objectId: id, length },
    });
  }
  const whole: Uint8Array[] = [];
  for (const piece of pieces) {
    if (piece.length === 0) continue;
    const bytes = readAtDepth(readContent, piece.objectId, piece.length, depth + 1);
    if (bytes.length !== piece.length)
      throw corruptIndex(indexId, `a piece has ${bytes.length} bytes, expected ${piece.length}`);
    whole.push(bytes);
  }
  return Buffer.concat(whole, length);
}
