// Walks a tree through the lanes: hands out directories depth first and large files before anything else, puts finished
// directories together bottom-up, and stops everything for a checkpoint. Holds one node for each directory on the way
// down, never the tree.
import { availableParallelism } from 'node:os';
import { hasCode, WindlassError } from '../../base/errors.ts';
import {
  type ChunkSink,
  DIRECTORY_PREFIX,
  encodeEntry,
  type EntryFields,
  type ObjectId,
  type Policy,
  type PolicyNode,
  SummaryBuilder,
  writeConcatenation,
  writeObject,
} from '../../repo-format/index.ts';
import type { IgnorePolicy } from '../source/ignore-rules.ts';
import { errnoName, StatRecord, statAt } from '../posix/libc.ts';
import { factsOf } from './entry-facts.ts';
import { DirectoryNode, type FinishedDirectory } from './directory-node.ts';
import type { PolicyTable } from './directory-policy.ts';
import { type FileTask, LateFile } from './late-file.ts';
import type {
  DirectoryFailure,
  DirectoryJob,
  DirectoryResult,
  FailedPath,
  FileResult,
  LaneJob,
  LaneResult,
  PreviousObject,
  Subdirectory,
} from './lane-protocol.ts';
import { OpenDirectories } from './open-directories.ts';
import { TreeTotals } from './tree-totals.ts';

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

type InFlight =
  { readonly kind: 'directory'; readonly task: DirectoryTask } | { readonly kind: 'file'; readonly task: FileTask };

export class TreeUpload {
  readonly totals = new TreeTotals();
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
  readonly #open: OpenDirectories;
  readonly #active = new Set<DirectoryNode>();
  /** Of each job of the message at hand. */
  #maxOpen = 1;
  readonly #oneFileSystem: boolean;
  #nextId = 1;
  #isSingleFile = false;

  constructor(root: TreeRoot, options: TreeUploadOptions, sink: ChunkSink) {
    this.#options = options;
    this.#sink = sink;
    this.#oneFileSystem = root.oneFileSystem;
    this.#rootNode = new DirectoryNode(undefined, '', undefined, '.');
    this.#rootNode.fd = root.fd;
    this.#open = new OpenDirectories(this.#rootNode, options.lanes);
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
    this.#addLateFile(new LateFile(this.#rootNode, { ...file, position: 0, facts: factsOf(stat), extra: undefined }));
  }

  get hasJobs(): boolean {
    return this.failure === undefined && this.#files.length + this.#directories.length > 0;
  }

  /**
   * Before any lane works: asks `keep` for the result of the root, which it answers when the whole tree is as it was. True
   * when the tree is done by that.
   */
  keepWhole(keep: (job: DirectoryJob) => DirectoryResult | undefined): boolean {
    const [task] = this.#directories;
    if (task === undefined || task.node !== this.#rootNode) return false;
    const job = this.#directoryJob(task);
    if (job?.kind !== 'directory') return false;
    const result = keep(job);
    if (result === undefined) {
      this.#inFlight.delete(job.id);
      return false;
    }
    this.#directories.shift();
    this.onResult(result);
    return true;
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
    const batch = Math.min(Math.max(1, fair), MAX_BATCH, this.#open.perMessage);
    this.#maxOpen = Math.floor(this.#open.perMessage / batch);
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
    const { file, part } = task;
    const { node, path } = file;
    const directoryFd = this.#useFd(node, path);
    if (typeof directoryFd !== 'number') {
      node.unopened--;
      file.failed ??= directoryFd;
      this.#partDone(file);
      return undefined;
    }
    const id = this.#nextId++;
    this.#inFlight.set(id, { kind: 'file', task });
    // Counted once for progress, however often it is read.
    const isLastPart = part?.length === undefined && file.rounds === 0;
    return {
      kind: 'file',
      id,
      directoryFd,
      name: file.listed.nameBytes,
      path,
      facts: file.facts,
      part,
      isLastPart,
      policyNumber: this.#policyNumber(node),
    };
  }

  /** The node's descriptor, opened again if it had to be closed; the failure of `forPath` when it is gone. */
  #useFd(node: DirectoryNode, forPath: string): number | FailedPath {
    try {
      return this.#open.use(node);
    } catch (error) {
      if (!hasCode(error, 'SOURCE_CHANGED')) throw error;
      const isIgnored = this.#options.policyTable.of(node.policies.policy)?.ignoreFileErrors === true;
      return { path: forPath, code: 'SOURCE_CHANGED', message: (error as WindlassError).message, isIgnored };
    }
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
    if (parent !== undefined) this.#open.release(parent);
    if (result.kind === 'failed-directory') {
      this.#onDirectoryFailure(node, result);
      return;
    }
    this.#apply(node, result);
  }

  /** Takes over what a lane knows of a directory, and of those below it that it has begun. */
  #apply(node: DirectoryNode, result: DirectoryResult): void {
    this.totals.addDirectory(node, result);
    this.#checkLimit();
    node.facts = result.facts;
    node.addCounts(result.counts);
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
    for (const file of open.largeFiles) this.#addLateFile(new LateFile(node, file));
    // Pushed last to first: the stack then yields them in order.
    for (let i = open.subdirectories.length - 1; i >= 0; i--) {
      const sub = open.subdirectories[i];
      if (sub === undefined) continue;
      this.#directories.push({ node: this.#childNode(node, sub), previous: sub.previous, primary: sub.primary });
    }
    this.#open.closeUnlessNeeded(node);
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

  #onDirectoryFailure(node: DirectoryNode, result: DirectoryFailure): void {
    const { parent } = node;
    if (parent === undefined) {
      this.failure ??= sourceUnreadable(result.failed.message);
      return;
    }
    if (result.vanished) {
      this.#vanished(parent, node.name);
    } else {
      this.#fail(parent, result.failed);
    }
    this.#childDone(parent, undefined);
  }

