// Compares bytes with what the snapshot says they are: by the keyed hash that is their content's id. Serves the check of a
// restored tree (bytes read back from files) and of a repository (bytes opened from packs).
import { createKeyedHash, type KeyedHash } from '../../repo-format/lane.ts';
import {
  EIO,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_RDONLY,
  StatRecord,
  close,
  errnoName,
  fstat,
  openat,
  readFully,
} from '../posix/libc.ts';
import { MAX_KEY_BYTES, type PlanWindow } from './window.ts';

/** What a content hash is made with; plain data. */
export interface HashSpec {
  readonly algorithm: string;
  readonly secret: Uint8Array;
}

const FIRST_BUFFER_BYTES = 1 << 20;

export class ContentChecker {
  readonly #hash: KeyedHash;
  readonly #digest: Uint8Array;
  readonly #stat = new StatRecord();
  #buffer = new Uint8Array(0);

  constructor(spec: HashSpec) {
    this.#hash = createKeyedHash(spec.algorithm, spec.secret);
    this.#digest = new Uint8Array(this.#hash.sizeBytes);
  }

  /** True when `bytes` are the content of the piece. */
  matches(w: PlanWindow, piece: number, bytes: Uint8Array): boolean {
    this.#hash.digestInto(bytes, this.#digest, 0);
    const start = piece * MAX_KEY_BYTES + 1;
    if (w.keyBytes !== this.#digest.length + 1) return false;
    for (let i = 0; i < this.#digest.length; i++) {
      if (this.#digest[i] !== w.pieceKey[start + i]) return false;
    }
    return true;
  }

  /** Why the part of a restored file that a piece describes is not right, or undefined when it is. */
  checkFile(w: PlanWindow, piece: number): string | undefined {
    const row = w.pieceRow[piece] ?? 0;
    const fd = openat(w.rowDirFd[row] ?? -1, w.nameOf(row), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) return `it cannot be opened: ${errnoName(-fd)}`;
    try {
      return this.#checkPart(w, piece, fd);
    } finally {
      close(fd);
    }
  }

  #checkPart(w: PlanWindow, piece: number, fd: number): string | undefined {
    const offset = w.pieceFileOffset[piece] ?? 0;
    const length = w.pieceBytes[piece] ?? 0;
    const size = w.rowSize[w.pieceRow[piece] ?? 0] ?? 0;
    if (fstat(fd, this.#stat) < 0) return `it cannot be described: ${errnoName(EIO)}`;
    if (!this.#stat.isRegular) return 'it is no regular file';
    if (this.#stat.size !== size) return `it has ${this.#stat.size} bytes, the snapshot ${size}`;
    if (length === 0) return undefined;
    if (this.#buffer.length < length) this.#buffer = new Uint8Array(Math.max(length, FIRST_BUFFER_BYTES));
    const got = readFully(fd, this.#buffer, 0, length, offset);
    if (got < 0) return `it cannot be read: ${errnoName(-got)}`;
    const isSame = got === length && this.matches(w, piece, this.#buffer.subarray(0, length));
    return isSame ? undefined : `bytes ${offset} to ${offset + length} differ from the snapshot`;
  }
}
