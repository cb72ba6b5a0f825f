// Turns a stream of bytes into an object: cut, store each piece, list the pieces when there are several (snapshots §2.3).
// Synchronous: it runs on whatever thread the sink lives on. It holds one chunk, in the splitter's own memory.
import { createCompressor } from '../compression/compressor.ts';
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
 * Left free before a chunk, so that a sink can seal it where it lies; as much is free behind it in most cases. Less when
 * the splitter's read-ahead is shorter, so that a chunk of any length still fits.
 */
const HEADROOM_BYTES = 16;

/**
 * Reusable: `reset()` starts the next object. Two ways to feed it, which may be mixed: `write(bytes)`, or without a copy,
 * by reading up to `writable` bytes into `splitter.window` at `writeOffset` and calling `advance(count)`.
 */
export class ObjectWriter {
  readonly splitter: Splitter;
  readonly #sink: ChunkSink;
  readonly #headroom: number;
  #options: Required<ObjectWriterOptions>;
  /** The chunk being gathered is window[#start, #end); its first #scanned bytes hold no cut. */
  #start: number;
  #end: number;
  #scanned = 0;
  #pieces: IndirectEntry[] = [];
  #length = 0;

  constructor(sink: ChunkSink, splitter: Splitter, options: ObjectWriterOptions = {}) {
    this.#sink = sink;
    this.splitter = splitter;
    this.#headroom = Math.min(HEADROOM_BYTES, splitter.window.length - splitter.maxBytes);
    this.#start = this.#headroom;
    this.#end = this.#headroom;
    this.#options = withDefaults(options);
  }

  /** Bytes of the object so far, gathered ones included. */
  get length(): number {
    return this.#length + (this.#end - this.#start);
  }

  /** Forgets everything and starts a new object. */
  reset(options?: ObjectWriterOptions): void {
    if (options !== undefined) this.#options = withDefaults(options);
    this.#start = this.#headroom;
    this.#end = this.#headroom;
    this.#scanned = 0;
    this.#pieces = [];
    this.#length = 0;
  }

  /** Where in `splitter.window` the next byte belongs. Makes room first when less than `wanted` bytes are free. */
  reserve(wanted: number): number {
    if (this.#end + wanted > this.splitter.window.length && this.#start > this.#headroom) {
      this.splitter.window.copyWithin(this.#headroom, this.#start, this.#end);
      this.#end -= this.#start - this.#headroom;
      this.#start = this.#headroom;
    }
    return this.#end;
  }

  /** Free bytes behind `reserve()`'s answer. Never 0 after `reserve(1)`. */
  get writable(): number {
    return this.splitter.window.length - this.#end;
  }

  /** HOT. `count` bytes were put at the reserved offset: stores each chunk that they complete. */
  advance(count: number): void {
    this.#end += count;
    for (;;) {
      const chunkLength = this.splitter.findCut(this.#start, this.#end, this.#scanned);
      if (chunkLength === 0) break;
      this.#store(chunkLength);
    }
    this.#scanned = this.#end - this.#start;
    if (this.#scanned === 0) {
      this.#start = this.#headroom;
      this.#end = this.#headroom;
    }
  }

  write(bytes: Uint8Array): void {
    let offset = 0;
    while (offset < bytes.length) {
      const at = this.reserve(
        Math.min(
          bytes.length - offset,
          Math.max(1, this.splitter.window.length - this.splitter.maxBytes - this.#headroom),
        ),
      );
      const count = Math.min(bytes.length - offset, this.writable);
      this.splitter.window.set(bytes.subarray(offset, offset + count), at);
      this.advance(count);
      offset += count;
    }
  }

  /** Stores what is left and returns the id of the whole. Without a byte written, one empty content. */
  result(): ObjectId {
    if (this.#end > this.#start || this.#pieces.length === 0) this.#store(this.#end - this.#start);
    return writeIndex(this.#sink, this.#pieces, this.#options);
  }

  /** As {@link result}, but lists the pieces and stores no index object: for parts that are joined (§2.5). */
  resultPieces(): readonly IndirectEntry[] {
    if (this.#end > this.#start || this.#pieces.length === 0) this.#store(this.#end - this.#start);
    return this.#pieces;
  }

  /** The id of what was stored so far, without the chunk being gathered; undefined when nothing was. */
  checkpoint(): ObjectId | undefined {
    return this.#pieces.length === 0 ? undefined : writeIndex(this.#sink, this.#pieces, this.#options);
  }

  #store(chunkLength: number): void {
    const chunk = this.splitter.window.subarray(this.#start, this.#start + chunkLength);
    const objectId = writePiece(this.#sink, chunk, this.#options.prefix, this.#options.compressor);
    this.#pieces.push({ start: this.#length, length: chunkLength, objectId });
    this.#length += chunkLength;
    this.#start += chunkLength;
    this.#scanned = 0;
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
function writePiece(sink: ChunkSink, chunk: Uint8Array, prefix: string, compressor: string): ObjectId {
  if (sink.supportsContentCompression !== false) return directObjectId(sink.writeContent(prefix, chunk, compressor));
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
  const { prefix, compressor } = withDefaults(options);
  // No splitter cuts before 64 KiB, and only the longest objects need the memory of one.
  if (bytes.length <= shortestCut(sink.splitterName)) return writePiece(sink, bytes, prefix, compressor);
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
