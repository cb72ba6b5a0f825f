// Which entries a backup leaves out because somebody asked for it: patterns of stored policies and of `--exclude`, dot
// files such as .kopiaignore where a policy names them, a largest file size, one file system. Nothing applies by default.
// Rules of a parent come first and can be taken back below (snapshots §5.8).

import type { Path } from './ignore-match.ts';
import { type IgnorePattern, applyPatterns, parsePattern, pathOf } from './ignore-pattern.ts';

/**
 * The part of a directory's own policy that matters here. `noParentIgnore` and `noParentDotFiles` act where policies are
 * merged; on the way down a tree they change nothing, in Kopia neither.
 */
export interface IgnorePolicy {
  readonly ignore?: readonly string[] | undefined;
  readonly ignoreDotFiles?: readonly string[] | undefined;
  readonly maxFileSize?: number | undefined;
  readonly oneFileSystem?: boolean | undefined;
}

export interface IgnoreCandidate {
  readonly isDirectory: boolean;
  readonly size: number;
  readonly dev: number;
}

/** Why an entry is left out. */
export type IgnoreReason = 'pattern' | 'size' | 'device';

/** The rules that hold for the entries of one directory. Immutable: children share what does not change. */
export class IgnoreScope {
  readonly #parent: IgnoreScope | undefined;
  readonly #patterns: readonly IgnorePattern[];
  readonly #hasPatterns: boolean;
  /** Names of the files to look for in a directory below this scope that has no policy of its own. */
  readonly dotFiles: readonly string[];
  readonly maxFileSize: number;
  readonly oneFileSystem: boolean;

  private constructor(
    parent: IgnoreScope | undefined,
    patterns: readonly IgnorePattern[],
    limits: { dotFiles: readonly string[]; maxFileSize: number; oneFileSystem: boolean },
  ) {
    this.#parent = parent;
    this.#patterns = patterns;
    this.#hasPatterns = patterns.length > 0 || (parent !== undefined && parent.#hasPatterns);
    this.dotFiles = limits.dotFiles;
    this.maxFileSize = limits.maxFileSize;
    this.oneFileSystem = limits.oneFileSystem;
  }

  /** Leaves nothing out. */
  static none(): IgnoreScope {
    return new IgnoreScope(undefined, [], { dotFiles: [], maxFileSize: 0, oneFileSystem: false });
  }

  /** True when no entry can be left out, so callers need no path. */
  get isEmpty(): boolean {
    return !this.#hasPatterns && this.maxFileSize === 0 && !this.oneFileSystem;
  }

  /** The dot files to read in a directory: of the policy defined for exactly it, if there is one, else the inherited. */
  dotFilesOf(policy: IgnorePolicy | undefined): readonly string[] {
    return policy === undefined ? this.dotFiles : (policy.ignoreDotFiles ?? []);
  }

  /**
   * The scope of a directory: `directory` is its path below the root ('' or `a/b`), `policy` the one defined for exactly
   * it, `dotFileTexts` the contents of those of {@link dotFilesOf} that exist. Throws IGNORE_PATTERN_INVALID.
   */
  enter(directory: string, policy: IgnorePolicy | undefined, dotFileTexts: readonly string[]): IgnoreScope {
    if (policy === undefined && dotFileTexts.length === 0) return this;
    const base = directory === '' ? '' : `/${directory}`;
    const patterns = [...(policy?.ignore ?? []), ...dotFileTexts.flatMap(linesOf)].map((line) =>
      parsePattern(line, base),
    );
    return new IgnoreScope(this, patterns, {
      dotFiles: this.dotFilesOf(policy),
      maxFileSize:
        policy?.maxFileSize === undefined || policy.maxFileSize === 0 ? this.maxFileSize : policy.maxFileSize,
      oneFileSystem: policy === undefined ? this.oneFileSystem : (policy.oneFileSystem ?? false),
    });
  }

  /** Whether `path` (below the root, without a slash in front) is left out, and why. `parentDev` is its directory's device. */
  reason(path: string, entry: IgnoreCandidate, parentDev: number): IgnoreReason | undefined {
    if (this.#hasPatterns && this.#ignores(pathOf(`/${path}`), entry.isDirectory)) return 'pattern';
    // Kopia compares the size of a directory's own inode too, and so drops whole folders; a size limit is about files.
    if (this.maxFileSize > 0 && !entry.isDirectory && entry.size > this.maxFileSize) return 'size';
    if (this.oneFileSystem && entry.dev !== parentDev) return 'device';
    return undefined;
  }

  #ignores(path: Path, isDirectory: boolean): boolean {
    const before = this.#parent !== undefined && this.#parent.#ignores(path, isDirectory);
    return applyPatterns(this.#patterns, path, isDirectory, before);
  }
}

/** The rules in a dot file: one a line, no blank lines, no comments. */
function linesOf(text: string): readonly string[] {
  return text
    .split('\n')
    .map((line) => (line.endsWith('\r') ? line.slice(0, -1) : line))
    .filter((line) => !line.startsWith('#') && /\P{White_Space}/u.test(line));
}
