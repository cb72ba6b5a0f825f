// A lane's turn with a directory: the directory itself, then as much of what is below it as fits into a slice of time, so
// that small sub-trees are finished where they were begun and cost the main thread nothing. What does not fit goes
// back: directories not begun, and those begun but not finished with all that is known of them.
import { type ChunkSink, DIRECTORY_PREFIX, type ObjectId, writeObject } from '../../repo-format/index.ts';
import { close } from '../posix/libc.ts';
import type { DirectoryBackup } from './directory-backup.ts';
import { DirectoryNode } from './directory-node.ts';
import type {
  DirectoryCounts,
  DirectoryFailure,
  DirectoryJob,
  DirectoryResult,
  FailedPath,
  OpenChild,
  OpenDirectory,
  Subdirectory,
} from './lane-protocol.ts';
import type { UnchangedWalk } from './unchanged-walk.ts';

export interface SubtreeBackupDeps {
  readonly directories: DirectoryBackup;
  readonly sink: ChunkSink;
  /** Undefined when nothing is remembered of the source. */
  readonly unchanged: UnchangedWalk | undefined;
  readonly metadataCompressorOf: (policyNumber: number) => string;
  /** Milliseconds of a clock that does not go back. */
  readonly now: () => number;
}

/** Levels below the job's directory; a few more than `maxOpen` descriptors may be open on the way down. */
const MAX_DEPTH = 6;
/** Children begun but not finished, by directory: past this nothing more is begun there. */
const MAX_OPEN_CHILDREN = 4;

/** Sums over finished directories below the one at hand. */
interface Below {
  counts: DirectoryCounts;
  readonly failed: FailedPath[];
  readonly changedPaths: string[];
  readonly vanishedPaths: string[];
}

export class SubtreeBackup {
  readonly #deps: SubtreeBackupDeps;
  #deadline = 0;
  /** Of the job at hand: how many more open directories may be handed back. */
  #openLeft = 0;

  constructor(deps: SubtreeBackupDeps) {
    this.#deps = deps;
  }

  run(job: DirectoryJob): DirectoryResult | DirectoryFailure {
    this.#openLeft = job.maxOpen - 1;
    this.#deps.unchanged?.begin();
    this.#deadline = this.#deps.now() + job.sliceMs;
    return this.#run(job, 0);
  }

  /** True when the time of this turn is used up. */
  isOver(): boolean {
    return this.#deps.now() > this.#deadline;
  }

  /** The sub-tree as it was, when nothing in it changed. */
  #keep(job: DirectoryJob): DirectoryResult | undefined {
    const { unchanged, directories } = this.#deps;
    const { primary } = job;
    if (unchanged === undefined || primary === undefined || !job.mayDescend) return undefined;
    if (!directories.canKeep(job, primary)) return undefined;
    const facts = unchanged.check(job.parentFd, job.name, job.path);
    return facts === undefined ? undefined : directories.unchanged(job, primary, facts);
  }

  #run(job: DirectoryJob, depth: number): DirectoryResult | DirectoryFailure {
    const kept = this.#keep(job);
    if (kept !== undefined) return kept;
    const result = this.#deps.directories.run(job);
    if (result.kind !== 'directory' || result.open === undefined || !job.mayDescend || depth >= MAX_DEPTH)
      return result;
    try {
      return this.#descend(job, result, result.open, depth);
    } catch (error) {
      close(result.open.fd);
      throw error;
    }
  }

  #descend(job: DirectoryJob, result: DirectoryResult, open: OpenDirectory, depth: number): DirectoryResult {
    const node = nodeOf(job, result, open);
    const below: Below = {
      counts: result.counts,
      failed: [],
      changedPaths: [...result.changedPaths],
      vanishedPaths: [],
    };
    const openChildren: OpenChild[] = [];
    let begun = 0;
    try {
      for (const sub of open.subdirectories) {
        if (openChildren.length >= MAX_OPEN_CHILDREN || this.#openLeft <= 0 || this.isOver()) break;
        begun++;
        const child = this.#run(childJob(job, result, open, sub), depth + 1);
        if (child.kind === 'failed-directory') recordFailure(node, sub, child);
        else if (child.done === undefined) {
          openChildren.push({ subdirectory: sub, result: child });
          this.#openLeft--;
        } else fold(node, below, sub, child, child.done);
      }
    } catch (error) {
      closeAll(openChildren);
      throw error;
    }
    const subdirectories = open.subdirectories.slice(begun);
    const { failed, vanished } = node;
    const summed = {
      ...result,
      failed,
      failedBelow: below.failed,
      changedPaths: below.changedPaths,
      vanishedPathsBelow: below.vanishedPaths,
      counts: { ...below.counts, vanished },
    };
    if (subdirectories.length > 0 || openChildren.length > 0 || open.largeFiles.length > 0) {
      return { ...summed, open: { ...open, subdirectories, openChildren, finishedChildren: node.children } };
    }
    const { bytes, summary } = node.encode();
    const metadataCompressor = this.#deps.metadataCompressorOf(job.policyNumber);
    const options = { prefix: DIRECTORY_PREFIX, compressor: metadataCompressor, metadataCompressor };
    const objectId = writeObject(this.#deps.sink, bytes, options);
    close(open.fd);
    return { ...summed, done: { objectId, summary }, open: undefined };
  }
}

