// Reads a restored tree back and compares it with the snapshot: types, sizes, link targets, and every byte of every file by
// the hash that is its content's id. No pack is read for it. Entries that the overwrite rule left alone are not compared.
import { WindlassError, errorCode } from '../../base/errors.ts';
import { type DirectoryEntry, type ObjectId, parseDirectory } from '../../repo-format/index.ts';
import {
  O_NOFOLLOW,
  O_NONBLOCK,
  O_RDONLY,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  StatRecord,
  close,
  openat,
  readFully,
  readlinkat,
  statAt,
} from '../posix/libc.ts';
import { isDirect, locateDirect, locatePieces } from './content-pieces.ts';
import { messageOf } from './directory-tree.ts';
import { nameKey, nameProblem } from './entry-name.ts';
import { decideExisting } from './existing-entry.ts';
import { type PlannedEntry, type RunContext, entryName, plannedEntry } from './run-context.ts';
import { TargetDirectory } from './target-directory.ts';
import type { WindowDesk } from './window-desk.ts';
import { PieceFlag } from './window.ts';

/** Parts of a file compared at once where its hash does not help. */
const CHUNK_BYTES = 1 << 20;

interface Frame {
  readonly directory: TargetDirectory;
  readonly children: readonly DirectoryEntry[];
  next: number;
}

export class TargetVerifier {
  readonly #run: RunContext;
  readonly #desk: WindowDesk;
  readonly #stat = new StatRecord();

  constructor(run: RunContext, desk: WindowDesk) {
    this.#run = run;
    this.#desk = desk;
  }

  /** Plans the comparison of all below `root`; lanes do it. */
  async verifyTree(root: TargetDirectory, objectId: ObjectId | ''): Promise<void> {
    const first = await this.#enter(root, objectId);
    const stack = first === undefined ? [] : [first];
    for (let frame = stack.at(-1); frame !== undefined; frame = stack.at(-1)) {
      this.#run.signal.throwIfAborted();
      const child = frame.children[frame.next++];
      if (child === undefined) {
        stack.pop();
        continue;
      }
      const directory = new TargetDirectory(frame.directory, entryName(child));
      const entered = await this.#enter(directory, child.objectId);
      if (entered !== undefined) stack.push(entered);
    }
  }

  async #enter(directory: TargetDirectory, objectId: ObjectId | ''): Promise<Frame | undefined> {
    const children: DirectoryEntry[] = [];
    try {
      // What could not be restored is in the receipt already; here it is one difference more.
      this.#run.handles.acquire(directory);
      if (objectId === '') throw new WindlassError('the directory has no object', { code: 'DIRECTORY_CORRUPT' });
      const { entries } = parseDirectory(await this.#run.readSmallObject(objectId, this.#run.signal));
      const seen = new Set<string>();
      for (const entry of entries) {
        const name = entryName(entry);
        const key = nameKey(name);
        if (nameProblem(name) !== undefined || seen.has(key)) continue;
        if (directory.depth === 0 && this.#run.leftOut.has(key)) continue;
        seen.add(key);
        if (entry.type === 'd') children.push(entry);
        else await this.verifyEntry(directory, plannedEntry(entry, name));
      }
    } catch (error) {
      this.#run.signal.throwIfAborted();
      if (errorCode(error) === 'LANE_FAILED') throw error;
      this.#differs(directory.path, messageOf(error));
    }
    return { directory, children, next: 0 };
  }

  /** One entry that is no directory. */
  async verifyEntry(directory: TargetDirectory, entry: PlannedEntry): Promise<void> {
    const { handles, overwrite, policy } = this.#run;
    const dirFd = handles.acquire(directory);
    const path = (): string => directory.pathOf(entry.name);
    if (statAt(dirFd, entry.name, this.#stat) < 0) {
      this.#differs(path(), 'it is not there');
      return;
    }
    if (overwrite === 'never' && decideExisting(this.#stat, entry, overwrite, policy) !== 'unchanged') return;
    const type = entry.mode & S_IFMT;
    if ((this.#stat.mode & S_IFMT) !== type) {
      this.#differs(path(), 'it is of another type');
      return;
    }
    try {
      if (type === S_IFLNK) await this.#verifyLink(directory, entry);
      else if (type === S_IFREG) await this.#verifyFile(directory, entry);
    } catch (error) {
      this.#run.signal.throwIfAborted();
      this.#differs(path(), messageOf(error));
    }
  }

  async #verifyLink(directory: TargetDirectory, entry: PlannedEntry): Promise<void> {
    const target = readlinkat(this.#run.handles.acquire(directory), entry.name);
    const wanted = await this.#readWhole(entry);
    const isSame = typeof target !== 'number' && Buffer.compare(target, wanted) === 0;
    if (!isSame) this.#differs(directory.pathOf(entry.name), 'it points elsewhere');
  }

  async #verifyFile(directory: TargetDirectory, entry: PlannedEntry): Promise<void> {
    const { finder, signal } = this.#run;
    const id = entry.source.objectId;
    if (id === '') throw new WindlassError('the entry has no object', { code: 'DIRECTORY_CORRUPT' });
    const pieces = isDirect(id) ? [locateDirect(finder, id, entry.size)] : await locatePieces(finder, id, signal);
    if (pieces.some(({ flags }) => (flags & PieceFlag.compressedObject) !== 0)) {
      await this.#compareWhole(directory, entry);
      return;
    }
    // The length of the pieces is what was restored, whatever the entry says.
    const last = pieces.at(-1);
    const size = last === undefined ? 0 : last.fileOffset + last.length;
    const checked = { ...entry, size };
    for (const piece of size === 0 ? [undefined] : pieces) {
      if (!this.#desk.hasRoom(directory, checked)) await this.#desk.turn();
      this.#desk.addCheck(directory, checked, piece);
    }
  }

  /** For objects that were compressed before they were hashed (index version 1): their ids say nothing of plain bytes. */
  async #compareWhole(directory: TargetDirectory, entry: PlannedEntry): Promise<void> {
    const wanted = await this.#readWhole(entry);
    const fd = openat(this.#run.handles.acquire(directory), entry.name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
      this.#differs(directory.pathOf(entry.name), 'it cannot be opened');
      return;
    }
    try {
      const buffer = new Uint8Array(CHUNK_BYTES);
      let isSame = true;
      for (let at = 0; at <= wanted.length && isSame; at += CHUNK_BYTES) {
        const got = readFully(fd, buffer, 0, CHUNK_BYTES, at);
        isSame = got >= 0 && Buffer.compare(buffer.subarray(0, got), wanted.subarray(at, at + CHUNK_BYTES)) === 0;
      }
      if (!isSame) this.#differs(directory.pathOf(entry.name), 'its bytes differ from the snapshot');
      const { verified } = this.#run.receipt;
      if (isSame && verified !== undefined) {
        verified.files++;
        verified.bytes += wanted.length;
      }
    } finally {
      close(fd);
    }
  }

  async #readWhole(entry: PlannedEntry): Promise<Uint8Array> {
    const id = entry.source.objectId;
    if (id === '') throw new WindlassError('the entry has no object', { code: 'DIRECTORY_CORRUPT' });
    return this.#run.readSmallObject(id, this.#run.signal);
  }

  #differs(path: string, message: string): void {
    const { receipt } = this.#run;
    receipt.fail(path, 'RESTORE_VERIFY_FAILED', message);
    if (receipt.verified !== undefined) receipt.verified.mismatches++;
  }
}
