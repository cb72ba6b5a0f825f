// What a lane does with one directory: list it, decide for each entry whether the previous snapshot's object still serves
// (snapshots §5.3), store what does not, and write the directory object itself when nothing below it is left to others.
import { hasCode, WindlassError } from '../../base/errors.ts';
import {
  type ComparedStat,
  compressorForFile,
  contentKey,
  type ContentId,
  DIRECTORY_PREFIX,
  type DirectoryExtra,
  encodeDirectory,
  encodeEntry,
  type EntryExtra,
  indexObjectId,
  objectIdParts,
  type IndexSet,
  type ObjectId,
  PreviousDirectory,
  SummaryBuilder,
  writeObject,
  type ChunkSink,
} from '../../repo-format/index.ts';
import {
  close,
  ELOOP,
  ENOENT,
  ENOTDIR,
  errnoName,
  fstat,
  inodeText,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_RDONLY,
  openat,
  readFully,
  readlinkat,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  S_IFSOCK,
  StatRecord,
} from '../posix/libc.ts';
import { openForReading } from '../source/file-opener.ts';
import { IgnoreScope } from '../source/ignore-rules.ts';
import { readXattrs, readXattrsAt } from '../source/xattrs.ts';
import { attributesOf } from './attributes-of.ts';
import {
  directoryFingerprint,
  directorySeed,
  type Fingerprint,
  type HintLog,
  type HintTable,
  isRacy,
} from './change-hints.ts';
import type { DirectoryPolicy } from './directory-policy.ts';
import { factsOf } from './entry-facts.ts';
import type { FileStore, StoreOutcome } from './file-store.ts';
import type {
  DirectoryFailure,
  DirectoryJob,
  DirectoryResult,
  EntryFacts,
  FailedPath,
  IgnoreLevel,
  LaneOptions,
  LargeFile,
  PreviousObject,
  Subdirectory,
} from './lane-protocol.ts';
import { Listing, type ListedEntry } from './listing.ts';
import type { LaneProgress } from './progress.ts';

export interface DirectoryBackupDeps {
  readonly sink: ChunkSink;
  /** By the numbers that jobs carry. */
  readonly policies: readonly DirectoryPolicy[];
  readonly filesFor: (policy: DirectoryPolicy) => FileStore;
  readonly progress: LaneProgress;
  readonly isStopped: () => boolean;
  /** Reads a directory object of a previous snapshot; throws when it cannot be had. */
  readonly readObject: (id: ObjectId) => Uint8Array;
  readonly indexSet: () => IndexSet;
  /** What the previous run remembered; undefined when it remembered nothing of this source. */
  readonly hints: HintTable | undefined;
  /** Where this run notes what to remember. */
  readonly hintLog: HintLog | undefined;
  readonly nowMs: () => number;
  readonly warn: (message: string, error: unknown) => void;
  /** A number in [0, 100): decides on `forceHashPercent`. */
  readonly roll: () => number;
}

const MAX_DOT_FILE_BYTES = 1 << 20;
/** https://bford.info/cachedir/ */
const CACHE_TAG_SIGNATURE = 'Signature: 8a477f597d28d172789f06886806bc55';

/** Thrown inside a lane to unwind when it was told to stop. */
export class LaneStopped extends Error {}

const SPECIAL_TYPES: Readonly<Record<number, 'fifo' | 'socket' | 'char' | 'block'>> = {
  [S_IFIFO]: 'fifo',
  [S_IFSOCK]: 'socket',
  [S_IFCHR]: 'char',
  [S_IFBLK]: 'block',
};

/** State of the directory being worked on. */
class Work {
  readonly summary = new SummaryBuilder();
  readonly texts: string[] = [];
  readonly subdirectories: Subdirectory[] = [];
  readonly largeFiles: LargeFile[] = [];
  readonly failed: FailedPath[] = [];
  readonly changedPaths: string[] = [];
  readonly vanished: string[];
  files = 0;
  links = 0;
  cachedFiles = 0;
  readFiles = 0;
  storedFiles = 0;
  bytes = 0;
  excludedFiles = 0;
  excludedDirs = 0;
  excludedBytes = 0;
  rereads = 0;
  readonly job: DirectoryJob;
  readonly policy: DirectoryPolicy;
  readonly fd: number;
  readonly mountPath: string;
  readonly previous: readonly PreviousDirectory[];
  /** Undefined when nothing can be left out. */
  scope: IgnoreScope | undefined;
  levels: readonly IgnoreLevel[] = [];
  /** Of the directory's change hints. */
  readonly seed: number;
  listedAtMs = 0;

