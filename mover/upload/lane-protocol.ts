// What the main thread and the lanes say to each other. One message carries a batch of directories or one large file;
// nothing crosses threads per content. Everything here is plain, structured-cloneable data.
import type { SerializedError } from '../../base/errors.ts';
import type {
  ContentWriterSpec,
  ContentWriterStats,
  DirectorySummary,
  EntryExtra,
  IndexSetData,
  IndirectEntry,
  LaneReaderData,
  NewContentsData,
  SessionId,
  StagedPack,
} from '../../repo-format/index.ts';
import type { IgnorePolicy } from '../source/ignore-rules.ts';
import type { DirectoryPolicy } from './directory-policy.ts';

export interface LaneOptions {
  /** The repository's own, for directory and index objects. */
  readonly splitterName: string;
  /** Files larger than this become jobs of their own, so that another lane can take them. */
  readonly largeFileBytes: number;
  /** How often a file that changes while it is read is read again before it is stored as `changed`. */
  readonly maxRereads: number;
  /** Chance in percent that an unchanged file is read all the same. */
  readonly forceHashPercent: number;
  /** Bytes of file data read ahead of the splitter. */
  readonly readBytes: number;
  /** Contents of earlier snapshots are lost: nothing is taken over that was not looked at whole. */
  readonly packsAreLost: boolean;
}

export interface LaneInit {
  readonly writer: ContentWriterSpec;
  readonly reader: LaneReaderData;
  readonly newContents: NewContentsData;
  readonly sessionId: SessionId;
  readonly options: LaneOptions;
  /** By the numbers that jobs carry. */
  readonly policies: readonly DirectoryPolicy[];
  /** Int32: [0] is set to 1 to make lanes stop at the next file or buffer. */
  readonly control: SharedArrayBuffer;
  /** Float64 per lane, see progress.ts. */
  readonly progress: SharedArrayBuffer;
  readonly laneNumber: number;
  /** Where packs wait for a store that is no local folder, see staging-room.ts. */
  readonly staging: SharedArrayBuffer | undefined;
  /** Table of the previous run's change hints, see change-hints.ts. */
  readonly hints: SharedArrayBuffer | undefined;
  /** False when nothing is to be remembered for the next run. */
  readonly keepHints: boolean;
}

/** Facts of a file or directory as `statx` told them; numbers only. */
export interface EntryFacts {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  /** Of 512 bytes. */
  readonly blocks: number;
  readonly mtimeSeconds: number;
  readonly mtimeNanos: number;
  readonly ctimeSeconds: number;
  readonly ctimeNanos: number;
  readonly ino: number;
  readonly dev: number;
}

/** Rules of one directory on the way down; a scope is made of all of them (see `ignore-rules.ts`). */
export interface IgnoreLevel {
  /** '' for the root, else relative to it. */
  readonly directory: string;
  readonly policy: IgnorePolicy | undefined;
  readonly dotFileTexts: readonly string[];
}

/** A directory object and what its parent says of it. */
export interface PreviousObject {
  readonly objectId: string;
  readonly summary: DirectorySummary;
}

export interface DirectoryJob {
  readonly kind: 'directory';
  readonly id: number;
  /** An open descriptor of the parent; with `name` undefined, of the directory itself. */
  readonly parentFd: number;
  readonly name: Uint8Array | undefined;
  /** For messages: relative to the root, `.` for the root itself. */
  readonly path: string;
  /** Directory objects of previous snapshots, best first. */
  readonly previous: readonly string[];
  /** This directory in the snapshot that the change hints belong to. */
  readonly primary: PreviousObject | undefined;
  /** Path of the mount the parent lies in, relative to the root; '' for the root's own. */
  readonly mountPath: string;
  readonly parentDevice: number;
  /** Empty when nothing is to be left out. */
  readonly ignore: readonly IgnoreLevel[];
  /** The policy stored for exactly this directory, when there is one. */
  readonly ownIgnore: IgnorePolicy | undefined;
  /** Into the lane's table of policies. */
  readonly policyNumber: number;
  /** How long the lane may go on with what is below, and whether it may at all (policies of sub-paths forbid it). */
  readonly sliceMs: number;
  readonly mayDescend: boolean;
  /** About how many open directories the lane may hand back. */
  readonly maxOpen: number;
}

export interface FileJob {
  readonly kind: 'file';
  readonly id: number;
  readonly directoryFd: number;
  readonly name: Uint8Array;
  readonly path: string;
  readonly facts: EntryFacts;
  /** Set for one part of a file that is stored in parts (snapshots §5.4); the last part reads to the end. */
  readonly part: { readonly offset: number; readonly length: number | undefined } | undefined;
  /** True for a whole file and for the part behind which none comes: so that progress counts a file once. */
  readonly isLastPart: boolean;
  readonly policyNumber: number;
}

export type LaneJob = DirectoryJob | FileJob;

