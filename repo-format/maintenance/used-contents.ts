// Mark: which contents the snapshots of a repository need (snapshots §7.6). Walks every tree from its root, level by level,
// each directory and each list of pieces once; what is to be read next is sorted by its place in the packs. Memory: a few bits
// for each content, and the rows still to be read.
//
// Anything that cannot be read ends it: what is below might be needed.
import { WindlassError } from '../../base/errors.ts';
import type { BlobStorage } from '../blob/storage.ts';
import { openContent } from '../content/content-codec.ts';
import { contentNotFound } from '../content/content-errors.ts';
import type { ContentCipher } from '../crypto/content-cipher.ts';
import { type ContentId, MAX_KEY_BYTES, writeContentKey } from '../index/content-id.ts';
import type { IndexEntry } from '../index/entry.ts';
import type { IndexSet } from '../index/index-set.ts';
import { releaseWhole } from '../index/row-store.ts';
import { parseIndirect } from '../object/indirect-object.ts';
import { indirectObjectId, isObjectId, type ObjectId, objectIdParts } from '../object/object-id.ts';
import { type ContentSource, readObject, walkObject } from '../object/object-reader.ts';
import { corruptDirectory, parseDirectoryJson } from '../snapshot/directory-object.ts';
import type { SnapshotManifest } from '../snapshot/snapshot-manifest.ts';
import { compareByPlace, readContents } from './read-contents.ts';
import { RowSet } from './row-set.ts';

export interface MarkDeps {
  /** The walk and whoever uses its result must go by the same set. */
  readonly indexSet: IndexSet;
  readonly storage: BlobStorage;
  readonly cipher: ContentCipher;
  readonly source: ContentSource;
  progress?(objects: number): void;
}

/** Rows of `indexSet` that some snapshot needs, incomplete snapshots included. `SNAPSHOT_GC_ABORTED` tells what is wrong. */
export async function findUsedContents(
  manifests: Iterable<SnapshotManifest>,
  deps: MarkDeps,
  signal: AbortSignal,
): Promise<RowSet> {
  const walk = new MarkWalk(deps, signal);
  for (const { id, rootEntry } of manifests) {
    if (rootEntry === null || rootEntry.objectId === '') throw aborted(`snapshot ${id} has no root object`);
    walk.enter(rootEntry.type, rootEntry.objectId);
  }
  await walk.run();
  return walk.used;
}

// Entries of so many objects are in memory at a time, at some 400 bytes each.
const BATCH_ROWS = 1 << 14;

class MarkWalk {
  readonly used: RowSet;
  readonly #deps: MarkDeps;
  readonly #signal: AbortSignal;
  /** Rows whose directory is read, or will be. */
  readonly #directories: RowSet;
  /** Rows whose list of pieces is read, or will be. */
  readonly #lists: RowSet;
  readonly #pendingDirectories = new RowQueue();
  readonly #pendingLists = new RowQueue();
  /** Objects that are more than one content or one list of contents: directories in pieces, and the longest files. */
  readonly #rare = new Map<ObjectId, boolean>();
  #pendingRare: ObjectId[] = [];
  readonly #key = new Uint8Array(MAX_KEY_BYTES);
  #read = 0;

  constructor(deps: MarkDeps, signal: AbortSignal) {
    this.#deps = deps;
    this.#signal = signal;
    const rows = deps.indexSet.rowCount;
    this.used = new RowSet(rows);
    this.#directories = new RowSet(rows);
    this.#lists = new RowSet(rows);
  }

