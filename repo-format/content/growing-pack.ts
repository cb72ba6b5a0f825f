// A pack while it grows: a staging file, sealed bytes gathered before they are written, index rows of what it holds.
// It is written in whole buffers, contents crossing from one to the next: each write then begins and ends at a page of the
// file, which costs half of one that does not (0.06 against 0.12 ns a byte into tmpfs).
// Every write goes to its own place in the file, so a write that failed halfway (a full disk) leaves the pack as it was
// and may be tried again.
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { hasCode, WindlassError } from '../../base/errors.ts';
import { toHex } from '../../base/hex.ts';
import type { RandomSource } from '../../base/random.ts';
import { translateFileError } from '../blob/blob-errors.ts';
import { translateLocalError } from '../blob/local-errors.ts';
import { DirectoryGuard } from '../blob/filesystem-directories.ts';
import { blobPathParts } from '../blob/filesystem-layout.ts';
import type { BlobId, LocalLayout } from '../blob/storage.ts';
import { putBytes } from '../crypto/content-cipher.ts';
import { rowSize } from '../index/index-builder.ts';

/** Where packs grow: beside their final place, or in a folder of their own when the store is not a local one. */
export type StagingSpec =
  { readonly kind: 'layout'; readonly layout: LocalLayout } | { readonly kind: 'folder'; readonly path: string };

/** A pack whose contents are complete but whose trailer is not written yet. The receiver owns `fd` and the file. */
export interface StagedPack {
  readonly packId: BlobId;
  readonly stagingPath: string;
  readonly fd: number;
  readonly length: number;
  /** Index rows in the layout of `IndexBuilder.addRows`, in order of arrival. */
  readonly rows: Uint8Array;
  readonly rowCount: number;
}

/** Contents without a prefix letter (file data) go to `p`, the others to `q`. */
export type PackKind = 'p' | 'q';

const DIRECTORY_MODE = 0o700;
const FILE_MODE = 0o600;
const FIRST_ROWS = 64;

/** Gives out paths for staging files; makes shard folders on demand and durably, but never the store's root. */
export class StagingPlace {
  readonly #spec: StagingSpec;
  readonly #random: RandomSource;
  readonly #directories: DirectoryGuard | undefined;

  constructor(spec: StagingSpec, random: RandomSource) {
    this.#spec = spec;
    this.#random = random;
    if (spec.kind === 'layout') this.#directories = new DirectoryGuard(spec.layout.rootPath, DIRECTORY_MODE);
  }

  /** Creates the file; the caller owns it. */
  open(packId: BlobId): { fd: number; stagingPath: string } {
    const stagingPath = this.#pathFor(packId);
    try {
      return { fd: this.#openIn(packId, stagingPath), stagingPath };
    } catch (cause) {
      throw translateStagingError(cause, 'stage', packId, stagingPath);
    }
  }

  #openIn(packId: BlobId, stagingPath: string): number {
    try {
      return this.#openNow(packId, stagingPath);
    } catch (error) {
      if (!hasCode(error, 'ENOENT') || this.#spec.kind !== 'layout') throw error;
      // Someone tidied a shard folder away that was seen before.
      this.#directories?.forget(blobPathParts(this.#spec.layout, packId).slice(0, -1));
      return this.#openNow(packId, stagingPath);
    }
  }

  #openNow(packId: BlobId, stagingPath: string): number {
    this.#makeFolder(packId);
    return openSync(stagingPath, 'wx+', FILE_MODE);
  }

  #pathFor(packId: BlobId): string {
    const spec = this.#spec;
    if (spec.kind === 'layout') {
      const path = join(spec.layout.rootPath, ...blobPathParts(spec.layout, packId));
      return `${path}.tmp.${toHex(this.#random.bytes(8))}`;
    }
    if (spec.path === '') {
      throw new WindlassError('packs need a folder to grow in, because the storage is not a local one', {
        code: 'STAGING_FOLDER_MISSING',
      });
    }
    return join(spec.path, packId);
  }

  #makeFolder(packId: BlobId): void {
    const spec = this.#spec;
    if (spec.kind === 'layout') this.#directories?.ensureSync(blobPathParts(spec.layout, packId).slice(0, -1));
    else mkdirSync(spec.path, { recursive: true, mode: DIRECTORY_MODE });
  }
}

/** What one content is to the index. */
export interface PackedContent {
  readonly key: Uint8Array;
  readonly offset: number;
  readonly packedLength: number;
  readonly originalLength: number;
  readonly compressionId: number;
  readonly timestampSeconds: number;
}

