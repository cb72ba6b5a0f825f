// Reads contents synchronously on a worker thread: index in shared memory, packs as local files. Where the store has none,
// packs come into a folder first, and a lane that misses one asks the main thread for it. `readPack` fails as the blob layer
// does, `readContent` as the content layer does.
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { hasCode } from '../../base/errors.ts';
import { assertRangeInside, blobNotFound, translateFileError } from '../blob/blob-errors.ts';
import { blobPath } from '../blob/filesystem-layout.ts';
import type { BlobId, LocalLayout } from '../blob/storage.ts';
import { openContent } from '../content/content-codec.ts';
import { contentLost, contentNotFound } from '../content/content-errors.ts';
import { NONCE_BYTES } from '../crypto/direct-crypto.ts';
import { type CipherSpec, type ContentCipher, createContentCipher } from '../crypto/content-cipher.ts';
import { contentKey, type ContentId } from '../index/content-id.ts';
import type { IndexEntry } from '../index/entry.ts';
import { IndexSet, type IndexSetData } from '../index/index-set.ts';
import { type PackPort, PackRequests } from './pack-requests.ts';

/** Structured-cloneable; index bytes are shared, not copied. */
export interface LaneReaderData {
  readonly cipher: CipherSpec;
  readonly index: IndexSetData;
  readonly layout: LocalLayout;
  /** Where packs that are not there can be had; undefined when there is nothing but what is there. */
  readonly requests?: PackPort;
}

/** Pack files kept open. Contents wanted together mostly lie in the same few packs. */
const OPEN_PACKS = 8;
/** A pack that came may have to make room for others before it is opened: how often it is asked for. */
const ATTEMPTS = 4;
/** Most directory objects are smaller. */
const SCRATCH_BYTES = 64 << 10;
// As the main thread opens blobs: through no link, and a FIFO in the place of a pack must not hang the lane.
const READ_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

interface OpenPackFile {
  readonly fd: number;
  /** Packs are complete when an index names them, and never change. */
  readonly length: number;
}

export class LaneReader {
  readonly cipher: ContentCipher;
  readonly #layout: LocalLayout;
  readonly #opensInPlace: boolean;
  readonly #requests: PackRequests | undefined;
  #indexSet: IndexSet;
  #scratch: Uint8Array | undefined;
  /** Least recently used first. */
  readonly #files = new Map<BlobId, OpenPackFile>();

  constructor(data: LaneReaderData) {
    this.cipher = createContentCipher(data.cipher);
    this.#opensInPlace = data.cipher.ecc === undefined;
    this.#layout = data.layout;
    this.#requests = data.requests === undefined ? undefined : new PackRequests(data.requests);
    this.#indexSet = IndexSet.fromTransferable(data.index);
  }

  get indexSet(): IndexSet {
    return this.#indexSet;
  }

  setIndex(indexSet: IndexSet): void {
    this.#indexSet = indexSet;
  }

  find(key: Uint8Array): IndexEntry | undefined {
    return this.#indexSet.find(key);
  }

