// A lane works off jobs of plan windows: reads ranges of packs, opens contents, and hands each to the rows that want it.
// Runs on a worker thread, or on the main thread when there is little to do. Synchronous throughout.
import { errorCode } from '../../base/errors.ts';
import type { BlobId, ContentId, IndexEntry, ObjectId } from '../../repo-format/index.ts';
import { type LaneReader, decompressObject } from '../../repo-format/lane.ts';
import { EDQUOT, ENOSPC, EROFS, errnoName } from '../posix/libc.ts';
import type { AttributePolicy } from './attributes.ts';
import { RowWriter } from './row-writer.ts';
import { ContentChecker, type HashSpec } from './content-check.ts';
import { type LanePlace, takeJobs } from './job-order.ts';
import { MAX_KEY_BYTES, NO_PACK, PieceFlag, type PlanWindow, RowKind } from './window.ts';

export interface LaneOptions {
  readonly policy: AttributePolicy;
  /** Contents may be opened where they lie: half the memory, and it stays in the cache. Not with error correction. */
  readonly opensInPlace: boolean;
  /** Part of the temporary names of this run. */
  readonly runId: string;
  /** For checks of contents or restored files. */
  readonly hash?: HashSpec;
  /** Packs are no local files: they come while the lane works. */
  readonly packsArrive?: boolean;
}

/** What a lane says of packs that arrive; both are about a pack of the current window. */
export interface PackListener {
  /** The lane stands still until the pack is there. */
  waits(pack: number): void;
  /** No piece of the window needs the pack any more. */
  done(pack: number): void;
}

/** What a lane needs of the repository; `LaneReader` is one. */
export type PackSource = Pick<LaneReader, 'readPack' | 'openContent'>;

/** Shared with all lanes of a run (index, meaning). Words 0 and 1 are 32-bit, counters are 64-bit. */
export class LaneControl {
  readonly shared: SharedArrayBuffer;
  readonly #flags: Int32Array;
  readonly #counters: BigInt64Array;

  constructor(shared: SharedArrayBuffer = new SharedArrayBuffer(64)) {
    this.shared = shared;
    this.#flags = new Int32Array(shared, 0, 2);
    this.#counters = new BigInt64Array(shared, 8, 4);
  }

