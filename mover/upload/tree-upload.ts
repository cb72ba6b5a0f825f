// Walks a tree through the lanes: hands out directories depth first and large files before anything else, puts finished
// directories together bottom-up, and stops everything for a checkpoint. Holds one node for each directory on the way
// down, never the tree.
import { availableParallelism } from 'node:os';
import { hasCode, WindlassError } from '../../base/errors.ts';
import {
  type ChunkSink,
  DIRECTORY_PREFIX,
  encodeEntry,
  type EntryExtra,
  type EntryFields,
  type IndirectEntry,
  type ObjectId,
  type Policy,
  type PolicyNode,
  SummaryBuilder,
  writeConcatenation,
  writeObject,
} from '../../repo-format/index.ts';
import type { IgnorePolicy } from '../source/ignore-rules.ts';
import { errnoName, openFileLimit, StatRecord, statAt } from '../posix/libc.ts';
import { factsOf } from './entry-facts.ts';
import { DirectoryNode, type FinishedDirectory } from './directory-node.ts';
import type { PolicyTable } from './directory-policy.ts';
import type {
  DirectoryFailure,
  DirectoryResult,
  EntryFacts,
  FailedPath,
  FileResult,
  LaneJob,
  LaneResult,
  LargeFile,
  PreviousObject,
  Subdirectory,
} from './lane-protocol.ts';

export interface TreeRoot {
  /** An open directory; owned by the upload from now on. */
  readonly fd: number;
  readonly device: number;
  /** Set when the source is not the directory but this one file in it. */
  readonly file: { readonly name: string; readonly nameBytes: Uint8Array } | undefined;
  /** Root directory objects of previous snapshots. */
  readonly previous: readonly string[];
  /** The one of these that the change hints belong to. */
  readonly primary: PreviousObject | undefined;
  readonly policies: PolicyNode;
  /** What to leave out, from stored policies and the caller; undefined for nothing. */
  readonly ignore: IgnorePolicy | undefined;
  /** The caller wants no other file system, whatever policies below the root say. */
  readonly oneFileSystem: boolean;
}

export interface TreeUploadOptions {
  readonly lanes: number;
  readonly policyTable: PolicyTable;
  /** Files above this many bytes are stored in parts of this size (snapshots §5.4); undefined for never. */
  readonly partBytes: number | undefined;
  /** How often a large file that changed between its parts is read again. */
  readonly maxRereads: number;
  readonly failFast: boolean;
  /** Failures after which the upload gives up; undefined for never. Files that kept changing count too. */
  readonly maxErrors: number | undefined;
}

/** What happened, over the whole tree. */
export interface TreeTotals {
  files: number;
  cachedFiles: number;
  readFiles: number;
  /** Files, or parts of large ones, that were read and stored. */
  storedFiles: number;
  bytes: number;
  directories: number;
  excludedFiles: number;
  excludedDirs: number;
  excludedBytes: number;
  changed: number;
  vanished: number;
  rereads: number;
  readonly errors: FailedPath[];
  /** Those that a stored policy says do not count. */
  readonly ignoredErrors: FailedPath[];
  readonly changedPaths: string[];
  readonly vanishedPaths: string[];
}

/** Paths named in the report; the counts are exact however many there are. */
const MAX_NAMED_PATHS = 1000;
/** Directories in one message: small trees stay spread over the lanes, large ones cost few messages. */
const MAX_BATCH = 32;

/** How long a lane goes on below a directory before it comes back for more. */
const SHORT_SLICE_MS = 3;
const LONG_SLICE_MS = 40;

interface DirectoryTask {
  readonly node: DirectoryNode;
  readonly previous: readonly string[];
  readonly primary: PreviousObject | undefined;
}

