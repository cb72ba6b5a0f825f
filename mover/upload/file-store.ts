// Stores the data of one regular file as an object: open without following anything, read once from start to end into
// the splitter's window, skip holes, and say whether the file stood still meanwhile. A file that moved is read again, a
// bounded number of times; then it is stored as it was read and marked `changed`.
import {
  close,
  EINVAL,
  ELOOP,
  ENOENT,
  ENXIO,
  EOPNOTSUPP,
  fstat,
  lseek,
  type PathName,
  readInto,
  SEEK_DATA,
  SEEK_HOLE,
  sameFile,
  sameVersion,
  StatRecord,
} from '../posix/libc.ts';
import type { IndirectEntry, ObjectId, ObjectWriter } from '../../repo-format/index.ts';
import { openForReading } from '../source/file-opener.ts';
import { mayHaveHoles } from '../source/holes.ts';
import { readXattrs, type Xattr } from '../source/xattrs.ts';
import { attributesOf } from './attributes-of.ts';
import type { LaneProgress } from './progress.ts';

export interface StoreRequest {
  readonly directoryFd: number;
  readonly name: PathName;
  /** What the listing said of the file. */
  readonly listed: StatRecord;
  readonly compressor: string;
  readonly metadataCompressor: string;
  /** One part of a large file; the whole file when undefined. */
  readonly part: { readonly offset: number; readonly length: number | undefined } | undefined;
}

export type StoreOutcome =
  | {
      readonly kind: 'stored';
      readonly objectId: ObjectId;
      /** Pieces of a part, in place of `objectId`'s index object. */
      readonly pieces: readonly IndirectEntry[] | undefined;
      readonly size: number;
      readonly sparse: boolean;
      readonly changed: boolean;
      readonly rereads: number;
      /** Of the open file; undefined when it has none. */
      readonly xattrs: readonly Xattr[] | undefined;
      /** 0, or why the attributes could not be read. */
      readonly xattrErrno: number;
    }
  | { readonly kind: 'failed'; readonly errno: number; readonly call: string }
  | { readonly kind: 'vanished' }
  | { readonly kind: 'stopped' };

interface ReadOutcome {
  readonly errno: number;
  readonly sparse: boolean;
  readonly stopped: boolean;
}

/** Of a file that says it is empty and is not: such files are short, but some never end. */
const MAX_UNSIZED_BYTES = 1 << 30;

/** Answers of opening a name that does not lead to the listed file any more. */
const GONE: ReadonlySet<number> = new Set([-ENOENT, -ELOOP, -ENXIO, -EOPNOTSUPP, -EINVAL]);

export class FileStore {
  readonly #writer: ObjectWriter;
  readonly #readBytes: number;
  readonly #maxRereads: number;
  readonly #progress: LaneProgress;
  readonly #isStopped: () => boolean;
  readonly #before = new StatRecord();
  /** Facts of the file as of the last, accepted reading. */
  readonly after = new StatRecord();

  constructor(
    options: { readBytes: number; maxRereads: number },
    deps: { writer: ObjectWriter; progress: LaneProgress; isStopped: () => boolean },
  ) {
    this.#writer = deps.writer;
    this.#readBytes = options.readBytes;
    this.#maxRereads = options.maxRereads;
    this.#progress = deps.progress;
    this.#isStopped = deps.isStopped;
  }

  store(request: StoreRequest): StoreOutcome {
    const fd = openForReading(request.directoryFd, request.name, request.listed.uid);
    // Gone, or a symlink, socket or driverless device was put in its place since the listing.
    if (GONE.has(fd)) return { kind: 'vanished' };
    if (fd < 0) return { kind: 'failed', errno: -fd, call: 'open' };
    try {
      return this.#storeOpen(fd, request);
    } finally {
      close(fd);
    }
  }

