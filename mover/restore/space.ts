// Is there room? The snapshot's own total answers for nearly all restores at once. Where it says no, a walk over the
// directory objects counts again without what is there already, further hard links, and holes.
import {
  type DirectoryEntry,
  type ObjectId,
  indexObjectId,
  objectPieces,
  parseDirectory,
} from '../../repo-format/index.ts';
import { StatRecord, close, O_DIRECTORY, O_NOFOLLOW, O_RDONLY, openat, statAt } from '../posix/libc.ts';
import { nameKey, nameProblem } from './entry-name.ts';
import { decideExisting } from './existing-entry.ts';
import { type RunContext, type SparseRule, entryName, plannedEntry } from './run-context.ts';

/** What a restore of `root` into `targetFd` will write at most, by what the directory objects say. */
export async function countNeededBytes(run: RunContext, root: DirectoryEntry, targetFd: number): Promise<number> {
  return new SpaceCounter(run).count(root, targetFd, run.leftOut);
}

const NOTHING: ReadonlySet<string> = new Set();

class SpaceCounter {
  readonly #run: RunContext;
  readonly #links = new Set<string>();
  readonly #stat = new StatRecord();

  constructor(run: RunContext) {
    this.#run = run;
  }

  /** @param fd of the directory in the target, -1 when there is none */
  async count(directory: DirectoryEntry, fd: number, leftOut: ReadonlySet<string> = NOTHING): Promise<number> {
    const { readSmallObject, signal } = this.#run;
    signal.throwIfAborted();
    if (directory.objectId === '') return 0;
    let needed = 0;
    const { entries } = parseDirectory(await readSmallObject(directory.objectId, signal));
    for (const entry of entries) {
      const name = entryName(entry);
      if (nameProblem(name) !== undefined || (leftOut.size > 0 && leftOut.has(nameKey(name)))) continue;
      if (entry.type !== 'd') {
        needed += await this.#countFile(entry, name, fd);
        continue;
      }
      const child = fd < 0 ? -1 : openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
      try {
        needed += await this.count(entry, child);
      } finally {
        if (child >= 0) close(child);
      }
    }
    return needed;
  }

  async #countFile(entry: DirectoryEntry, name: Uint8Array, fd: number): Promise<number> {
    const { overwrite, policy, sparse } = this.#run;
    const link = entry.extra?.link;
    if (link !== undefined) {
      const key = `${link}\0${entry.objectId}`;
      if (this.#links.has(key)) return 0;
      this.#links.add(key);
    }
    if (entry.type !== 'f' || entry.size === 0) return 0;
    if (fd >= 0 && statAt(fd, name, this.#stat) >= 0) {
      const decision = decideExisting(this.#stat, plannedEntry(entry, name), overwrite, policy);
      if (decision !== 'replace' && decision !== 'conflict') return 0;
    }
    return isSparse(entry, sparse) ? this.#countDistinct(entry) : entry.size;
  }

  /** Holes are runs of one content: each distinct content counts once. */
  async #countDistinct(entry: DirectoryEntry): Promise<number> {
    const id = entry.objectId as ObjectId;
    if (indexObjectId(id) === undefined) return entry.size;
    const lengths = new Map<string, number>();
    for (const piece of await objectPieces(this.#run.finder, id, this.#run.signal)) {
      lengths.set(piece.objectId, piece.length);
    }
    let total = 0;
    for (const length of lengths.values()) total += length;
    return total;
  }
}

function isSparse(entry: DirectoryEntry, rule: SparseRule): boolean {
  return rule === 'always' || (rule === 'as-stored' && entry.extra?.sparse === true);
}
