// Fills windows with rows, hands them to the lanes, and settles the accounts when one comes back: failures and refused
// attributes get their paths, finished rows count for their directories, large files and hard links go on.
import type { LocatedPiece } from './content-pieces.ts';
import type { DirectoryTree } from './directory-tree.ts';
import type { HardLinks, LinkLeader } from './hard-links.ts';
import type { LaneReport } from './lane.ts';
import type { LanePool, LentWindow } from './lane-pool.ts';
import type { LargeFile } from './large-file.ts';
import type { PlannedEntry, RunContext } from './run-context.ts';
import type { TargetDirectory } from './target-directory.ts';
import { RowFlag, RowKind, type RowKindValue, type WindowBuilder } from './window.ts';

/** Handles of large files held by one window; three windows are under way. */
const LARGE_FILES = 64;

/** The first windows are small, so that lanes start early; then their size doubles up to their capacity. */
const FIRST_PIECES = 1024;

/** What the main thread remembers of a window while lanes work on it. */
interface WindowAccount {
  readonly lent: LentWindow;
  /** By row. */
  readonly directories: TargetDirectory[];
  readonly large: Map<number, LargeFile>;
  readonly largeRows: Map<LargeFile, number>;
  readonly leaders: Map<number, LinkLeader>;
  readonly pinned: Set<TargetDirectory>;
  contentBytes: number;
}

export interface RowOptions {
  readonly isReplacing: boolean;
  readonly leader: LinkLeader | undefined;
}

export class WindowDesk {
  readonly #run: RunContext;
  readonly #tree: DirectoryTree;
  readonly #links: HardLinks;
  readonly #directoriesPerWindow: number;
  readonly #accounts = new Map<number, WindowAccount>();
  #pool: LanePool | undefined;
  #current: WindowAccount | undefined;
  #pieceLimit = FIRST_PIECES;
  #fatal: { code: string; message: string; path: string } | undefined;

  constructor(run: RunContext, parts: { tree: DirectoryTree; links: HardLinks; directoriesPerWindow: number }) {
    this.#run = run;
    this.#tree = parts.tree;
    this.#links = parts.links;
    this.#directoriesPerWindow = parts.directoriesPerWindow;
  }

  attach(pool: LanePool): void {
    this.#pool = pool;
  }

  /** Why the target takes no more: it is full or read-only. */
  get fatal(): { readonly code: string; readonly message: string; readonly path: string } | undefined {
    return this.#fatal;
  }

  /** Nothing more can be written, or a lane or the repository has failed. */
  get isOver(): boolean {
    return this.#fatal !== undefined || this.#pool?.failure !== undefined;
  }

  /** True when a row of `entry` in `directory` fits the current window: adding it then needs no waiting. HOT. */
  hasRoom(directory: TargetDirectory, entry: PlannedEntry): boolean {
    const account = this.#current;
    if (account === undefined) return false;
    const { builder } = account.lent;
    if (builder.pieceCount >= this.#pieceLimit || !builder.fits(arenaBytes(entry))) return false;
    if (account.large.size >= LARGE_FILES) return false;
    return account.pinned.has(directory) || account.pinned.size < this.#directoriesPerWindow;
  }

  /** Hands over the current window, if any, and gets an empty one. */
  async turn(): Promise<void> {
    this.submit(false);
    const pool = this.#pool;
    if (pool === undefined) throw new Error('attach() was not called');
    const lent = await pool.lend();
    const account: WindowAccount = {
      lent,
      directories: [],
      large: new Map(),
      largeRows: new Map(),
      leaders: new Map(),
      pinned: new Set(),
      contentBytes: 0,
    };
    this.#accounts.set(lent.number, account);
    this.#current = account;
  }

  submit(isLast: boolean): void {
    const account = this.#current;
    if (account === undefined) return;
    this.#current = undefined;
    this.#pieceLimit = Math.min(this.#pieceLimit * 2, 1 << 30);
    this.#pool?.submit(account.lent, account.contentBytes, isLast);
  }

  /** A row with at most one piece. HOT. The window has room. */
  addEntry(
    directory: TargetDirectory,
    entry: PlannedEntry,
    kind: RowKindValue,
    piece: LocatedPiece | undefined,
    options: RowOptions,
  ): void {
    const account = this.#account();
    const row = this.#addRow(account, directory, entry, { kind, fd: -1, isReplacing: options.isReplacing });
    directory.pending++;
    if (options.leader !== undefined) account.leaders.set(row, options.leader);
    if (piece === undefined) account.lent.builder.addEmptyPiece(row);
    else this.#addPiece(account, row, piece);
  }

  /** A part of a restored file to be compared; undefined for an empty one. The window has room. */
  addCheck(directory: TargetDirectory, entry: PlannedEntry, piece: LocatedPiece | undefined): void {
    const account = this.#account();
    const row = this.#addRow(account, directory, entry, { kind: RowKind.checkFile, fd: -1, isReplacing: false });
    directory.pending++;
    if (piece === undefined) account.lent.builder.addEmptyPiece(row);
    else account.lent.builder.addCheckPiece(row, piece.fileOffset, piece);
    account.contentBytes += piece?.length ?? 0;
  }

  /** A piece of a large file; its row is added when it is the first in this window. */
  addLargePiece(file: LargeFile, piece: LocatedPiece): void {
    const account = this.#account();
    let row = account.largeRows.get(file);
    if (row === undefined) {
      const place = { kind: RowKind.largeFile, fd: file.fd, isReplacing: false };
      row = this.#addRow(account, file.directory, file.entry, place);
      account.largeRows.set(file, row);
      account.large.set(row, file);
      file.windowStarted();
    }
    this.#addPiece(account, row, piece);
  }

  #addPiece(account: WindowAccount, row: number, piece: LocatedPiece): void {
    account.lent.builder.addPiece(row, piece.fileOffset, piece);
    account.contentBytes += piece.packedLength;
  }