  /** Fills `into[0, length)` from the pack. `BLOB_NOT_FOUND` or `BLOB_INVALID_RANGE` when the bytes are not there. */
  readPack(packId: BlobId, offset: number, length: number, into: Uint8Array): void {
    const file = this.#open(packId);
    assertRangeInside(packId, { offset, length }, file.length);
    try {
      for (let done = 0; done < length;) {
        const count = readSync(file.fd, into, done, length - done, offset + done);
        if (count === 0) throw new RangeError('the file became shorter while it was read');
        done += count;
      }
    } catch (error) {
      throw translateFileError(error, 'read', packId, blobPath(this.#layout, packId));
    }
  }

  /** As `openContent` of the content layer; `iv` is that of the entry's id, where the caller has it. */
  openContent(entry: IndexEntry, sealed: Uint8Array, into?: Uint8Array, iv?: Uint8Array): Uint8Array {
    return openContent(this.cipher, entry, sealed, into, iv);
  }

  /** `CONTENT_NOT_FOUND`, `CONTENT_LOST`, `CONTENT_CORRUPT`. */
  readContent(id: ContentId): Uint8Array {
    const entry = this.find(contentKey(id));
    if (entry === undefined) throw contentNotFound(id);
    try {
      return this.#readEntry(entry);
    } catch (error) {
      if (this.#requests === undefined || !isDamage(error)) throw error;
      // A copy of a pack may be damaged where the pack is not.
      this.#closeFile(entry.packId);
      this.#requests.fetch(entry.packId, true);
      return this.#readEntry(entry);
    }
  }

  #readEntry(entry: IndexEntry): Uint8Array {
    const sealed = this.#readSealed(entry);
    // Compressed bytes are opened where they lie: what is returned is what they decompress to.
    const isInPlace = this.#opensInPlace && entry.compressionId !== 0;
    return this.openContent(entry, sealed, isInPlace ? sealed.subarray(NONCE_BYTES) : undefined);
  }

  /** Keeps no pack open: files that were removed meanwhile go, those that have grown are seen anew. */
  close(): void {
    for (const { fd } of this.#files.values()) closeSync(fd);
    this.#files.clear();
  }

  #readSealed(entry: IndexEntry): Uint8Array {
    const { packId, packOffset, packedLength } = entry;
    try {
      // Before memory is taken for it: the length is only what an index says.
      assertRangeInside(packId, { offset: packOffset, length: packedLength }, this.#open(packId).length);
      const sealed = this.#roomFor(packedLength);
      this.readPack(packId, packOffset, packedLength, sealed);
      return sealed;
    } catch (error) {
      if (hasCode(error, 'BLOB_NOT_FOUND') || hasCode(error, 'BLOB_INVALID_RANGE')) throw contentLost(entry, error);
      throw error;
    }
  }

  /** Sealed bytes are gone once they are opened: small ones share memory. */
  #roomFor(length: number): Uint8Array {
    if (length > SCRATCH_BYTES) return new Uint8Array(length);
    this.#scratch ??= new Uint8Array(SCRATCH_BYTES);
    return this.#scratch.subarray(0, length);
  }

  #open(packId: BlobId): OpenPackFile {
    const known = this.#files.get(packId);
    if (known !== undefined) {
      this.#files.delete(packId);
      this.#files.set(packId, known);
      return known;
    }
    const file = this.#openFile(packId);
    this.#files.set(packId, file);
    const [oldest] = this.#files.keys();
    if (this.#files.size > OPEN_PACKS && oldest !== undefined) this.#closeFile(oldest);
    return file;
  }

  #closeFile(packId: BlobId): void {
    const file = this.#files.get(packId);
    if (file !== undefined) closeSync(file.fd);
    this.#files.delete(packId);
  }

  #openFile(packId: BlobId): OpenPackFile {
    for (let attempt = 1; ; attempt++) {
      try {
        return this.#openNow(packId);
      } catch (error) {
        const isMissing = hasCode(error, 'BLOB_NOT_FOUND');
        if (!isMissing || this.#requests === undefined || attempt === ATTEMPTS) throw error;
        this.#requests.fetch(packId, false);
      }
    }
  }

  #openNow(packId: BlobId): OpenPackFile {
    const path = blobPath(this.#layout, packId);
    let fd: number | undefined;
    try {
      fd = openSync(path, READ_FLAGS);
      const status = fstatSync(fd);
      if (!status.isFile()) throw blobNotFound(packId);
      return { fd, length: status.size };
    } catch (error) {
      if (fd !== undefined) closeSync(fd);
      if (hasCode(error, 'ENOENT') || hasCode(error, 'ENOTDIR')) throw blobNotFound(packId, error);
      throw translateFileError(error, 'open', packId, path);
    }
  }
}

/** What a fresh copy may heal. */
function isDamage(error: unknown): boolean {
  if (hasCode(error, 'CONTENT_CORRUPT')) return true;
  return hasCode(error, 'CONTENT_LOST') && error instanceof Error && hasCode(error.cause, 'BLOB_INVALID_RANGE');
}
