// Turns a stream of bytes into an object: cut, store each piece, list the pieces when there are several (snapshots §2.3).
// Synchronous: it runs on whatever thread the sink lives on. It holds one chunk, in the splitter's own memory.
import { createCompressor } from '../compression/compressor.ts';
import type { PartialHash } from '../hash/partial-hash.ts';
import { type Splitter, createSplitter } from '../splitter/splitter.ts';
import type { ChunkSink } from './chunk-sink.ts';
import { type IndirectEntry, encodeIndirect } from './indirect-object.ts';
import { type ObjectId, directObjectId, indirectObjectId } from './object-id.ts';

export interface ObjectWriterOptions {
  /** '' for file data and symlink targets, `k` for directories. */
  readonly prefix?: string;
  /** For the pieces; 'none' when absent. */
  readonly compressor?: string;
  /** For index objects; `zstd-fastest` when absent. */
  readonly metadataCompressor?: string;
}

export const DEFAULT_METADATA_COMPRESSOR = 'zstd-fastest';

const INDEX_PREFIX = 'x';
// Index objects are cut with the repository's splitter only when longer than its shortest chunk, which is rare: this is
// the read-ahead of the splitter made for that.
const INDEX_READ_AHEAD_BYTES = 64 << 10;
/**
 * A chunk that got so long is hashed while the rest of it is read: what was just read is still in the second-level cache,
 * and the whole chunk never is. A shorter one costs fewer calls in one piece.
 */
const HASH_AHEAD_FROM_BYTES = 512 << 10;
/** Hashed in multiples of this, counted from the start of the chunk: BLAKE3 takes whole subtrees sixteen lanes at a time. */
const HASH_AHEAD_UNIT_BYTES = 64 << 10;
/** Least bytes that `write` takes at a time, where they fit. */
const WRITE_STEP_BYTES = 64 << 10;

/**
 * Reusable: `reset()` starts the next object. Two ways to feed it, which may be mixed: `write(bytes)`, or without a copy,
 * by reading up to `writable` bytes into `splitter.window` at `writeOffset` and calling `advance(count)`.
 */
export class ObjectWriter {
  readonly splitter: Splitter;
  readonly #sink: ChunkSink;
  /** Of the first bytes of the chunk being gathered. Undefined where pieces are hashed by the sink alone. */
  readonly #ahead: PartialHash | undefined;
  #options: Required<ObjectWriterOptions>;
  /** The chunk being gathered is window[0, #end), which holds no cut. */
  #end = 0;
  #pieces: IndirectEntry[] = [];
  #length = 0;

  constructor(sink: ChunkSink, splitter: Splitter, options: ObjectWriterOptions = {}) {
    this.#sink = sink;
    this.splitter = splitter;
    // Where pieces are compressed here, the sink gets other bytes than those of the chunk.
    this.#ahead = sink.supportsContentCompression === false ? undefined : sink.createPartialHash?.();
    this.#options = withDefaults(options);
  }

  /** Bytes of the object so far, gathered ones included. */
  get length(): number {
    return this.#length + this.#end;
  }

  /** Forgets everything and starts a new object. */
  reset(options?: ObjectWriterOptions): void {
    if (options !== undefined) this.#options = withDefaults(options);
    this.#end = 0;
    this.#ahead?.reset();
    this.#pieces = [];
    this.#length = 0;
  }

  /** Where in `splitter.window` the next byte belongs. */
  get writeOffset(): number {
    return this.#end;
  }

  /** Free bytes there: more than the splitter's read-ahead. */
  get writable(): number {
    return this.splitter.window.length - this.#end;
  }

