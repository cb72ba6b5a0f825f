// A directory that is being backed up and is not finished: what the main thread holds until everything below it is stored.
// Its descriptor stays open only while children have yet to be opened; many open ones are closed early and opened again
// along the path when needed, checked to be the same directory.
import {
  close,
  errnoName,
  fstat,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_RDONLY,
  openat,
  StatRecord,
} from '../posix/libc.ts';
import { WindlassError } from '../../base/errors.ts';
import {
  compareNames,
  encodeDirectory,
  encodeEntry,
  SummaryBuilder,
  type DirectoryExtra,
  type DirectorySummary,
  type EntryExtra,
  type ObjectId,
  PolicyNode,
} from '../../repo-format/index.ts';
import type { IgnorePolicy } from '../source/ignore-rules.ts';
import type { DirectoryCounts, EntryFacts, FailedPath, FinishedChild, IgnoreLevel } from './lane-protocol.ts';

interface LateFile {
  readonly position: number;
  readonly text: string;
  readonly size: number;
  readonly mtimeSeconds: number;
  readonly mtimeNanos: number;
}

/** What a finished directory is to its parent. */
export interface FinishedDirectory {
  readonly objectId: ObjectId;
  readonly summary: DirectorySummary;
  readonly facts: EntryFacts;
}

/** Of a directory that is opened again: how many of its ancestors stay open with it. */
const KEPT_ANCESTORS = 16;

const probe = new StatRecord();

export class DirectoryNode {
  readonly parent: DirectoryNode | undefined;
  /** As stored in the parent's entry. */
  readonly name: string;
  readonly nameBytes: Uint8Array | undefined;
  readonly path: string;
  fd = -1;
  /** Children (directories, files, parts) without a result yet. */
  pending = 0;
  /** Of these, the ones that still need `fd`, and those of them that a lane is using it for. */
  unopened = 0;
  inUse = 0;
  facts: EntryFacts | undefined;
  mountPath = '';
  policies: PolicyNode = new PolicyNode({});
  /** The policy stored for exactly this directory. */
  ownIgnore: IgnorePolicy | undefined;
  /** Rules for what is in here, once listed. */
  ignore: readonly IgnoreLevel[] = [];
  xattrs: EntryExtra['xattrs'];
  otherTexts: string[] = [];
  ownSummary: DirectorySummary | undefined;
  readonly failed: FailedPath[] = [];
  readonly vanished: string[] = [];
  changed = 0;
  vanishedBelow = 0;
  readonly #children: FinishedChild[] = [];
  readonly #lateFiles: LateFile[] = [];

  constructor(parent: DirectoryNode | undefined, name: string, nameBytes: Uint8Array | undefined, path: string) {
    this.parent = parent;
    this.name = name;
    this.nameBytes = nameBytes;
    this.path = path;
  }

  /**
   * An open descriptor of this directory; one that was closed early is opened again from the nearest open ancestor. The
   * ones on the way nearest to it stay open as well, because they come next, and are reported to `onOpened`; never more
   * than a few, however deep the tree. Throws `SOURCE_CHANGED` when it is not where it was any more.
   */
  openFd(onOpened: (node: DirectoryNode) => void): number {
    if (this.fd >= 0) return this.fd;
    const way: DirectoryNode[] = [];
    let at: DirectoryNode | undefined = this;
    for (; at !== undefined && at.fd < 0; at = at.parent) way.push(at);
    if (at === undefined) throw gone(this, 'its descriptor is closed');
    let fd = at.fd;
    let isPassing = false;
    for (let i = way.length - 1; i >= 0; i--) {
      const node: DirectoryNode = way[i] ?? this;
      let next: number;
      try {
        next = node.#openIn(fd);
      } finally {
        if (isPassing) close(fd);
      }
      isPassing = i > 0 && (i >= KEPT_ANCESTORS || node.unopened === 0);
      if (!isPassing) {
        node.fd = next;
        onOpened(node);
      }
      fd = next;
    }
    return fd;
  }