export class GrowingPack {
  readonly kind: PackKind;
  readonly packId: BlobId;
  readonly stagingPath: string;
  /** Sealed bytes on their way to the file; belongs to the writer, which lends it to one pack at a time. */
  readonly buffer: Uint8Array;
  readonly #fd: number;
  readonly #rowSize: number;
  #written = 0;
  #buffered = 0;
  #rows: Uint8Array;
  #rowCount = 0;

  private constructor(
    kind: PackKind,
    packId: BlobId,
    file: { fd: number; stagingPath: string },
    buffers: { buffer: Uint8Array; keySize: number },
  ) {
    this.kind = kind;
    this.packId = packId;
    this.stagingPath = file.stagingPath;
    this.#fd = file.fd;
    this.buffer = buffers.buffer;
    this.#rowSize = rowSize(buffers.keySize);
    this.#rows = new Uint8Array(this.#rowSize * FIRST_ROWS);
  }

  /** A new pack that starts with `head`. Nothing is left behind when that fails. */
  static create(
    kind: PackKind,
    packId: BlobId,
    head: Uint8Array,
    deps: { place: Pick<StagingPlace, 'open'>; buffer: Uint8Array; keySize: number },
  ): GrowingPack {
    const pack = new GrowingPack(kind, packId, deps.place.open(packId), deps);
    try {
      putBytes(pack, head);
      return pack;
    } catch (error) {
      pack.discard();
      throw error;
    }
  }

  /** Bytes so far, those in the buffer included: where the next content will be. */
  get length(): number {
    return this.#written + this.#buffered;
  }

  get rowCount(): number {
    return this.#rowCount;
  }

  /** Bytes that still fit into the buffer. */
  get free(): number {
    return this.buffer.length - this.#buffered;
  }

  /** Where in `buffer` so many bytes may be put; they count once `advance` is called. They must fit into the buffer. */
  reserve(bytes: number): number {
    if (this.#buffered + bytes > this.buffer.length) this.flush();
    return this.#buffered;
  }

  /** The reserved bytes are filled. */
  advance(bytes: number): void {
    this.#buffered += bytes;
  }

  /** Forgets what came after the pack had this length: the beginning of a content that could not be written. */
  rewind(length: number): void {
    this.#buffered = Math.max(0, length - this.#written);
    this.#written = Math.min(length, this.#written);
  }

  flush(): void {
    if (this.#buffered === 0) return;
    this.#writeFully(this.buffer, 0, this.#buffered);
    this.#written += this.#buffered;
    this.#buffered = 0;
  }

  /** HOT. */
  addRow(content: PackedContent): void {
    const size = this.#rowSize;
    const start = this.#rowCount * size;
    if (start + size > this.#rows.length) {
      const grown = new Uint8Array(this.#rows.length * 2);
      grown.set(this.#rows);
      this.#rows = grown;
    }
    const rows = this.#rows;
    rows.set(content.key, start);
    const at = start + content.key.length;
    putU32le(rows, at, content.offset);
    putU32le(rows, at + 4, content.packedLength);
    putU32le(rows, at + 8, content.originalLength);
    putU32le(rows, at + 12, content.compressionId);
    putU32le(rows, at + 16, content.timestampSeconds);
    rows[at + 20] = 0;
    this.#rowCount++;
  }

  /** Hands the file over, after `flush`. */
  staged(): StagedPack {
    return {
      packId: this.packId,
      stagingPath: this.stagingPath,
      fd: this.#fd,
      length: this.length,
      rows: this.#rows.slice(0, this.#rowCount * this.#rowSize),
      rowCount: this.#rowCount,
    };
  }

  /** Closes the file and leaves it to others to remove. */
  close(): void {
    closeSync(this.#fd);
  }

  discard(): void {
    closeSync(this.#fd);
    rmSync(this.stagingPath, { force: true });
  }

  #writeFully(bytes: Uint8Array, offset: number, length: number): void {
    try {
      for (let done = 0; done < length;) {
        done += writeSync(this.#fd, bytes, offset + done, length - done, this.#written + done);
      }
    } catch (cause) {
      throw translateStagingError(cause, 'write', this.packId, this.stagingPath);
    }
  }
}

/** A pack that does not grow in its store grows under its own name. */
export function translateStagingError(error: unknown, operation: string, packId: BlobId, path: string): unknown {
  const isInStore = !path.endsWith(`/${packId}`);
  return (isInStore ? translateFileError : translateLocalError)(error, operation, packId, path);
}

function putU32le(out: Uint8Array, at: number, value: number): void {
  out[at] = value;
  out[at + 1] = value >>> 8;
  out[at + 2] = value >>> 16;
  out[at + 3] = value >>> 24;
}
