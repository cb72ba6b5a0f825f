// One directory while a lane works on it: what was stored so far, what did not work, and the directory object in the end.
import {
  type ComposedEntry,
  type ComposedFields,
  type DirectoryExtra,
  type DirectorySummary,
  directoryTail,
  type EntryBuffer,
  type EntryExtra,
  type ObjectId,
  type PreviousDirectory,
  SummaryBuilder,
} from '../../repo-format/index.ts';
import { errnoName, inodeText, type StatRecord } from '../posix/libc.ts';
import type { DirectoryPolicy } from './directory-policy.ts';
import type {
  DirectoryCounts,
  DirectoryJob,
  DirectoryResult,
  EntryFacts,
  FailedPath,
  LargeFile,
  OpenDirectory,
  Subdirectory,
} from './lane-protocol.ts';
import { enterScope, type DirectoryScope } from './directory-scope.ts';
import type { ListedEntry } from './listing.ts';

export interface StoredEntry {
  readonly objectId: ObjectId;
  readonly size: number;
  readonly extra: EntryExtra | undefined;
}

export class DirectoryWork {
  readonly job: DirectoryJob;
  readonly policy: DirectoryPolicy;
  readonly fd: number;
  readonly facts: EntryFacts;
  readonly previous: readonly PreviousDirectory[];
  /** Of the directory's change hints. */
  readonly seed: number;
  readonly listedAtMs: number;
  readonly subdirectories: Subdirectory[] = [];
  readonly largeFiles: LargeFile[] = [];
  readonly failed: FailedPath[] = [];
  readonly changedPaths: string[] = [];
  readonly vanished: string[];
  cachedFiles = 0;
  readFiles = 0;
  storedFiles = 0;
  excludedFiles = 0;
  excludedDirs = 0;
  excludedBytes = 0;
  rereads = 0;
  /** Attributes of the directory itself. */
  xattrs: EntryExtra['xattrs'];
  readonly #mountPath: string;
  readonly #scope: DirectoryScope;
  readonly #summary = new SummaryBuilder();
  /** Entries since the last large file. */
  readonly #entries: EntryBuffer;
  /** Entries before that, with places kept for large files. */
  readonly #texts: string[] = [];
  #files = 0;
  #links = 0;
  #bytes = 0;

  constructor(start: {
    job: DirectoryJob;
    policy: DirectoryPolicy;
    fd: number;
    facts: EntryFacts;
    seed: number;
    previous: readonly PreviousDirectory[];
    vanished: string[];
    listedAtMs: number;
    /** Lent to this directory until it is encoded or handed on. */
    entries: EntryBuffer;
  }) {
    const { job, facts } = start;
    this.#entries = start.entries;
    this.#entries.begin();
    this.job = job;
    this.policy = start.policy;
    this.fd = start.fd;
    this.facts = facts;
    this.seed = start.seed;
    this.previous = start.previous;
    this.vanished = start.vanished;
    this.listedAtMs = start.listedAtMs;
    const hasCrossed = job.parentDevice !== 0 && facts.dev !== job.parentDevice;
    this.#mountPath = hasCrossed ? job.path : job.mountPath;
    this.#scope = enterScope(job, start.fd);
    const isIgnored = start.policy.ignoreFileErrors;
    for (const { name, code, message } of this.#scope.unreadable) {
      this.failed.push({ path: this.pathOf(name), code, message, isIgnored });
    }
  }

  pathOf(name: string): string {
    return this.job.path === '.' ? name : `${this.job.path}/${name}`;
  }

  /** True, and counted, for an entry that the rules leave out. */
  leavesOut(entry: ListedEntry): boolean {
    const { scope } = this.#scope;
    if (scope === undefined) return false;
    const { size, dev, isDirectory } = entry.stat;
    if (scope.reason(this.pathOf(entry.name), { isDirectory, size, dev }, this.facts.dev) === undefined) return false;
    if (isDirectory) {
      this.excludedDirs++;
    } else {
      this.excludedFiles++;
      this.excludedBytes += size;
    }
    return true;
  }

  /** @param errno 0 for what no system call says: then `call` is all there is to tell */
  addFailure(path: string, errno: number, call: string): void {
    const code = errno === 0 ? 'UNSUPPORTED' : errnoName(errno);
    const isIgnored = errno === 0 ? this.policy.ignoreUnknownTypes : this.policy.ignoreFileErrors;
    this.failed.push({ path, code, message: errno === 0 ? call : `${call}: ${code}`, isIgnored });
  }

  /** HOT. Writes an entry but for its object; it does not count yet. */
  compose(name: string, fields: ComposedFields): void {
    this.#entries.compose(name, fields);
  }

  /** As written by `compose`. */
  get composed(): ComposedEntry {
    return this.#entries.composed;
  }

  /** HOT. `stat` is the entry's, or that of a later reading. */
  addFile(entry: ListedEntry, stat: StatRecord, stored: StoredEntry): void {
    this.#entries.compose(entry.name, fieldsOf('f', stat, stored.size));
    this.addComposed('f', stat, stored);
  }

  addSymlink(entry: ListedEntry, stored: StoredEntry): void {
    this.#entries.compose(entry.name, fieldsOf('s', entry.stat, stored.size));
    this.addComposed('s', entry.stat, stored);
  }

