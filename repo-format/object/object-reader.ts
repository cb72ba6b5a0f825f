// Reads objects back: any range, through any levels of indirection, holding one piece and the lists of pieces on the way
// (snapshots §2.6). Lists come from storage: every length is checked before it is believed.
import { WindlassError, hasCode } from '../../base/errors.ts';
import { decompress } from '../compression/compressor.ts';
import type { ContentId } from '../index/content-id.ts';
import { type IndirectEntry, corruptIndex, parseIndirect } from './indirect-object.ts';
import { type ObjectId, indexObjectId, objectIdParts } from './object-id.ts';

/** Contents by id, as the repository and the lanes offer them. `CONTENT_NOT_FOUND` when there is none. */
export interface ContentSource {
  readContent(id: ContentId, signal: AbortSignal): Promise<Uint8Array>;
}

export interface ObjectReadLimits {
  /** The longest index object believed; it is held in memory. 64 MiB list some 600,000 pieces, 2 TB of file. */
  readonly maxIndexBytes?: number;
  /** The longest piece believed, and the longest object `readObject` returns. */
  readonly maxBytes?: number;
}

const DEFAULT_MAX_INDEX_BYTES = 64 << 20;
const DEFAULT_MAX_BYTES = 512 << 20;
// Pieces may be indirect themselves (kopia never writes that). Each level costs a list in memory.
const MAX_DEPTH = 8;

/** A readable object. Not for concurrent reads: the last piece read is kept for the next range. */
export interface ObjectReader {
  readonly length: number;
  /** The bytes [offset, offset + length), cut short at the end of the object. */
  read(offset: number, length: number, signal: AbortSignal): Promise<Uint8Array>;
}

/** Opens an object for reading ranges. Reads the index object of an indirect one, the content of a direct one. */
export async function openObject(
  source: ContentSource,
  id: ObjectId,
  signal: AbortSignal,
  limits: ObjectReadLimits = {},
): Promise<ObjectReader> {
  return openAtDepth(source, id, undefined, signal, { limits, depth: 0 });
}

interface Walk {
  readonly limits: ObjectReadLimits;
  readonly depth: number;
}

async function openAtDepth(
  source: ContentSource,
  id: ObjectId,
  expectedLength: number | undefined,
  signal: AbortSignal,
  walk: Walk,
): Promise<ObjectReader> {
  if (walk.depth > MAX_DEPTH) throw corruptIndex(id, 'it is nested too deeply');
  const indexId = indexObjectId(id);
  if (indexId === undefined) return new DirectReader(await readDirect(source, id, expectedLength, signal, walk.limits));
  const pieces = await loadPieces(source, indexId, signal, walk);
  const reader = new IndirectReader(source, pieces, walk);
  if (expectedLength !== undefined && reader.length !== expectedLength) {
    throw corruptIndex(indexId, `its pieces make ${reader.length} bytes, expected ${expectedLength}`);
  }
  return reader;
}

/** The pieces of an indirect object, from the index object `indexId`. */
async function loadPieces(
  source: ContentSource,
  indexId: ObjectId,
  signal: AbortSignal,
  walk: Walk,
): Promise<IndirectEntry[]> {
  const maxBytes = walk.limits.maxIndexBytes ?? DEFAULT_MAX_INDEX_BYTES;
  const reader = await openAtDepth(source, indexId, undefined, signal, { ...walk, depth: walk.depth + 1 });
  if (reader.length > maxBytes) throw corruptIndex(indexId, `it is ${reader.length} bytes long`);
  return parseIndirect(await reader.read(0, reader.length, signal), indexId);
}

/** The pieces of an object; a direct one is its own only piece. Direct objects are read to learn their length (§2.5). */
export async function objectPieces(
  source: ContentSource,
  id: ObjectId,
  signal: AbortSignal,
  limits: ObjectReadLimits = {},
): Promise<readonly IndirectEntry[]> {
  const indexId = indexObjectId(id);
  if (indexId !== undefined) return loadPieces(source, indexId, signal, { limits, depth: 0 });
  const { length } = await readDirect(source, id, undefined, signal, limits);
  return [{ start: 0, length, objectId: id }];
}

async function readDirect(
  source: ContentSource,
  id: ObjectId,
  expectedLength: number | undefined,
  signal: AbortSignal,
  limits: ObjectReadLimits,
): Promise<Uint8Array> {
  const { contentId, compressed } = objectIdParts(id);
  let bytes: Uint8Array;
  try {
    bytes = await source.readContent(contentId, signal);
  } catch (cause) {
    if (!hasCode(cause, 'CONTENT_NOT_FOUND')) throw cause;
    throw new WindlassError(`object ${id} is not in the repository`, {
      code: 'OBJECT_NOT_FOUND',
      context: { objectId: id },
      cause,
    });
  }
  if (compressed) bytes = decompressObject(id, bytes, expectedLength, limits.maxBytes ?? DEFAULT_MAX_BYTES);
  if (expectedLength !== undefined && bytes.length !== expectedLength) {
    throw new WindlassError(`object ${id} has ${bytes.length} bytes, expected ${expectedLength}`, {
      code: 'OBJECT_CORRUPT',
      context: { objectId: id },
    });
  }
  return bytes;
}