export type ToLane =
  | { readonly type: 'jobs'; readonly jobs: readonly LaneJob[] }
  | {
      readonly type: 'known';
      readonly index: IndexSetData;
      readonly newContents: NewContentsData;
      readonly sessionId: SessionId;
    }
  | { readonly type: 'finish' }
  | { readonly type: 'exit' };

export interface FailedPath {
  readonly path: string;
  /** errno name, e.g. `EACCES`, or the code of a typed error. */
  readonly code: string;
  readonly message: string;
  /** True when a stored policy says that such failures do not count. */
  readonly isIgnored: boolean;
}

/** A file that was not stored by the lane that listed it, because it is large. */
export interface LargeFile {
  /** Where its entry belongs among `otherTexts`. */
  readonly position: number;
  readonly name: string;
  readonly nameBytes: Uint8Array;
  readonly facts: EntryFacts;
  readonly extra: EntryExtra | undefined;
}

export interface Subdirectory {
  readonly name: string;
  readonly nameBytes: Uint8Array;
  readonly previous: readonly string[];
  readonly primary: PreviousObject | undefined;
}

/** Counters of one directory and of those below it that the lane has finished. */
export interface DirectoryCounts {
  readonly directories: number;
  readonly files: number;
  readonly cachedFiles: number;
  /** Regular files that were opened, and those of them that were stored. */
  readonly readFiles: number;
  readonly storedFiles: number;
  readonly bytes: number;
  readonly excludedFiles: number;
  readonly excludedDirs: number;
  readonly excludedBytes: number;
  readonly changed: number;
  /** Names in the directory itself, and how many below it. */
  readonly vanished: readonly string[];
  readonly vanishedBelow: number;
  readonly rereads: number;
}

export interface DirectoryResult {
  readonly kind: 'directory';
  readonly id: number;
  readonly facts: EntryFacts;
  /** In the directory itself; they belong into its summary. */
  readonly failed: readonly FailedPath[];
  /** In finished directories below; they are in the summaries of those. */
  readonly failedBelow: readonly FailedPath[];
  readonly counts: DirectoryCounts;
  /** Paths of files that kept changing. */
  readonly changedPaths: readonly string[];
  readonly vanishedPathsBelow: readonly string[];
  /** Set when the directory object is written already: nothing below it is left to others. */
  readonly done: { readonly objectId: string; readonly summary: DirectorySummary } | undefined;
  /** Otherwise what the main thread needs to write it. */
  readonly open: OpenDirectory | undefined;
}

export interface OpenDirectory {
  readonly fd: number;
  readonly mountPath: string;
  readonly subdirectories: readonly Subdirectory[];
  readonly largeFiles: readonly LargeFile[];
  /** Encoded entries that are not directories, in order: one or more a text, '' where a large file belongs. */
  readonly otherTexts: readonly string[];
  /** Files and symlinks stored by the lane, without failures. */
  readonly summary: DirectorySummary;
  readonly xattrs: EntryExtra['xattrs'];
  /** What this directory adds to the rules of those below it. */
  readonly ignore: readonly IgnoreLevel[];
  /** Entries of sub-directories that the lane has finished, and those it has begun. */
  readonly finishedChildren: readonly FinishedChild[];
  readonly openChildren: readonly OpenChild[];
}

/** A finished sub-directory as its parent lists it. */
export interface FinishedChild {
  readonly name: string;
  readonly text: string;
  readonly summary: DirectorySummary;
  readonly mtimeSeconds: number;
  readonly mtimeNanos: number;
}

export interface OpenChild {
  readonly subdirectory: Subdirectory;
  readonly result: DirectoryResult;
}

export interface FileResult {
  readonly kind: 'file';
  readonly id: number;
  /** Undefined when the file could not be stored; then `failed` or `vanished` says why. */
  readonly stored:
    | {
        readonly objectId: string;
        readonly pieces: readonly IndirectEntry[] | undefined;
        /** Of the file after it was read, and how many bytes were. */
        readonly facts: EntryFacts;
        readonly size: number;
        readonly sparse: boolean;
        readonly changed: boolean;
        readonly rereads: number;
      }
    | undefined;
  readonly failed: FailedPath | undefined;
  readonly vanished: boolean;
}

/** A directory that could not be opened or listed at all. */
export interface DirectoryFailure {
  readonly kind: 'failed-directory';
  readonly id: number;
  readonly failed: FailedPath;
  readonly vanished: boolean;
}

export type LaneResult = DirectoryResult | DirectoryFailure | FileResult;

export type FromLane =
  | { readonly type: 'ready' }
  | { readonly type: 'results'; readonly results: readonly LaneResult[] }
  | { readonly type: 'pack'; readonly pack: StagedPack }
  | {
      readonly type: 'finished';
      readonly tails: readonly StagedPack[];
      readonly stats: ContentWriterStats;
      readonly hints: Uint32Array;
    }
  | { readonly type: 'stopped' }
  | { readonly type: 'error'; readonly error: SerializedError };
