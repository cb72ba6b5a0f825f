// Copies snapshots into another repository: other password, other settings, other ids. Directories are rewritten with the
// new ids and are otherwise what they were. A snapshot is saved when all it needs is stored, one flush each: a run that is
// stopped goes on after the last one, and finds what it had stored by its hash.
//
// What was copied before is not read again: the newest copied snapshot of the source is walked beside the new one, and what
// they share is taken over from its copy.
import type { Clock } from '../../base/clock.ts';
import { errorCode } from '../../base/errors.ts';
import {
  compareNames,
  copySnapshotManifest,
  DIRECTORY_PREFIX,
  type DirectoryEntry,
  formatSource,
  listSnapshots,
  metadataCompressor,
  loadEffectivePolicy,
  type ObjectId,
  parseDirectory,
  type Repository,
  rewriteDirectory,
  type SnapshotManifest,
  writeObject,
} from '../../repo-format/index.ts';
import { MainSink } from '../upload/main-sink.ts';
import { KnownObjects } from './known-objects.ts';
import { ObjectCopier } from './object-copier.ts';

export interface CopyProgress {
  readonly files: number;
  /** Read from the source. */
  readonly processedBytes: number;
  readonly uploadedBytes: number;
}

export interface CopyDeps {
  readonly clock: Clock;
  /** Called about four times a second. */
  readonly progress?: (progress: CopyProgress) => void;
}

export interface CopiedSnapshot {
  readonly sourceId: string;
  readonly targetId: string;
}

export interface FailedSnapshot {
  readonly sourceId: string;
  readonly code: string;
  readonly message: string;
}

export interface CopyReport {
  readonly copied: readonly CopiedSnapshot[];
  /** In the target already. */
  readonly skipped: readonly CopiedSnapshot[];
  /** Damaged in the source. */
  readonly failed: readonly FailedSnapshot[];
  readonly bytesRead: number;
  readonly bytesStored: number;
  readonly newContents: number;
}

/** A directory that was copied before, in both repositories. */
interface Twin {
  readonly source: ObjectId;
  readonly target: ObjectId;
}

const FILES_AT_ONCE = 8;
const FILES_BETWEEN_FLUSHES = 256;
const FLUSH_MS = 10 * 60 * 1000;
const TICK_MS = 250;
const FULL_SHARE = 0.75;
/** One snapshot cannot be copied; the others can. */
const SOURCE_DAMAGE: ReadonlySet<string> = new Set([
  'CONTENT_LOST',
  'CONTENT_CORRUPT',
  'CONTENT_NOT_FOUND',
  'OBJECT_NOT_FOUND',
  'OBJECT_CORRUPT',
  'DIRECTORY_CORRUPT',
]);

/** Copies those of `manifests` that the target does not have, oldest first. */
export async function copySnapshots(
  source: Repository,
  target: Repository,
  manifests: readonly SnapshotManifest[],
  deps: CopyDeps,
  signal: AbortSignal,
): Promise<CopyReport> {
  const run = new CopyRun(source, target, deps, signal);
  return run.execute(manifests);
}

class CopyRun {
  readonly #source: Repository;
  readonly #target: Repository;
  readonly #deps: CopyDeps;
  readonly #signal: AbortSignal;
  readonly #objects: ObjectCopier;
  readonly #directories = new KnownObjects();
  readonly #sink: MainSink;
  #metadataCompressor = '';
  #files = 0;
  #flushedMs: number;
  #reportedMs: number;
  readonly #packedBefore: number;
  readonly #contentsBefore: number;

  constructor(source: Repository, target: Repository, deps: CopyDeps, signal: AbortSignal) {
    this.#source = source;
    this.#target = target;
    this.#deps = deps;
    this.#signal = signal;
    this.#objects = new ObjectCopier(source, target);
    this.#sink = new MainSink(target.contents, target.format.config);
    this.#flushedMs = deps.clock.monotonicMs();
    this.#reportedMs = this.#flushedMs;
    const { packedBytes, newContents } = target.contents.writer.stats;
    this.#packedBefore = packedBytes;
    this.#contentsBefore = newContents;
  }

