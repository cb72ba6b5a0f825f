// Walks the snapshot depth first and turns its entries into rows of the plan. Of the snapshot it holds one directory object
// and the names of child directories on the way from the root; nothing that is read is believed without a check.
import { setImmediate } from 'node:timers/promises';
import { WindlassError, errorCode, isAbortError } from '../../base/errors.ts';
import { type DirectoryEntry, type ObjectId, type ParsedDirectory, parseDirectory } from '../../repo-format/index.ts';
import {
  O_NOFOLLOW,
  O_NONBLOCK,
  O_RDONLY,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  StatRecord,
  close,
  errnoName,
  fstat,
  openat,
  sameFile,
  statAt,
} from '../posix/libc.ts';
import { type LocatedPiece, isDirect, locateDirect, locatePieces } from './content-pieces.ts';
import { type DirectoryTree, type ExistingNames, NO_NAMES, entriesBelow, messageOf } from './directory-tree.ts';
import { nameKey, nameKeyOf, nameProblem } from './entry-name.ts';
import { decideExisting } from './existing-entry.ts';
import type { HardLinks, LinkLeader } from './hard-links.ts';
import { LargeFile } from './large-file.ts';
import {
  type PlannedEntry,
  type RunContext,
  entryName,
  fullCode,
  plannedEntry,
  targetFull,
  throwIfFull,
} from './run-context.ts';
import { removeTree } from './remove-tree.ts';
import type { TargetDirectory } from './target-directory.ts';
import type { RowOptions, WindowDesk } from './window-desk.ts';
import { RowKind } from './window.ts';

/** Directories below directories. Deeper trees are no trees that a file system gave. */
const MAX_DEPTH = 4096;
/** What an arena must hold at once. The kernel takes no attribute list near it. */
const MAX_XATTR_BYTES = 256 << 10;
const E2BIG = 7;

const RUN_ENDING: ReadonlySet<string> = new Set(['LANE_FAILED', 'RESTORE_NO_SPACE', 'RESTORE_READ_ONLY']);

/** The main thread hears signals and lanes at least this often. */
const YIELD_MS = 20;
const ENTRIES_BETWEEN_LOOKS = 256;

interface Frame {
  readonly directory: TargetDirectory;
  readonly existing: ExistingNames;
  /** Child directories, not begun from `next` on. */
  readonly children: readonly NamedEntry[];
  next: number;
}

interface NamedEntry {
  readonly name: Uint8Array;
  readonly entry: DirectoryEntry;
}

export interface PlannerParts {
  readonly tree: DirectoryTree;
  readonly links: HardLinks;
  readonly desk: WindowDesk;
}

export class RestorePlanner {
  readonly #run: RunContext;
  readonly #tree: DirectoryTree;
  readonly #links: HardLinks;
  readonly #desk: WindowDesk;
  readonly #stat = new StatRecord();
  #yieldedAtMs = 0;

  constructor(run: RunContext, parts: PlannerParts) {
    this.#run = run;
    this.#tree = parts.tree;
    this.#links = parts.links;
    this.#desk = parts.desk;
  }

  /** Plans everything below the directory object `objectId` into `root`. */
  async planTree(root: TargetDirectory, objectId: ObjectId | ''): Promise<void> {
    this.#run.receipt.expected.directories++;
    const first = await this.#enter(root, { objectId, entries: 1 });
    const stack: Frame[] = first === undefined ? [] : [first];
    for (let frame = stack.at(-1); frame !== undefined; frame = stack.at(-1)) {
      if (this.#isTimeToYield()) await this.#yield();
      const child = frame.children[frame.next++];
      if (child === undefined) {
        stack.pop();
        this.#tree.done(frame.directory);
        continue;
      }
      const entered = await this.#enterChild(frame, child);
      if (entered !== undefined) stack.push(entered);
    }
  }

  /** Plans one entry that is no directory into `directory`. */
  async planFile(
    directory: TargetDirectory,
    entry: DirectoryEntry,
    name: Uint8Array,
    existing: ExistingNames,
  ): Promise<void> {
    await this.#plan(directory, entry, name, existing);
  }

  async #enterChild(frame: Frame, { name, entry }: NamedEntry): Promise<Frame | undefined> {
    const { receipt } = this.#run;
    if (frame.directory.depth >= MAX_DEPTH) {
      receipt.expected.directories++;
      receipt.fail(
        frame.directory.pathOf(name),
        'RESTORE_TOO_DEEP',
        `deeper than ${MAX_DEPTH} directories`,
        entriesBelow(entry),
      );
      return undefined;
    }
    const directory = this.#tree.begin(frame.directory, name, entry, frame.existing);
    receipt.expected.directories++;
    if (directory === undefined) {
      this.#expectBelow(entry);
      return undefined;
    }
    return this.#enter(directory, { objectId: entry.objectId, entries: entriesBelow(entry), entry });
  }

