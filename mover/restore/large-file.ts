// A file of several contents: made and sized here, filled by lanes, described and closed here when its last piece has
// landed. Until then it is recognisably unfinished.
import {
  O_CREAT,
  O_EXCL,
  O_NOFOLLOW,
  O_WRONLY,
  PosixError,
  check,
  close,
  errnoName,
  ftruncate,
  openat,
  renameat,
  unlinkat,
} from '../posix/libc.ts';
import { UNFINISHED_MODE } from './row-writer.ts';
import type { PlannedEntry, RunContext } from './run-context.ts';
import type { TargetDirectory } from './target-directory.ts';

const CREATE_FLAGS = O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW;

export class LargeFile {
  readonly directory: TargetDirectory;
  readonly entry: PlannedEntry;
  fd = -1;
  readonly #run: RunContext;
  readonly #onEnd: (isThere: boolean) => void;
  readonly #workName: Uint8Array;
  /** One for the planning, one for each window with pieces of it. */
  #pending = 1;
  #isFailed = false;

  private constructor(
    run: RunContext,
    place: { readonly directory: TargetDirectory; readonly entry: PlannedEntry; readonly isReplacing: boolean },
    onEnd: (isThere: boolean) => void,
  ) {
    this.#run = run;
    this.directory = place.directory;
    this.entry = place.entry;
    this.#onEnd = onEnd;
    this.#workName = place.isReplacing ? run.temporaryNames.next() : place.entry.name;
  }

  /** Makes the file with `length` bytes of nothing. Throws `PosixError`. `onEnd` says whether it came to be. */
  static create(
    run: RunContext,
    place: { readonly directory: TargetDirectory; readonly entry: PlannedEntry; readonly isReplacing: boolean },
    length: number,
    onEnd: (isThere: boolean) => void,
  ): LargeFile {
    const file = new LargeFile(run, place, onEnd);
    const path = file.directory.pathOf(file.entry.name);
    const dirFd = run.handles.acquire(file.directory);
    file.fd = check(openat(dirFd, file.#workName, CREATE_FLAGS, UNFINISHED_MODE), 'open', path);
    const sized = ftruncate(file.fd, length);
    if (sized < 0) {
      close(file.fd);
      unlinkat(dirFd, file.#workName);
      throw new PosixError(-sized, 'ftruncate', path);
    }
    return file;
  }

  windowStarted(): void {
    this.#pending++;
  }

  windowEnded(isFailed: boolean): void {
    this.#isFailed ||= isFailed;
    this.#release();
  }

  /** All pieces are in windows, or planning ended before they were: then the file never gets whole. */
  planned(isWhole: boolean): void {
    // A stopped run leaves it as it is: unfinished, and known as such.
    this.#isFailed ||= !isWhole && !this.#run.control.isStopped;
    this.#release();
  }

  #release(): void {
    this.#pending--;
    if (this.#pending > 0) return;
    const isThere = !this.#isFailed && !this.#run.control.isStopped && this.#finish();
    if (!isThere) this.#discard();
    this.#onEnd(isThere);
  }

  #finish(): boolean {
    const { attributes, receipt, handles } = this.#run;
    const { directory, entry } = this;
    const path = directory.pathOf(entry.name);
    const wanted = {
      mode: entry.mode & 0o7777,
      uid: entry.uid,
      gid: entry.gid,
      mtimeSeconds: entry.mtimeSeconds,
      mtimeNanoseconds: entry.mtimeNanoseconds,
      xattrs: entry.xattrs,
      ownGroup: directory.ownGroup,
      inheritsAcl: directory.handsDownAcl,
    };
    attributes.applyToFile(this.fd, wanted, false, (attribute, errno) => {
      receipt.refuse(attribute, errnoName(errno), [path], 1);
    });
    const closed = close(this.fd);
    this.fd = -1;
    let answer = closed;
    if (closed >= 0 && this.#workName !== entry.name) {
      const dirFd = handles.acquire(directory);
      answer = renameat(dirFd, this.#workName, dirFd, entry.name);
    }
    if (answer >= 0) return true;
    receipt.fail(path, errnoName(-answer), `not finished: ${errnoName(-answer)}`);
    return false;
  }

  /** A stopped run leaves the file behind: unfinished, and known as such by the next one. */
  #discard(): void {
    if (this.fd >= 0) close(this.fd);
    this.fd = -1;
    if (!this.#isFailed && this.#run.control.isStopped) return;
    unlinkat(this.#run.handles.acquire(this.directory), this.#workName);
  }
}