  async execute(manifests: readonly SnapshotManifest[]): Promise<CopyReport> {
    const signal = this.#signal;
    // A pack that is gone would otherwise count as stored.
    const lost = await this.#target.contents.hideLostContents(signal);
    const there = new Map((await listSnapshots(this.#target.manifests, {}, signal)).map((it) => [nameOf(it), it]));
    const copied: CopiedSnapshot[] = [];
    const skipped: CopiedSnapshot[] = [];
    const failed: FailedSnapshot[] = [];
    const twins = new Map<string, { source: SnapshotManifest; target: Pick<SnapshotManifest, 'rootEntry'> }>();
    for (const manifest of manifests.toSorted((a, b) => (a.startTimeNs < b.startTimeNs ? -1 : 1))) {
      signal.throwIfAborted();
      const place = formatSource(manifest.source);
      const present = there.get(nameOf(manifest));
      if (present !== undefined) {
        skipped.push({ sourceId: manifest.id, targetId: present.id });
        // Nothing is taken over from a copy that may be damaged.
        if (present.incomplete === undefined && lost.contents === 0)
          twins.set(place, { source: manifest, target: present });
        continue;
      }
      try {
        const { targetId, rootId } = await this.#copySnapshot(manifest, twinOf(twins.get(place)));
        copied.push({ sourceId: manifest.id, targetId });
        const { rootEntry } = manifest;
        const target = { rootEntry: rootEntry === null ? null : { ...rootEntry, objectId: rootId } };
        twins.set(place, { source: manifest, target });
      } catch (error) {
        const code = errorCode(error) ?? '';
        if (signal.aborted || !SOURCE_DAMAGE.has(code)) throw error;
        failed.push({ sourceId: manifest.id, code, message: error instanceof Error ? error.message : String(error) });
      }
    }
    const { packedBytes, newContents } = this.#target.contents.writer.stats;
    return {
      copied,
      skipped,
      failed,
      bytesRead: this.#objects.counts.bytes,
      bytesStored: packedBytes - this.#packedBefore,
      newContents: newContents - this.#contentsBefore,
    };
  }

  async #copySnapshot(
    manifest: SnapshotManifest,
    twin: Twin | undefined,
  ): Promise<{ readonly targetId: string; readonly rootId: ObjectId | '' }> {
    const signal = this.#signal;
    const { rootEntry, id } = manifest;
    const { policy } = await loadEffectivePolicy(this.#target.manifests, manifest.source, signal);
    this.#metadataCompressor = metadataCompressor(policy);
    const rootId = rootEntry === null ? '' : await this.#copyRoot(rootEntry, twin);
    const from = { manifests: this.#source.manifests, id };
    const targetId = await copySnapshotManifest(from, this.#target.manifests, rootId, signal);
    await this.#target.flush(signal);
    return { targetId, rootId };
  }

  #copyRoot(entry: DirectoryEntry, twin: Twin | undefined): Promise<ObjectId | ''> {
    if (entry.objectId === '') return Promise.resolve('');
    return entry.type === 'd'
      ? this.#copyDirectory(entry.objectId, twin)
      : this.#objects.copy(entry.objectId, this.#signal);
  }

  async #copyDirectory(id: ObjectId, twin: Twin | undefined): Promise<ObjectId> {
    const signal = this.#signal;
    signal.throwIfAborted();
    if (twin?.source === id) return twin.target;
    const known = this.#directories.get(id);
    if (known !== undefined) return known;
    const bytes = await this.#source.readObject(id, signal);
    const { entries } = parseDirectory(bytes);
    const before = twin === undefined ? new Map<string, Twin>() : await this.#twinsIn(twin);
    const objectIds: (ObjectId | '')[] = entries.map(() => '');
    for (let at = 0; at < entries.length; at += FILES_BETWEEN_FLUSHES) {
      await this.#copyFiles(entries, at, before, objectIds);
      await this.#flushIfDue();
    }
    for (const [number, entry] of entries.entries()) {
      if (entry.type !== 'd' || entry.objectId === '') continue;
      objectIds[number] = await this.#copyDirectory(entry.objectId, before.get(keyOf(entry)));
    }
    await this.#target.contents.startSession(signal);
    const compressor = this.#metadataCompressor;
    const options = { prefix: DIRECTORY_PREFIX, compressor, metadataCompressor: compressor };
    const copied = writeObject(this.#sink, rewriteDirectory(bytes, objectIds), options);
    await this.#target.contents.storeFullPacks(signal);
    this.#directories.set(id, copied);
    return copied;
  }

  /** Files and symlinks of one stretch of a directory, some at a time. */
  async #copyFiles(
    entries: readonly DirectoryEntry[],
    from: number,
    before: ReadonlyMap<string, Twin>,
    objectIds: (ObjectId | '')[],
  ): Promise<void> {
    const numbers = entries.keys().drop(from).take(FILES_BETWEEN_FLUSHES);
    const copier = async (): Promise<void> => {
      for (const number of numbers) {
        const entry = entries[number];
        if (entry === undefined || entry.type === 'd' || entry.objectId === '') continue;
        const twin = before.get(keyOf(entry));
        objectIds[number] =
          twin?.source === entry.objectId ? twin.target : await this.#objects.copy(entry.objectId, this.#signal);
        this.#files++;
        this.#report();
      }
    };
    const outcomes = await Promise.allSettled(Array.from({ length: FILES_AT_ONCE }, copier));
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  }

  /** By name: what these entries have become. */
  async #twinsIn({ source, target }: Twin): Promise<Map<string, Twin>> {
    const twins = new Map<string, Twin>();
    const [ours, theirs] = await Promise.all([
      this.#source.readObject(source, this.#signal),
      this.#target.readObject(target, this.#signal),
    ]).then((both) => both.map((bytes) => parseDirectory(bytes).entries));
    for (const [number, entry] of (ours ?? []).entries()) {
      const copy = theirs?.[number];
      if (copy === undefined || compareNames(copy.name, entry.name) !== 0 || copy.type !== entry.type) continue;
      if (entry.objectId !== '' && copy.objectId !== '')
        twins.set(keyOf(entry), { source: entry.objectId, target: copy.objectId });
    }
    return twins;
  }

  async #flushIfDue(): Promise<void> {
    const { contents } = this.#target;
    const now = this.#deps.clock.monotonicMs();
    const isFull = contents.pendingContents > contents.newContentsCapacity * FULL_SHARE;
    if (!isFull && now - this.#flushedMs < FLUSH_MS) return;
    this.#flushedMs = now;
    await contents.flush(this.#signal);
  }

  #report(): void {
    const now = this.#deps.clock.monotonicMs();
    if (now - this.#reportedMs < TICK_MS) return;
    this.#reportedMs = now;
    this.#deps.progress?.({
      files: this.#files,
      processedBytes: this.#objects.counts.bytes,
      uploadedBytes: this.#target.contents.writer.stats.packedBytes - this.#packedBefore,
    });
  }
}

/** A snapshot is the same wherever its source and start are the same. */
function nameOf({ source, startTimeNs }: SnapshotManifest): string {
  return `${startTimeNs} ${formatSource(source)}`;
}

function keyOf({ type, name }: DirectoryEntry): string {
  return `${type}${name}`;
}

function twinOf(
  pair: { source: SnapshotManifest; target: Pick<SnapshotManifest, 'rootEntry'> } | undefined,
): Twin | undefined {
  const source = pair?.source.rootEntry;
  const target = pair?.target.rootEntry;
  if (source?.type !== 'd' || target?.type !== 'd' || source.objectId === '' || target.objectId === '')
    return undefined;
  return { source: source.objectId, target: target.objectId };
}