  /** HOT. `count` bytes were put at the write offset: stores each chunk that they complete. */
  advance(count: number): void {
    const { window } = this.splitter;
    let start = 0;
    let scanned = this.#end;
    this.#end += count;
    for (;;) {
      const chunkLength = this.splitter.findCut(start, this.#end, scanned);
      if (chunkLength === 0) break;
      this.#store(start, chunkLength);
      start += chunkLength;
      scanned = 0;
    }
    // At once, while it is little and near: every chunk then lies in the same, smallest part of the window.
    if (start > 0) {
      window.copyWithin(0, start, this.#end);
      this.#end -= start;
    }
    if (this.#ahead !== undefined && this.#end >= HASH_AHEAD_FROM_BYTES) {
      const upTo = this.#end - (this.#end % HASH_AHEAD_UNIT_BYTES);
      if (upTo > this.#ahead.bytes) this.#ahead.update(window.subarray(this.#ahead.bytes, upTo));
    }
  }

  write(bytes: Uint8Array): void {
    const step = Math.max(WRITE_STEP_BYTES, this.splitter.window.length - this.splitter.maxBytes);
    for (let offset = 0; offset < bytes.length;) {
      const count = Math.min(bytes.length - offset, this.writable, step);
      this.splitter.window.set(bytes.subarray(offset, offset + count), this.#end);
      this.advance(count);
      offset += count;
    }
  }

  /** Stores what is left and returns the id of the whole. Without a byte written, one empty content. */
  result(): ObjectId {
    this.#storeRest();
    return writeIndex(this.#sink, this.#pieces, this.#options);
  }

  /** As {@link result}, but lists the pieces and stores no index object: for parts that are joined (§2.5). */
  resultPieces(): readonly IndirectEntry[] {
    this.#storeRest();
    return this.#pieces;
  }

  /** The id of what was stored so far, without the chunk being gathered; undefined when nothing was. */
  checkpoint(): ObjectId | undefined {
    return this.#pieces.length === 0 ? undefined : writeIndex(this.#sink, this.#pieces, this.#options);
  }

  #storeRest(): void {
    if (this.#end === 0 && this.#pieces.length > 0) return;
    this.#store(0, this.#end);
    this.#end = 0;
  }

  #store(start: number, length: number): void {
    const chunk = this.splitter.window.subarray(start, start + length);
    const objectId = writePiece(this.#sink, chunk, this.#options, this.#ahead);
    this.#pieces.push({ start: this.#length, length, objectId });
    this.#length += length;
  }
}

function withDefaults(options: ObjectWriterOptions): Required<ObjectWriterOptions> {
  return {
    prefix: options.prefix ?? '',
    compressor: options.compressor || 'none',
    metadataCompressor: options.metadataCompressor || DEFAULT_METADATA_COMPRESSOR,
  };
}

/** Stores one piece. Where contents cannot note their compression, file data is compressed here (`Z`). */
function writePiece(
  sink: ChunkSink,
  chunk: Uint8Array,
  { prefix, compressor }: Required<ObjectWriterOptions>,
  ahead?: PartialHash,
): ObjectId {
  if (sink.supportsContentCompression !== false) {
    return directObjectId(sink.writeContent(prefix, chunk, compressor, ahead));
  }
  // Pieces with a prefix stay plain in such repositories.
  const packed = prefix === '' && compressor !== 'none' ? createCompressor(compressor).compress(chunk) : null;
  return directObjectId(sink.writeContent(prefix, packed ?? chunk, 'none'), packed !== null);
}

/** One piece is the object itself; several are listed in an index object, which may itself be long. */
function writeIndex(
  sink: ChunkSink,
  pieces: readonly IndirectEntry[],
  options: Required<ObjectWriterOptions>,
): ObjectId {
  const [only] = pieces;
  if (pieces.length === 1 && only !== undefined) return only.objectId;
  return indirectObjectId(
    writeObject(sink, encodeIndirect(pieces), {
      prefix: options.prefix === '' ? INDEX_PREFIX : options.prefix,
      compressor: options.metadataCompressor,
      metadataCompressor: options.metadataCompressor,
    }),
  );
}

/** Stores `bytes` as one object, cut with the repository's splitter. For directories, symlinks and index objects. */
export function writeObject(sink: ChunkSink, bytes: Uint8Array, options: ObjectWriterOptions = {}): ObjectId {
  const complete = withDefaults(options);
  // No splitter cuts before 64 KiB, and only the longest objects need the memory of one.
  if (bytes.length <= shortestCut(sink.splitterName)) return writePiece(sink, bytes, complete);
  const splitter = createSplitter(sink.splitterName || 'FIXED', INDEX_READ_AHEAD_BYTES);
  const writer = new ObjectWriter(sink, splitter, options);
  writer.write(bytes);
  return writer.result();
}

/** The length up to which a splitter never cuts, from its name: half the size of a dynamic one, the size of a fixed one. */
function shortestCut(splitterName: string): number {
  const match = /^(DYNAMIC|FIXED)(?:-([1-9][0-9]*)(K|M))?(?:-|$)/.exec(splitterName || 'FIXED');
  if (match === null) return 0;
  const size = match[2] === undefined ? 4 << 20 : Number(match[2]) << (match[3] === 'K' ? 10 : 20);
  return match[1] === 'FIXED' ? size : size / 2;
}

/** Joins lists of pieces (of the parts of a large file, say) into one index object without reading any data (§2.5). */
export function writeConcatenation(
  sink: ChunkSink,
  parts: readonly (readonly IndirectEntry[])[],
  metadataCompressor: string = DEFAULT_METADATA_COMPRESSOR,
): ObjectId {
  const pieces: IndirectEntry[] = [];
  let start = 0;
  for (const { length, objectId } of parts.flat()) {
    pieces.push({ start, length, objectId });
    start += length;
  }
  return indirectObjectId(
    writeObject(sink, encodeIndirect(pieces), {
      prefix: INDEX_PREFIX,
      compressor: metadataCompressor,
      metadataCompressor,
    }),
  );
}
