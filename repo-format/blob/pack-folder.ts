// Whole packs of a store that has no local files, as local files: fetched when they are first wanted, in the layout that
// worker threads know. Metadata packs are kept between runs, in a folder that several processes share: each file there is
// written beside its place and renamed, and a run links what it uses into its own folder, so that whoever tidies the shared
// one takes nothing from a run.
//
// Nothing here is believed because it is in the folder: contents are authenticated when they are opened, and whoever finds
// one damaged calls `forget` and asks the store.
import { link, mkdir, open, readdir, rename, rm, stat, unlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { hasCode, isAbortError } from '../../base/errors.ts';
import { toHex } from '../../base/hex.ts';
import type { RandomSource } from '../../base/random.ts';
import { assertRangeInside } from './blob-errors.ts';
import type { FetchGate } from './fetch-gate.ts';
import { BLOB_FILE_SUFFIX, blobPath } from './filesystem-layout.ts';
import { translateLocalError } from './local-errors.ts';
import type { BlobId, BlobStorage, ByteRange, LocalLayout } from './storage.ts';

export interface PackFolderOptions {
  /** Of this run alone. */
  readonly path: string;
  /** Where metadata packs are kept for later runs; undefined to keep none. */
  readonly keptPath: string | undefined;
  /** What the kept packs may take. */
  readonly keptBytes: number;
  /** What the packs of this run may take; those used longest ago go first. */
  readonly runBytes: number;
  /** For the memory that a fetch takes: packs are about this long. */
  readonly packBytes: number;
}

export interface PackFolderDeps {
  readonly storage: BlobStorage;
  readonly gate: FetchGate;
  readonly random: RandomSource;
  readonly clock: Pick<Clock, 'nowMs'>;
}

const DIRECTORY_MODE = 0o700;
const FILE_MODE = 0o600;
/** Use is noted in the file's time so often at most. */
const TOUCH_MS = 10 * 60 * 1000;
/** Kept packs that were used so lately stay, whatever the limit says: another process may be about to link them. */
const YOUNG_MS = 10 * 60 * 1000;

/** Metadata: directories, lists of pieces, manifests. */
export function isMetadataPack(id: BlobId): boolean {
  return id.startsWith('q');
}

/** A flat folder: every name stays whole. */
export function flatLayout(rootPath: string): LocalLayout {
  return { rootPath, shards: [], maxNonShardedLength: 255, overrides: [] };
}

export class PackFolder {
  readonly layout: LocalLayout;
  readonly #options: PackFolderOptions;
  readonly #deps: PackFolderDeps;
  /** Lengths of the packs that are there, least recently used first. */
  readonly #present = new Map<BlobId, number>();
  readonly #fetching = new Map<BlobId, Promise<void>>();
  /** Data packs of which one content was wanted. */
  readonly #touched = new Set<BlobId>();
  readonly #closing = new AbortController();
  #presentBytes = 0;

  constructor(options: PackFolderOptions, deps: PackFolderDeps) {
    this.#options = options;
    this.#deps = deps;
    this.layout = flatLayout(options.path);
  }

  pathOf(id: BlobId): string {
    return blobPath(this.layout, id);
  }

  /** True when the whole pack is there. */
  has(id: BlobId): boolean {
    return this.#present.has(id);
  }

  /**
   * Resolves when the whole pack is there. Callers who want it at once share one fetch; one that gives up stops no other.
   * Urgent ones stand still: they have looked, and it was not there, or not any more.
   */
  async ensure(id: BlobId, signal: AbortSignal, isUrgent = false): Promise<void> {
    signal.throwIfAborted();
    if (isUrgent && this.#present.has(id) && !(await isThere(this.pathOf(id)))) this.#drop(id);
    const length = this.#present.get(id);
    if (length !== undefined) {
      this.#present.delete(id);
      this.#present.set(id, length);
      return;
    }
    let fetching = this.#fetching.get(id);
    if (fetching === undefined) {
      fetching = this.#bring(id, isUrgent).finally(() => this.#fetching.delete(id));
      this.#fetching.set(id, fetching);
    }
    await unlessAborted(fetching, signal);
  }

  /** The pack is damaged here: the next one who wants it gets it from the store. */
  async forget(id: BlobId): Promise<void> {
    this.#drop(id);
    await unlink(this.pathOf(id)).catch(() => undefined); // gone already
    const kept = this.#keptPathOf(id);
    if (kept !== undefined) await unlink(kept).catch(() => undefined);
  }

  /**
   * As of a storage. Metadata packs come whole with the first content of them that is wanted, data packs with the second: whoever
   * reads several mostly goes on.
   */
  async getBlob(id: BlobId, range: ByteRange, signal: AbortSignal): Promise<Uint8Array> {
    if (!isMetadataPack(id) && !this.#present.has(id) && !this.#touched.has(id)) {
      this.#touched.add(id);
      return this.#deps.storage.getBlob(id, range, signal);
    }
    try {
      await this.ensure(id, signal);
      return await this.#read(id, range);
    } catch (error) {
      if (hasCode(error, 'BLOB_INVALID_RANGE') || hasCode(error, 'BLOB_NOT_FOUND') || isAbortError(error)) throw error;
      // It went meanwhile, or this machine has no place for it: the store has it all the same.
      return this.#deps.storage.getBlob(id, range, signal);
    }
  }

  /** Fetches under way end; their files are of no use to anyone. */
  async close(): Promise<void> {
    this.#closing.abort(new DOMException('the repository is closed', 'AbortError'));
    await Promise.allSettled(this.#fetching.values());
  }

  async #read(id: BlobId, range: ByteRange): Promise<Uint8Array> {
    const file = await open(this.pathOf(id), 'r');
    try {
      assertRangeInside(id, range, (await file.stat()).size);
      const bytes = new Uint8Array(range.length);
      for (let done = 0; done < range.length;) {
        const { bytesRead } = await file.read(bytes, done, range.length - done, range.offset + done);
        if (bytesRead === 0) throw new RangeError('the file became shorter while it was read');
        done += bytesRead;
      }
      return bytes;
    } finally {
      await file.close();
    }
  }

  async #bring(id: BlobId, isUrgent: boolean): Promise<void> {
    const { signal } = this.#closing;
    await this.#makeFolders();
    const kept = this.#keptPathOf(id);
    if (kept !== undefined && (await this.#linkKept(id, kept))) return;
    const { storage, gate } = this.#deps;
    await gate.run(this.#options.packBytes, { isUrgent, signal }, async () => {
      const bytes = await storage.getBlob(id, undefined, signal);
      try {
        await this.#store(id, bytes, kept);
      } catch (error) {
        throw translateLocalError(error, 'keep a copy of', id, this.pathOf(id));
      }
    });
    if (kept !== undefined) await this.#tidyKept();
  }

  async #store(id: BlobId, bytes: Uint8Array, kept: string | undefined): Promise<void> {
    const path = kept ?? this.pathOf(id);
    const beside = `${path}.tmp.${toHex(this.#deps.random.bytes(8))}`;
    try {
      await writeFile(beside, bytes, { mode: FILE_MODE, flag: 'wx' });
      if (kept !== undefined) await linkOver(beside, this.pathOf(id));
      await rename(beside, path);
    } catch (error) {
      await unlink(beside).catch(() => undefined); // never made
      throw error;
    }
    await this.#add(id, bytes.length);
  }

  async #linkKept(id: BlobId, kept: string): Promise<boolean> {
    try {
      const { size, mtimeMs } = await stat(kept);
      await linkOver(kept, this.pathOf(id));
      const nowMs = this.#deps.clock.nowMs();
      if (nowMs - mtimeMs > TOUCH_MS) await utimes(kept, nowMs / 1000, nowMs / 1000).catch(() => undefined);
      await this.#add(id, size);
      return true;
    } catch {
      return false; // not kept, or not to be linked: fetched
    }
  }

  async #add(id: BlobId, length: number): Promise<void> {
    this.#drop(id);
    this.#present.set(id, length);
    this.#presentBytes += length;
    for (const [other] of this.#present) {
      if (this.#presentBytes <= this.#options.runBytes || other === id) break;
      this.#drop(other);
      await unlink(this.pathOf(other)).catch(() => undefined); // gone already
    }
  }

  #drop(id: BlobId): void {
    this.#presentBytes -= this.#present.get(id) ?? 0;
    this.#present.delete(id);
  }

  #keptPathOf(id: BlobId): string | undefined {
    const { keptPath } = this.#options;
    return keptPath === undefined || !isMetadataPack(id) ? undefined : join(keptPath, id + BLOB_FILE_SUFFIX);
  }

  #makeFolders(): Promise<unknown> {
    const { path, keptPath } = this.#options;
    const folders = keptPath === undefined ? [path] : [path, keptPath];
    return Promise.all(folders.map((folder) => mkdir(folder, { recursive: true, mode: DIRECTORY_MODE })));
  }

  /** Least recently used first, until the rest is within the limit; also what killed runs left half-written. */
  async #tidyKept(): Promise<void> {
    const { keptPath, keptBytes } = this.#options;
    if (keptPath === undefined) return;
    const nowMs = this.#deps.clock.nowMs();
    const files: { path: string; size: number; usedMs: number }[] = [];
    for (const name of await readdir(keptPath).catch(() => [])) {
      const path = join(keptPath, name);
      const found = await stat(path).catch(() => undefined); // removed by another run
      if (found !== undefined) files.push({ path, size: found.size, usedMs: found.mtimeMs });
    }
    files.sort((a, b) => a.usedMs - b.usedMs);
    let total = files.reduce((sum, { size }) => sum + size, 0);
    for (const { path, size, usedMs } of files) {
      const isOld = nowMs - usedMs > YOUNG_MS;
      if (!isOld || (total <= keptBytes && !path.includes('.tmp.'))) continue;
      await rm(path, { force: true });
      total -= size;
    }
  }
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** Links over what may be there. */
async function linkOver(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) throw error;
    await unlink(to);
    await link(from, to);
  }
}

/** As `work`, which goes on, unless the signal comes first. */
export async function unlessAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  let stop: (() => void) | undefined;
  const aborted = new Promise<never>((_, reject) => {
    stop = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', stop, { once: true });
  });
  try {
    await Promise.race([work, aborted]);
  } finally {
    if (stop !== undefined) signal.removeEventListener('abort', stop);
  }
}