  #openIn(parentFd: number): number {
    const fd = openat(parentFd, this.nameBytes ?? '.', O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) throw gone(this, errnoName(-fd));
    const status = fstat(fd, probe);
    if (status >= 0 && probe.ino === this.facts?.ino && probe.dev === this.facts.dev) return fd;
    close(fd);
    throw gone(this, 'another directory is in its place');
  }

  /** The path of an entry of this directory, below the root. */
  pathOf(name: string): string {
    return this.path === '.' ? name : `${this.path}/${name}`;
  }

  closeFd(): void {
    if (this.fd >= 0) close(this.fd);
    this.fd = -1;
  }

  addCounts(counts: DirectoryCounts): void {
    this.changed += counts.changed;
    this.vanished.push(...counts.vanished);
    this.vanishedBelow += counts.vanishedBelow;
  }

  /** Finished sub-directories so far. */
  get children(): readonly FinishedChild[] {
    return this.#children;
  }

  /** Adds a finished sub-directory; `changed` and `vanished` count over all of it. */
  addChild(child: FinishedChild, changed = 0, vanished = 0): void {
    this.changed += changed;
    this.vanishedBelow += vanished;
    this.#children.push(child);
  }

  addDirectory(child: DirectoryNode, finished: FinishedDirectory): void {
    this.addChild(child.asEntry(finished), child.changed, child.vanishedBelow + child.vanished.length);
  }

  /** This directory's entry in its parent. */
  asEntry({ facts, summary, objectId }: FinishedDirectory): FinishedChild {
    const { name, nameBytes } = this;
    const isStandIn = nameBytes !== undefined && Buffer.compare(Buffer.from(name), nameBytes) !== 0;
    return {
      name,
      summary,
      mtimeSeconds: facts.mtimeSeconds,
      mtimeNanos: facts.mtimeNanos,
      text: encodeEntry({
        name,
        type: 'd',
        mode: facts.mode & 0o7777,
        mtimeSeconds: facts.mtimeSeconds,
        mtimeNanos: facts.mtimeNanos,
        uid: facts.uid,
        gid: facts.gid,
        objectId,
        summary,
        ...(isStandIn ? { extra: { rawName: nameBytes } } : {}),
      }),
    };
  }

  addLateFile(file: LateFile): void {
    this.#lateFiles.push(file);
  }

  /**
   * The directory object's plaintext and summary, from all that is known so far.
   * @param also entries of children that are not finished themselves, for a checkpoint
   */
  encode(incomplete?: string, also: readonly FinishedChild[] = []): { bytes: Uint8Array; summary: DirectorySummary } {
    const { facts } = this;
    const mtimeSeconds = facts?.mtimeSeconds ?? 0;
    const mtimeNanos = facts?.mtimeNanos ?? 0;
    const builder = new SummaryBuilder();
    const own = this.ownSummary;
    // The lane counted the directory itself already, and so does the builder.
    if (own !== undefined && own.files + own.symlinks > 0) builder.addDirectory({ ...own, dirs: 0 }, 0, 0);
    for (const file of this.#lateFiles) {
      this.otherTexts[file.position] = file.text;
      builder.addFile(file.size, file.mtimeSeconds, file.mtimeNanos);
    }
    const children = [...this.#children, ...also].sort((a, b) => compareNames(a.name, b.name));
    for (const child of children) builder.addDirectory(child.summary, child.mtimeSeconds, child.mtimeNanos);
    for (const { path, message, isIgnored } of this.failed) builder.addFailure({ path, error: message }, isIgnored);
    const summary = builder.build(mtimeSeconds, mtimeNanos, incomplete);
    const extra: DirectoryExtra = {
      ...(this.xattrs === undefined ? {} : { xattrs: this.xattrs }),
      consistency: { changed: this.changed, vanished: this.vanishedBelow + this.vanished.length },
      vanished: this.vanished,
    };
    const bytes = encodeDirectory({
      dirEntryTexts: children.map((child) => child.text),
      otherEntryTexts: this.otherTexts.filter((text) => text !== ''),
      summary,
      extra,
      mtimeSeconds,
      mtimeNanos,
    });
    return { bytes, summary };
  }
}

function gone(node: DirectoryNode, reason: string): WindlassError {
  return new WindlassError(`directory ${node.path} changed while it was backed up: ${reason}`, {
    code: 'SOURCE_CHANGED',
    context: { path: node.path },
  });
}
