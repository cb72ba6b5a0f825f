// The content writer as the object layer sees it. Large chunks are sealed where they lie in the splitter's window.
import type { ChunkSink, ContentId, ContentWriter, Splitter } from '../../repo-format/index.ts';

export class LaneSink implements ChunkSink {
  readonly splitterName: string;
  readonly supportsContentCompression: boolean;
  readonly #writer: ContentWriter;
  readonly #window: Uint8Array;

  /** @param splitter whose window most chunks come from; `splitterName` is the repository's */
  constructor(
    writer: ContentWriter,
    splitter: Splitter,
    options: { splitterName: string; supportsContentCompression: boolean },
  ) {
    this.#writer = writer;
    this.#window = splitter.window;
    this.splitterName = options.splitterName;
    this.supportsContentCompression = options.supportsContentCompression;
  }

  writeContent(prefix: string, chunk: Uint8Array, compressor: string): ContentId {
    if (chunk.buffer !== this.#window.buffer) return this.#writer.write(prefix, chunk, compressor);
    const offset = chunk.byteOffset - this.#window.byteOffset;
    return this.#writer.write(prefix, chunk, compressor, { buffer: this.#window, offset, length: chunk.length });
  }
}
