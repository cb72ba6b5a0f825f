// The content writer as the object layer sees it. Large chunks are sealed where they lie in the splitter's window.
import type { ChunkSink, ContentId, ContentWriter, Splitter } from '../../repo-format/index.ts';

export class LaneSink implements ChunkSink {
  readonly splitterName: string;
  readonly supportsContentCompression: boolean;
  readonly #writer: ContentWriter;
  readonly #window: Uint8Array | undefined;

  /**
   * @param splitter whose window most chunks come from; without one nothing is sealed in place
   * @param options `splitterName` is the repository's
   */
  constructor(
    writer: ContentWriter,
    splitter: Splitter | undefined,
    options: { splitterName: string; supportsContentCompression: boolean },
  ) {
    this.#writer = writer;
    this.#window = splitter?.window;
    this.splitterName = options.splitterName;
    this.supportsContentCompression = options.supportsContentCompression;
  }

  writeContent(prefix: string, chunk: Uint8Array, compressor: string): ContentId {
    const buffer = this.#window;
    if (chunk.buffer !== buffer?.buffer) return this.#writer.write(prefix, chunk, compressor);
    const offset = chunk.byteOffset - buffer.byteOffset;
    return this.#writer.write(prefix, chunk, compressor, { buffer, offset, length: chunk.length });
  }
}
