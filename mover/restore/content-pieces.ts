// Where the bytes of an object are: its contents with their places in packs, checked against what the object says.
import { WindlassError } from '../../base/errors.ts';
import {
  type ContentId,
  type IndexEntry,
  type ObjectId,
  type Repository,
  indexObjectId,
  objectIdParts,
  objectPieces,
} from '../../repo-format/index.ts';
import { PieceFlag, type PieceFields } from './window.ts';

/** What finding contents needs of a repository. */
export type ContentFinder = Pick<Repository, 'findContent' | 'readContent'>;

export interface LocatedPiece extends PieceFields {
  readonly fileOffset: number;
}

// Kopia writes one level; the object layer allows a few.
const MAX_LEVELS = 8;

const DIGIT_9 = 0x39;
const LOWER_A = 0x61;

/** True when the object is one content: {@link locateDirect} answers without waiting. */
export function isDirect(id: ObjectId): boolean {
  return indexObjectId(id) === undefined;
}

/** HOT. The only piece of a direct object. `expectedLength` is that of the object, where only the caller knows it. */
export function locateDirect(finder: ContentFinder, id: ObjectId, expectedLength: number): LocatedPiece {
  // Hashes are in lower case: a capital in front is all that tells other ids from plain ones.
  const isPlain = id.charCodeAt(0) >= LOWER_A || id.charCodeAt(0) <= DIGIT_9;
  const { contentId, compressed } = isPlain
    ? { contentId: id as string as ContentId, compressed: false }
    : objectIdParts(id);
  const entry = find(finder, contentId);
  return pieceOf(entry, { fileOffset: 0, length: compressed ? expectedLength : entry.originalLength, compressed });
}

/** All pieces of an indirect object, in order. */
export async function locatePieces(
  finder: ContentFinder,
  id: ObjectId,
  signal: AbortSignal,
  level = 0,
): Promise<LocatedPiece[]> {
  if (level > MAX_LEVELS) throw new WindlassError(`object ${id} is nested too deeply`, { code: 'OBJECT_CORRUPT' });
  const located: LocatedPiece[] = [];
  for (const { start, length, objectId } of await objectPieces(finder, id, signal)) {
    if (!isDirect(objectId)) {
      for (const inner of await locatePieces(finder, objectId, signal, level + 1)) {
        located.push({ ...inner, fileOffset: start + inner.fileOffset });
      }
      continue;
    }
    if (length === 0) continue;
    const { contentId, compressed } = objectIdParts(objectId);
    const entry = find(finder, contentId);
    if (!compressed && entry.originalLength !== length) {
      throw new WindlassError(`content ${contentId} has ${entry.originalLength} bytes, object ${id} says ${length}`, {
        code: 'OBJECT_CORRUPT',
        context: { objectId: id, contentId },
      });
    }
    located.push(pieceOf(entry, { fileOffset: start, length, compressed }));
  }
  return located;
}

function find(finder: ContentFinder, id: ContentId): IndexEntry {
  const entry = finder.findContent(id);
  if (entry !== undefined) return entry;
  throw new WindlassError(`content ${id} is in no index`, { code: 'CONTENT_NOT_FOUND', context: { contentId: id } });
}

function pieceOf(
  entry: IndexEntry,
  place: { readonly fileOffset: number; readonly length: number; readonly compressed: boolean },
): LocatedPiece {
  return {
    packId: entry.packId,
    packOffset: entry.packOffset,
    packedLength: entry.packedLength,
    length: entry.originalLength,
    objectLength: place.length,
    compressionId: entry.compressionId,
    encryptionKeyId: entry.encryptionKeyId,
    flags: place.compressed ? PieceFlag.compressedObject : 0,
    id: entry.id,
    fileOffset: place.fileOffset,
  };
}
