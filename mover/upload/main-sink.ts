// Contents that the main thread writes itself during a backup: directories with sub-directories, joined large files.
import type { ChunkSink, ContentId, Repository } from '../../repo-format/index.ts';

export class MainSink implements ChunkSink {
  readonly splitterName: string;
  readonly supportsContentCompression: boolean;
  readonly #contents: Repository['contents'];

  constructor(contents: Repository['contents'], config: { splitter: string; indexVersion: number }) {
    this.#contents = contents;
    this.splitterName = config.splitter;
    this.supportsContentCompression = config.indexVersion >= 2;
  }

  /** The session must have been started. */
  writeContent(prefix: string, chunk: Uint8Array, compressor: string): ContentId {
    return this.#contents.writer.write(prefix, chunk, compressor);
  }
}
