// Makes what a row of the plan asks for, through nothing but one path component below a held directory handle. Runs on
// lanes. A row that fails leaves nothing under its final name that looks finished.
import {
  EIO,
  ELOOP,
  O_CREAT,
  O_EXCL,
  O_NOFOLLOW,
  O_WRONLY,
  S_IFBLK,
  S_IFCHR,
  S_IFMT,
  close,
  ftruncate,
  mknodat,
  openat,
  pwriteFrom,
  renameat,
  symlinkat,
  unlinkat,
} from '../posix/libc.ts';
import { type AttributePolicy, AttributeWriter, type ReportAttribute, type WantedAttributes } from './attributes.ts';
import { temporaryName, temporaryNumber } from './entry-name.ts';
import { type PlanWindow, RowFlag } from './window.ts';
import { writeSparse } from './sparse.ts';

/**
 * The mode of a file until its last attribute is set: owner read and write, and the sticky bit, which means nothing on a
 * regular file. Later runs know unfinished files by it.
 */
export const UNFINISHED_MODE = 0o1600;

const CREATE_FLAGS = O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW;

/** Longest symlink target, without its NUL. */
const MAX_TARGET_BYTES = 4095;

/** The row that could not be made, and the call and errno that stopped it. */
export type ReportFailure = (row: number, call: string, errno: number) => void;
/** An attribute of a row that did not take. */
export type ReportRowAttribute = (row: number, attribute: string, errno: number) => void;

export interface RowReports {
  readonly failed: ReportFailure;
  readonly attribute: ReportRowAttribute;
}