interface LateFileState {
  readonly node: DirectoryNode;
  readonly file: LargeFile;
  readonly path: string;
  /** Of the listing, or of the last reading when the file is read again. */
  facts: EntryFacts;
  /** How often all parts are read again because the file changed between them. */
  rounds: number;
  partsLeft: number;
  parts: (readonly IndirectEntry[])[];
  stored: NonNullable<FileResult['stored']> | undefined;
  changed: boolean;
  sparse: boolean;
  size: number;
  failed: FailedPath | undefined;
  vanished: boolean;
}

interface FileTask {
  readonly state: LateFileState;
  readonly partNumber: number;
  readonly part: { readonly offset: number; readonly length: number | undefined } | undefined;
}

type InFlight =
  { readonly kind: 'directory'; readonly task: DirectoryTask } | { readonly kind: 'file'; readonly task: FileTask };

export class TreeUpload {
  readonly totals: TreeTotals = {
    files: 0,
    cachedFiles: 0,
    readFiles: 0,
    storedFiles: 0,
    bytes: 0,
    directories: 0,
    excludedFiles: 0,
    excludedDirs: 0,
    excludedBytes: 0,
    changed: 0,
    vanished: 0,
    rereads: 0,
    errors: [],
    ignoredErrors: [],
    changedPaths: [],
    vanishedPaths: [],
  };
  root: FinishedDirectory | undefined;
  /** The root entry when the source is a single file. */
  rootFile: EntryFields | undefined;
  /** Why the tree cannot be finished; set once. */
  failure: Error | undefined;
  readonly #options: TreeUploadOptions;
  readonly #sink: ChunkSink;
  readonly #rootNode: DirectoryNode;
  readonly #directories: DirectoryTask[] = [];
  readonly #files: FileTask[] = [];
  readonly #inFlight = new Map<number, InFlight>();
  /** Nodes with a descriptor, oldest first. */
  readonly #open = new Set<DirectoryNode>();
  readonly #active = new Set<DirectoryNode>();
  readonly #fdLimit: number;
  /** Each directory of a message may come back with a descriptor of its own, and so may some below it. */
  readonly #fdsPerMessage: number;
  /** Of each job of the message at hand. */
  #maxOpen = 1;
  readonly #oneFileSystem: boolean;
  #nextId = 1;
  #isSingleFile = false;

  constructor(root: TreeRoot, options: TreeUploadOptions, sink: ChunkSink) {
    this.#options = options;
    this.#sink = sink;
    // Descriptors are also needed by lanes, packs and whatever else the process does.
    this.#fdLimit = Math.max(64, Math.min(4096, Math.floor(openFileLimit() / 4)));
    // Two messages a lane are under way.
    this.#fdsPerMessage = Math.max(1, Math.floor(this.#fdLimit / (options.lanes * 2)));
    this.#oneFileSystem = root.oneFileSystem;
    this.#rootNode = new DirectoryNode(undefined, '', undefined, '.');
    this.#rootNode.fd = root.fd;
    this.#rootNode.policies = root.policies;
    this.#rootNode.ownIgnore = root.ignore;
    if (root.file === undefined)
      this.#directories.push({ node: this.#rootNode, previous: root.previous, primary: root.primary });
    else this.#startWithFile(root.fd, root.file);
  }

  get isDone(): boolean {
    return this.root !== undefined || this.rootFile !== undefined || this.failure !== undefined;
  }

