// A window: a bounded part of the restore plan in shared memory, filled by the main thread and worked off by lanes.
// The same buffers are filled again and again, so a plan of any length takes the same memory (design note 0004).
//
// A row is one thing to make in the target; a piece is one content (or none) that a row needs. Pieces are worked off in
// the order of pack and offset, a job being a run of them. Strings and attributes lie in the arena.

import type { ContentId } from '../../repo-format/index.ts';
import { writeContentKey } from '../../repo-format/lane.ts';

/** What a row asks a lane to make. */
export const RowKind = {
  wholeFile: 0,
  emptyFile: 1,
  largeFile: 2,
  symlink: 3,
  special: 4,
  checkFile: 5,
  checkContent: 6,
} as const;
export type RowKindValue = (typeof RowKind)[keyof typeof RowKind];

/** Bits of `rowFlags`. */
export const RowFlag = {
  /** Something has the name already: write beside it and rename over it. */
  replace: 1,
  /** Runs of zeros become holes. */
  sparse: 2,
  /** The directory hands down a default ACL that the entry must not keep. */
  inheritsAcl: 4,
  /** New entries of this directory get the group of the process, not of the directory. */
  ownGroup: 8,
} as const;

/** Bits of `pieceFlags`. */
export const PieceFlag = { compressedObject: 1 } as const;

export interface WindowCapacity {
  readonly rows: number;
  readonly pieces: number;
  readonly arenaBytes: number;
}

// 8,192 pieces of small files are about 32 MiB of packs: enough to read packs in long runs, and 1.9 MiB of plan.
export const DEFAULT_CAPACITY: WindowCapacity = { rows: 8192, pieces: 8192, arenaBytes: 768 << 10 };

/** The pack number of pieces without content; sorts last. */
export const NO_PACK = 0xffff_ffff;
export const MAX_KEY_BYTES = 33;

const HEADER_WORDS = 16;
// Words of the header.
const JOB_COUNT = 0;
const KEY_BYTES = 1;

const JOB_SPAN_BYTES = 4 << 20;
const JOB_PIECES = 256;

/** The arrays of one window. Both sides make one over the same shared buffer. */
export class PlanWindow {
  readonly shared: SharedArrayBuffer;
  readonly capacity: WindowCapacity;
  readonly header: Int32Array;
  readonly rowKind: Uint8Array;
  readonly rowFlags: Uint8Array;
  readonly rowDirFd: Int32Array;
  readonly rowFd: Int32Array;
  readonly rowMode: Uint32Array;
  readonly rowUid: Uint32Array;
  readonly rowGid: Uint32Array;
  readonly rowMtimeSeconds: Float64Array;
  readonly rowMtimeNanoseconds: Uint32Array;
  readonly rowSize: Float64Array;
  readonly rowName: Uint32Array;
  readonly rowNameBytes: Uint16Array;
  readonly rowXattrs: Uint32Array;
  readonly rowXattrBytes: Uint32Array;
  readonly rowDeviceMajor: Uint32Array;
  readonly rowDeviceMinor: Uint32Array;
  /** 0 until a lane failed the row; then the row is not there, or not whole. */
  readonly rowFailed: Uint8Array;
  readonly piecePack: Uint32Array;
  readonly pieceOffset: Uint32Array;
  readonly piecePackedBytes: Uint32Array;
  readonly pieceBytes: Uint32Array;
  /** Bytes of the object piece; differs from `pieceBytes` for objects that are compressed themselves. */
  readonly pieceObjectBytes: Uint32Array;
  readonly pieceCompression: Uint32Array;
  readonly pieceKeyId: Uint8Array;
  readonly pieceFlags: Uint8Array;
  readonly pieceRow: Uint32Array;
  readonly pieceFileOffset: Float64Array;
  readonly pieceKey: Uint8Array;
  readonly order: Uint32Array;
  readonly jobStart: Uint32Array;
  /** 0 until a lane has taken the job; changed with atomics only. */
  readonly jobTaken: Uint8Array;
  /** By pack number, where packs are no local files: 0 until what is wanted of the pack is there. */
  readonly packReady: Int32Array;
  /** By pack number: pieces that no lane is through with. */
  readonly packLeft: Int32Array;
  readonly arena: Uint8Array;