/** A `Z` object: four bytes of compressor id, big-endian, then the compressed stream. */
export function decompressObject(
  id: ObjectId,
  bytes: Uint8Array,
  expectedLength: number | undefined,
  maxBytes: number,
): Uint8Array {
  if (bytes.length < 4) {
    throw new WindlassError(`object ${id} has no compression header`, {
      code: 'OBJECT_CORRUPT',
      context: { objectId: id },
    });
  }
  const header = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(0);
  return decompress(header, bytes.subarray(4), expectedLength, maxBytes);
}

class DirectReader implements ObjectReader {
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get length(): number {
    return this.#bytes.length;
  }

  read(offset: number, length: number): Promise<Uint8Array> {
    return Promise.resolve(this.#bytes.subarray(offset, offset + length));
  }
}

class IndirectReader implements ObjectReader {
  readonly length: number;
  readonly #source: ContentSource;
  readonly #pieces: readonly IndirectEntry[];
  readonly #walk: Walk;
  #open: { readonly piece: IndirectEntry; readonly reader: ObjectReader } | undefined;

  constructor(source: ContentSource, pieces: readonly IndirectEntry[], walk: Walk) {
    this.#source = source;
    this.#pieces = pieces;
    this.#walk = walk;
    const last = pieces.at(-1);
    this.length = last === undefined ? 0 : last.start + last.length;
  }

  async read(offset: number, length: number, signal: AbortSignal): Promise<Uint8Array> {
    const end = Math.min(offset + length, this.length);
    if (offset >= end) return new Uint8Array(0);
    const parts: Uint8Array[] = [];
    let position = offset;
    for (let i = this.#indexAt(offset); position < end; i++) {
      const piece = this.#pieces[i];
      if (piece === undefined) break;
      if (piece.length === 0) continue;
      const reader = await this.#openPiece(piece, signal);
      const part = await reader.read(
        position - piece.start,
        Math.min(end, piece.start + piece.length) - position,
        signal,
      );
      // Copied when more follow, because the next piece may reuse nothing of this one and both would stay in memory.
      parts.push(part);
      position += part.length;
    }
    // One part is a view, as of a direct object. Memory is only taken for bytes that are really there.
    return parts.length === 1 ? (parts[0] ?? new Uint8Array(0)) : concat(parts, position - offset);
  }

  /** Binary search: the last piece that starts at or before `offset`. */
  #indexAt(offset: number): number {
    let low = 0;
    let high = this.#pieces.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((this.#pieces[middle]?.start ?? Infinity) <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  async #openPiece(piece: IndirectEntry, signal: AbortSignal): Promise<ObjectReader> {
    if (this.#open?.piece === piece) return this.#open.reader;
    this.#open = undefined;
    const walk = { ...this.#walk, depth: this.#walk.depth + 1 };
    const reader = await openAtDepth(this.#source, piece.objectId, piece.length, signal, walk);
    this.#open = { piece, reader };
    return reader;
  }
}

function concat(parts: readonly Uint8Array[], length: number): Uint8Array {
  const result = new Uint8Array(length);
  let offset = 0;
  for (const part of parts) {
    result.set(part, offset);
    offset += part.length;
  }
  return result;
}

/** All bytes of an object; for directories, symlinks and other small ones. `OBJECT_TOO_LARGE` past `limits.maxBytes`. */
export async function readObject(
  source: ContentSource,
  id: ObjectId,
  signal: AbortSignal,
  limits: ObjectReadLimits = {},
): Promise<Uint8Array> {
  const reader = await openObject(source, id, signal, limits);
  const maxBytes = limits.maxBytes ?? DEFAULT_MAX_BYTES;
  if (reader.length > maxBytes) {
    throw new WindlassError(`object ${id} has ${reader.length} bytes, more than ${maxBytes}`, {
      code: 'OBJECT_TOO_LARGE',
      context: { objectId: id, length: reader.length },
    });
  }
  return reader.read(0, reader.length, signal);
}

/**
 * Every content that an object is made of, those of its index objects included. Data contents are not read, and may be
 * named more than once; each index object is visited once, so that lists that name each other cost no more than they hold.
 */
export async function* walkObject(
  source: ContentSource,
  id: ObjectId,
  signal: AbortSignal,
  limits: ObjectReadLimits = {},
): AsyncGenerator<ContentId> {
  yield* walkAtDepth(source, id, signal, { limits, depth: 0 }, new Set());
}

async function* walkAtDepth(
  source: ContentSource,
  id: ObjectId,
  signal: AbortSignal,
  walk: Walk,
  visited: Set<ObjectId>,
): AsyncGenerator<ContentId> {
  if (walk.depth > MAX_DEPTH) throw corruptIndex(id, 'it is nested too deeply');
  const indexId = indexObjectId(id);
  if (indexId === undefined) {
    yield objectIdParts(id).contentId;
    return;
  }
  if (visited.has(id)) return;
  visited.add(id);
  const below = { ...walk, depth: walk.depth + 1 };
  yield* walkAtDepth(source, indexId, signal, below, visited);
  for (const piece of await loadPieces(source, indexId, signal, walk)) {
    yield* walkAtDepth(source, piece.objectId, signal, below, visited);
  }
}
