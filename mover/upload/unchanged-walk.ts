// Finds sub-trees of which nothing changed since the last run: every directory in them has the fingerprint that run noted.
// Such a sub-tree keeps its object; nothing of it is read, parsed or written, neither from the source nor from the
// repository. A walk costs a listing and one `statx` an entry, and stops at the first difference.
import { close, fstat, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, openat, StatRecord } from '../posix/libc.ts';
import { directoryFingerprint, directorySeed, type Fingerprint, type HintLog, type HintTable } from './change-hints.ts';
import { factsOf } from './entry-facts.ts';
import type { EntryFacts } from './lane-protocol.ts';
import { Listing } from './listing.ts';

export interface UnchangedWalkDeps {
  readonly hints: HintTable;
  readonly hintLog: HintLog | undefined;
  readonly nowMs: () => number;
  readonly isOver: () => boolean;
}

/** Deeper trees are walked from further down. Each level holds a descriptor. */
const MAX_DEPTH = 24;
const MAX_KNOWN = 4096;

export class UnchangedWalk {
  readonly #deps: UnchangedWalkDeps;
  readonly #listing = new Listing();
  readonly #self = new StatRecord();
  readonly #fingerprint: Fingerprint = { low: 0, high: 0 };
  /** What became of the directories walked so far; null for those with a difference in or below them. */
  readonly #known = new Map<string, EntryFacts | null>();

  constructor(deps: UnchangedWalkDeps) {
    this.#deps = deps;
  }

  /** Called when a lane begins a turn. What earlier turns found out stays of use, within bounds. */
  begin(): void {
    if (this.#known.size > MAX_KNOWN) this.#known.clear();
  }

  /**
   * The facts of the directory itself when it and everything below it is as the last run saw it, else undefined. Does not
   * look twice at a directory it remembers.
   */
  check(parentFd: number, name: Uint8Array | undefined, path: string, depth = 0): EntryFacts | undefined {
    const known = this.#known.get(path);
    if (known !== undefined) return known ?? undefined;
    if (depth > MAX_DEPTH || this.#deps.isOver()) return undefined;
    const fd = openat(parentFd, name ?? '.', O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) return undefined;
    try {
      const facts = this.#checkOpen(fd, path, depth);
      // Without time left nothing was found out about it.
      if (facts !== undefined || !this.#deps.isOver()) this.#known.set(path, facts ?? null);
      return facts;
    } finally {
      close(fd);
    }
  }

  #checkOpen(fd: number, path: string, depth: number): EntryFacts | undefined {
    const { hints, hintLog } = this.#deps;
    const listing = this.#listing;
    if (fstat(fd, this.#self) < 0) return undefined;
    const seed = directorySeed(path);
    const errno = listing.scan(fd, { seed, withFingerprints: true, nowMs: this.#deps.nowMs() });
    if (errno !== 0 || !listing.isSteady) return undefined;
    directoryFingerprint(seed, listing.count, listing.fingerprint, this.#self, this.#fingerprint);
    if (!hints.has(this.#fingerprint)) return undefined;
    hintLog?.add(this.#fingerprint);
    if (hintLog !== undefined) for (const entry of listing.scanned()) hintLog.add(entry.fingerprint);
    const facts = factsOf(this.#self);
    const below = listing.directoryNames();
    if (below === undefined) return undefined;
    for (const name of below) {
      const childPath = path === '.' ? name : `${path}/${name}`;
      if (this.check(fd, Buffer.from(name, 'utf8'), childPath, depth + 1) === undefined) return undefined;
    }
    return facts;
  }
}
