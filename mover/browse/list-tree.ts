// Walks a directory of a snapshot, entry by entry. Holds one parsed directory a level, whatever the size of the tree.
import type { DirectoryEntry, Repository } from '../../repo-format/index.ts';
import { joinPath, readDirectory, type ResolvedEntry } from './resolve-path.ts';

export interface ListOptions {
  /** Also what is in directories within, each right after its directory. */
  readonly recursive: boolean;
  /** Says whether to go into a directory; asked after the directory itself was given out. */
  readonly descend?: (entry: ResolvedEntry) => boolean;
}

/** The entries of a directory, in stored order: directories first, each group by name. A file gives itself. */
export async function* listTree(
  repository: Repository,
  start: ResolvedEntry,
  options: ListOptions,
  signal: AbortSignal,
): AsyncGenerator<ResolvedEntry, void, undefined> {
  if (start.entry.type !== 'd') {
    yield start;
    return;
  }
  const open = async (directory: ResolvedEntry): Promise<Level> => {
    const { entries } = await readDirectory(repository, directory, signal);
    if (options.recursive) {
      for (const { type, objectId } of entries) if (type === 'd' && objectId !== '') repository.wantSoon(objectId);
    }
    return { path: directory.path, entries: entries.values() };
  };
  const levels: Level[] = [await open(start)];
  for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
    signal.throwIfAborted();
    const next = level.entries.next();
    if (next.done === true) {
      levels.pop();
      continue;
    }
    const found: ResolvedEntry = { entry: next.value, path: joinPath(level.path, next.value.name) };
    yield found;
    const goIn = options.recursive && found.entry.type === 'd' && (options.descend?.(found) ?? true);
    if (goIn) levels.push(await open(found));
  }
}

interface Level {
  readonly path: string;
  readonly entries: IterableIterator<DirectoryEntry>;
}
