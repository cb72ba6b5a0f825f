// Reads contents synchronously on a worker thread: index in shared memory, packs as local files. Nothing of it touches
// the main thread. Every error is one of the content layer's.
import { closeSync, openSync, readSync } from 'node:fs';
import { WindlassError } from '../../base/errors.ts';
import { translateFileError } from '../blob/blob-errors.ts';
import { blobPath } from '../blob/filesystem-layout.ts';
import type { BlobId, LocalLayout } from '../blob/storage.ts';
import { openContent } from '../content/content-codec.ts';
import { type CipherSpec, type ContentCipher, createContentCipher } from '../crypto/content-cipher.ts';
import { contentKey, type ContentId } from '../index/content-id.ts';
import type { IndexEntry } from '../index/entry.ts';
import { IndexSet, type IndexSetData } from '../index/index-set.ts';

/** Structured-cloneable; index bytes are shared, not copied. */
export interface LaneReaderData {
  readonly cipher: CipherSpec;
  readonly index: IndexSetData;
  readonly layout: LocalLayout;
}

/** Pack files kept open. Contents wanted together mostly lie in the same few packs. */
const OPEN_PACKS = 8;

export class LaneReader {
  readonly cipher: ContentCipher;
  readonly #layout: LocalLayout;
  #indexSet: IndexSet;
  readonly #fds = new Map<BlobId, number>();

  constructor(data: LaneReaderData) {
    this.cipher = createContentCipher(data.cipher);
    this.#layout = data.layout;
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
    const fd = this.#packFd(packId);
    try {
      for (let done = 0; done < length; ) {
        const count = readSync(fd, into, done, length - done, offset + done);
        if (count === 0) {
          throw new WindlassError(`pack ${packId} ends before offset ${offset} + length ${length}`, {
            code: 'BLOB_INVALID_RANGE',
            context: { blobId: packId, offset, length },
          });
        }
        done += count;
      }
    } catch (error) {
      throw translateFileError(error, 'read', packId, blobPath(this.#layout, packId));
    }
  }

  openContent(entry: IndexEntry, sealed: Uint8Array, into?: Uint8Array): Uint8Array {
    return openContent(this.cipher, entry, sealed, into);
  }

  readContent(id: ContentId): Uint8Array {
    const entry = this.find(contentKey(id));
    if (entry === undefined) {
      throw new WindlassError(`content ${id} is in no index`, { code: 'CONTENT_NOT_FOUND', retry: 'after-refresh', context: { contentId: id } });
    }
    const sealed = new Uint8Array(entry.packedLength);
    this.readPack(entry.packId, entry.packOffset, entry.packedLength, sealed);
    return this.openContent(entry, sealed);
  }

  close(): void {
    for (const fd of this.#fds.values()) closeSync(fd);
    this.#fds.clear();
  }

  #packFd(packId: BlobId): number {
    const known = this.#fds.get(packId);
    if (known !== undefined) {
      this.#fds.delete(packId);
      this.#fds.set(packId, known);
      return known;
    }
    const path = blobPath(this.#layout, packId);
    let fd: number;
    try {
      fd = openSync(path, 'r');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
        throw new WindlassError(`blob ${packId} not found`, { code: 'BLOB_NOT_FOUND', context: { blobId: packId }, cause: error });
      }
      throw translateFileError(error, 'open', packId, path);
    }
    this.#fds.set(packId, fd);
    const oldest = this.#fds.keys().next().value;
    if (this.#fds.size > OPEN_PACKS && oldest !== undefined) {
      closeSync(this.#fds.get(oldest) ?? fd);
      this.#fds.delete(oldest);
    }
    return fd;
  }
}
