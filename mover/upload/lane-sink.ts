// The content writer of a lane as the object layer sees it.
import type { ChunkSink, ContentId, ContentWriter, PartialHash } from '../../repo-format/index.ts';

export class LaneSink implements ChunkSink {
  readonly splitterName: string;
  readonly supportsContentCompression: boolean;
  readonly #writer: ContentWriter;

  /** `splitterName` is the repository's. */
  constructor(writer: ContentWriter, options: { splitterName: string; supportsContentCompression: boolean }) {
    this.#writer = writer;
    this.splitterName = options.splitterName;
    this.supportsContentCompression = options.supportsContentCompression;
  }

  writeContent(prefix: string, chunk: Uint8Array, compressor: string, ahead?: PartialHash): ContentId {
    return this.#writer.write(prefix, chunk, compressor, ahead);
  }

  createPartialHash(): PartialHash {
    return this.#writer.createPartialHash();
  }
}