  constructor(start: {
    job: DirectoryJob;
    policy: DirectoryPolicy;
    fd: number;
    mountPath: string;
    seed: number;
    previous: readonly PreviousDirectory[];
    vanished: string[];
  }) {
    this.job = start.job;
    this.policy = start.policy;
    this.fd = start.fd;
    this.mountPath = start.mountPath;
    this.seed = start.seed;
    this.previous = start.previous;
    this.vanished = start.vanished;
  }

  pathOf(name: string): string {
    return this.job.path === '.' ? name : `${this.job.path}/${name}`;
  }
}

export class DirectoryBackup {
  readonly #options: LaneOptions;
  readonly #deps: DirectoryBackupDeps;
  readonly #listing = new Listing();
  readonly #self = new StatRecord();
  readonly #fingerprint: Fingerprint = { low: 0, high: 0 };
  readonly #compared: { -readonly [K in keyof ComparedStat]: ComparedStat[K] } = {
    type: 'f',
    mode: 0,
    uid: 0,
    gid: 0,
    size: 0,
    mtimeSeconds: 0,
    mtimeNanos: 0,
  };
  #emptyObject: ObjectId | undefined;

  constructor(options: LaneOptions, deps: DirectoryBackupDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  run(job: DirectoryJob): DirectoryResult | DirectoryFailure {
    const opened =
      job.name === undefined
        ? openat(job.parentFd, '.', O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
        : openat(job.parentFd, job.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK);
    if (opened < 0) return this.#failure(job, -opened, 'open');
    let keep = false;
    try {
      const status = fstat(opened, this.#self);
      if (status < 0) return this.#failure(job, -status, 'fstat');
      const seed = directorySeed(job.path);
      const withFingerprints = this.#deps.hints !== undefined || this.#deps.hintLog !== undefined;
      const errno = this.#listing.scan(opened, { seed, withFingerprints, nowMs: this.#deps.nowMs() });
      if (errno !== 0) return this.#failure(job, errno, 'getdents');
      this.#listing.materialize();
      const result = this.#process(job, opened, seed);
      keep = result.open !== undefined;
      return result;
    } finally {
      if (!keep) close(opened);
    }
  }

  /** The result for a directory of which nothing changed, nor anything below it: its object serves again. */
  unchanged(job: DirectoryJob, primary: PreviousObject, facts: EntryFacts): DirectoryResult {
    const { summary } = primary;
    const files = summary.files + summary.symlinks;
    this.#deps.progress.cachedTree(files, summary.dirs, summary.size);
    return {
      kind: 'directory',
      id: job.id,
      facts,
      failed: [],
      failedBelow: [],
      changedPaths: [],
      vanishedPathsBelow: [],
      counts: {
        directories: summary.dirs,
        files: summary.files,
        cachedFiles: files,
        readFiles: 0,
        storedFiles: 0,
        bytes: summary.size,
        excludedFiles: 0,
        excludedDirs: 0,
        excludedBytes: 0,
        changed: 0,
        vanished: [],
        vanishedBelow: 0,
        rereads: 0,
      },
      done: primary,
      open: undefined,
    };
  }

  /** Whether the object of an earlier snapshot may serve for a whole sub-tree, if nothing in it has changed. */
  canKeep(job: DirectoryJob, primary: PreviousObject): boolean {
    const { numFailed, numIgnoredErrors, incomplete } = primary.summary;
    if (numFailed > 0 || numIgnoredErrors !== undefined || incomplete !== undefined) return false;
    if (job.ignore.length > 0 || job.ownIgnore !== undefined || this.#options.forceHashPercent > 0) return false;
    return !this.#policyOf(job).ignoreCacheDirs && this.#isStored(primary.objectId as ObjectId);
  }

  /** Remembers the directory as a whole, when nothing about it is in doubt. */
  #rememberDirectory(work: Work): void {
    const { hintLog } = this.#deps;
    if (hintLog === undefined || !this.#listing.isSteady || isRacy(this.#self, work.listedAtMs)) return;
    if (work.failed.length > 0 || work.changedPaths.length > 0 || work.vanished.length > 0 || work.rereads > 0) return;
    if (work.job.ignore.length > 0 || work.job.ownIgnore !== undefined || work.policy.ignoreCacheDirs) return;
    directoryFingerprint(work.seed, this.#listing.count, this.#listing.fingerprint, this.#self, this.#fingerprint);
    hintLog.add(this.#fingerprint);
  }

  #policyOf(job: DirectoryJob): DirectoryPolicy {
    return policyOf(this.#deps.policies, job.policyNumber);
  }

  #failure(job: DirectoryJob, errno: number, call: string): DirectoryFailure {
    // Not there any more, or a file or symlink was put in its place: what was listed is gone.
    const vanished = job.name !== undefined && (errno === ENOENT || errno === ENOTDIR || errno === ELOOP);
    const code = errnoName(errno);
    const isIgnored = job.name !== undefined && this.#policyOf(job).ignoreDirectoryErrors;
    if (!vanished) this.#deps.progress.error();
    return {
      kind: 'failed-directory',
      id: job.id,
      vanished,
      failed: { path: job.path, code, message: `${call}: ${code}`, isIgnored },
    };
  }

  #process(job: DirectoryJob, fd: number, seed: number): DirectoryResult {
    const self = this.#self;
    const crossed = job.parentDevice !== 0 && self.dev !== job.parentDevice;
    const mountPath = crossed ? job.path : job.mountPath;
    const policy = this.#policyOf(job);
    const work = new Work({
      job,
      policy,
      fd,
      mountPath,
      seed,
      previous: this.#loadPrevious(job.previous),
      vanished: this.#listing.vanished,
    });
    work.listedAtMs = this.#deps.nowMs();
    const facts = factsOf(self);
    const selfXattrs = attributesOf(() => readXattrs(fd));
    const xattrs = selfXattrs.attributes;
    if (selfXattrs.errno !== 0) this.#recordFailure(work, job.path, selfXattrs.errno, 'listxattr');
    this.#enterScope(work);
    if (this.#isCacheFolder(work)) return this.#result(work, facts, xattrs);
    for (const entry of this.#listing.entries) {
      if (this.#deps.isStopped()) throw new LaneStopped();
      this.#entry(work, entry);
    }
    return this.#result(work, facts, xattrs);
  }

  #result(work: Work, facts: EntryFacts, xattrs: EntryExtra['xattrs']): DirectoryResult {
    const { job, fd, mountPath } = work;
    this.#deps.progress.directory();
    const isDone = work.subdirectories.length === 0 && work.largeFiles.length === 0;
    const done = isDone ? this.#finish(work, facts, xattrs) : undefined;
    this.#rememberDirectory(work);
    const partial = work.files + work.links > 0 ? work.summary.build(0, 0) : new SummaryBuilder().build(0, 0);
    return {
      kind: 'directory',
      id: job.id,
      facts,
      failed: work.failed,
      changedPaths: work.changedPaths,
      failedBelow: [],
      vanishedPathsBelow: [],
      counts: {
        directories: 1,
        files: work.files,
        cachedFiles: work.cachedFiles,
        readFiles: work.readFiles,
        storedFiles: work.storedFiles,
        bytes: work.bytes,
        excludedFiles: work.excludedFiles,
        excludedDirs: work.excludedDirs,
        excludedBytes: work.excludedBytes,
        changed: work.changedPaths.length,
        vanished: work.vanished,
        vanishedBelow: 0,
        rereads: work.rereads,
      },
      done,
      open: isDone
        ? undefined
        : {
            fd,
            mountPath,
            subdirectories: work.subdirectories,
            largeFiles: work.largeFiles,
            otherTexts: work.texts,
            summary: partial,
            xattrs,
            ignore: work.levels,
            finishedChildren: [],
            openChildren: [],
          },
    };
  }

  #finish(work: Work, facts: EntryFacts, xattrs: EntryExtra['xattrs']): DirectoryResult['done'] {
    for (const { path, message, isIgnored } of work.failed)
      work.summary.addFailure({ path, error: message }, isIgnored);
    const summary = work.summary.build(facts.mtimeSeconds, facts.mtimeNanos);
    const consistency = { changed: work.changedPaths.length, vanished: work.vanished.length };
    const extra: DirectoryExtra = {
      ...(xattrs === undefined ? {} : { xattrs }),
      consistency,
      vanished: work.vanished,
    };
    const bytes = encodeDirectory({
      dirEntryTexts: [],
      otherEntryTexts: work.texts,
      summary,
      extra,
      mtimeSeconds: facts.mtimeSeconds,
      mtimeNanos: facts.mtimeNanos,
    });
    const { metadataCompressor } = work.policy;
    const objectId = writeObject(this.#deps.sink, bytes, {
      prefix: DIRECTORY_PREFIX,
      compressor: metadataCompressor,
      metadataCompressor,
    });
    return { objectId, summary };
  }

  /** Previous directory objects that can be read; one that cannot only costs the reading of files again. */
  #loadPrevious(ids: readonly string[]): PreviousDirectory[] {
    const loaded: PreviousDirectory[] = [];
    for (const id of ids) {
      try {
        loaded.push(PreviousDirectory.parse(this.#deps.readObject(id as ObjectId)));
      } catch (error) {
        this.#deps.warn(`previous directory ${id} cannot be used; its files are read again`, error);
      }
    }
    return loaded;
  }

  #entry(work: Work, entry: ListedEntry): void {
    if (entry.errno !== 0) {
      this.#recordFailure(work, work.pathOf(entry.name), entry.errno, 'stat');
      return;
    }
    const type = entry.stat.mode & S_IFMT;
    if (this.#isIgnored(work, entry, type)) return;
    if (type === S_IFDIR) this.#directory(work, entry);
    else if (type === S_IFREG) this.#file(work, entry);
    else if (type === S_IFLNK) this.#symlink(work, entry);
    else this.#special(work, entry, type);
  }

  #isIgnored(work: Work, entry: ListedEntry, type: number): boolean {
    const { scope } = work;
    if (scope === undefined) return false;
    const isDirectory = type === S_IFDIR;
    const { size, dev } = entry.stat;
    if (scope.reason(work.pathOf(entry.name), { isDirectory, size, dev }, this.#self.dev) === undefined) return false;
    if (isDirectory) {
      work.excludedDirs++;
    } else {
      work.excludedFiles++;
      work.excludedBytes += size;
    }
    return true;
  }

  /** The rules of this directory: those of its ancestors, its own policy's, and those in its dot files. */
  #enterScope(work: Work): void {
    const { job, fd } = work;
    if (job.ignore.length === 0 && job.ownIgnore === undefined) return;
    let scope = IgnoreScope.none();
    for (const level of job.ignore) scope = scope.enter(level.directory, level.policy, level.dotFileTexts);
    const directory = job.path === '.' ? '' : job.path;
    const texts: string[] = [];
    for (const name of scope.dotFilesOf(job.ownIgnore)) {
      const text = readSmallFile(fd, name, MAX_DOT_FILE_BYTES);
      if (text !== undefined && this.#isReadable(work, name, text)) texts.push(Buffer.from(text).toString('utf8'));
    }
    scope = scope.enter(directory, job.ownIgnore, texts);
    work.levels =
      texts.length === 0 && job.ownIgnore === undefined
        ? job.ignore
        : [...job.ignore, { directory, policy: job.ownIgnore, dotFileTexts: texts }];
    if (!scope.isEmpty) work.scope = scope;
  }

  /** Rules that cannot be read leave nothing out, and are listed as a failure of their file. */
  #isReadable(work: Work, name: string, rules: Uint8Array): boolean {
    try {
      IgnoreScope.none().enter('', undefined, [Buffer.from(rules).toString('utf8')]);
      return true;
    } catch (error) {
      if (!hasCode(error, 'IGNORE_PATTERN_INVALID')) throw error;
      const { message, code } = error as WindlassError;
      work.failed.push({ path: work.pathOf(name), code, message, isIgnored: work.policy.ignoreFileErrors });
      this.#deps.progress.error();
      return false;
    }
  }

  #isCacheFolder({ policy, fd }: Work): boolean {
    if (!policy.ignoreCacheDirs) return false;
    const tag = readSmallFile(fd, 'CACHEDIR.TAG', 1024);
    return tag !== undefined && Buffer.from(tag).toString('latin1').startsWith(CACHE_TAG_SIGNATURE);
  }

  #directory(work: Work, entry: ListedEntry): void {
    const previous: string[] = [];
    let primary: PreviousObject | undefined;
    for (const directory of work.previous) {
      const index = findIn(directory, entry);
      const found = index < 0 ? undefined : directory.entry(index);
      if (found?.type !== 'd' || found.objectId === '' || previous.includes(found.objectId)) continue;
      previous.push(found.objectId);
      // The hints are those of the first snapshot, and only along an unbroken line of its directories.
      const isWhole = work.previous.length === work.job.previous.length;
      const isPrimary =
        isWhole && directory === work.previous[0] && work.job.primary?.objectId === work.job.previous[0];
      if (isPrimary && found.summary !== undefined) primary = { objectId: found.objectId, summary: found.summary };
    }
    work.subdirectories.push({ name: entry.name, nameBytes: entry.nameBytes, previous, primary });
  }

  /** The extra facts that an lstat and the attribute list tell of any entry. */
  #extraOf(work: Work, entry: ListedEntry): { extra: EntryExtra | undefined; errno: number } {
    const read = attributesOf(() => readXattrsAt(work.fd, entry.path));
    return { extra: this.#extraWith(work, entry, read.attributes), errno: read.errno };
  }

  #extraWith(work: Work, entry: ListedEntry, xattrs: EntryExtra['xattrs']): EntryExtra | undefined {
    const isLinked = entry.stat.nlink > 1;
    if (xattrs === undefined && !isLinked && !entry.isStandIn) return undefined;
    return {
      ...(entry.rawName === undefined ? {} : { rawName: entry.rawName }),
      ...(isLinked ? { link: this.#linkGroup(work, entry.stat) } : {}),
      ...(xattrs === undefined ? {} : { xattrs }),
    };
  }

  /** Not volatile: the same as long as it is the same file in the same place (docs/design/0001). */
  #linkGroup(work: Work, stat: StatRecord): string {
    return work.mountPath === '' ? inodeText(stat) : `${inodeText(stat)}@${work.mountPath}`;
  }

  #file(work: Work, entry: ListedEntry): void {
    if (this.#reuse(work, entry, 'f')) return;
    if (entry.stat.size > this.#options.largeFileBytes) {
      this.#largeFile(work, entry);
      return;
    }
    work.readFiles++;
    const files = this.#deps.filesFor(work.policy);
    const outcome = files.store({
      directoryFd: work.fd,
      name: entry.path,
      listed: entry.stat,
      compressor: compressorForFile(work.policy.compression, entry.name, entry.stat.size),
      metadataCompressor: work.policy.metadataCompressor,
      part: undefined,
    });
    this.#addStored(work, entry, outcome, files);
  }

  #largeFile(work: Work, entry: ListedEntry): void {
    const { extra, errno } = this.#extraOf(work, entry);
    if (errno === ENOENT) {
      work.vanished.push(entry.name);
      return;
    }
    if (errno !== 0) this.#recordFailure(work, work.pathOf(entry.name), errno, 'listxattr');
    work.largeFiles.push({
      position: work.texts.length,
      name: entry.name,
      nameBytes: entry.nameBytes,
      facts: factsOf(entry.stat),
      extra,
    });
    work.texts.push('');
  }

  #addStored(work: Work, entry: ListedEntry, outcome: StoreOutcome, files: FileStore): void {
    if (outcome.kind === 'stopped') throw new LaneStopped();
    if (outcome.kind === 'vanished') {
      work.vanished.push(entry.name);
      return;
    }
    if (outcome.kind === 'failed') {
      this.#recordFailure(work, work.pathOf(entry.name), outcome.errno, outcome.call);
      return;
    }
    if (outcome.xattrErrno !== 0) this.#recordFailure(work, work.pathOf(entry.name), outcome.xattrErrno, 'listxattr');
    work.rereads += outcome.rereads;
    // When the file was read again its facts are those of the accepted reading.
    const stat = outcome.rereads > 0 ? files.after : entry.stat;
    work.storedFiles++;
    if (outcome.changed) work.changedPaths.push(work.pathOf(entry.name));
    this.#addFile(work, entry, stat, {
      objectId: outcome.objectId,
      size: outcome.size,
      extra: withFlags(this.#extraWith(work, entry, outcome.xattrs), outcome.sparse, outcome.changed),
    });
    this.#deps.progress.file();
  }

  #addFile(
    work: Work,
    entry: ListedEntry,
    stat: StatRecord,
    stored: { objectId: ObjectId; size: number; extra: EntryExtra | undefined },
  ): void {
    work.files++;
    work.bytes += stored.size;
    work.summary.addFile(stored.size, stat.mtimeSeconds, stat.mtimeNanoseconds);
    work.texts.push(
      encodeEntry({
        name: entry.name,
        type: 'f',
        mode: stat.mode & 0o7777,
        size: stored.size,
        mtimeSeconds: stat.mtimeSeconds,
        mtimeNanos: stat.mtimeNanoseconds,
        uid: stat.uid,
        gid: stat.gid,
        objectId: stored.objectId,
        extra: stored.extra,
      }),
    );
  }

  /** True when a previous snapshot's object serves: nothing an lstat tells has changed, and its content is still stored. */
  #reuse(work: Work, entry: ListedEntry, type: 'f' | 's'): boolean {
    const isRemembered = this.#remember(work, entry);
    // The previous run saw this file, and inode or change time were different.
    if (isRemembered === false) return false;
    const { stat } = entry;
    const compared = this.#compared;
    compared.type = type;
    compared.mode = stat.mode & 0o7777;
    compared.uid = stat.uid;
    compared.gid = stat.gid;
    compared.size = stat.size;
    compared.mtimeSeconds = stat.mtimeSeconds;
    compared.mtimeNanos = stat.mtimeNanoseconds;
    for (const directory of work.previous) {
      const index = findIn(directory, entry);
      if (index < 0 || !directory.isUnchanged(index, compared)) continue;
      const { forceHashPercent } = this.#options;
      if (forceHashPercent > 0 && this.#deps.roll() < forceHashPercent) return false;
      const objectId = directory.objectId(index);
      if (objectId === undefined || !this.#isStored(objectId)) continue;
      const extra = this.#extraOfUnchanged(work, entry, isRemembered === true, directory, index);
      if (extra === 'unreadable') return false;
      if (type === 's') this.#addSymlink(work, entry, objectId, extra);
      else this.#addFile(work, entry, stat, { objectId, size: stat.size, extra });
      work.cachedFiles++;
      this.#deps.progress.cachedFile(stat.size);
      return true;
    }
    return false;
  }

  /**
   * Notes the entry for the next run, and says what the last one knew of it: true when inode and change time are the
   * same, false when not, undefined when nothing is remembered of this source.
   */
  #remember(work: Work, entry: ListedEntry): boolean | undefined {
    const { hints, hintLog } = this.#deps;
    if (hintLog !== undefined && !isRacy(entry.stat, work.listedAtMs)) hintLog.add(entry.fingerprint);
    return hints?.has(entry.fingerprint);
  }

  #extraOfUnchanged(
    work: Work,
    entry: ListedEntry,
    isRemembered: boolean,
    directory: PreviousDirectory,
    index: number,
  ): EntryExtra | undefined | 'unreadable' {
    const previous = directory.hasExtra(index) ? directory.entry(index)?.extra : undefined;
    if (!isRemembered) {
      const { extra, errno } = this.#extraOf(work, entry);
      return errno === 0 ? withFlags(extra, previous?.sparse === true, false) : 'unreadable';
    }
    if (previous === undefined && entry.stat.nlink === 1 && !entry.isStandIn) return undefined;
    return withFlags(this.#extraWith(work, entry, previous?.xattrs), previous?.sparse === true, false);
  }

  /** The object's first content is in the index and not marked deleted: maintenance has not begun to take it away. */
  #isStored(objectId: ObjectId): boolean {
    let id = objectId;
    for (let index = indexObjectId(id); index !== undefined; index = indexObjectId(id)) id = index;
    return this.#deps.indexSet().state(contentKey(objectIdParts(id).contentId as ContentId)) === 1;
  }

  #symlink(work: Work, entry: ListedEntry): void {
    if (this.#reuse(work, entry, 's')) return;
    const { extra, errno } = this.#extraOf(work, entry);
    if (errno === ENOENT) {
      work.vanished.push(entry.name);
      return;
    }
    if (errno !== 0) this.#recordFailure(work, work.pathOf(entry.name), errno, 'listxattr');
    const target = readlinkat(work.fd, entry.path);
    if (typeof target === 'number') {
      if (target === -ENOENT) work.vanished.push(entry.name);
      else this.#recordFailure(work, work.pathOf(entry.name), -target, 'readlink');
      return;
    }
    entry.stat.size = target.length;
    this.#addSymlink(work, entry, writeObject(this.#deps.sink, target), extra);
    this.#deps.progress.file();
  }

  #addSymlink(work: Work, entry: ListedEntry, objectId: ObjectId, extra: EntryExtra | undefined): void {
    const { stat } = entry;
    work.links++;
    work.summary.addSymlink(stat.mtimeSeconds, stat.mtimeNanoseconds);
    work.texts.push(
      encodeEntry({
        name: entry.name,
        type: 's',
        mode: stat.mode & 0o7777,
        size: stat.size,
        mtimeSeconds: stat.mtimeSeconds,
        mtimeNanos: stat.mtimeNanoseconds,
        uid: stat.uid,
        gid: stat.gid,
        objectId,
        extra,
      }),
    );
  }

  /** FIFOs, sockets and devices are empty files to kopia, and say in the extra member what they are. */
  #special(work: Work, entry: ListedEntry, type: number): void {
    const special = SPECIAL_TYPES[type];
    if (special === undefined) {
      this.#recordFailure(work, work.pathOf(entry.name), 0, `unknown file type 0${type.toString(8)}`);
      return;
    }
    const { extra, errno } = this.#extraOf(work, entry);
    if (errno === ENOENT) {
      work.vanished.push(entry.name);
      return;
    }
    if (errno !== 0) this.#recordFailure(work, work.pathOf(entry.name), errno, 'listxattr');
    this.#emptyObject ??= writeObject(this.#deps.sink, new Uint8Array(0));
    const { rdevMajor, rdevMinor } = entry.stat;
    const isDevice = special === 'char' || special === 'block';
    this.#addFile(work, entry, entry.stat, {
      objectId: this.#emptyObject,
      size: 0,
      extra: { ...extra, special: { type: special, major: isDevice ? rdevMajor : 0, minor: isDevice ? rdevMinor : 0 } },
    });
    this.#deps.progress.file();
  }

  #recordFailure(work: Work, path: string, errno: number, call: string): void {
    const code = errno === 0 ? 'UNSUPPORTED' : errnoName(errno);
    const isIgnored = errno === 0 ? work.policy.ignoreUnknownTypes : work.policy.ignoreFileErrors;
    work.failed.push({ path, code, message: errno === 0 ? call : `${call}: ${code}`, isIgnored });
    this.#deps.progress.error();
  }
}