  constructor(capacity: WindowCapacity, shared?: SharedArrayBuffer) {
    this.capacity = capacity;
    this.shared = shared ?? new SharedArrayBuffer(byteLengthOf(capacity));
    const layout = new Layout(this.shared);
    const { rows, pieces, arenaBytes } = capacity;
    this.rowMtimeSeconds = layout.float64(rows);
    this.rowSize = layout.float64(rows);
    this.pieceFileOffset = layout.float64(pieces);
    this.header = layout.int32(HEADER_WORDS);
    this.rowDirFd = layout.int32(rows);
    this.rowFd = layout.int32(rows);
    this.rowMode = layout.uint32(rows);
    this.rowUid = layout.uint32(rows);
    this.rowGid = layout.uint32(rows);
    this.rowMtimeNanoseconds = layout.uint32(rows);
    this.rowName = layout.uint32(rows);
    this.rowXattrs = layout.uint32(rows);
    this.rowXattrBytes = layout.uint32(rows);
    this.rowDeviceMajor = layout.uint32(rows);
    this.rowDeviceMinor = layout.uint32(rows);
    this.piecePack = layout.uint32(pieces);
    this.pieceOffset = layout.uint32(pieces);
    this.piecePackedBytes = layout.uint32(pieces);
    this.pieceBytes = layout.uint32(pieces);
    this.pieceObjectBytes = layout.uint32(pieces);
    this.pieceCompression = layout.uint32(pieces);
    this.pieceRow = layout.uint32(pieces);
    this.order = layout.uint32(pieces);
    this.jobStart = layout.uint32(pieces + 1);
    this.packReady = layout.int32(pieces);
    this.packLeft = layout.int32(pieces);
    this.rowNameBytes = layout.uint16(rows);
    this.rowKind = layout.uint8(rows);
    this.rowFlags = layout.uint8(rows);
    this.rowFailed = layout.uint8(rows);
    this.pieceKeyId = layout.uint8(pieces);
    this.pieceFlags = layout.uint8(pieces);
    this.pieceKey = layout.uint8(pieces * MAX_KEY_BYTES);
    this.jobTaken = layout.uint8(pieces);
    this.arena = layout.uint8(arenaBytes);
  }

  get jobCount(): number {
    return this.header[JOB_COUNT] ?? 0;
  }

  /** Bytes of a binary content key, the same for all contents of a repository. */
  get keyBytes(): number {
    return this.header[KEY_BYTES] ?? 0;
  }

  nameOf(row: number): Uint8Array {
    const start = this.rowName[row] ?? 0;
    return this.arena.subarray(start, start + (this.rowNameBytes[row] ?? 0));
  }

  xattrsOf(row: number): Uint8Array | undefined {
    const length = this.rowXattrBytes[row] ?? 0;
    if (length === 0) return undefined;
    const start = this.rowXattrs[row] ?? 0;
    return this.arena.subarray(start, start + length);
  }

  /** Makes a job the caller's; false when another lane has it. */
  takeJob(job: number): boolean {
    return Atomics.exchange(this.jobTaken, job, 1) === 0;
  }
}

class Layout {
  #at = 0;
  readonly #buffer: SharedArrayBuffer;

  constructor(buffer: SharedArrayBuffer) {
    this.#buffer = buffer;
  }

