// The blob layer's contract: a flat set of named, write-once byte strings (repository format §1.1).

declare const blobIdBrand: unique symbol;
/** Name of a blob: 1–255 ASCII characters, no `/`. */
export type BlobId = string & { readonly [blobIdBrand]: true };

export interface BlobMetadata {
  readonly id: BlobId;
  /** Bytes. */
  readonly length: number;
  /** The store's own last-modified time, Unix ms. Never compare it with the local clock. */
  readonly timestampMs: number;
}

/** `length` bytes from `offset`, both ≥ 0. */
export interface ByteRange {
  readonly offset: number;
  readonly length: number;
}

export interface ManyCachedBlobs {
  /** Calls `use` with those of `listed` that are here; the bytes are good until it returns. What is not listed may go. */
  read(listed: readonly BlobMetadata[], use: (blob: BlobMetadata, bytes: Uint8Array) => void): void;
  /** After `read`: as `getBlob`, and kept with others until `flush` writes them. */
  fetch(id: BlobId, signal: AbortSignal): Promise<Uint8Array>;
  flush(): void;
}

/** Stores immutable byte blobs by name. Every implementation passes `test/harness/blob-storage-suite.ts`. */
export interface BlobStorage {
  /** For messages and `repository status`, without secrets: `file:///backups/repo`. */
  readonly displayName: string;

  /**
   * Reads the given range; the whole blob when `range` is undefined.
   *
   * Resolves with exactly the bytes asked for, in a buffer the caller owns. A missing blob is `BLOB_NOT_FOUND`; a range
   * not wholly inside the blob is `BLOB_INVALID_RANGE`, never a short answer. Safe to call again after any failure.
   */
  getBlob(id: BlobId, range: ByteRange | undefined, signal: AbortSignal): Promise<Uint8Array>;

  /** `BLOB_NOT_FOUND` when missing. */
  getMetadata(id: BlobId, signal: AbortSignal): Promise<BlobMetadata>;

  /**
   * Creates or replaces the blob, atomically and durably: after it resolves the bytes survive a crash of the machine. Its
   * time is the store's at that moment: a list may tell another one, seconds away.
   */
  putBlob(id: BlobId, bytes: Uint8Array, signal: AbortSignal): Promise<BlobMetadata>;

  /** Every blob whose name starts with `prefix`, in no particular order, without holding the whole list in memory. */
  listBlobs(prefix: string, signal: AbortSignal): AsyncIterable<BlobMetadata>;

  /** Deletes; deleting a missing blob is success. */
  deleteBlob(id: BlobId, signal: AbortSignal): Promise<void>;

  /** Free bytes where the blobs live, when the store can tell. */
  freeBytes(signal: AbortSignal): Promise<number | undefined>;

  /**
   * Present where the store can lock blobs against deletion: locks one, in the store's own `mode` (`GOVERNANCE`,
   * `COMPLIANCE`), for `periodMs` from now. Never shortens a lock.
   */
  extendRetention?(id: BlobId, retention: Retention, signal: AbortSignal): Promise<void>;

  /** Present there too: from now on every put of a blob that the format wants kept (`isRetainedBlob`) is locked likewise. */
  retainPuts?(retention: Retention): void;

  /**
   * Present where blobs may come from a copy on this machine: forgets the copy of one that turned out to be damaged. True
   * when there was one, so that reading again may help.
   */
  dropCached?(id: BlobId): boolean;

  /** Present there too: many small blobs that never change, read without a request each and without promises. */
  readonly manyCached?: ManyCachedBlobs;

  /** Present when blobs are plain files on this machine: worker threads then read and stage packs without copies. */
  readonly localFiles?: LocalBlobFiles;

  close(): Promise<void>;
}

/** For how long blobs cannot be deleted or replaced, and by whom: the store's object lock (repository format §2.6). */
export interface Retention {
  /** `GOVERNANCE`, `COMPLIANCE` or a store's own word. */
  readonly mode: string;
  readonly periodMs: number;
}

/** Direct access to the files of a local store. Paths are absolute. */
export interface LocalBlobFiles {
  /** Plain data from which a worker thread rebuilds `pathOf` (see `filesystem-layout.ts`). */
  readonly layout: LocalLayout;
  /** Where the blob's bytes are, or would be. */
  pathOf(id: BlobId): string;
  /** A fresh temporary path beside the final one (never listed as a blob); parent directories exist afterwards. */
  stagingPathOf(id: BlobId): string;
  /** Makes a fully written staging file the blob `id`: fsync, rename, fsync of the directory. */
  commitStaged(stagingPath: string, id: BlobId, signal: AbortSignal): Promise<BlobMetadata>;
}

/** Structured-cloneable description of a sharded folder (repository format §1.3). */
export interface LocalLayout {
  readonly rootPath: string;
  readonly shards: readonly number[];
  readonly maxNonShardedLength: number;
  readonly overrides: readonly { readonly prefix: string; readonly shards: readonly number[] }[];
}