  #addLateFile(file: LateFile): void {
    const tasks = file.tasks(this.#options.partBytes);
    file.node.unopened += tasks.length;
    this.#files.push(...tasks);
  }

  #onFile(task: FileTask, { failed, vanished, stored }: FileResult): void {
    const { file } = task;
    this.#open.release(file.node);
    file.failed ??= failed;
    file.vanished ||= vanished;
    if (stored !== undefined) {
      file.addPart(task, stored);
      this.totals.storedFiles++;
      this.totals.rereads += stored.rereads;
    }
    this.#partDone(file);
  }

  #partDone(file: LateFile): void {
    if (!file.partDone()) return;
    // A file that is read whole was read again by its lane, as often as may be.
    const isInParts = this.#options.partBytes !== undefined && file.facts.size > this.#options.partBytes;
    if (!file.isLost && isInParts && file.changed && file.rounds < this.#options.maxRereads) {
      this.totals.rereads++;
      file.restart();
      this.#addLateFile(file);
      return;
    }
    this.#finishFile(file);
    this.#childDone(file.node, undefined);
  }

  #finishFile(file: LateFile): void {
    const { node, path, failed, listed } = file;
    this.totals.readFiles++;
    if (file.isLost) {
      if (this.#isSingleFile) this.failure ??= sourceUnreadable(failed?.message ?? 'it vanished');
      else if (failed !== undefined && !file.vanished) this.#fail(node, failed);
      else this.#vanished(node, listed.name);
      return;
    }
    if (file.changed) {
      node.changed++;
      this.totals.addChanged(path);
      this.#checkLimit();
    }
    this.totals.files++;
    this.totals.bytes += file.size;
    const entry = file.entry((parts) => writeConcatenation(this.#sink, parts, this.#metadataCompressor(node)));
    const { mtimeSeconds, mtimeNanos } = entry;
    if (this.#isSingleFile) {
      const counter = new SummaryBuilder();
      counter.addFile(file.size, mtimeSeconds, mtimeNanos);
      this.rootFile = { ...entry, summary: { ...counter.build(0, 0), dirs: 0 } };
      return;
    }
    node.addLateFile({
      position: listed.position,
      size: file.size,
      mtimeSeconds,
      mtimeNanos,
      text: encodeEntry(entry),
    });
  }

  #vanished(node: DirectoryNode, name: string): void {
    node.vanished.push(name);
    this.totals.addVanished(node.pathOf(name));
  }

  #fail(node: DirectoryNode, failed: FailedPath): void {
    node.failed.push(failed);
    this.totals.addFailure(failed);
    this.#checkLimit();
  }

  #checkLimit(): void {
    const { failFast, maxErrors } = this.#options;
    this.failure ??= this.totals.overLimit(failFast ? 0 : maxErrors);
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
    this.#open.close();
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

/** As many lanes as the machine has processors for. */
export function defaultLanes(): number {
  return Math.max(1, availableParallelism());
}
