// A large file on its way: it is not stored by the lane that listed it, but later, whole or in parts by several lanes
// (snapshots §5.4). Parts are read at different moments and belong together only when the file stood still all the while;
// if not, all are read again, a bounded number of times.
import type { EntryExtra, EntryFields, IndirectEntry, ObjectId } from '../../repo-format/index.ts';
import type { DirectoryNode } from './directory-node.ts';
import type { EntryFacts, FailedPath, FileJob, FileResult, LargeFile } from './lane-protocol.ts';

/** One part to read, or the whole file when `part` is undefined. */
export interface FileTask {
  readonly file: LateFile;
  readonly partNumber: number;
  readonly part: FileJob['part'];
}

export class LateFile {
  readonly node: DirectoryNode;
  readonly listed: LargeFile;
  readonly path: string;
  /** Of the listing, or of the last reading when the file is read again. */
  facts: EntryFacts;
  /** How often all parts were read again. */
  rounds = 0;
  failed: FailedPath | undefined;
  vanished = false;
  changed = false;
  /** Bytes of all parts. */
  size = 0;
  #partsLeft = 0;
  #parts: (readonly IndirectEntry[])[] = [];
  #stored: NonNullable<FileResult['stored']> | undefined;
  #sparse = false;

  constructor(node: DirectoryNode, listed: LargeFile) {
    this.node = node;
    this.listed = listed;
    this.path = node.pathOf(listed.name);
    this.facts = listed.facts;
  }

  /** What to read; `partBytes` undefined for never in parts. */
  tasks(partBytes: number | undefined): FileTask[] {
    const { size } = this.facts;
    if (partBytes === undefined || size <= partBytes) {
      this.#partsLeft = 1;
      return [{ file: this, partNumber: 0, part: undefined }];
    }
    // N whole parts, then one from N·size to the end, which is empty when the size divides evenly.
    const whole = Math.floor(size / partBytes);
    this.#partsLeft = whole + 1;
    return Array.from({ length: whole + 1 }, (_, i) => {
      const part = { offset: i * partBytes, length: i < whole ? partBytes : undefined };
      return { file: this, partNumber: i, part };
    });
  }

  addPart({ partNumber, part }: FileTask, stored: NonNullable<FileResult['stored']>): void {
    if (part !== undefined) this.#parts[partNumber] = stored.pieces ?? [];
    const moved = this.#stored !== undefined && !sameMoment(this.#stored.facts, stored.facts);
    this.changed ||= stored.changed || moved;
    this.#sparse ||= stored.sparse;
    this.size += stored.size;
    this.#stored = stored;
  }

  /** One part is accounted for, stored or not. True when it was the last. */
  partDone(): boolean {
    this.#partsLeft--;
    return this.#partsLeft === 0;
  }

  get isLost(): boolean {
    return this.failed !== undefined || this.vanished || this.#stored === undefined;
  }

  /** Forgets what was read, to read it all again as it is now. */
  restart(): void {
    this.facts = this.#stored?.facts ?? this.facts;
    this.rounds++;
    this.#parts = [];
    this.#stored = undefined;
    this.changed = false;
    this.#sparse = false;
    this.size = 0;
  }

  /** The entry of a file that is not lost; `join` makes one object of its parts. */
  entry(join: (parts: readonly (readonly IndirectEntry[])[]) => ObjectId): EntryFields {
    const { listed } = this;
    const stored = this.#stored;
    // When the file was read again its facts are those of the accepted reading.
    const facts = stored !== undefined && (stored.rereads > 0 || this.rounds > 0) ? stored.facts : listed.facts;
    const extra: EntryExtra = {
      ...listed.extra,
      ...(this.#sparse ? { sparse: true } : {}),
      ...(this.changed ? { changed: true } : {}),
    };
    return {
      name: listed.name,
      type: 'f',
      mode: facts.mode & 0o7777,
      size: this.size,
      mtimeSeconds: facts.mtimeSeconds,
      mtimeNanos: facts.mtimeNanos,
      uid: facts.uid,
      gid: facts.gid,
      objectId: this.#parts.length > 0 ? join(this.#parts) : ((stored?.objectId ?? '') as ObjectId | ''),
      extra: Object.keys(extra).length === 0 ? undefined : extra,
    };
  }
}

function sameMoment(a: EntryFacts, b: EntryFacts): boolean {
  return (
    a.mtimeSeconds === b.mtimeSeconds &&
    a.mtimeNanos === b.mtimeNanos &&
    a.ctimeSeconds === b.ctimeSeconds &&
    a.ctimeNanos === b.ctimeNanos
  );
}