  #account(): WindowAccount {
    if (this.#current === undefined) throw new Error('no window is open');
    return this.#current;
  }

  #addRow(
    account: WindowAccount,
    directory: TargetDirectory,
    entry: PlannedEntry,
    place: { readonly kind: RowKindValue; readonly fd: number; readonly isReplacing: boolean },
  ): number {
    const { handles, sparse } = this.#run;
    const dirFd = handles.acquire(directory);
    if (!account.pinned.has(directory)) {
      handles.pin(directory);
      account.pinned.add(directory);
    }
    const isSparse = sparse === 'always' || (sparse === 'as-stored' && entry.source.extra?.sparse === true);
    const row = account.lent.builder.addRow({
      kind: place.kind,
      flags:
        (place.isReplacing ? RowFlag.replace : 0) |
        (isSparse ? RowFlag.sparse : 0) |
        (directory.handsDownAcl ? RowFlag.inheritsAcl : 0) |
        (directory.ownGroup ? RowFlag.ownGroup : 0),
      dirFd,
      fd: place.fd,
      mode: entry.mode,
      uid: entry.uid,
      gid: entry.gid,
      mtimeSeconds: entry.mtimeSeconds,
      mtimeNanoseconds: entry.mtimeNanoseconds,
      size: entry.size,
      name: entry.name,
      xattrs: entry.xattrs,
      deviceMajor: entry.deviceMajor,
      deviceMinor: entry.deviceMinor,
    });
    account.directories[row] = directory;
    return row;
  }

  /** All lanes are through with a window. */
  settle(number: number, builder: WindowBuilder, reports: readonly LaneReport[]): void {
    const account = this.#accounts.get(number);
    if (account === undefined) return;
    this.#accounts.delete(number);
    for (const report of reports) this.#book(account, builder, report);
    const { window } = builder;
    for (const [row, file] of account.large) file.windowEnded(window.rowFailed[row] !== 0);
    for (const [row, leader] of account.leaders) this.#links.leaderEnded(leader, window.rowFailed[row] === 0);
    for (const directory of account.pinned) this.#run.handles.unpin(directory);
    for (let row = 0; row < builder.rowCount; row++) {
      const directory = account.directories[row];
      if (directory !== undefined && !account.large.has(row)) this.#tree.done(directory);
    }
  }

  #book(account: WindowAccount, builder: WindowBuilder, report: LaneReport): void {
    const { receipt } = this.#run;
    const { restored } = receipt;
    const done = (kind: number): number => report.done[kind] ?? 0;
    restored.files += done(RowKind.wholeFile) + done(RowKind.emptyFile);
    restored.symlinks += done(RowKind.symlink);
    restored.specials += done(RowKind.special);
    restored.bytes += report.bytes;
    if (receipt.verified !== undefined) {
      receipt.verified.files += done(RowKind.checkFile);
      receipt.verified.bytes += report.checkedBytes;
    }
    const pathOf = (row: number): string => account.directories[row]?.pathOf(builder.window.nameOf(row)) ?? '';
    for (const { row, code, message } of report.failures) {
      receipt.fail(pathOf(row), code, message);
      if (receipt.verified !== undefined && code === 'RESTORE_VERIFY_FAILED') receipt.verified.mismatches++;
    }
    for (const { attribute, errno, count, rows } of report.attributes) {
      receipt.refuse(attribute, errno, rows.map(pathOf), count);
    }
    if (report.fatal !== undefined && this.#fatal === undefined) {
      this.#fatal = { code: report.fatal.code, message: report.fatal.message, path: pathOf(report.fatal.row) };
    }
  }
}

function arenaBytes(entry: PlannedEntry): number {
  return entry.name.length + (entry.xattrs?.length ?? 0);
}
