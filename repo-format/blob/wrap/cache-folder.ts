// Blobs kept on this machine between runs: one file a blob (or a bundle of small ones: cache-bundles.ts),
// `bytes ‖ HMAC-SHA256`, laid out as a sharded folder. What is in it can always be deleted, by anybody, at any time.
//
// Several processes share it without locks: equal names mean equal bytes, and a file appears whole, by a rename. A file that
// is torn, changed, forged or no file at all is as good as none. Nothing here ever fails its caller.
import { createHmac, createSecretKey, hkdfSync, type KeyObject, timingSafeEqual } from 'node:crypto';
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  futimesSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import type { Clock } from '../../../base/clock.ts';
import { errorCode, hasCode } from '../../../base/errors.ts';
import { toHex } from '../../../base/hex.ts';
import type { Logger } from '../../../base/logger.ts';
import type { RandomSource } from '../../../base/random.ts';
import { blobPath } from '../filesystem-layout.ts';
import type { BlobId, LocalLayout } from '../storage.ts';
import { sweepCache, TOUCH_AFTER_MS } from './cache-sweep.ts';

export interface CacheFolderOptions {
  readonly path: string;
  /** What all files together may take; exceeded for a while, since what is young stays. */
  readonly limitBytes: number;
  /** See {@link cacheKey}. */
  readonly key: Uint8Array;
}

export interface CacheFolderDeps {
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly random: RandomSource;
  readonly logger: Logger;
}

const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;
const TAG_BYTES = 32;
const KEY_BYTES = 16;
/** Larger blobs are not worth their place. */
const MAX_CACHED_BYTES = 64 << 20;
// O_NONBLOCK: a FIFO in the place of a file must not hang anything.
const READ_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const WRITE_FLAGS = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
/** Of the limit: one blob must not push out all others. */
const MAX_SHARE = 1 / 4;
/** A disk that fails so often is not asked again in this run. */
const MAX_WRITE_FAILURES = 3;
/** This much of the limit written, and the folder is looked through again. */
const SWEEP_SHARE = 1 / 16;

/** As Kopia derives it: everyone who can open the repository has it, and nobody else. */
export function cacheKey(secret: Uint8Array, uniqueId: Uint8Array): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', secret, uniqueId, 'local-cache-integrity', KEY_BYTES));
}

export class CacheFolder {
  readonly #layout: LocalLayout;
  readonly #options: CacheFolderOptions;
  readonly #deps: CacheFolderDeps;
  /** Made once: from bytes it would be made for every file. */
  readonly #key: KeyObject;
  #writeFailures = 0;
  #writtenBytes = 0;
  #sweeping: Promise<void> | undefined;

  private constructor(options: CacheFolderOptions, deps: CacheFolderDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#key = createSecretKey(options.key);
    this.#layout = { rootPath: options.path, shards: [1, 3], maxNonShardedLength: 20, overrides: [] };
  }

  /** Undefined where the folder cannot be had, or is not ours alone: others could read and change what is in it. */
  static open(options: CacheFolderOptions, deps: CacheFolderDeps): CacheFolder | undefined {
    try {
      requirePrivateFolder(options.path);
      return new CacheFolder(options, deps);
    } catch (error) {
      deps.logger.warn('going on without a cache', { path: options.path, error: String(error) });
      return undefined;
    }
  }

  /** Undefined when it is not there, or is not what was written. */
  read(id: BlobId): Uint8Array | undefined {
    let bytes: Uint8Array | undefined;
    try {
      bytes = this.#read(id);
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return undefined;
      this.#deps.logger.debug('cache file not read', { blobId: id, code: errorCode(error) });
    }
    if (bytes === undefined) this.remove(id);
    return bytes;
  }