  /** What a directory that cannot be entered would have held. */
  #expectBelow(entry: DirectoryEntry | undefined): void {
    const summary = entry?.summary;
    if (summary === undefined) return;
    const { expected } = this.#run.receipt;
    expected.files += summary.files;
    expected.symlinks += summary.symlinks;
    expected.directories += Math.max(0, summary.dirs - 1);
    expected.bytes += summary.size;
  }

  /** Reads a directory object and plans everything in it that is no directory. */
  async #enter(
    directory: TargetDirectory,
    from: { readonly objectId: ObjectId | ''; readonly entries: number; readonly entry?: DirectoryEntry },
  ): Promise<Frame | undefined> {
    try {
      const parsed = await this.#read(from.objectId);
      this.#tree.describe(directory, parsed);
      const named = this.#checkNames(directory, parsed);
      const existing = directory.existed ? this.#tree.list(directory, this.#wantedIn(directory, named)) : NO_NAMES;
      const children: NamedEntry[] = [];
      let planned = 0;
      for (const { name, entry } of named) {
        if (entry.type === 'd') children.push({ name, entry });
        else {
          const waiting = this.#plan(directory, entry, name, existing);
          if (waiting !== undefined) await waiting;
        }
        if (++planned % ENTRIES_BETWEEN_LOOKS === 0 && this.#isTimeToYield()) await this.#yield();
      }
      return { directory, existing, children, next: 0 };
    } catch (error) {
      if (this.#endsTheRun(error)) throw error;
      this.#run.receipt.fail(directory.path, errorCode(error) ?? 'UNKNOWN', messageOf(error), from.entries);
      this.#expectBelow(from.entry);
      this.#tree.done(directory);
      return undefined;
    }
  }

  /** Keys of the names that may stay. */
  #wantedIn({ depth }: TargetDirectory, named: readonly NamedEntry[]): ReadonlySet<string> {
    const wanted = new Set(named.map(({ name }) => nameKey(name)));
    return depth === 0 ? wanted.union(this.#run.leftOut) : wanted;
  }

  /** Not the failure of one entry: nothing more can be done. */
  #endsTheRun(error: unknown): boolean {
    const code = errorCode(error) ?? '';
    return isAbortError(error) || this.#desk.isOver || RUN_ENDING.has(code);
  }

  async #read(objectId: ObjectId | ''): Promise<ParsedDirectory> {
    if (objectId === '') throw new WindlassError('the directory has no object', { code: 'DIRECTORY_CORRUPT' });
    const bytes = this.#run.readSmallObject(objectId, this.#run.signal);
    return parseDirectory(bytes instanceof Uint8Array ? bytes : await bytes);
  }

  /** Entries whose names can be names, each once, but for those that are to be left out. The others are in the receipt. */
  #checkNames(directory: TargetDirectory, parsed: ParsedDirectory): NamedEntry[] {
    const seen = new Set<string>();
    const named: NamedEntry[] = [];
    const leftOut = directory.depth === 0 && this.#run.leftOut.size > 0 ? this.#run.leftOut : undefined;
    for (const entry of parsed.entries) {
      const name = entryName(entry);
      const key = entry.extra?.rawName === undefined ? nameKeyOf(name, entry.name) : nameKey(name);
      if (leftOut?.has(key) === true) {
        this.#run.receipt.leftOut.add(directory.pathOf(name));
        continue;
      }
      let problem = nameProblem(name);
      let code = 'RESTORE_NAME_UNSAFE';
      if (problem === undefined && seen.has(key)) {
        problem = 'another entry of its directory has it too';
        code = 'RESTORE_NAME_DUPLICATE';
      }
      if (problem === undefined) {
        seen.add(key);
        named.push({ name, entry });
        continue;
      }
      const { receipt } = this.#run;
      if (entry.type === 'd') receipt.expected.directories++;
      else this.#expect(plannedEntry(entry, name), undefined);
      if (entry.type === 'd') this.#expectBelow(entry);
      receipt.fail(
        directory.pathOf(name.subarray(0, 300)),
        code,
        `the name cannot be used: ${problem}`,
        entriesBelow(entry),
      );
    }
    return named;
  }

  /** HOT. One entry that is no directory. A promise only where something must be waited for: few entries are worth one. */
  #plan(
    directory: TargetDirectory,
    source: DirectoryEntry,
    name: Uint8Array,
    existing: ExistingNames,
  ): Promise<void> | undefined {
    let entry = plannedEntry(source, name);
    const link = source.extra?.link;
    const leader = link === undefined ? undefined : this.#links.find(link, source.objectId);
    this.#expect(entry, leader);
    if (leader !== undefined) {
      this.#links.follow(leader, directory, entry);
      return undefined;
    }
    const ours = link === undefined ? undefined : this.#links.lead(link, directory, entry);
    let isReplacing = false;
    if (existing.size > 0 && existing.has(nameKey(name))) {
      const decision = this.#meetExisting(directory, entry);
      if (decision === 'leave' || decision === 'refuse') {
        if (ours !== undefined) this.#links.leaderEnded(ours, decision === 'leave');
        return undefined;
      }
      isReplacing = decision === 'replace';
    }
    if (entry.xattrs !== undefined && entry.xattrs.length > MAX_XATTR_BYTES) {
      this.#run.receipt.refuse('xattrs', errnoName(E2BIG), [directory.pathOf(name)], 1);
      entry = { ...entry, xattrs: undefined };
    }
    if (this.#run.dryRun) {
      this.#countRestored(entry);
      if (ours !== undefined) this.#links.leaderEnded(ours, true);
      return undefined;
    }
    const options = { isReplacing, leader: ours };
    const { objectId } = source;
    const isAtOnce = this.#desk.hasRoom(directory, entry) && (objectId === '' || isDirect(objectId));
    if (!isAtOnce) return this.#planSlowly(directory, entry, options);
    try {
      this.#planDirect(directory, entry, options);
    } catch (error) {
      this.#lose(directory, entry, options, error);
    }
    return undefined;
  }

  /** An entry that finds no room in the window, or whose contents are listed in an object of their own. */
  async #planSlowly(directory: TargetDirectory, entry: PlannedEntry, options: RowOptions): Promise<void> {
    const { objectId } = entry.source;
    if (!this.#desk.hasRoom(directory, entry)) await this.#turn();
    try {
      if (objectId === '' || isDirect(objectId)) this.#planDirect(directory, entry, options);
      else await this.#planIndirect(directory, entry, objectId, options);
    } catch (error) {
      this.#lose(directory, entry, options, error);
    }
  }

  /** An entry that cannot be planned is in the receipt; an error that ends the run is thrown. */
  #lose(directory: TargetDirectory, entry: PlannedEntry, { leader }: RowOptions, error: unknown): void {
    if (this.#endsTheRun(error)) throw error;
    const path = directory.pathOf(entry.name);
    throwIfFull(error, path);
    this.#run.receipt.fail(path, errorCode(error) ?? 'UNKNOWN', messageOf(error));
    if (leader !== undefined) this.#links.leaderEnded(leader, false);
  }

  #expect(entry: PlannedEntry, leader: LinkLeader | undefined): void {
    const { expected } = this.#run.receipt;
    const type = entry.mode & S_IFMT;
    if (leader !== undefined) expected.hardLinks++;
    else if (type === S_IFLNK) expected.symlinks++;
    else if (type !== S_IFREG) expected.specials++;
    else {
      expected.files++;
      expected.bytes += entry.size;
    }
  }

  #countRestored(entry: PlannedEntry): void {
    const { restored } = this.#run.receipt;
    const type = entry.mode & S_IFMT;
    if (type === S_IFLNK) restored.symlinks++;
    else if (type !== S_IFREG) restored.specials++;
    else {
      restored.files++;
      restored.bytes += entry.size;
    }
  }

  /** Something has the name already. `create`: it has gone; `leave`: it stays and is good; `refuse`: it stays. */
  #meetExisting(directory: TargetDirectory, entry: PlannedEntry): 'create' | 'replace' | 'leave' | 'refuse' {
    const { handles, overwrite, policy, receipt, deleteExtra, dryRun } = this.#run;
    const dirFd = handles.acquire(directory);
    if (statAt(dirFd, entry.name, this.#stat) < 0) return 'create';
    const pathOf = (): string => directory.pathOf(entry.name);
    const decision = decideExisting(this.#stat, entry, overwrite, policy);
    switch (decision) {
      case 'unchanged':
        this.#countUnchanged(entry);
        return 'leave';
      case 'kept':
        receipt.kept.add(pathOf());
        return 'refuse';
      case 'repair':
        if (!dryRun && !this.#repair(dirFd, entry, pathOf)) return 'replace';
        this.#countUnchanged(entry);
        return 'leave';
      case 'replace':
        return 'replace';
      case 'conflict': {
        const removed = !deleteExtra ? undefined : dryRun ? 0 : removeTree(dirFd, entry.name);
        if (removed !== undefined && removed >= 0) {
          receipt.deleted.add(pathOf());
          return 'create';
        }
        receipt.fail(pathOf(), 'RESTORE_TYPE_CONFLICT', 'a directory is in its place');
        return 'refuse';
      }
    }
  }

  #countUnchanged(entry: PlannedEntry): void {
    const { unchanged } = this.#run.receipt;
    const type = entry.mode & S_IFMT;
    if (type === S_IFLNK) unchanged.symlinks++;
    else if (type !== S_IFREG) unchanged.specials++;
    else {
      unchanged.files++;
      unchanged.bytes += entry.size;
    }
  }

  /** Sets the attributes of a file whose content is right; false when it must be written anew after all. */
  #repair(dirFd: number, entry: PlannedEntry, pathOf: () => string): boolean {
    const { attributes, receipt } = this.#run;
    const fd = openat(dirFd, entry.name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) return false;
    try {
      const opened = new StatRecord();
      if (fstat(fd, opened) < 0 || !sameFile(opened, this.#stat) || opened.nlink !== 1) return false;
      const wanted = { ...entry, mode: entry.mode & 0o7777, ownGroup: false, inheritsAcl: false };
      attributes.applyToFile(fd, wanted, false, (attribute, errno) => {
        receipt.refuse(attribute, errnoName(errno), [pathOf()], 1);
      });
      return true;
    } finally {
      close(fd);
    }
  }

  /** HOT. An entry of at most one content; the window has room. */
  #planDirect(directory: TargetDirectory, entry: PlannedEntry, options: RowOptions): void {
    const kind = contentKind(entry);
    const { objectId } = entry.source;
    if (kind === RowKind.special) {
      this.#desk.addEntry(directory, entry, kind, undefined, options);
      return;
    }
    if (objectId === '') throw new WindlassError('the entry has no object', { code: 'DIRECTORY_CORRUPT' });
    const piece = locateDirect(this.#run.finder, objectId, entry.size);
    if (kind === RowKind.wholeFile) this.#checkLength(directory, entry, piece.objectLength);
    const isEmpty = piece.objectLength === 0 && kind === RowKind.wholeFile;
    this.#desk.addEntry(directory, entry, isEmpty ? RowKind.emptyFile : kind, isEmpty ? undefined : piece, options);
  }

  async #planIndirect(
    directory: TargetDirectory,
    entry: PlannedEntry,
    objectId: ObjectId,
    options: RowOptions,
  ): Promise<void> {
    const { finder, signal } = this.#run;
    const kind = contentKind(entry);
    if (kind === RowKind.special) {
      this.#desk.addEntry(directory, entry, kind, undefined, options);
      return;
    }
    const pieces = await locatePieces(finder, objectId, signal);
    const only = pieces[0];
    const last = pieces.at(-1);
    if (kind === RowKind.wholeFile)
      this.#checkLength(directory, entry, last === undefined ? 0 : last.fileOffset + last.objectLength);
    if (kind === RowKind.symlink && pieces.length !== 1) {
      throw new WindlassError('a symlink of several pieces is too long', { code: 'DIRECTORY_CORRUPT' });
    }
    if (pieces.length <= 1) {
      const kindOfOne = only === undefined ? RowKind.emptyFile : kind;
      this.#desk.addEntry(directory, entry, kindOfOne, only, options);
      return;
    }
    await this.#planLarge(directory, entry, pieces, options);
  }

  /** What there is of a file is restored all the same, but a short one is not what the snapshot promised. */
  #checkLength(directory: TargetDirectory, entry: PlannedEntry, length: number): void {
    if (length === entry.size) return;
    const message = `the snapshot says ${entry.size} bytes, its object has ${length}; these are restored`;
    this.#run.receipt.fail(directory.pathOf(entry.name), 'OBJECT_CORRUPT', message);
  }

  async #planLarge(
    directory: TargetDirectory,
    entry: PlannedEntry,
    pieces: readonly LocatedPiece[],
    options: RowOptions,
  ): Promise<void> {
    const { leader } = options;
    const last = pieces.at(-1);
    const length = last === undefined ? 0 : last.fileOffset + last.objectLength;
    directory.pending++;
    let file: LargeFile;
    try {
      file = LargeFile.create(this.#run, { directory, entry, isReplacing: options.isReplacing }, length, (isThere) => {
        if (isThere) this.#run.receipt.restored.files++;
        if (leader !== undefined) this.#links.leaderEnded(leader, isThere);
        this.#tree.done(directory);
      });
    } catch (error) {
      directory.pending--;
      throw error;
    }
    let isWhole = false;
    try {
      for (const piece of pieces) {
        if (!this.#desk.hasRoom(directory, entry)) await this.#turn();
        this.#desk.addLargePiece(file, piece);
      }
      isWhole = true;
    } finally {
      file.planned(isWhole);
    }
  }

  async #turn(): Promise<void> {
    await this.#desk.turn();
    this.throwIfStopped();
  }

  /** Planning may go on for long without waiting for anything; signals and lanes must be heard all the same. */
  #isTimeToYield(): boolean {
    return this.#run.clock.monotonicMs() - this.#yieldedAtMs > YIELD_MS;
  }

  async #yield(): Promise<void> {
    await setImmediate();
    this.#yieldedAtMs = this.#run.clock.monotonicMs();
    this.throwIfStopped();
  }

  /** Throws when the run was aborted, or when the target takes no more: `RESTORE_NO_SPACE`, `RESTORE_READ_ONLY`. */
  throwIfStopped(): void {
    this.#run.signal.throwIfAborted();
    const { fatal } = this.#desk;
    if (fatal === undefined) return;
    throw targetFull(fullCode(fatal.code) ?? 'RESTORE_NO_SPACE', fatal.path, fatal.code);
  }
}

/** How the content of an entry that is no directory is used. */
function contentKind(entry: PlannedEntry): typeof RowKind.wholeFile | typeof RowKind.symlink | typeof RowKind.special {
  const type = entry.mode & S_IFMT;
  if (type === S_IFLNK) return RowKind.symlink;
  return type === S_IFREG ? RowKind.wholeFile : RowKind.special;
}
