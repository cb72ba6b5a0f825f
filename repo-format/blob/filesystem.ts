// Blobs as files in a sharded folder, as Kopia's filesystem provider lays them out (repository format §1.3).
// The folder is not trusted: symbolic links below the root are neither followed nor written through, and only regular
// files count. The root itself may be a link, but is never created anew, so an unmounted volume fails.
import { constants } from 'node:fs';
import { lstat, mkdir, open, realpath, rename, statfs, unlink, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { errorCode, hasCode, WindlassError } from '../../base/errors.ts';
import { toHex } from '../../base/hex.ts';
import type { RandomSource } from '../../base/random.ts';
import {
  assertRangeInside,
  blobNotFound,
  layoutInvalid,
  storageIsReadOnly,
  translateFileError,
} from './blob-errors.ts';
import { DirectoryGuard, syncDirectory } from './filesystem-directories.ts';
import {
  blobPath,
  blobPathParts,
  CURRENT_SHARDS,
  DEFAULT_MAX_NON_SHARDED_LENGTH,
  LEGACY_SHARDS,
} from './filesystem-layout.ts';
import { listBlobFiles } from './filesystem-list.ts';
import { misplacedBlob } from './filesystem-misplaced.ts';
import { encodeShards, MAX_SHARDS_FILE_BYTES, parseShards, SHARDS_FILE, type ShardRules } from './filesystem-shards.ts';
import type { BlobId, BlobMetadata, BlobStorage, ByteRange, LocalBlobFiles, LocalLayout } from './storage.ts';

export interface FilesystemStorageOptions {
  readonly path: string;
  /** Makes the folder and its `.shards` for a new repository of this kind. Without it the folder must exist. */
  readonly create?: 'version1' | 'current';
  readonly readOnly?: boolean;
}

export interface FilesystemStorageDeps {
  readonly random: RandomSource;
}

const FILE_MODE = 0o600;
const DIRECTORY_MODE = 0o700;
const STAGING_RANDOM_BYTES = 8;
// O_NONBLOCK: opening a FIFO that someone put there must not hang a pool thread.
const READ_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
// A shard folder may be removed while we write into it; more often than this it is no coincidence.
const MAX_STAGING_ATTEMPTS = 3;

/** `BLOB_ROOT_MISSING` when there is no such folder, `BLOB_LAYOUT_INVALID` when its `.shards` cannot be read. */
export async function openFilesystemStorage(
  options: FilesystemStorageOptions,
  deps: FilesystemStorageDeps,
): Promise<BlobStorage> {
  const { path, create, readOnly = false } = options;
  if (create !== undefined && readOnly) throw storageIsReadOnly('create a repository', path);
  try {
    if (create !== undefined) await mkdir(path, { recursive: true, mode: DIRECTORY_MODE });
    const rootPath = await realpath(path);
    if (!(await lstat(rootPath)).isDirectory()) throw rootMissing(path);
    const rules = await loadShardRules(rootPath, create, deps);
    return new FilesystemStorage({ rootPath, ...rules }, readOnly, deps);
  } catch (error) {
    if (hasCode(error, 'ENOENT') || hasCode(error, 'ENOTDIR')) throw rootMissing(path, error);
    throw translateFileError(error, 'open', undefined, path);
  }
}

function rootMissing(path: string, cause?: unknown): WindlassError {
  return new WindlassError(`folder ${path} does not exist`, { code: 'BLOB_ROOT_MISSING', context: { path }, cause });
}

async function loadShardRules(
  rootPath: string,
  create: FilesystemStorageOptions['create'],
  deps: FilesystemStorageDeps,
): Promise<ShardRules> {
  const shardsPath = join(rootPath, SHARDS_FILE);
  const legacy = { shards: LEGACY_SHARDS, maxNonShardedLength: DEFAULT_MAX_NON_SHARDED_LENGTH, overrides: [] };
  try {
    const handle = await open(shardsPath, READ_FLAGS);
    try {
      const status = await handle.stat();
      if (!status.isFile() || status.size > MAX_SHARDS_FILE_BYTES) throw layoutInvalid('not a small regular file');
      return parseShards(await handle.readFile('utf8'));
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw error;
  }
  // Blobs without a `.shards` are an old repository in the legacy layout: a new layout would hide them.
  if (create === undefined || (await holdsBlobs(rootPath))) return legacy;
  const shards = create === 'version1' ? LEGACY_SHARDS : CURRENT_SHARDS;
  const stagingPath = stagingName(shardsPath, deps);
  await writeStagingFile(stagingPath, Buffer.from(encodeShards(shards)));
  await publishStagingFile(stagingPath, shardsPath, rootPath);
  return { ...legacy, shards };
}

async function holdsBlobs(rootPath: string): Promise<boolean> {
  for await (const found of listBlobFiles(rootPath, '', new AbortController().signal)) return found !== undefined;
  return false;
}

function stagingName(finalPath: string, deps: FilesystemStorageDeps): string {
  return `${finalPath}.tmp.${toHex(deps.random.bytes(STAGING_RANDOM_BYTES))}`;
}

/** Writes and syncs a new file; leaves nothing behind on failure. */
async function writeStagingFile(stagingPath: string, bytes: Uint8Array): Promise<void> {
  const handle = await open(stagingPath, 'wx', FILE_MODE);
  try {
    await handle.writeFile(bytes);
    await handle.sync();
  } catch (error) {
    await handle.close().catch(() => undefined); // the write's error matters more
    await removeQuietly(stagingPath);
    throw error;
  }
  await handle.close();
}

/** Renames over the final path and makes the new name itself durable, which Kopia leaves to chance. */
async function publishStagingFile(stagingPath: string, finalPath: string, directoryPath: string): Promise<void> {
  try {
    await rename(stagingPath, finalPath);
  } catch (error) {
    await removeQuietly(stagingPath);
    throw error;
  }
  await syncDirectory(directoryPath);
}

/** A left-over temporary file is never listed as a blob: harmless if it cannot be removed. */
async function removeQuietly(path: string): Promise<void> {
  await unlink(path).catch(() => undefined);
}

class FilesystemStorage implements BlobStorage {
  readonly displayName: string;
  readonly localFiles: LocalBlobFiles;
  readonly #layout: LocalLayout;
  readonly #readOnly: boolean;
  readonly #deps: FilesystemStorageDeps;
  readonly #directories: DirectoryGuard;

  constructor(layout: LocalLayout, readOnly: boolean, deps: FilesystemStorageDeps) {
    this.displayName = pathToFileURL(layout.rootPath).href;
    this.#layout = layout;
    this.#readOnly = readOnly;
    this.#deps = deps;
    this.#directories = new DirectoryGuard(layout.rootPath, DIRECTORY_MODE);
    this.localFiles = {
      layout,
      pathOf: (id) => blobPath(layout, id),
      stagingPathOf: (id) => this.#stagingPathOf(id),
      commitStaged: (stagingPath, id, signal) => this.#commitStaged(stagingPath, id, signal),
    };
  }

  async getBlob(id: BlobId, range: ByteRange | undefined, signal: AbortSignal): Promise<Uint8Array> {
    return this.#withFile(id, 'read', signal, async (handle, length) => {
      if (range !== undefined) assertRangeInside(id, range, length);
      const wanted = range?.length ?? length;
      if (wanted > MAX_READ_BYTES) {
        const message = `blob ${id} has ${wanted} bytes: nothing of a repository is so large`;
        throw new WindlassError(message, { code: 'BLOB_IO', context: { blobId: id, bytes: wanted } });
      }
      const bytes = new Uint8Array(wanted);
      await readFully(handle, bytes, range?.offset ?? 0, signal);
      return bytes;
    });
  }

  async getMetadata(id: BlobId, signal: AbortSignal): Promise<BlobMetadata> {
    return this.#withFile(id, 'stat', signal, async (_handle, length, timestampMs) => ({ id, length, timestampMs }));
  }

  async putBlob(id: BlobId, bytes: Uint8Array, signal: AbortSignal): Promise<BlobMetadata> {
    signal.throwIfAborted();
    const parts = this.#writableParts(id, 'write');
    const finalPath = join(this.#layout.rootPath, ...parts);
    try {
      for (let attempt = 1; ; attempt++) {
        await this.#directories.ensure(parts.slice(0, -1));
        const stagingPath = stagingName(finalPath, this.#deps);
        try {
          await writeStagingFile(stagingPath, bytes);
          return await this.#publish(stagingPath, id, parts);
        } catch (error) {
          // An empty shard folder may be tidied away between two steps: make it again, but never the root.
          if (!hasCode(error, 'ENOENT') || attempt >= MAX_STAGING_ATTEMPTS) throw error;
          this.#directories.forget(parts.slice(0, -1));
        }
      }
    } catch (error) {
      throw translateFileError(error, 'write', id, finalPath);
    }
  }

  async *listBlobs(prefix: string, signal: AbortSignal): AsyncIterable<BlobMetadata> {
    try {
      yield* listBlobFiles(this.#layout.rootPath, prefix, signal);
    } catch (error) {
      throw translateFileError(error, 'list blobs below', undefined, this.#layout.rootPath);
    }
  }

  async deleteBlob(id: BlobId, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const parts = this.#writableParts(id, 'delete');
    const path = join(this.#layout.rootPath, ...parts);
    try {
      await this.#directories.check(parts.slice(0, -1));
      await unlink(path);
    } catch (error) {
      if (isMissing(error)) return;
      throw translateFileError(error, 'delete', id, path);
    }
  }

  async freeBytes(signal: AbortSignal): Promise<number | undefined> {
    signal.throwIfAborted();
    const { rootPath } = this.#layout;
    try {
      const { bavail, bsize } = await statfs(rootPath);
      return bavail * bsize;
    } catch (error) {
      throw translateFileError(error, 'ask the free space of', undefined, rootPath);
    }
  }

  async close(): Promise<void> {
    // Holds no handles between calls.
  }

  #writableParts(id: BlobId, operation: string): string[] {
    if (this.#readOnly) throw storageIsReadOnly(`${operation} blob ${id}`, this.displayName);
    return blobPathParts(this.#layout, id);
  }

  #stagingPathOf(id: BlobId): string {
    const parts = this.#writableParts(id, 'stage');
    const finalPath = join(this.#layout.rootPath, ...parts);
    try {
      this.#directories.ensureSync(parts.slice(0, -1));
    } catch (error) {
      throw translateFileError(error, 'stage', id, finalPath);
    }
    return stagingName(finalPath, this.#deps);
  }

  async #commitStaged(stagingPath: string, id: BlobId, signal: AbortSignal): Promise<BlobMetadata> {
    signal.throwIfAborted();
    const parts = this.#writableParts(id, 'commit');
    const finalPath = join(this.#layout.rootPath, ...parts);
    if (!stagingPath.startsWith(`${finalPath}.tmp.`)) {
      throw new WindlassError(`staging file ${stagingPath} does not belong to blob ${id}`, { code: 'INTERNAL' });
    }
    try {
      const handle = await open(stagingPath, constants.O_RDWR | constants.O_NOFOLLOW);
      try {
        await handle.sync();
      } finally {
        await handle.close();
      }
      return await this.#publish(stagingPath, id, parts);
    } catch (error) {
      throw translateFileError(error, 'commit', id, finalPath);
    }
  }

  async #publish(stagingPath: string, id: BlobId, parts: readonly string[]): Promise<BlobMetadata> {
    const directoryPath = join(this.#layout.rootPath, ...parts.slice(0, -1));
    const status = await lstat(stagingPath);
    await publishStagingFile(stagingPath, join(this.#layout.rootPath, ...parts), directoryPath);
    // Renaming keeps the modification time, so the timestamp is what a later listing says.
    return { id, length: status.size, timestampMs: Math.floor(status.mtimeMs) };
  }

  async #withFile<Result>(
    id: BlobId,
    operation: string,
    signal: AbortSignal,
    use: (handle: FileHandle, length: number, timestampMs: number) => Promise<Result>,
  ): Promise<Result> {
    signal.throwIfAborted();
    const parts = blobPathParts(this.#layout, id);
    const path = join(this.#layout.rootPath, ...parts);
    let handle: FileHandle | undefined;
    try {
      await this.#directories.check(parts.slice(0, -1));
      handle = await open(path, READ_FLAGS);
      const status = await handle.stat();
      if (!status.isFile()) throw blobNotFound(id);
      return await use(handle, status.size, Math.floor(status.mtimeMs));
    } catch (error) {
      if (isMissing(error)) throw await this.#missing(id, path, error);
      throw translateFileError(error, operation, id, path);
    } finally {
      await handle?.close();
    }
  }

  /** Tells a missing blob from a missing (unmounted) root and from a blob that the layout hides. */
  async #missing(id: BlobId, path: string, cause: unknown): Promise<unknown> {
    const { rootPath } = this.#layout;
    const root = await lstat(rootPath).catch(() => undefined);
    if (root === undefined) return rootMissing(rootPath, cause);
    try {
      const misplaced = await misplacedBlob(this.#layout, id);
      // In its place by now: somebody has just written it.
      return misplaced === undefined || misplaced.context['path'] === path ? blobNotFound(id, cause) : misplaced;
    } catch (error) {
      return translateFileError(error, 'look for', id, rootPath);
    }
  }
}

function isMissing(error: unknown): boolean {
  const code = errorCode(error);
  return code === 'ENOENT' || code === 'ENOTDIR';
}

/**
 * As in object stores. Past 2^31 bytes Node ends the whole process, and where a machine promises more memory than it has, as a node of
 * Kubernetes does, nothing else would stop before.
 */
const MAX_READ_BYTES = 1 << 30;

async function readFully(handle: FileHandle, bytes: Uint8Array, start: number, signal: AbortSignal): Promise<void> {
  let filled = 0;
  while (filled < bytes.length) {
    signal.throwIfAborted();
    const { bytesRead } = await handle.read(bytes, filled, bytes.length - filled, start + filled);
    if (bytesRead === 0) {
      throw new WindlassError('the file became shorter while it was read', { code: 'BLOB_IO', retry: 'transient' });
    }
    filled += bytesRead;
  }
}
