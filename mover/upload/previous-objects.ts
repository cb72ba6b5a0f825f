// Which objects of earlier snapshots still serve: kopia's rule (snapshots §5.3), sharpened by what this machine remembers of
// inodes and change times (change-hints.ts).
import {
  type ContentId,
  type EntryExtra,
  indexObjectId,
  type IndexSet,
  type ObjectId,
  objectIdParts,
  parseIndirect,
  PreviousDirectory,
  writeContentKey,
} from '../../repo-format/index.ts';
import { type HintLog, type HintTable, isRacy } from './change-hints.ts';
import { type DirectoryWork, fieldsOf } from './directory-work.ts';
import type { Subdirectory } from './lane-protocol.ts';
import type { ListedEntry } from './listing.ts';

export interface PreviousObjectsDeps {
  /** Reads a directory object of a previous snapshot; throws when it cannot be had. */
  readonly readObject: (id: ObjectId) => Uint8Array;
  readonly indexSet: () => IndexSet;
  /** Contents count as not stored although an earlier snapshot has them: whatever is taken over is looked at whole. */
  readonly packsAreLost: boolean;
  /** What the previous run remembered; undefined when it remembered nothing of this source. */
  readonly hints: HintTable | undefined;
  /** Where this run notes what to remember. */
  readonly hintLog: HintLog | undefined;
  readonly warn: (message: string, error: unknown) => void;
  /** A number in [0, 100): decides on `forceHashPercent`. */
  readonly roll: () => number;
}

/** An object that serves for an entry again. */
export interface PreviousEntry {
  readonly objectId: ObjectId;
  readonly extra: EntryExtra | undefined;
  /** True when inode and change time are those of the last run, and with them attributes and links. */
  readonly isRemembered: boolean;
}

export class PreviousObjects {
  readonly #deps: PreviousObjectsDeps;
  readonly #forceHashPercent: number;
  #key = new Uint8Array(0);
  constructor(forceHashPercent: number, deps: PreviousObjectsDeps) {
    this.#forceHashPercent = forceHashPercent;
    this.#deps = deps;
  }

  /** Directory objects that can be read; one that cannot only costs the reading of files again. */
  load(ids: readonly string[]): PreviousDirectory[] {
    const loaded: PreviousDirectory[] = [];
    for (const id of ids) {
      try {
        loaded.push(PreviousDirectory.parse(this.#deps.readObject(id as ObjectId)));
      } catch (error) {
        this.#deps.warn(`previous directory ${id} cannot be used; its files are read again`, error);
      }
    }
    return loaded;
  }

  /** What earlier snapshots have of a sub-directory. */
  subdirectory({ job, previous }: DirectoryWork, entry: ListedEntry): Pick<Subdirectory, 'previous' | 'primary'> {
    const ids: string[] = [];
    let primary: Subdirectory['primary'];
    for (const directory of previous) {
      const index = findIn(directory, entry);
      const found = index < 0 ? undefined : directory.entry(index);
      if (found?.type !== 'd' || found.objectId === '' || ids.includes(found.objectId)) continue;
      ids.push(found.objectId);
      // The hints are those of the first snapshot, and only along an unbroken line of its directories.
      const isWhole = previous.length === job.previous.length;
      const isPrimary = isWhole && directory === previous[0] && job.primary?.objectId === job.previous[0];
      if (isPrimary && found.summary !== undefined) primary = { objectId: found.objectId, summary: found.summary };
    }
    return { previous: ids, primary };
  }

  /**
   * The object of an entry of which nothing that an lstat tells has changed and whose content is still stored; undefined
   * when it must be read. Notes the entry for the next run. When there is one, the entry is composed in `work`. HOT.
   */
  find(work: DirectoryWork, entry: ListedEntry, type: 'f' | 's'): PreviousEntry | undefined {
    const isRemembered = this.#remember(work, entry);
    // The previous run saw this file, and inode or change time were different.
    if (isRemembered === false) return undefined;
    if (work.previous.length === 0) return undefined;
    const stat = fieldsOf(type, entry.stat, entry.stat.size);
    work.compose(entry.name, stat);
    for (const directory of work.previous) {
      const found =
        entry.rawName === undefined
          ? directory.findUnchanged(entry.name, work.composed, stat)
          : directory.unchangedAt(directory.findRaw(entry.rawName), stat);
      if (found === undefined) continue;
      if (this.#forceHashPercent > 0 && this.#deps.roll() < this.#forceHashPercent) return undefined;
      const { objectId, extra } = found;
      if (this.isStored(objectId)) return { objectId, extra, isRemembered: isRemembered === true };
    }
    return undefined;
  }

  /** True when inode and change time are as the last run saw them, false when not, undefined when it saw nothing. */
  #remember(work: DirectoryWork, entry: ListedEntry): boolean | undefined {
    const { hints, hintLog } = this.#deps;
    if (hintLog !== undefined && !isRacy(entry.stat, work.listedAtMs)) hintLog.add(entry.fingerprint);
    return hints?.has(entry.fingerprint);
  }

  /**
   * The object's first content is in the index and not marked deleted: maintenance has not begun to take it away. Where
   * packs are lost, so is every other of its contents. HOT.
   */
  isStored(objectId: ObjectId): boolean {
    let id = objectId;
    for (let index = indexObjectId(id); index !== undefined; index = indexObjectId(id)) id = index;
    if (this.#deps.indexSet().state(this.#keyOf(firstContent(id))) !== 1) return false;
    return !this.#deps.packsAreLost || this.#hasAllPieces(objectId);
  }

  #hasAllPieces(objectId: ObjectId): boolean {
    const indexId = indexObjectId(objectId);
    if (indexId === undefined) return true;
    try {
      return parseIndirect(this.#deps.readObject(indexId), indexId).every((piece) => this.isStored(piece.objectId));
    } catch (error) {
      this.#deps.warn(`list of pieces ${indexId} cannot be used; its file is read again`, error);
      return false;
    }
  }

  /** In memory that the next call overwrites. */
  #keyOf(id: ContentId): Uint8Array {
    const sizeBytes = 1 + (id.length >> 1);
    if (this.#key.length !== sizeBytes) this.#key = new Uint8Array(sizeBytes);
    writeContentKey(id, this.#key, 0);
    return this.#key;
  }
}

/** Of an object that is no list of pieces. */
function firstContent(id: ObjectId): ContentId {
  // Letters in front that are not part of the content's id are capitals (snapshots §2.1).
  const first = id.charCodeAt(0);
  return (first >= 0x41 && first <= 0x5a ? objectIdParts(id).contentId : id) as string as ContentId;
}

/** The entry's number in a previous directory, or -1. */
function findIn(directory: PreviousDirectory, entry: ListedEntry): number {
  return entry.rawName === undefined ? directory.find(entry.name) : directory.findRaw(entry.rawName);
}