/** The entry's number in a previous directory, or -1. */
function findIn(directory: PreviousDirectory, entry: ListedEntry): number {
  return entry.rawName === undefined ? directory.find(entry.name) : directory.findRaw(entry.rawName);
}

export function policyOf(policies: readonly DirectoryPolicy[], policyNumber: number): DirectoryPolicy {
  const policy = policies[policyNumber];
  if (policy === undefined) throw new WindlassError(`no policy number ${policyNumber}`, { code: 'INTERNAL' });
  return policy;
}

/** The start of a file that holds rules or a tag; undefined when it is missing or no regular file. */
function readSmallFile(directoryFd: number, name: string, limitBytes: number): Uint8Array | undefined {
  const fd = openForReading(directoryFd, name, -1);
  if (fd < 0) return undefined;
  try {
    const bytes = new Uint8Array(limitBytes);
    const length = readFully(fd, bytes, 0, limitBytes, 0);
    return length < 0 ? undefined : bytes.subarray(0, length);
  } finally {
    close(fd);
  }
}

function withFlags(extra: EntryExtra | undefined, sparse: boolean, changed: boolean): EntryExtra | undefined {
  if (!sparse && !changed) return extra;
  return { ...extra, ...(sparse ? { sparse } : {}), ...(changed ? { changed } : {}) };
}