  /** Best effort. */
  write(id: BlobId, bytes: Uint8Array): void {
    const maxBytes = Math.min(MAX_CACHED_BYTES, this.#options.limitBytes * MAX_SHARE);
    if (this.#writeFailures >= MAX_WRITE_FAILURES || bytes.length > maxBytes) return;
    try {
      this.#write(id, bytes);
      this.#writtenBytes += bytes.length + TAG_BYTES;
    } catch (error) {
      this.#writeFailures++;
      this.#deps.logger.warn('a blob could not be cached', { blobId: id, code: errorCode(error) });
    }
    if (this.#writtenBytes > this.#options.limitBytes * SWEEP_SHARE) this.#startSweep();
  }

  /** True when there was something. */
  remove(id: BlobId): boolean {
    try {
      rmSync(blobPath(this.#layout, id), { recursive: true });
      return true;
    } catch {
      return false;
    }
  }

  /** Makes room for what was written. */
  async close(): Promise<void> {
    if (this.#writtenBytes > 0) this.#startSweep();
    await this.#sweeping;
  }

  /** Undefined for what is not, or no longer, what was written. */
  #read(id: BlobId): Uint8Array | undefined {
    const fd = openSync(blobPath(this.#layout, id), READ_FLAGS);
    try {
      const status = fstatSync(fd);
      const length = status.size - TAG_BYTES;
      if (!status.isFile() || length < 0 || length > MAX_CACHED_BYTES) return undefined;
      const nowMs = this.#deps.clock.nowMs();
      if (Math.abs(nowMs - status.mtimeMs) > TOUCH_AFTER_MS) futimesSync(fd, nowMs / 1000, nowMs / 1000);
      const stored = readFully(fd, status.size);
      if (stored === undefined) return undefined;
      const bytes = stored.subarray(0, length);
      return timingSafeEqual(stored.subarray(length), this.#tag(id, bytes)) ? bytes : undefined;
    } finally {
      closeSync(fd);
    }
  }

  #write(id: BlobId, bytes: Uint8Array): void {
    const path = blobPath(this.#layout, id);
    const temporary = `${path}.tmp.${toHex(this.#deps.random.bytes(8))}`;
    const fd = openNew(temporary);
    try {
      try {
        writeFully(fd, bytes, 0);
        writeFully(fd, this.#tag(id, bytes), bytes.length);
        const nowMs = this.#deps.clock.nowMs();
        futimesSync(fd, nowMs / 1000, nowMs / 1000);
      } finally {
        closeSync(fd);
      }
      // Not synced: what a crash of the machine leaves torn does not have the right tag.
      renameSync(temporary, path);
    } catch (error) {
      rmSync(temporary, { force: true });
      throw error;
    }
  }

  /** Of the name as well: one blob must not pass for another. */
  #tag(id: BlobId, bytes: Uint8Array): Buffer {
    return createHmac('sha256', this.#key).update(`${id}\n`).update(bytes).digest();
  }

  #startSweep(): void {
    this.#writtenBytes = 0;
    const { path, limitBytes } = this.#options;
    const sweeping = (this.#sweeping ?? Promise.resolve()).then(() =>
      sweepCache(path, { limitBytes, nowMs: this.#deps.clock.nowMs() }),
    );
    this.#sweeping = sweeping.then(
      () => undefined,
      (error: unknown) => this.#deps.logger.warn('the cache was not swept', { path, error: String(error) }),
    );
  }
}

function requirePrivateFolder(path: string): void {
  mkdirSync(path, { recursive: true, mode: FOLDER_MODE });
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    const { uid, mode } = fstatSync(fd);
    const self = process.getuid?.() ?? uid;
    if (uid !== self) throw new RangeError('the cache folder belongs to somebody else');
    if ((mode & 0o077) !== 0) fchmodSync(fd, FOLDER_MODE);
  } finally {
    closeSync(fd);
  }
}

function openNew(path: string): number {
  try {
    return openSync(path, WRITE_FLAGS, FILE_MODE);
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw error;
    mkdirSync(dirname(path), { recursive: true, mode: FOLDER_MODE });
    return openSync(path, WRITE_FLAGS, FILE_MODE);
  }
}

/** Undefined when the file ends before. */
function readFully(fd: number, length: number): Uint8Array | undefined {
  const bytes = new Uint8Array(length);
  for (let done = 0; done < length;) {
    const count = readSync(fd, bytes, done, length - done, done);
    if (count === 0) return undefined;
    done += count;
  }
  return bytes;
}

function writeFully(fd: number, bytes: Uint8Array, offset: number): void {
  for (let done = 0; done < bytes.length;) {
    done += writeSync(fd, bytes, done, bytes.length - done, offset + done);
  }
}