  /** HOT. Completes the composed entry, whose facts are `stat`. */
  addComposed(type: 'f' | 's', stat: StatRecord, { objectId, size, extra }: StoredEntry): void {
    if (type === 'f') {
      this.#files++;
      this.#bytes += size;
      this.#summary.addFile(size, stat.mtimeSeconds, stat.mtimeNanoseconds);
    } else {
      this.#links++;
      this.#summary.addSymlink(stat.mtimeSeconds, stat.mtimeNanoseconds);
    }
    this.#entries.commit(objectId, extra);
  }

  /** Its entry comes later; its place is kept. */
  addLargeFile(file: Omit<LargeFile, 'position'>): void {
    this.#takeTexts();
    this.largeFiles.push({ ...file, position: this.#texts.length });
    this.#texts.push('');
  }

  #takeTexts(): void {
    const text = this.#entries.takeText();
    if (text !== '') this.#texts.push(text);
  }

  /** What an entry needs beyond kopia's members; undefined for nothing. */
  extraOf(entry: ListedEntry, xattrs: EntryExtra['xattrs']): EntryExtra | undefined {
    const isLinked = entry.stat.nlink > 1;
    if (xattrs === undefined && !isLinked && !entry.isStandIn) return undefined;
    return {
      ...(entry.rawName === undefined ? {} : { rawName: entry.rawName }),
      ...(isLinked ? { link: this.#linkGroup(entry.stat) } : {}),
      ...(xattrs === undefined ? {} : { xattrs }),
    };
  }

  /** Not volatile: the same as long as it is the same file in the same place (docs/design/0001). */
  #linkGroup(stat: StatRecord): string {
    return this.#mountPath === '' ? inodeText(stat) : `${inodeText(stat)}@${this.#mountPath}`;
  }

  /** Nothing in it is left to others. */
  get isDone(): boolean {
    return this.subdirectories.length === 0 && this.largeFiles.length === 0;
  }

  /** True when nothing about it is in doubt, so that it may be recognised as a whole next time. */
  get isCertain(): boolean {
    const { job, policy } = this;
    if (this.failed.length > 0 || this.changedPaths.length > 0 || this.vanished.length > 0) return false;
    return this.rereads === 0 && job.ignore.length === 0 && job.ownIgnore === undefined && !policy.ignoreCacheDirs;
  }

  /** The directory object of one that is done; valid until the next directory is begun. */
  encode(): { bytes: Uint8Array; summary: DirectorySummary } {
    const { mtimeSeconds, mtimeNanos } = this.facts;
    for (const { path, message, isIgnored } of this.failed)
      this.#summary.addFailure({ path, error: message }, isIgnored);
    const summary = this.#summary.build(mtimeSeconds, mtimeNanos);
    const extra: DirectoryExtra = {
      ...(this.xattrs === undefined ? {} : { xattrs: this.xattrs }),
      consistency: { changed: this.changedPaths.length, vanished: this.vanished.length },
      vanished: this.vanished,
    };
    return { bytes: this.#entries.finish(directoryTail({ summary, extra, mtimeSeconds, mtimeNanos })), summary };
  }

  result(done: DirectoryResult['done']): DirectoryResult {
    const { job, facts, failed, changedPaths } = this;
    return {
      kind: 'directory',
      id: job.id,
      facts,
      failed,
      changedPaths,
      failedBelow: [],
      vanishedPathsBelow: [],
      counts: this.#counts(),
      done,
      open: done === undefined ? this.#open() : undefined,
    };
  }

  #counts(): DirectoryCounts {
    return {
      directories: 1,
      files: this.#files,
      cachedFiles: this.cachedFiles,
      readFiles: this.readFiles,
      storedFiles: this.storedFiles,
      bytes: this.#bytes,
      excludedFiles: this.excludedFiles,
      excludedDirs: this.excludedDirs,
      excludedBytes: this.excludedBytes,
      changed: this.changedPaths.length,
      vanished: this.vanished,
      vanishedBelow: 0,
      rereads: this.rereads,
    };
  }

  #open(): OpenDirectory {
    const isEmpty = this.#files + this.#links === 0;
    this.#takeTexts();
    return {
      fd: this.fd,
      mountPath: this.#mountPath,
      subdirectories: this.subdirectories,
      largeFiles: this.largeFiles,
      otherTexts: this.#texts,
      summary: isEmpty ? new SummaryBuilder().build(0, 0) : this.#summary.build(0, 0),
      xattrs: this.xattrs,
      ignore: this.#scope.levels,
      finishedChildren: [],
      openChildren: [],
    };
  }
}

const fields: { -readonly [K in keyof ComposedFields]: ComposedFields[K] } = {
  type: 'f',
  mode: 0,
  size: 0,
  mtimeSeconds: 0,
  mtimeNanos: 0,
  uid: 0,
  gid: 0,
};

/** HOT. The same record each time. */
export function fieldsOf(type: 'f' | 's', stat: StatRecord, size: number): ComposedFields {
  fields.type = type;
  fields.mode = stat.mode & 0o7777;
  fields.size = size;
  fields.mtimeSeconds = stat.mtimeSeconds;
  fields.mtimeNanos = stat.mtimeNanoseconds;
  fields.uid = stat.uid;
  fields.gid = stat.gid;
  return fields;
}