function nodeOf(job: DirectoryJob, result: DirectoryResult, open: OpenDirectory): DirectoryNode {
  const node = new DirectoryNode(undefined, '', undefined, job.path);
  node.facts = result.facts;
  node.xattrs = open.xattrs;
  node.otherTexts = [...open.otherTexts];
  node.ownSummary = open.summary;
  node.failed.push(...result.failed);
  node.addCounts(result.counts);
  return node;
}

function childJob(job: DirectoryJob, result: DirectoryResult, open: OpenDirectory, sub: Subdirectory): DirectoryJob {
  return {
    ...job,
    parentFd: open.fd,
    name: sub.nameBytes,
    path: job.path === '.' ? sub.name : `${job.path}/${sub.name}`,
    previous: sub.previous,
    primary: sub.primary,
    mountPath: open.mountPath,
    parentDevice: result.facts.dev,
    ignore: open.ignore,
    ownIgnore: undefined,
  };
}

function recordFailure(node: DirectoryNode, sub: Subdirectory, child: DirectoryFailure): void {
  if (child.vanished) node.vanished.push(sub.name);
  else node.failed.push(child.failed);
}

function fold(
  node: DirectoryNode,
  below: Below,
  sub: Subdirectory,
  child: DirectoryResult,
  done: NonNullable<DirectoryResult['done']>,
): void {
  const { counts, facts } = child;
  const entry = new DirectoryNode(node, sub.name, sub.nameBytes, '').asEntry({
    objectId: done.objectId as ObjectId,
    summary: done.summary,
    facts,
  });
  node.addChild(entry, counts.changed, counts.vanished.length + counts.vanishedBelow);
  const directory = node.pathOf(sub.name);
  below.failed.push(...child.failed, ...child.failedBelow);
  below.changedPaths.push(...child.changedPaths);
  below.vanishedPaths.push(...counts.vanished.map((name) => `${directory}/${name}`), ...child.vanishedPathsBelow);
  below.counts = addCounts(below.counts, counts);
}

/** The counts of a directory and of one below it; names of vanished entries stay those of the upper one. */
function addCounts(upper: DirectoryCounts, lower: DirectoryCounts): DirectoryCounts {
  return {
    directories: upper.directories + lower.directories,
    files: upper.files + lower.files,
    cachedFiles: upper.cachedFiles + lower.cachedFiles,
    readFiles: upper.readFiles + lower.readFiles,
    storedFiles: upper.storedFiles + lower.storedFiles,
    bytes: upper.bytes + lower.bytes,
    excludedFiles: upper.excludedFiles + lower.excludedFiles,
    excludedDirs: upper.excludedDirs + lower.excludedDirs,
    excludedBytes: upper.excludedBytes + lower.excludedBytes,
    changed: upper.changed + lower.changed,
    vanished: upper.vanished,
    vanishedBelow: upper.vanishedBelow + lower.vanished.length + lower.vanishedBelow,
    rereads: upper.rereads + lower.rereads,
  };
}

/** Closes the descriptors that results hold which nobody will get. */
export function closeAll(children: readonly OpenChild[]): void {
  for (const { result } of children) {
    if (result.open === undefined) continue;
    closeAll(result.open.openChildren);
    close(result.open.fd);
  }
}