  /** Lanes stop before their next content. */
  stop(): void {
    Atomics.store(this.#flags, 0, 1);
  }

  get isStopped(): boolean {
    return Atomics.load(this.#flags, 0) !== 0;
  }

  count(rows: number, bytes: number): void {
    Atomics.add(this.#counters, 0, BigInt(rows));
    Atomics.add(this.#counters, 1, BigInt(bytes));
  }

  get rowsDone(): number {
    return Number(Atomics.load(this.#counters, 0));
  }

  get bytesDone(): number {
    return Number(Atomics.load(this.#counters, 1));
  }
}

/** A row that is not there, with the code and message for the receipt. */
export interface RowFailure {
  readonly row: number;
  readonly code: string;
  readonly message: string;
}

/** Rows on which one attribute did not take for one reason. */
export interface AttributeFailure {
  readonly attribute: string;
  readonly errno: string;
  count: number;
  /** The first few. */
  readonly rows: number[];
}

export interface LaneReport {
  readonly failures: RowFailure[];
  readonly attributes: AttributeFailure[];
  /** Rows made, by kind; large files are counted by the main thread. */
  readonly done: number[];
  readonly bytes: number;
  /** Bytes compared by hash. */
  readonly checkedBytes: number;
  /** Why nothing more can be written: a full or read-only file system. */
  readonly fatal?: RowFailure;
}

// Enough to see a pattern; the rest is counted. As an unprivileged user every file of a window may refuse its owner.
const ROWS_LISTED = 64;

const WAIT_MS = 1000;

// Between two contents of a pack up to this many unwanted bytes are read along, cheaper than another call.
const GAP_BYTES = 32 << 10;
/** A range is read at once up to this size, so that it is opened from the cache; a larger content is a range of its own. */
const RANGE_BYTES = 512 << 10;

// Room for the largest content of the default splitter, taken at once: a buffer that grows leaves its smaller selves behind,
// and pages that are never touched cost nothing.
const BUFFER_BYTES = (8 << 20) + (64 << 10);

/** Sealed contents start with a nonce; the plaintext lies where the ciphertext lay. */
const NONCE_BYTES = 12;
const IV_BYTES = 16;

export class Lane {
  readonly #source: PackSource;
  readonly #control: LaneControl;
  readonly #writer: RowWriter;
  readonly #opensInPlace: boolean;
  readonly #checker: ContentChecker | undefined;
  readonly #arriving: PackListener | undefined;
  #sealed = new Uint8Array(BUFFER_BYTES);
  #plain = new Uint8Array(0);
  #iv = new Uint8Array(IV_BYTES);
  readonly #entry = new PieceEntry();
  #window: PlanWindow | undefined;
  #packs: readonly string[] = [];
  #failures: RowFailure[] = [];
  #attributes = new Map<string, AttributeFailure>();
  #done: number[] = [];
  #bytes = 0;
  #checkedBytes = 0;
  #fatal: RowFailure | undefined;

  /** @param listener wanted where packs arrive */
  constructor(source: PackSource, control: LaneControl, options: LaneOptions, listener?: PackListener) {
    const { policy } = options;
    this.#arriving = options.packsArrive === true ? listener : undefined;
    this.#source = source;
    this.#opensInPlace = options.opensInPlace;
    this.#checker = options.hash === undefined ? undefined : new ContentChecker(options.hash);
    this.#control = control;
    this.#writer = new RowWriter(policy, options.runId, {
      failed: (row, call, errno) => this.#failErrno(row, call, errno),
      attribute: (row, attribute, errno) => this.#reportAttribute(row, attribute, errno),
    });
  }

  /** Takes jobs of `window` until none is left or the run is stopped. */
  run(window: PlanWindow, packs: readonly string[], windowNumber: number, place: LanePlace): LaneReport {
    this.#window = window;
    this.#packs = packs;
    this.#failures = [];
    this.#attributes = new Map();
    this.#done = [0, 0, 0, 0, 0, 0, 0];
    this.#bytes = 0;
    this.#checkedBytes = 0;
    this.#writer.begin(window, windowNumber);
    for (const job of takeJobs(window, place)) {
      if (this.#control.isStopped) break;
      this.#runJob(window, window.jobStart[job] ?? 0, window.jobStart[job + 1] ?? 0);
    }
    return {
      failures: this.#failures,
      attributes: [...this.#attributes.values()],
      done: this.#done,
      bytes: this.#bytes,
      checkedBytes: this.#checkedBytes,
      ...(this.#fatal === undefined ? {} : { fatal: this.#fatal }),
    };
  }

  #runJob(w: PlanWindow, from: number, to: number): void {
    const bytesBefore = this.#bytes + this.#checkedBytes;
    const { order, piecePack, pieceOffset, piecePackedBytes } = w;
    let i = from;
    while (i < to && !this.#control.isStopped) {
      const first = order[i] ?? 0;
      const pack = piecePack[first] ?? 0;
      if (pack === NO_PACK) {
        this.#makeWithoutContent(w, first);
        i++;
        continue;
      }
      const start = pieceOffset[first] ?? 0;
      let end = start + (piecePackedBytes[first] ?? 0);
      let j = i + 1;
      for (; j < to; j++) {
        const piece = order[j] ?? 0;
        const offset = pieceOffset[piece] ?? 0;
        const pieceEnd = offset + (piecePackedBytes[piece] ?? 0);
        if ((piecePack[piece] ?? 0) !== pack || offset > end + GAP_BYTES) break;
        if (pieceEnd - start > RANGE_BYTES && pieceEnd > end) break;
        end = Math.max(end, pieceEnd);
      }
      if (this.#arriving !== undefined && !this.#await(w, pack, this.#arriving)) return;
      this.#runRange(w, i, j, { pack, start, end });
      if (this.#arriving !== undefined && Atomics.sub(w.packLeft, pack, j - i) === j - i) this.#arriving.done(pack);
      i = j;
    }
    this.#control.count(to - from, this.#bytes + this.#checkedBytes - bytesBefore);
  }

  /** False when the run was stopped meanwhile. */
  #await(w: PlanWindow, pack: number, listener: PackListener): boolean {
    if (Atomics.load(w.packReady, pack) !== 0) return !this.#control.isStopped;
    listener.waits(pack);
    while (Atomics.load(w.packReady, pack) === 0 && !this.#control.isStopped) {
      // Woken when the pack has come or the run is over; the time is for a main thread that died of something else.
      Atomics.wait(w.packReady, pack, 0, WAIT_MS);
    }
    return !this.#control.isStopped;
  }

  /** Reads one range and opens the contents in it; one that cannot be read fails its own rows only. */
  #runRange(w: PlanWindow, from: number, to: number, range: { pack: number; start: number; end: number }): void {
    const { order, pieceOffset, piecePackedBytes } = w;
    const length = range.end - range.start;
    if (this.#sealed.length < length) this.#sealed = new Uint8Array(length);
    const packId = this.#packs[range.pack] as BlobId;
    let isRead = true;
    try {
      this.#source.readPack(packId, range.start, length, this.#sealed);
    } catch (error) {
      const isOne = (pieceOffset[order[from] ?? 0] ?? 0) === (pieceOffset[order[to - 1] ?? 0] ?? 0);
      if (isOne) {
        for (let k = from; k < to; k++) this.#failError(w.pieceRow[order[k] ?? 0] ?? 0, error);
        return;
      }
      isRead = false;
    }
    for (let k = from; k < to && !this.#control.isStopped;) {
      const piece = order[k] ?? 0;
      const offset = pieceOffset[piece] ?? 0;
      let next = k + 1;
      while (next < to && (pieceOffset[order[next] ?? 0] ?? 0) === offset) next++;
      if (isRead) {
        const at = offset - range.start;
        this.#openAndWrite(w, k, next, this.#sealed.subarray(at, at + (piecePackedBytes[piece] ?? 0)));
      } else {
        this.#runRange(w, k, next, { pack: range.pack, start: offset, end: offset + (piecePackedBytes[piece] ?? 0) });
      }
      k = next;
    }
  }

  /** Opens one content for the pieces [from, to) of the order, which all want it. HOT. */
  #openAndWrite(w: PlanWindow, from: number, to: number, sealed: Uint8Array): void {
    const first = w.order[from] ?? 0;
    let plain: Uint8Array;
    try {
      plain = this.#openPiece(w, first, sealed);
    } catch (error) {
      for (let k = from; k < to; k++) this.#failError(w.pieceRow[w.order[k] ?? 0] ?? 0, error);
      return;
    }
    for (let k = from; k < to; k++) {
      const piece = w.order[k] ?? 0;
      this.#write(w, piece, plain);
    }
  }

  #openPiece(w: PlanWindow, piece: number, sealed: Uint8Array): Uint8Array {
    const entry = this.#entry.at(w, piece, this.#packs);
    const plain = this.#source.openContent(entry, sealed, this.#roomFor(sealed), this.#ivOf(w, piece));
    if (((w.pieceFlags[piece] ?? 0) & PieceFlag.compressedObject) === 0) return plain;
    // The id of such a content is the hash of its compressed bytes.
    if (w.rowKind[w.pieceRow[piece] ?? 0] === RowKind.checkContent) return plain;
    const expected = w.pieceObjectBytes[piece] ?? 0;
    return decompressObject(entry.id as string as ObjectId, plain, expected, Math.max(expected, 1));
  }

  /** The last 16 bytes of the hash, without the way through the id's text. */
  #ivOf(w: PlanWindow, piece: number): Uint8Array {
    const end = piece * MAX_KEY_BYTES + w.keyBytes;
    const length = Math.min(IV_BYTES, w.keyBytes - 1);
    if (this.#iv.length !== length) this.#iv = new Uint8Array(length);
    for (let i = 0; i < length; i++) this.#iv[i] = w.pieceKey[end - length + i] ?? 0;
    return this.#iv;
  }

  #roomFor(sealed: Uint8Array): Uint8Array {
    if (this.#opensInPlace) return sealed.subarray(NONCE_BYTES);
    if (this.#plain.length < sealed.length) this.#plain = new Uint8Array(Math.max(sealed.length, BUFFER_BYTES));
    return this.#plain;
  }

  #write(w: PlanWindow, piece: number, plain: Uint8Array): void {
    const row = w.pieceRow[piece] ?? 0;
    const kind = w.rowKind[row] ?? 0;
    if (kind === RowKind.checkContent) {
      const isSame = this.#checker?.matches(w, piece, plain) ?? true;
      if (isSame) this.#checked(w, piece, undefined);
      else this.#fail({ row, code: 'CONTENT_CORRUPT', message: 'the hash of a content is not its id' });
      return;
    }
    let isDone = false;
    if (kind === RowKind.wholeFile) isDone = this.#writer.writeFile(row, plain);
    else if (kind === RowKind.largeFile) {
      isDone = this.#writer.writePiece(row, plain, w.pieceFileOffset[piece] ?? 0);
    } else if (kind === RowKind.symlink) isDone = this.#writer.writeSymlink(row, plain.slice());
    if (!isDone) return;
    this.#done[kind] = (this.#done[kind] ?? 0) + 1;
    if (kind !== RowKind.symlink) this.#bytes += plain.length;
  }

  #makeWithoutContent(w: PlanWindow, piece: number): void {
    const row = w.pieceRow[piece] ?? 0;
    const kind = w.rowKind[row] ?? 0;
    if (kind === RowKind.checkFile) {
      this.#checked(w, piece, this.#checker?.checkFile(w, piece));
      return;
    }
    const isDone = kind === RowKind.special ? this.#writer.writeSpecial(row) : this.#writer.writeFile(row, NOTHING);
    if (isDone) this.#done[kind] = (this.#done[kind] ?? 0) + 1;
  }

  #checked(w: PlanWindow, piece: number, problem: string | undefined): void {
    const row = w.pieceRow[piece] ?? 0;
    const kind = w.rowKind[row] ?? 0;
    if (problem !== undefined) {
      this.#fail({ row, code: 'RESTORE_VERIFY_FAILED', message: problem });
      return;
    }
    if ((w.pieceFileOffset[piece] ?? 0) === 0) this.#done[kind] = (this.#done[kind] ?? 0) + 1;
    this.#checkedBytes += w.pieceBytes[piece] ?? 0;
  }

  #failErrno(row: number, call: string, errno: number): void {
    const failure = { row, code: errnoName(errno), message: `${call} failed: ${errnoName(errno)}` };
    if (errno === ENOSPC || errno === EDQUOT || errno === EROFS) {
      this.#fatal ??= failure;
      this.#control.stop();
    }
    this.#fail(failure);
  }

  #failError(row: number, error: unknown): void {
    const message = error instanceof Error ? error.message : String(error);
    this.#fail({ row, code: errorCode(error) ?? 'UNKNOWN', message });
  }

  #fail(failure: RowFailure): void {
    const failed = this.#window?.rowFailed;
    // A large file fails once, with its first reason.
    if (failed !== undefined && Atomics.exchange(failed, failure.row, 1) !== 0) return;
    this.#failures.push(failure);
  }

  #reportAttribute(row: number, attribute: string, errno: number): void {
    const key = `${attribute}\0${errno}`;
    let known = this.#attributes.get(key);
    if (known === undefined) {
      known = { attribute, errno: errnoName(errno), count: 0, rows: [] };
      this.#attributes.set(key, known);
    }
    known.count++;
    if (known.rows.length < ROWS_LISTED) known.rows.push(row);
  }
}

const NOTHING = new Uint8Array(0);

/** The index entry of a piece, as the reader wants it. One for all: nobody keeps it, and its id is for messages. */
class PieceEntry implements IndexEntry {
  packId = '' as BlobId;
  packOffset = 0;
  packedLength = 0;
  originalLength = 0;
  compressionId = 0;
  encryptionKeyId = 0;
  readonly formatVersion = 0;
  readonly timestampSeconds = 0;
  readonly deleted = false;
  #window: PlanWindow | undefined;
  #piece = 0;

  /** HOT. */
  at(w: PlanWindow, piece: number, packs: readonly string[]): this {
    this.#window = w;
    this.#piece = piece;
    this.packId = packs[w.piecePack[piece] ?? 0] as BlobId;
    this.packOffset = w.pieceOffset[piece] ?? 0;
    this.packedLength = w.piecePackedBytes[piece] ?? 0;
    this.originalLength = w.pieceBytes[piece] ?? 0;
    this.compressionId = w.pieceCompression[piece] ?? 0;
    this.encryptionKeyId = w.pieceKeyId[piece] ?? 0;
    return this;
  }

  get id(): ContentId {
    const w = this.#window;
    if (w === undefined) return '' as ContentId;
    const start = this.#piece * MAX_KEY_BYTES;
    const prefix = w.pieceKey[start] ?? 0;
    const hex = Buffer.from(w.pieceKey.buffer, w.pieceKey.byteOffset + start + 1, w.keyBytes - 1).toString('hex');
    return (prefix === 0 ? hex : String.fromCharCode(prefix) + hex) as ContentId;
  }
}