  #take(bytes: number): number {
    const at = this.#at;
    this.#at += bytes;
    return at;
  }

  float64 = (count: number): Float64Array => new Float64Array(this.#buffer, this.#take(count * 8), count);
  int32 = (count: number): Int32Array => new Int32Array(this.#buffer, this.#take(count * 4), count);
  uint32 = (count: number): Uint32Array => new Uint32Array(this.#buffer, this.#take(count * 4), count);
  uint16 = (count: number): Uint16Array => new Uint16Array(this.#buffer, this.#take(count * 2), count);
  uint8 = (count: number): Uint8Array => new Uint8Array(this.#buffer, this.#take(count), count);
}

function byteLengthOf({ rows, pieces, arenaBytes }: WindowCapacity): number {
  const perRow = 2 * 8 + 11 * 4 + 2 + 3;
  const perPiece = 8 + 11 * 4 + 3 + MAX_KEY_BYTES;
  // + 64: alignment of the 4-byte arrays behind the 8-byte ones needs none, of the others neither; slack for odd capacities
  return (rows * perRow + pieces * perPiece + (HEADER_WORDS + 1) * 4 + arenaBytes + 64 + 7) & ~7;
}

export interface RowFields {
  readonly kind: RowKindValue;
  readonly flags: number;
  readonly dirFd: number;
  /** Of a large file, opened by the main thread. */
  readonly fd: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeSeconds: number;
  readonly mtimeNanoseconds: number;
  readonly size: number;
  readonly name: Uint8Array;
  readonly xattrs: Uint8Array | undefined;
  readonly deviceMajor: number;
  readonly deviceMinor: number;
}

export interface PieceFields {
  readonly packId: string;
  readonly packOffset: number;
  readonly packedLength: number;
  /** Of the content. */
  readonly length: number;
  /** Of what the row gets. */
  readonly objectLength: number;
  readonly compressionId: number;
  readonly encryptionKeyId: number;
  readonly flags: number;
  /** Of the content. */
  readonly id: ContentId;
}

/** Fills a window. Only between the return of a window by all lanes and its next hand-over. */
export class WindowBuilder {
  readonly window: PlanWindow;
  rowCount = 0;
  pieceCount = 0;
  /** Pack names by pack number. */
  packs: string[] = [];
  #arenaUsed = 0;
  #packNumbers = new Map<string, number>();

  constructor(window: PlanWindow) {
    this.window = window;
  }

  reset(): void {
    this.rowCount = 0;
    this.pieceCount = 0;
    this.packs = [];
    this.#arenaUsed = 0;
    this.#packNumbers = new Map();
  }

  /** True when one more row with `arenaBytes` and one more piece fit. */
  fits(arenaBytes: number): boolean {
    const { rows, pieces, arenaBytes: room } = this.window.capacity;
    return this.rowCount < rows && this.pieceCount < pieces && this.#arenaUsed + arenaBytes <= room;
  }

  addRow(fields: RowFields): number {
    const w = this.window;
    const row = this.rowCount++;
    w.rowKind[row] = fields.kind;
    w.rowFlags[row] = fields.flags;
    w.rowDirFd[row] = fields.dirFd;
    w.rowFd[row] = fields.fd;
    w.rowMode[row] = fields.mode;
    w.rowUid[row] = fields.uid;
    w.rowGid[row] = fields.gid;
    w.rowMtimeSeconds[row] = fields.mtimeSeconds;
    w.rowMtimeNanoseconds[row] = fields.mtimeNanoseconds;
    w.rowSize[row] = fields.size;
    w.rowDeviceMajor[row] = fields.deviceMajor;
    w.rowDeviceMinor[row] = fields.deviceMinor;
    w.rowFailed[row] = 0;
    w.rowName[row] = this.#store(fields.name);
    w.rowNameBytes[row] = fields.name.length;
    w.rowXattrBytes[row] = fields.xattrs?.length ?? 0;
    if (fields.xattrs !== undefined) w.rowXattrs[row] = this.#store(fields.xattrs);
    return row;
  }

  #store(bytes: Uint8Array): number {
    const at = this.#arenaUsed;
    this.window.arena.set(bytes, at);
    this.#arenaUsed += bytes.length;
    return at;
  }

  addPiece(row: number, fileOffset: number, piece: PieceFields): void {
    const w = this.window;
    const at = this.pieceCount++;
    w.piecePack[at] = this.#packNumber(piece.packId);
    w.pieceOffset[at] = piece.packOffset;
    w.piecePackedBytes[at] = piece.packedLength;
    w.pieceBytes[at] = piece.length;
    w.pieceObjectBytes[at] = piece.objectLength;
    w.pieceCompression[at] = piece.compressionId;
    w.pieceKeyId[at] = piece.encryptionKeyId;
    w.pieceFlags[at] = piece.flags;
    w.pieceRow[at] = row;
    w.pieceFileOffset[at] = fileOffset;
    w.header[KEY_BYTES] = writeContentKey(piece.id, w.pieceKey, at * MAX_KEY_BYTES);
  }

  /** For rows that need no content. */
  addEmptyPiece(row: number): void {
    const w = this.window;
    const at = this.pieceCount++;
    w.piecePack[at] = NO_PACK;
    w.pieceOffset[at] = at;
    w.piecePackedBytes[at] = 0;
    w.pieceBytes[at] = 0;
    w.pieceRow[at] = row;
    w.pieceFileOffset[at] = 0;
  }

  /** A part of a restored file that shall have the hash of `id`; no pack is read for it. */
  addCheckPiece(row: number, fileOffset: number, piece: { readonly length: number; readonly id: ContentId }): void {
    const at = this.pieceCount;
    this.addEmptyPiece(row);
    const w = this.window;
    // So that jobs are cut as if the bytes came from a pack.
    w.piecePackedBytes[at] = piece.length;
    w.pieceBytes[at] = piece.length;
    w.pieceFileOffset[at] = fileOffset;
    w.header[KEY_BYTES] = writeContentKey(piece.id, w.pieceKey, at * MAX_KEY_BYTES);
  }

  #packNumber(packId: string): number {
    let number = this.#packNumbers.get(packId);
    if (number === undefined) {
      number = this.packs.length;
      this.packs.push(packId);
      this.#packNumbers.set(packId, number);
    }
    return number;
  }

  /** Sorts the pieces by pack and offset and cuts them into jobs. Pieces of one content are never parted. */
  seal(): void {
    const { window: w, pieceCount } = this;
    const keys = new Float64Array(pieceCount);
    for (let i = 0; i < pieceCount; i++) {
      // Below 2^53: there are at most as many packs as pieces.
      const pack = Math.min(w.piecePack[i] ?? 0, this.packs.length);
      keys[i] = pack * 2 ** 32 + (w.pieceOffset[i] ?? 0);
    }
    const order = w.order.subarray(0, pieceCount);
    for (let i = 0; i < pieceCount; i++) order[i] = i;
    // Equal keys in order of planning: the rows of one content, first one first.
    order.sort((a, b) => (keys[a] ?? 0) - (keys[b] ?? 0) || a - b);
    const jobs = this.#cutJobs(order, keys);
    w.header[JOB_COUNT] = jobs;
    w.jobTaken.fill(0, 0, jobs);
  }

  #cutJobs(order: Uint32Array, keys: Float64Array): number {
    const w = this.window;
    let jobs = 0;
    let first = -1;
    let firstKey = 0;
    let previousKey = -1;
    for (let i = 0; i < order.length; i++) {
      const piece = order[i] ?? 0;
      const key = keys[piece] ?? 0;
      const end = key + (w.piecePackedBytes[piece] ?? 0);
      const full = first < 0 || i - first >= JOB_PIECES || end - firstKey > JOB_SPAN_BYTES;
      if (full && key !== previousKey) {
        w.jobStart[jobs++] = i;
        first = i;
        firstKey = key;
      }
      previousKey = key;
    }
    w.jobStart[jobs] = order.length;
    return jobs;
  }
}
