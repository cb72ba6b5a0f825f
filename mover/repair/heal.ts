// Heals lost contents from a tree that still has them: every file is cut as a backup cuts it, and the pieces that the
// repository has lost are stored again. No snapshot is made; older ones become whole.
import { createReadStream } from 'node:fs';
import { opendir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type ChunkSink,
  type ContentId,
  createSplitter,
  ObjectWriter,
  type Repository,
} from '../../repo-format/index.ts';

export interface HealReport {
  readonly files: number;
  /** Files that could not be read. */
  readonly unreadable: number;
  readonly contents: number;
}

/** Stored with what the piece would get without a policy: another compressor would not change its id. */
const COMPRESSOR = 'zstd-fastest';
const READ_AHEAD_BYTES = 1 << 20;
const READ_BYTES = 1 << 20;

/**
 * `lost` loses what was found; in a repository that is only read nothing is stored. Links are not followed. Directories are not made anew: they say owners and times, which
 * only a backup of the source itself gets right.
 */
export async function healContents(
  repository: Repository,
  root: string,
  lost: Set<ContentId>,
  signal: AbortSignal,
): Promise<HealReport> {
  const { contents, format } = repository;
  const { splitter, indexVersion } = format.config;
  const { readOnly } = repository;
  if (!readOnly) await contents.startSession(signal);
  let healed = 0;
  const sink: ChunkSink = {
    splitterName: splitter,
    supportsContentCompression: indexVersion >= 2,
    writeContent: (prefix, chunk, compressor) => {
      const id = contents.idOf(prefix, chunk);
      if (!lost.delete(id)) return id;
      healed++;
      return readOnly ? id : contents.writer.write(prefix, chunk, compressor);
    },
  };
  const options = { compressor: indexVersion >= 2 ? COMPRESSOR : 'none' };
  const writer = new ObjectWriter(sink, createSplitter(splitter, READ_AHEAD_BYTES), options);
  let files = 0;
  let unreadable = 0;
  for await (const path of filesBelow(root, () => unreadable++)) {
    signal.throwIfAborted();
    if (lost.size === 0) break;
    try {
      writer.reset(options);
      for await (const piece of createReadStream(path, { highWaterMark: READ_BYTES })) {
        writer.write(piece as Uint8Array);
        if (!readOnly) await contents.storeFullPacks(signal);
      }
      writer.result();
      files++;
    } catch (error) {
      signal.throwIfAborted();
      // Failures of the repository surface at the flush; here it is the file.
      contents.throwIfFailed();
      if (!(error instanceof Error && 'syscall' in error)) throw error;
      unreadable++;
    }
  }
  return { files, unreadable, contents: healed };
}

async function* filesBelow(folder: string, onUnreadable: () => void): AsyncGenerator<string> {
  const pending = [folder];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    try {
      for await (const entry of await opendir(next)) {
        const path = join(next, entry.name);
        if (entry.isDirectory()) pending.push(path);
        else if (entry.isFile()) yield path;
      }
    } catch (error) {
      if (next === folder) throw error;
      onUnreadable();
    }
  }
}
