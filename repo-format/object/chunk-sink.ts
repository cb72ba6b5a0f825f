// Where the object writer puts the pieces of an object: the content layer as seen from above.
import type { PartialHash } from '../hash/partial-hash.ts';
import type { ContentId } from '../index/content-id.ts';

/** Synchronous, so that a worker thread splits, hashes and seals without ever yielding. */
export interface ChunkSink {
  /** The repository's splitter; empty means `FIXED` (very old repositories). Index objects are always cut with it. */
  readonly splitterName: string;
  /**
   * False for repositories with index version 1, which cannot note a compression with a content: file data is then
   * compressed by the object layer (`Z` ids, snapshots §2.3). True when absent.
   */
  readonly supportsContentCompression?: boolean;
  /**
   * Stores a piece unless it is stored already.
   *
   * @param prefix '' for file data, else one letter g–z
   * @param compressor a name of `COMPRESSORS`, or 'none'
   * @param ahead of this sink: holds the hash of the first bytes of `chunk`, unless it is empty. It is empty afterwards.
   */
  writeContent(prefix: string, chunk: Uint8Array, compressor: string, ahead?: PartialHash): ContentId;
  /** Where pieces can be hashed while they are gathered. */
  createPartialHash?(): PartialHash;
}