  /** HOT. Marks the object of an entry, and remembers to read it where it names others. */
  enter(type: string, id: string): void {
    if (!isObjectId(id)) throw aborted(`${JSON.stringify(id.slice(0, 80))} is no object id`);
    const isDirectory = type === 'd';
    const first = id.charCodeAt(0);
    if (first !== UPPER_I && first !== UPPER_Z) {
      const row = this.#mark(id as string as ContentId);
      if (isDirectory && this.#directories.add(row)) this.#pendingDirectories.push(row);
    } else if (isDirectory || !this.#enterList(id)) {
      this.#enterRare(id, isDirectory);
    }
  }

  async run(): Promise<void> {
    for (;;) {
      if (this.#pendingDirectories.size > 0) {
        await this.#readAll(this.#pendingDirectories, (entry, plain) => this.#enterDirectory(entry.id, plain));
      } else if (this.#pendingLists.size > 0) {
        await this.#readAll(this.#pendingLists, (entry, plain) => this.#enterPieces(entry.id, plain));
      } else if (this.#pendingRare.length > 0) {
        for (const id of this.#pendingRare.splice(0)) await this.#readRare(id, this.#rare.get(id) === true);
      } else {
        return;
      }
    }
  }

  /** A file whose pieces are listed by one content, or compressed as a whole; false for anything rarer. */
  #enterList(id: ObjectId): boolean {
    const { indirection, contentId } = objectIdParts(id);
    if (indirection > 1) return false;
    const row = this.#mark(contentId);
    if (indirection === 1 && this.#lists.add(row)) this.#pendingLists.push(row);
    return true;
  }

  #enterRare(id: ObjectId, isDirectory: boolean): void {
    const known = this.#rare.get(id);
    if (known === true || known === isDirectory) return;
    this.#rare.set(id, isDirectory);
    this.#pendingRare.push(id);
  }

  #mark(id: ContentId): number {
    const length = writeContentKey(id, this.#key, 0);
    const row = this.#deps.indexSet.rowOf(this.#key.subarray(0, length));
    if (row < 0) throw aborted(`content ${id} is needed by a snapshot and is in no index`, contentNotFound(id));
    this.used.add(row);
    return row;
  }

  async #readAll(queue: RowQueue, enter: (entry: IndexEntry, plain: Uint8Array) => void): Promise<void> {
    const { indexSet, storage, cipher } = this.#deps;
    const entries = queue
      .take(BATCH_ROWS)
      .map((row) => indexSet.find(indexSet.keyOfRow(row)))
      .filter((entry) => entry !== undefined)
      .sort(compareByPlace);
    try {
      await readContents(
        entries,
        storage,
        (entry, sealed) => {
          const plain = openContent(cipher, entry, sealed);
          enter(entry, plain);
          releaseWhole(plain);
          this.#count();
        },
        this.#signal,
      );
    } catch (error) {
      this.#signal.throwIfAborted();
      throw asAborted(error);
    }
  }

  async #readRare(id: ObjectId, isDirectory: boolean): Promise<void> {
    const { source } = this.#deps;
    try {
      for await (const contentId of walkObject(source, id, this.#signal)) this.#mark(contentId);
      if (isDirectory) this.#enterDirectory(id, await readObject(source, id, this.#signal));
      this.#count();
    } catch (error) {
      this.#signal.throwIfAborted();
      throw asAborted(error);
    }
  }

  #enterDirectory(id: string, plain: Uint8Array): void {
    try {
      for (const { type, objectId } of childObjects(plain)) this.enter(type, objectId);
    } catch (error) {
      throw asAborted(error, `directory ${id}`);
    }
  }

  #enterPieces(id: ContentId, plain: Uint8Array): void {
    const indexId = id as string as ObjectId;
    for (const piece of parseIndirect(plain, indirectObjectId(indexId))) this.enter('f', piece.objectId);
  }

  #count(): void {
    this.#read++;
    if (this.#read % PROGRESS_EVERY === 0) this.#deps.progress?.(this.#read);
  }
}

const PROGRESS_EVERY = 1024;
const UPPER_I = 0x49;
const UPPER_Z = 0x5a;

/** What a directory names. An entry that does not say what it is made of makes the directory unusable. */
function* childObjects(plain: Uint8Array): Generator<{ readonly type: string; readonly objectId: string }> {
  for (const item of parseDirectoryJson(plain).entries) {
    if (typeof item !== 'object' || item === null) throw corruptDirectory('an entry is not an object');
    const { type, obj } = item as { readonly type?: unknown; readonly obj?: unknown };
    if (typeof type !== 'string' || typeof obj !== 'string' || obj === '') {
      throw corruptDirectory('an entry has no type or no object');
    }
    yield { type, objectId: obj };
  }
}

function asAborted(error: unknown, where?: string): WindlassError {
  if (error instanceof WindlassError && error.code === 'SNAPSHOT_GC_ABORTED') return error;
  const reason = error instanceof Error ? error.message : String(error);
  return aborted(where === undefined ? reason : `${where}: ${reason}`, error);
}

function aborted(reason: string, cause?: unknown): WindlassError {
  return new WindlassError(`what snapshots need cannot be told, so nothing is collected: ${reason}`, {
    code: 'SNAPSHOT_GC_ABORTED',
    ...(cause === undefined ? {} : { cause }),
  });
}

/** First in, first out, four bytes each. */
class RowQueue {
  #rows = new Uint32Array(1 << 10);
  #start = 0;
  #end = 0;

  get size(): number {
    return this.#end - this.#start;
  }

  push(row: number): void {
    if (this.#end === this.#rows.length) this.#makeRoom();
    this.#rows[this.#end++] = row;
  }

  take(most: number): number[] {
    const taken = [...this.#rows.subarray(this.#start, Math.min(this.#end, this.#start + most))];
    this.#start += taken.length;
    return taken;
  }

  #makeRoom(): void {
    const waiting = this.#rows.subarray(this.#start, this.#end);
    const rows = waiting.length * 2 > this.#rows.length ? new Uint32Array(this.#rows.length * 2) : this.#rows;
    rows.set(waiting);
    this.#rows = rows;
    this.#end = waiting.length;
    this.#start = 0;
  }
}
