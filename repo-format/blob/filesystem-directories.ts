// Shard folders below a storage root: made on demand, made durable, and refused when they are symbolic links.
import { closeSync, fsyncSync, lstatSync, mkdirSync, openSync } from 'node:fs';
import { lstat, mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import { hasCode, WindlassError } from '../../base/errors.ts';

/** Makes the names inside a directory durable. */
export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function syncDirectorySync(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/**
 * Remembers which folders it has seen to be real directories, so that a blob operation costs no extra system call
 * after the first in its folder. Someone who swaps a folder for a link after that check can redirect us: whoever may
 * do that owns the repository's files already.
 */
export class DirectoryGuard {
  readonly #rootPath: string;
  readonly #mode: number;
  readonly #known = new Set<string>();

  constructor(rootPath: string, mode: number) {
    this.#rootPath = rootPath;
    this.#mode = mode;
  }

  /** Rejects with `ENOENT` when a folder is missing, with `BLOB_ACCESS_DENIED` when it is a link. */
  async check(parts: readonly string[]): Promise<void> {
    for (const path of this.#unknownPaths(parts)) {
      const status = await lstat(path);
      this.#accept(path, status.isDirectory());
    }
  }

  /** Makes what is missing below the root; never the root itself. */
  async ensure(parts: readonly string[]): Promise<void> {
    let parentPath = this.#rootPath;
    for (const part of parts) {
      const path = join(parentPath, part);
      if (!this.#known.has(path)) {
        const made = await mkdir(path, { mode: this.#mode }).then(
          () => true,
          (error: unknown) => {
            if (hasCode(error, 'EEXIST')) return false;
            throw error;
          },
        );
        if (made) await syncDirectory(parentPath);
        this.#accept(path, (await lstat(path)).isDirectory());
      }
      parentPath = path;
    }
  }

  /** As {@link ensure}, for callers that hand out a path at once. */
  ensureSync(parts: readonly string[]): void {
    let parentPath = this.#rootPath;
    for (const part of parts) {
      const path = join(parentPath, part);
      if (!this.#known.has(path)) {
        try {
          mkdirSync(path, { mode: this.#mode });
          syncDirectorySync(parentPath);
        } catch (error) {
          if (!hasCode(error, 'EEXIST')) throw error;
        }
        this.#accept(path, lstatSync(path).isDirectory());
      }
      parentPath = path;
    }
  }

  /** Looks again next time: something changed behind our back. */
  forget(parts: readonly string[]): void {
    let path = this.#rootPath;
    for (const part of parts) {
      path = join(path, part);
      this.#known.delete(path);
    }
  }

  #unknownPaths(parts: readonly string[]): string[] {
    const unknown: string[] = [];
    let path = this.#rootPath;
    for (const part of parts) {
      path = join(path, part);
      if (!this.#known.has(path)) unknown.push(path);
    }
    return unknown;
  }

  #accept(path: string, isDirectory: boolean): void {
    if (!isDirectory) {
      throw new WindlassError(`${path} is not a folder`, { code: 'BLOB_ACCESS_DENIED', context: { path } });
    }
    this.#known.add(path);
  }
}