  /**
   * One look after reading tells both whether it was the file that was listed and whether it stood still: nothing else
   * is asked of the many files that did. What was read of a file that was not the listed one is forgotten.
   */
  #storeOpen(fd: number, request: StoreRequest): StoreOutcome {
    const { part } = request;
    let before: StatRecord = request.listed;
    for (let rereads = 0; ; rereads++) {
      this.#writer.reset({ compressor: request.compressor, metadataCompressor: request.metadataCompressor });
      const read = this.#read(fd, before, part);
      if (read.stopped) return { kind: 'stopped' };
      const status = fstat(fd, this.after);
      if (status < 0) return { kind: 'failed', errno: -status, call: 'fstat' };
      if (!this.after.isRegular || !sameFile(this.after, before)) return { kind: 'vanished' };
      if (read.errno !== 0) return { kind: 'failed', errno: read.errno, call: 'read' };
      const size = this.#writer.length;
      const steady = sameVersion(before, this.after) && size === expectedBytes(before, part);
      if (!steady && rereads < this.#maxRereads) {
        before = this.#before.assign(this.after);
        continue;
      }
      const { attributes: xattrs, errno: xattrErrno } = attributesOf(() => readXattrs(fd));
      const stored = { size, sparse: read.sparse, changed: !steady, rereads, xattrs, xattrErrno };
      if (part === undefined) return { kind: 'stored', objectId: this.#writer.result(), pieces: undefined, ...stored };
      return { kind: 'stored', objectId: '' as ObjectId, pieces: this.#writer.resultPieces(), ...stored };
    }
  }

  /**
   * Reads what the file had when it was looked at and no more: neither one that grows without end nor a device put in
   * its place can hold the lane. What came later is noticed by the look afterwards.
   */
  #read(fd: number, stat: StatRecord, part: StoreRequest['part']): ReadOutcome {
    if (stat.size === 0) return this.#readUnsized(fd, stat);
    const from = part?.offset ?? 0;
    const to = part?.length === undefined ? stat.size : Math.min(from + part.length, stat.size);
    // A file with fewer blocks than its size needs has holes, or is compressed by its file system: ask where.
    if (!mayHaveHoles(stat)) return this.#readExtent(fd, from, to, false);
    return this.#readSparse(fd, from, to);
  }

  /** Empty, or one of the kernel's own files that say so: those are read to their end. */
  #readUnsized(fd: number, stat: StatRecord): ReadOutcome {
    const first = this.#readExtent(fd, 0, this.#readBytes, false);
    if (this.#writer.length === 0 || first.errno !== 0 || first.stopped) return first;
    const isListed = fstat(fd, this.after) === 0 && this.after.isRegular && sameFile(this.after, stat);
    return isListed ? this.#readExtent(fd, this.#writer.length, MAX_UNSIZED_BYTES, false) : first;
  }

  #readSparse(fd: number, from: number, size: number): ReadOutcome {
    let sparse = false;
    let at = from;
    while (at < size) {
      let data = lseek(fd, at, SEEK_DATA);
      // ENXIO: nothing but hole up to the end. Any other failure: read everything, holes read as zeros.
      if (data < 0) data = lseek(fd, 0, SEEK_HOLE) < 0 ? at : size;
      data = Math.min(data, size);
      if (data > at) {
        sparse = true;
        if (!this.#feedZeros(data - at)) return { errno: 0, sparse, stopped: true };
        at = data;
        continue;
      }
      const hole = lseek(fd, at, SEEK_HOLE);
      const end = hole <= at ? size : Math.min(hole, size);
      const read = this.#readExtent(fd, at, end, sparse);
      if (read.errno !== 0 || read.stopped) return read;
      if (this.#writer.length < end - from) return { errno: 0, sparse, stopped: false };
      at = end;
    }
    return { errno: 0, sparse, stopped: false };
  }

  #readExtent(fd: number, from: number, to: number, sparse: boolean): ReadOutcome {
    const writer = this.#writer;
    const window = writer.splitter.window;
    for (let at = from; at < to;) {
      const wanted = Math.min(this.#readBytes, writer.writable, to - at);
      const count = readInto(fd, window, writer.writeOffset, wanted, at);
      if (count < 0) return { errno: -count, sparse, stopped: false };
      if (count > 0) {
        writer.advance(count);
        this.#progress.read(count);
        at += count;
      }
      // A regular file answers short only at its end.
      if (count < wanted) break;
      if (this.#isStopped()) return { errno: 0, sparse, stopped: true };
    }
    return { errno: 0, sparse, stopped: false };
  }

  /** Feeds the zeros of a hole without reading them. False when told to stop. */
  #feedZeros(length: number): boolean {
    const writer = this.#writer;
    const window = writer.splitter.window;
    for (let left = length; left > 0;) {
      const offset = writer.writeOffset;
      const count = Math.min(this.#readBytes, writer.writable, left);
      window.fill(0, offset, offset + count);
      writer.advance(count);
      left -= count;
      if (this.#isStopped()) return false;
    }
    return true;
  }
}

/** What reading a file of this size gives, whole or in part. Fewer bytes were cut short by whoever serves the file. */
function expectedBytes({ size }: StatRecord, part: StoreRequest['part']): number {
  if (part === undefined) return size;
  return Math.min(part.length ?? size, Math.max(0, size - part.offset));
}