  #startWithFile(fd: number, file: NonNullable<TreeRoot['file']>): void {
    const stat = new StatRecord();
    const status = statAt(fd, file.nameBytes, stat);
    if (status < 0 || !stat.isRegular) {
      this.failure = sourceUnreadable(status < 0 ? errnoName(-status) : 'not a regular file');
      return;
    }
    // It has no directory to keep its other attributes in (docs/design/0001-extra-members.md).
    this.#rootNode.pending = 1;
    this.#isSingleFile = true;
    this.#addLargeFile(this.#rootNode, { ...file, position: 0, facts: factsOf(stat), extra: undefined });
  }

  get hasJobs(): boolean {
    return this.failure === undefined && this.#files.length + this.#directories.length > 0;
  }

  /** Work for one lane: a large file alone, or some directories from the deepest end. */
  nextJobs(): LaneJob[] {
    if (this.failure !== undefined) return [];
    for (let file = this.#files.shift(); file !== undefined; file = this.#files.shift()) {
      const job = this.#fileJob(file);
      if (job !== undefined) return [job];
    }
    const fair = Math.ceil(this.#directories.length / (this.#options.lanes * 4));
    const jobs: LaneJob[] = [];
    const batch = Math.min(Math.max(1, fair), MAX_BATCH, this.#fdsPerMessage);
    this.#maxOpen = Math.floor(this.#fdsPerMessage / batch);
    while (jobs.length < batch) {
      const task = this.#directories.pop();
      if (task === undefined) break;
      const job = this.#directoryJob(task);
      if (job !== undefined) jobs.push(job);
    }
    return jobs;
  }

  #directoryJob(task: DirectoryTask): LaneJob | undefined {
    const { node, previous, primary } = task;
    const id = this.#nextId++;
    const { parent, nameBytes } = node;
    if (parent === undefined || nameBytes === undefined) {
      this.#inFlight.set(id, { kind: 'directory', task });
      const { ownIgnore } = node;
      const nothingAbove = { name: undefined, mountPath: '', parentDevice: 0, ignore: [], ...this.#slice(node) };
      return {
        kind: 'directory',
        id,
        parentFd: node.fd,
        path: '.',
        previous,
        primary,
        ownIgnore,
        policyNumber: this.#policyNumber(node),
        ...nothingAbove,
      };
    }
    const parentFd = this.#useFd(parent, node.path);
    if (typeof parentFd !== 'number') {
      parent.unopened--;
      this.#fail(parent, parentFd);
      this.#childDone(parent, undefined);
      return undefined;
    }
    this.#inFlight.set(id, { kind: 'directory', task });
    return {
      kind: 'directory',
      id,
      parentFd,
      name: nameBytes,
      path: node.path,
      previous,
      primary,
      mountPath: parent.mountPath,
      parentDevice: parent.facts?.dev ?? 0,
      ignore: parent.ignore,
      ownIgnore: node.ownIgnore,
      policyNumber: this.#policyNumber(node),
      ...this.#slice(node),
    };
  }

  /** Short turns while there is little to hand out, so that no lane waits for another one's sub-tree. */
  #slice(node: DirectoryNode): { sliceMs: number; mayDescend: boolean; maxOpen: number } {
    const isPlenty = this.#directories.length > this.#options.lanes * 4;
    const sliceMs = isPlenty ? LONG_SLICE_MS : SHORT_SLICE_MS;
    return { sliceMs, mayDescend: node.policies.isLeaf, maxOpen: this.#maxOpen };
  }

  #policyNumber(node: DirectoryNode): number {
    return this.#options.policyTable.numberOf(node.policies.policy);
  }

  #fileJob(task: FileTask): LaneJob | undefined {
    const { node, file, path } = task.state;
    const directoryFd = this.#useFd(node, path);
    if (typeof directoryFd !== 'number') {
      node.unopened--;
      task.state.failed ??= directoryFd;
      this.#partDone(task.state, task.part !== undefined);
      return undefined;
    }
    const id = this.#nextId++;
    this.#inFlight.set(id, { kind: 'file', task });
    const { part, state } = task;
    // Counted once for progress, however often it is read.
    const isLastPart = part?.length === undefined && state.rounds === 0;
    return {
      kind: 'file',
      id,
      directoryFd,
      name: file.nameBytes,
      path,
      facts: state.facts,
      part,
      isLastPart,
      policyNumber: this.#policyNumber(node),
    };
  }

  /** The node's descriptor, opened again if it had to be closed; the failure of `forPath` when it is gone. */
  #useFd(node: DirectoryNode, forPath: string): number | FailedPath {
    try {
      const fd = node.openFd((opened) => this.#open.add(opened));
      node.inUse++;
      this.#limitDescriptors(node);
      return fd;
    } catch (error) {
      if (!hasCode(error, 'SOURCE_CHANGED')) throw error;
      const isIgnored = this.#options.policyTable.of(node.policies.policy)?.ignoreFileErrors === true;
      return { path: forPath, code: 'SOURCE_CHANGED', message: (error as WindlassError).message, isIgnored };
    }
  }

  #limitDescriptors(keep: DirectoryNode): void {
    if (this.#open.size <= this.#fdLimit) return;
    for (const node of this.#open) {
      if (this.#open.size <= this.#fdLimit / 2) return;
      if (node === keep || node === this.#rootNode || node.inUse > 0) continue;
      node.closeFd();
      this.#open.delete(node);
    }
  }

  #releaseFd(node: DirectoryNode): void {
    node.inUse--;
    node.unopened--;
    if (node.unopened > 0 || node === this.#rootNode) return;
    node.closeFd();
    this.#open.delete(node);
  }

  onResult(result: LaneResult): void {
    const flight = this.#inFlight.get(result.id);
    this.#inFlight.delete(result.id);
    if (flight === undefined) return;
    if (result.kind === 'file') {
      if (flight.kind === 'file') this.#onFile(flight.task, result);
    } else if (flight.kind === 'directory') {
      this.#onDirectory(flight.task, result);
    }
  }

  #onDirectory(task: DirectoryTask, result: DirectoryResult | DirectoryFailure): void {
    const { node } = task;
    const { parent } = node;
    if (parent !== undefined) this.#releaseFd(parent);
    if (result.kind === 'failed-directory') {
      this.#onDirectoryFailure(node, result);
      return;
    }
    this.#apply(node, result);
  }

  /** Takes over what a lane knows of a directory, and of those below it that it has begun. */
  #apply(node: DirectoryNode, result: DirectoryResult): void {
    this.#count(node, result);
    node.facts = result.facts;
    node.addCounts(result.counts);
    for (const failed of [...result.failed, ...result.failedBelow]) this.#reportError(failed);
    if (result.done !== undefined) {
      const { objectId, summary } = result.done;
      this.#finished(node, { objectId: objectId as ObjectId, summary, facts: result.facts });
      return;
    }
    node.failed.push(...result.failed);
    const { open } = result;
    if (open === undefined) return;
    node.mountPath = open.mountPath;
    node.xattrs = open.xattrs;
    node.ignore = open.ignore;
    node.otherTexts = [...open.otherTexts];
    node.ownSummary = open.summary;
    for (const child of open.finishedChildren) node.addChild(child);
    node.pending = open.subdirectories.length + open.largeFiles.length + open.openChildren.length;
    node.unopened = open.subdirectories.length;
    if (node === this.#rootNode) node.closeFd();
    node.fd = open.fd;
    this.#open.add(node);
    this.#active.add(node);
    for (const file of open.largeFiles) this.#addLargeFile(node, file);
    // Pushed last to first: the stack then yields them in order.
    for (let i = open.subdirectories.length - 1; i >= 0; i--) {
      const sub = open.subdirectories[i];
      if (sub === undefined) continue;
      this.#directories.push({ node: this.#childNode(node, sub), previous: sub.previous, primary: sub.primary });
    }
    if (node.unopened === 0 && node !== this.#rootNode) {
      node.closeFd();
      this.#open.delete(node);
    }
    for (const { subdirectory, result: begun } of open.openChildren)
      this.#apply(this.#childNode(node, subdirectory), begun);
  }

  #childNode(node: DirectoryNode, sub: Subdirectory): DirectoryNode {
    const child = new DirectoryNode(node, sub.name, sub.nameBytes, node.pathOf(sub.name));
    child.policies = node.policies.child(sub.name);
    const isOwnPolicy = child.policies.policy !== node.policies.policy;
    child.ownIgnore = isOwnPolicy ? ignorePolicyOf(child.policies.policy, this.#oneFileSystem) : undefined;
    return child;
  }

  #count(node: DirectoryNode, { counts, changedPaths, vanishedPathsBelow }: DirectoryResult): void {
    const { totals } = this;
    totals.directories += counts.directories;
    totals.files += counts.files;
    totals.cachedFiles += counts.cachedFiles;
    totals.readFiles += counts.readFiles;
    totals.storedFiles += counts.storedFiles;
    totals.bytes += counts.bytes;
    totals.excludedFiles += counts.excludedFiles;
    totals.excludedDirs += counts.excludedDirs;
    totals.excludedBytes += counts.excludedBytes;
    totals.changed += counts.changed;
    totals.vanished += counts.vanished.length + counts.vanishedBelow;
    totals.rereads += counts.rereads;
    name(totals.changedPaths, changedPaths);
    for (const path of counts.vanished) name(totals.vanishedPaths, [node.pathOf(path)]);
    name(totals.vanishedPaths, vanishedPathsBelow);
    this.#checkLimit();
  }

  #onDirectoryFailure(node: DirectoryNode, result: DirectoryFailure): void {
    const { parent } = node;
    if (parent === undefined) {
      this.failure ??= sourceUnreadable(result.failed.message);
      return;
    }
    if (result.vanished) {
      parent.vanished.push(node.name);
      this.totals.vanished++;
      name(this.totals.vanishedPaths, [node.path]);
    } else {
      this.#fail(parent, result.failed);
    }
    this.#childDone(parent, undefined);
  }

  #addLargeFile(node: DirectoryNode, file: LargeFile): void {
    this.#pushParts({
      node,
      file,
      path: node.pathOf(file.name),
      facts: file.facts,
      rounds: 0,
      partsLeft: 1,
      parts: [],
      stored: undefined,
      changed: false,
      sparse: false,
      size: 0,
      failed: undefined,
      vanished: false,
    });
  }

  #pushParts(state: LateFileState): void {
    const { partBytes } = this.#options;
    const { node, facts } = state;
    if (partBytes === undefined || facts.size <= partBytes) {
      state.partsLeft = 1;
      node.unopened++;
      this.#files.push({ state, partNumber: 0, part: undefined });
      return;
    }
    // N whole parts, then one from N·size to the end, which is empty when the size divides evenly (snapshots §5.4).
    const whole = Math.floor(facts.size / partBytes);
    state.partsLeft = whole + 1;
    node.unopened += whole + 1;
    for (let i = 0; i <= whole; i++) {
      const length = i < whole ? partBytes : undefined;
      this.#files.push({ state, partNumber: i, part: { offset: i * partBytes, length } });
    }
  }

  #onFile({ state, partNumber, part }: FileTask, result: FileResult): void {
    const { node } = state;
    this.#releaseFd(node);
    state.failed ??= result.failed;
    state.vanished ||= result.vanished;
    const { stored } = result;
    if (stored !== undefined) {
      if (part !== undefined) state.parts[partNumber] = stored.pieces ?? [];
      const first = state.stored;
      // Parts are read at different moments: they belong together only when the file stood still all the while.
      const moved = first !== undefined && !sameMoment(first.facts, stored.facts);
      state.changed ||= stored.changed || moved;
      state.sparse ||= stored.sparse;
      state.size += stored.size;
      this.totals.storedFiles++;
      state.stored = stored;
      this.totals.rereads += stored.rereads;
    }
    this.#partDone(state, part !== undefined);
  }

  #partDone(state: LateFileState, inParts: boolean): void {
    state.partsLeft--;
    if (state.partsLeft > 0) return;
    const { stored } = state;
    const isLost = state.failed !== undefined || state.vanished || stored === undefined;
    if (!isLost && inParts && state.changed && state.rounds < this.#options.maxRereads) {
      this.totals.rereads++;
      const clean = { facts: stored.facts, parts: [], stored: undefined, changed: false, sparse: false, size: 0 };
      this.#pushParts(Object.assign(state, clean, { rounds: state.rounds + 1 }));
      return;
    }
    this.#finishFile(state, inParts);
    this.#childDone(state.node, undefined);
  }

  #finishFile(state: LateFileState, inParts: boolean): void {
    const { node, file, path, stored } = state;
    this.totals.readFiles++;
    if (this.#isSingleFile && (state.failed !== undefined || state.vanished)) {
      this.failure ??= sourceUnreadable(state.failed?.message ?? 'it vanished');
      return;
    }
    if (state.failed !== undefined && !state.vanished) {
      this.#fail(node, state.failed);
      return;
    }
    if (state.vanished || stored === undefined) {
      node.vanished.push(file.name);
      this.totals.vanished++;
      name(this.totals.vanishedPaths, [path]);
      return;
    }
    const objectId = inParts
      ? writeConcatenation(this.#sink, state.parts, this.#metadataCompressor(node))
      : (stored.objectId as ObjectId);
    const facts = stored.rereads > 0 || state.rounds > 0 ? stored.facts : file.facts;
    const extra: EntryExtra = {
      ...file.extra,
      ...(state.sparse ? { sparse: true } : {}),
      ...(state.changed ? { changed: true } : {}),
    };
    if (state.changed) {
      node.changed++;
      this.totals.changed++;
      name(this.totals.changedPaths, [path]);
      this.#checkLimit();
    }
    this.totals.files++;
    this.totals.bytes += state.size;
    const fields: EntryFields = {
      name: file.name,
      type: 'f',
      mode: facts.mode & 0o7777,
      size: state.size,
      mtimeSeconds: facts.mtimeSeconds,
      mtimeNanos: facts.mtimeNanos,
      uid: facts.uid,
      gid: facts.gid,
      objectId,
      extra: Object.keys(extra).length === 0 ? undefined : extra,
    };
    if (this.#isSingleFile) {
      const counter = new SummaryBuilder();
      counter.addFile(state.size, facts.mtimeSeconds, facts.mtimeNanos);
      this.rootFile = { ...fields, summary: { ...counter.build(0, 0), dirs: 0 } };
      return;
    }
    const { mtimeSeconds, mtimeNanos } = fields;
    node.addLateFile({
      position: file.position,
      size: state.size,
      mtimeSeconds,
      mtimeNanos,
      text: encodeEntry(fields),
    });
  }

  #fail(node: DirectoryNode, failed: FailedPath): void {
    node.failed.push(failed);
    this.#reportError(failed);
  }

  #reportError(failed: FailedPath): void {
    const { errors, ignoredErrors } = this.totals;
    if (failed.isIgnored) {
      ignoredErrors.push(failed);
      return;
    }
    errors.push(failed);
    this.#checkLimit();
  }

  /** A file that kept changing may never have existed as it was stored: that counts like one that could not be read. */
  #checkLimit(): void {
    const { errors, changed, changedPaths } = this.totals;
    const { failFast, maxErrors } = this.#options;
    const limit = failFast ? 0 : maxErrors;
    if (limit === undefined || errors.length + changed <= limit) return;
    const last = errors.at(-1) ?? { path: changedPaths.at(-1) ?? '', message: 'changed while it was read' };
    this.failure ??= new WindlassError(
      `gave up after ${errors.length + changed} error(s), the last: ${last.path}: ${last.message}`,
      {
        code: 'SOURCE_TOO_MANY_ERRORS',
        context: { path: last.path, errors: errors.length, changed },
      },
    );
  }

  /** One child of `node` is accounted for; finishes the node when it was the last, and its ancestors likewise. */
  #childDone(node: DirectoryNode, finished: { child: DirectoryNode; directory: FinishedDirectory } | undefined): void {
    let parent: DirectoryNode | undefined = node;
    let done = finished;
    while (parent !== undefined) {
      if (done !== undefined) parent.addDirectory(done.child, done.directory);
      parent.pending--;
      if (parent.pending > 0 || parent.facts === undefined) return;
      const directory = this.#write(parent);
      this.#active.delete(parent);
      if (parent.parent === undefined) {
        this.root = directory;
        parent.closeFd();
        return;
      }
      done = { child: parent, directory };
      parent = parent.parent;
    }
  }

  #finished(child: DirectoryNode, directory: FinishedDirectory): void {
    if (child.parent === undefined) this.root = directory;
    else this.#childDone(child.parent, { child, directory });
  }

  #write(node: DirectoryNode, incomplete?: string, also?: Parameters<DirectoryNode['encode']>[1]): FinishedDirectory {
    const { bytes, summary } = node.encode(incomplete, also);
    const { facts } = node;
    if (facts === undefined) throw new WindlassError(`directory ${node.path} was not listed`, { code: 'INTERNAL' });
    return { objectId: this.#writeDirectory(bytes, this.#metadataCompressor(node)), summary, facts };
  }

  #metadataCompressor(node: DirectoryNode): string {
    return this.#options.policyTable.of(node.policies.policy)?.metadataCompressor ?? 'none';
  }

  #writeDirectory(bytes: Uint8Array, metadataCompressor: string): ObjectId {
    return writeObject(this.#sink, bytes, {
      prefix: DIRECTORY_PREFIX,
      compressor: metadataCompressor,
      metadataCompressor,
    });
  }

  /** Writes what is finished as a tree of its own, for a checkpoint. Undefined while the root is not even listed. */
  writePartial(incomplete: string): FinishedDirectory | undefined {
    const deepestFirst = [...this.#active].sort((a, b) => depth(b) - depth(a));
    const partial = new Map<DirectoryNode, ReturnType<DirectoryNode['asEntry']>[]>();
    let root: FinishedDirectory | undefined;
    for (const node of deepestFirst) {
      const finished = this.#write(node, incomplete, partial.get(node) ?? []);
      if (node.parent === undefined) root = finished;
      else partial.set(node.parent, [...(partial.get(node.parent) ?? []), node.asEntry(finished)]);
    }
    return root;
  }

  /** Closes what is open after a failure. */
  close(): void {
    for (const node of this.#open) node.closeFd();
    this.#open.clear();
    this.#rootNode.closeFd();
  }
}

function sourceUnreadable(reason: string): WindlassError {
  return new WindlassError(`cannot back up the source: ${reason}`, { code: 'SOURCE_UNREADABLE' });
}

/** Policies below the root apply as stored: nothing in them is a default. */
function ignorePolicyOf(policy: Policy, oneFileSystemAsked: boolean): IgnorePolicy {
  const { ignore, ignoreDotFiles, maxFileSize, oneFileSystem = false } = policy.files ?? {};
  return {
    ignore,
    ignoreDotFiles,
    oneFileSystem: oneFileSystem || oneFileSystemAsked,
    maxFileSize: Number(maxFileSize ?? 0),
  };
}

function depth(node: DirectoryNode): number {
  let count = 0;
  for (let at = node.parent; at !== undefined; at = at.parent) count++;
  return count;
}

function name(into: string[], paths: readonly string[]): void {
  for (const path of paths) if (into.length < MAX_NAMED_PATHS) into.push(path);
}

function sameMoment(a: EntryFacts, b: EntryFacts): boolean {
  return (
    a.mtimeSeconds === b.mtimeSeconds &&
    a.mtimeNanos === b.mtimeNanos &&
    a.ctimeSeconds === b.ctimeSeconds &&
    a.ctimeNanos === b.ctimeNanos
  );
}

/** As many lanes as the machine has processors for. */
export function defaultLanes(): number {
  return Math.max(1, availableParallelism());
}
