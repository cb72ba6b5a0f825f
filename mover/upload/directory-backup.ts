// What a lane does with one directory: list it, decide for each entry whether the previous snapshot's object still serves,
// store what does not, and write the directory object itself when nothing below it is left to others.
import {
  type ChunkSink,
  compressorForFile,
  DIRECTORY_PREFIX,
  EntryBuffer,
  type EntryExtra,
  type ObjectId,
  writeObject,
} from '../../repo-format/index.ts';
import {
  close,
  EINVAL,
  ELOOP,
  ENOENT,
  ENOTDIR,
  errnoName,
  fstat,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_RDONLY,
  openat,
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
import { readXattrs, readXattrsAt } from '../source/xattrs.ts';
import { attributesOf } from './attributes-of.ts';
import { directoryFingerprint, directorySeed, type Fingerprint, isRacy } from './change-hints.ts';
import { type DirectoryPolicy, policyOf } from './directory-policy.ts';
import { isCacheFolder } from './directory-scope.ts';
import { DirectoryWork } from './directory-work.ts';
import { factsOf } from './entry-facts.ts';
import type { FileStore, StoreOutcome } from './file-store.ts';
import { keptDirectory, mayKeep } from './kept-directory.ts';
import type {
  DirectoryFailure,
  DirectoryJob,
  DirectoryResult,
  EntryFacts,
  LaneOptions,
  PreviousObject,
} from './lane-protocol.ts';
import { Listing, type ListedEntry } from './listing.ts';
import { PreviousObjects, type PreviousObjectsDeps } from './previous-objects.ts';
import type { LaneProgress } from './progress.ts';

export interface DirectoryBackupDeps extends PreviousObjectsDeps {
  readonly sink: ChunkSink;
  /** By the numbers that jobs carry. */
  readonly policies: readonly DirectoryPolicy[];
  readonly filesFor: (policy: DirectoryPolicy) => FileStore;
  readonly progress: LaneProgress;
  readonly isStopped: () => boolean;
  readonly nowMs: () => number;
}

/** Thrown inside a lane to unwind when it was told to stop. */
export class LaneStopped extends Error {}

const SPECIAL_TYPES: Readonly<Record<number, 'fifo' | 'socket' | 'char' | 'block'>> = {
  [S_IFIFO]: 'fifo',
  [S_IFSOCK]: 'socket',
  [S_IFCHR]: 'char',
  [S_IFBLK]: 'block',
};

export class DirectoryBackup {
  readonly #options: LaneOptions;
  readonly #deps: DirectoryBackupDeps;
  readonly #previous: PreviousObjects;
  readonly #listing = new Listing();
  readonly #entries = new EntryBuffer();
  readonly #self = new StatRecord();
  readonly #fingerprint: Fingerprint = { low: 0, high: 0 };
  #emptyObject: ObjectId | undefined;

  constructor(options: LaneOptions, deps: DirectoryBackupDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#previous = new PreviousObjects(options.forceHashPercent, deps);
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
    this.#deps.progress.cachedTree(summary.files + summary.symlinks, summary.dirs, summary.size);
    return keptDirectory(job, primary, facts);
  }

  /** Whether the object of an earlier snapshot may serve for a whole sub-tree, if nothing in it has changed. */
  canKeep(job: DirectoryJob, primary: PreviousObject): boolean {
    const { forceHashPercent, packsAreLost } = this.#options;
    const isStored = (id: ObjectId): boolean => this.#previous.isStored(id);
    return mayKeep(job, primary, { policy: this.#policyOf(job), forceHashPercent, packsAreLost, isStored });
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
    const work = new DirectoryWork({
      job,
      policy: this.#policyOf(job),
      fd,
      facts: factsOf(this.#self),
      seed,
      previous: this.#previous.load(job.previous),
      vanished: this.#listing.vanished,
      listedAtMs: this.#deps.nowMs(),
      entries: this.#entries,
    });
    const { attributes, errno } = attributesOf(() => readXattrs(fd));
    work.xattrs = attributes;
    if (errno !== 0) this.#fail(work, job.path, errno, 'listxattr');
    if (!work.policy.ignoreCacheDirs || !isCacheFolder(fd)) {
      for (const entry of this.#listing.entries) {
        if (this.#deps.isStopped()) throw new LaneStopped();
        this.#entry(work, entry);
      }
    }
    this.#deps.progress.directory();
    this.#rememberDirectory(work);
    return work.result(work.isDone ? this.#write(work) : undefined);
  }

  #write(work: DirectoryWork): DirectoryResult['done'] {
    const { bytes, summary } = work.encode();
    const { metadataCompressor } = work.policy;
    const options = { prefix: DIRECTORY_PREFIX, compressor: metadataCompressor, metadataCompressor };
    return { objectId: writeObject(this.#deps.sink, bytes, options), summary };
  }

  /** Remembers the directory as a whole, when nothing about it is in doubt. */
  #rememberDirectory(work: DirectoryWork): void {
    const { hintLog } = this.#deps;
    if (hintLog === undefined || !this.#listing.isSteady || isRacy(this.#self, work.listedAtMs)) return;
    if (!work.isCertain) return;
    directoryFingerprint(work.seed, this.#listing.count, this.#listing.fingerprint, this.#self, this.#fingerprint);
    hintLog.add(this.#fingerprint);
  }

  #entry(work: DirectoryWork, entry: ListedEntry): void {
    if (entry.errno !== 0) {
      this.#fail(work, work.pathOf(entry.name), entry.errno, 'stat');
      return;
    }
    if (work.leavesOut(entry)) return;
    const type = entry.stat.mode & S_IFMT;
    if (type === S_IFDIR) this.#directory(work, entry);
    else if (type === S_IFREG) this.#file(work, entry);
    else if (type === S_IFLNK) this.#symlink(work, entry);
    else this.#special(work, entry, type);
  }

  #directory(work: DirectoryWork, entry: ListedEntry): void {
    const { name, nameBytes } = entry;
    work.subdirectories.push({ name, nameBytes, ...this.#previous.subdirectory(work, entry) });
  }

  #file(work: DirectoryWork, entry: ListedEntry): void {
    if (this.#reuse(work, entry, 'f')) return;
    if (entry.stat.size > this.#options.largeFileBytes) {
      const found = this.#lookAt(work, entry);
      if (found === undefined) return;
      const { name, nameBytes } = entry;
      work.addLargeFile({ name, nameBytes, facts: factsOf(entry.stat), extra: found.extra });
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

  #addStored(work: DirectoryWork, entry: ListedEntry, outcome: StoreOutcome, files: FileStore): void {
    if (outcome.kind === 'stopped') throw new LaneStopped();
    if (outcome.kind === 'vanished') {
      work.vanished.push(entry.name);
      return;
    }
    const path = work.pathOf(entry.name);
    if (outcome.kind === 'failed') {
      this.#fail(work, path, outcome.errno, outcome.call);
      return;
    }
    const { objectId, size, xattrs, xattrErrno, rereads, sparse, changed } = outcome;
    if (xattrErrno !== 0) this.#fail(work, path, xattrErrno, 'listxattr');
    work.rereads += rereads;
    work.storedFiles++;
    if (changed) work.changedPaths.push(path);
    // When the file was read again its facts are those of the accepted reading.
    const stat = rereads > 0 ? files.after : entry.stat;
    work.addFile(entry, stat, { objectId, size, extra: withFlags(work.extraOf(entry, xattrs), sparse, changed) });
    this.#deps.progress.file();
  }

  /** True when a previous snapshot's object serves. */
  #reuse(work: DirectoryWork, entry: ListedEntry, type: 'f' | 's'): boolean {
    const found = this.#previous.find(work, entry, type);
    if (found === undefined) return false;
    const { objectId, isRemembered } = found;
    const isSparse = found.extra?.sparse === true;
    let extra: EntryExtra | undefined;
    if (isRemembered) {
      const isPlain = found.extra === undefined && entry.stat.nlink === 1 && !entry.isStandIn;
      extra = isPlain ? undefined : withFlags(work.extraOf(entry, found.extra?.xattrs), isSparse, false);
    } else {
      // They change without its modification time.
      const { attributes, errno } = attributesOf(() => readXattrsAt(work.fd, entry.path));
      if (errno !== 0) return false;
      extra = withFlags(work.extraOf(entry, attributes), isSparse, false);
    }
    const { size } = entry.stat;
    work.addComposed(type, entry.stat, { objectId, size, extra });
    work.cachedFiles++;
    this.#deps.progress.cachedFile(size);
    return true;
  }

  #symlink(work: DirectoryWork, entry: ListedEntry): void {
    if (this.#reuse(work, entry, 's')) return;
    const found = this.#lookAt(work, entry);
    if (found === undefined) return;
    const target = readlinkat(work.fd, entry.path);
    if (typeof target === 'number') {
      // EINVAL: something else was put in its place.
      if (target === -ENOENT || target === -EINVAL) work.vanished.push(entry.name);
      else this.#fail(work, work.pathOf(entry.name), -target, 'readlink');
      return;
    }
    const objectId = writeObject(this.#deps.sink, target);
    work.addSymlink(entry, { objectId, size: target.length, extra: found.extra });
    this.#deps.progress.file();
  }

  /** FIFOs, sockets and devices are empty files to kopia, and say in the extra member what they are. */
  #special(work: DirectoryWork, entry: ListedEntry, type: number): void {
    const special = SPECIAL_TYPES[type];
    if (special === undefined) {
      this.#fail(work, work.pathOf(entry.name), 0, `unknown file type 0${type.toString(8)}`);
      return;
    }
    const found = this.#lookAt(work, entry);
    if (found === undefined) return;
    this.#emptyObject ??= writeObject(this.#deps.sink, new Uint8Array(0));
    const isDevice = special === 'char' || special === 'block';
    const [major, minor] = isDevice ? [entry.stat.rdevMajor, entry.stat.rdevMinor] : [0, 0];
    const extra = { ...found.extra, special: { type: special, major, minor } };
    work.addFile(entry, entry.stat, { objectId: this.#emptyObject, size: 0, extra });
    this.#deps.progress.file();
  }

  /** What an entry needs beyond kopia's members; undefined when it is gone. */
  #lookAt(work: DirectoryWork, entry: ListedEntry): { readonly extra: EntryExtra | undefined } | undefined {
    const { attributes, errno } = attributesOf(() => readXattrsAt(work.fd, entry.path));
    if (errno === ENOENT) {
      work.vanished.push(entry.name);
      return undefined;
    }
    if (errno !== 0) this.#fail(work, work.pathOf(entry.name), errno, 'listxattr');
    return { extra: work.extraOf(entry, attributes) };
  }

  #fail(work: DirectoryWork, path: string, errno: number, call: string): void {
    work.addFailure(path, errno, call);
    this.#deps.progress.error();
  }
}

function withFlags(extra: EntryExtra | undefined, sparse: boolean, changed: boolean): EntryExtra | undefined {
  if (!sparse && !changed) return extra;
  return { ...extra, ...(sparse ? { sparse } : {}), ...(changed ? { changed } : {}) };
}