/** One per lane. */
export class RowWriter {
  readonly #attributes: AttributeWriter;
  readonly #reports: RowReports;
  readonly #wanted: WantedAttributes = {
    mode: 0,
    uid: 0,
    gid: 0,
    mtimeSeconds: 0,
    mtimeNanoseconds: 0,
    xattrs: undefined,
    ownGroup: false,
    inheritsAcl: false,
  };
  readonly #reportAttribute: ReportAttribute;
  readonly #runId: string;
  #row = 0;
  #window: PlanWindow | undefined;
  #windowNumber = 0;

  /** @param runId distinguishes the temporary names of this run */
  constructor(policy: AttributePolicy, runId: string, reports: RowReports) {
    this.#runId = runId;
    this.#attributes = new AttributeWriter(policy);
    this.#reports = reports;
    this.#reportAttribute = (attribute, errno) => {
      reports.attribute(this.#row, attribute, errno);
    };
  }

  /** Rows of the following calls are rows of `window`; `number` is unlike that of any other window of the run. */
  begin(window: PlanWindow, number: number): void {
    this.#window = window;
    this.#windowNumber = number;
  }

  #open(): PlanWindow {
    if (this.#window === undefined) throw new Error('begin() was not called');
    return this.#window;
  }

  /** HOT. A regular file whose bytes are all here: made, written, described and closed. True when it is there. */
  writeFile(row: number, bytes: Uint8Array): boolean {
    const w = this.#open();
    const dirFd = w.rowDirFd[row] ?? -1;
    const flags = w.rowFlags[row] ?? 0;
    const finalName = w.nameOf(row);
    const isReplacing = (flags & RowFlag.replace) !== 0;
    const name = isReplacing ? temporaryName(this.#runId, temporaryNumber(this.#windowNumber, row)) : finalName;
    const fd = openat(dirFd, name, CREATE_FLAGS, UNFINISHED_MODE);
    if (fd < 0) return this.#fail(row, 'open', -fd);
    let answer = 0;
    if (bytes.length > 0) {
      answer = (flags & RowFlag.sparse) === 0 ? pwriteFrom(fd, bytes, 0, bytes.length, 0) : writeWholeSparse(fd, bytes);
    }
    if (answer >= 0) this.#attributes.applyToFile(fd, this.#load(row), false, this.#reportAttribute);
    const closed = close(fd);
    if (answer >= 0 && closed < 0) answer = closed;
    if (answer < 0) {
      unlinkat(dirFd, name);
      return this.#fail(row, 'write', -answer);
    }
    return !isReplacing || this.#moveIntoPlace(row, dirFd, name, finalName);
  }

  /** A piece of a large file that the main thread has made and will finish. */
  writePiece(row: number, bytes: Uint8Array, fileOffset: number): boolean {
    const w = this.#open();
    const fd = w.rowFd[row] ?? -1;
    const isSparse = ((w.rowFlags[row] ?? 0) & RowFlag.sparse) !== 0;
    const answer = isSparse ? writeSparse(fd, bytes, fileOffset) : pwriteFrom(fd, bytes, 0, bytes.length, fileOffset);
    return answer >= 0 || this.#fail(row, 'write', -answer);
  }

  writeSymlink(row: number, target: Uint8Array): boolean {
    if (target.length > MAX_TARGET_BYTES || target.length === 0) return this.#fail(row, 'symlink', ELOOP);
    return this.#make(row, 'symlink', (dirFd, name) => symlinkat(target, dirFd, name));
  }

  /** FIFOs, sockets and devices. */
  writeSpecial(row: number): boolean {
    const w = this.#open();
    const type = (w.rowMode[row] ?? 0) & S_IFMT;
    const isDevice = type === S_IFCHR || type === S_IFBLK;
    const major = isDevice ? (w.rowDeviceMajor[row] ?? 0) : 0;
    const minor = isDevice ? (w.rowDeviceMinor[row] ?? 0) : 0;
    return this.#make(row, 'mknod', (dirFd, name) => mknodat(dirFd, name, type | 0o600, major, minor));
  }

  /** Makes, describes and moves into place what has no descriptor of its own. */
  #make(row: number, call: string, create: (dirFd: number, name: Uint8Array) => number): boolean {
    const w = this.#open();
    const dirFd = w.rowDirFd[row] ?? -1;
    const finalName = w.nameOf(row).slice();
    const isReplacing = ((w.rowFlags[row] ?? 0) & RowFlag.replace) !== 0;
    const name = isReplacing
      ? Buffer.from(temporaryName(this.#runId, temporaryNumber(this.#windowNumber, row)))
      : finalName;
    const made = create(dirFd, name);
    if (made < 0) return this.#fail(row, call, -made);
    const wanted = this.#load(row);
    if (call === 'symlink') this.#attributes.applyToLink(dirFd, name, wanted, this.#reportAttribute);
    else this.#attributes.applyToSpecial(dirFd, name, wanted, this.#reportAttribute);
    return !isReplacing || this.#moveIntoPlace(row, dirFd, name, finalName);
  }

  #moveIntoPlace(row: number, dirFd: number, from: string | Uint8Array, to: Uint8Array): boolean {
    const moved = renameat(dirFd, from, dirFd, to);
    if (moved >= 0) return true;
    unlinkat(dirFd, from);
    return this.#fail(row, 'rename', -moved);
  }

  #load(row: number): WantedAttributes {
    const w = this.#open();
    const wanted = this.#wanted;
    const flags = w.rowFlags[row] ?? 0;
    this.#row = row;
    wanted.mode = (w.rowMode[row] ?? 0) & 0o7777;
    wanted.uid = w.rowUid[row] ?? 0;
    wanted.gid = w.rowGid[row] ?? 0;
    wanted.mtimeSeconds = w.rowMtimeSeconds[row] ?? 0;
    wanted.mtimeNanoseconds = w.rowMtimeNanoseconds[row] ?? 0;
    wanted.xattrs = w.xattrsOf(row);
    wanted.ownGroup = (flags & RowFlag.ownGroup) !== 0;
    wanted.inheritsAcl = (flags & RowFlag.inheritsAcl) !== 0;
    return wanted;
  }

  #fail(row: number, call: string, errno: number): boolean {
    this.#reports.failed(row, call, errno === 0 ? EIO : errno);
    return false;
  }
}

function writeWholeSparse(fd: number, bytes: Uint8Array): number {
  const sized = ftruncate(fd, bytes.length);
  return sized < 0 ? sized : writeSparse(fd, bytes, 0);
}
