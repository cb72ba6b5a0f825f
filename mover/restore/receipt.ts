// The receipt of a restore: what was expected, what was done, what was not and why. Plain JSON, bounded in size: long
// lists keep their first entries and a count of all.

/** Entries by type; `bytes` are those of regular files. */
export interface EntryCounts {
  files: number;
  directories: number;
  symlinks: number;
  hardLinks: number;
  specials: number;
  bytes: number;
}

export interface FailedPath {
  readonly path: string;
  readonly code: string;
  readonly message: string;
}

/** One attribute that did not take for one reason, on `count` entries. */
export interface RefusedAttribute {
  readonly attribute: string;
  readonly errno: string;
  count: number;
  /** The first of them. */
  readonly paths: string[];
}

export interface VerifyResult {
  files: number;
  bytes: number;
  mismatches: number;
}

export interface RestoreReceipt {
  readonly version: 1;
  /** `partial`: something in `failed` or `attributes` is not empty, or verification found a difference. */
  readonly status: 'complete' | 'partial';
  readonly snapshotId: string;
  /** Inside the snapshot; '' for all of it. */
  readonly subPath: string;
  readonly target: string;
  readonly dryRun: boolean;
  readonly overwrite: string;
  readonly skipped: readonly string[];
  readonly startTime: string;
  readonly endTime: string;
  readonly durationMs: number;
  /** What the snapshot holds below the sub-path. */
  readonly expected: EntryCounts;
  /** What this run made. */
  readonly restored: EntryCounts;
  /** What was there already, as wanted. */
  readonly unchanged: EntryCounts;
  /** What was there, different, and left alone (`overwrite: never`). */
  readonly kept: { readonly count: number; readonly paths: readonly string[] };
  readonly deleted: { readonly count: number; readonly paths: readonly string[] };
  /** What the snapshot has, and was not to be restored. What is below is not counted. */
  readonly leftOut: { readonly count: number; readonly paths: readonly string[] };
  readonly failed: { readonly count: number; readonly entries: readonly FailedPath[] };
  readonly attributes: readonly RefusedAttribute[];
  /** What a run that was killed had left behind and this one removed. */
  readonly leftoversRemoved: number;
  readonly verified: VerifyResult | undefined;
}

/** Listed of each kind; the rest is counted. */
const LISTED = 1000;

export function noEntries(): EntryCounts {
  return { files: 0, directories: 0, symlinks: 0, hardLinks: 0, specials: 0, bytes: 0 };
}

class PathList {
  count = 0;
  readonly paths: string[] = [];

  add(path: string): void {
    this.count++;
    if (this.paths.length < LISTED) this.paths.push(path);
  }
}

/** Collects while restoring. */
export class ReceiptBuilder {
  readonly expected = noEntries();
  readonly restored = noEntries();
  readonly unchanged = noEntries();
  readonly kept = new PathList();
  readonly deleted = new PathList();
  readonly leftOut = new PathList();
  readonly #failed: FailedPath[] = [];
  #failedCount = 0;
  readonly #attributes = new Map<string, RefusedAttribute>();
  leftoversRemoved = 0;
  verified: VerifyResult | undefined;

  get failedCount(): number {
    return this.#failedCount;
  }

  fail(path: string, code: string, message: string, count = 1): void {
    this.#failedCount += count;
    if (this.#failed.length < LISTED) this.#failed.push({ path, code, message });
  }

  /** `count` may be larger than the number of paths known. */
  refuse(attribute: string, errno: string, paths: readonly string[], count: number): void {
    const key = `${attribute}\0${errno}`;
    let known = this.#attributes.get(key);
    if (known === undefined) {
      known = { attribute, errno, count: 0, paths: [] };
      this.#attributes.set(key, known);
    }
    known.count += count;
    for (const path of paths) {
      if (known.paths.length >= LISTED) break;
      known.paths.push(path);
    }
  }

  build(
    fixed: Pick<
      RestoreReceipt,
      'snapshotId' | 'subPath' | 'target' | 'dryRun' | 'overwrite' | 'skipped' | 'startTime' | 'endTime' | 'durationMs'
    >,
  ): RestoreReceipt {
    const attributes = [...this.#attributes.values()];
    const isWhole = this.#failedCount === 0 && attributes.length === 0 && (this.verified?.mismatches ?? 0) === 0;
    return {
      version: 1,
      status: isWhole ? 'complete' : 'partial',
      ...fixed,
      expected: this.expected,
      restored: this.restored,
      unchanged: this.unchanged,
      kept: { count: this.kept.count, paths: this.kept.paths },
      deleted: { count: this.deleted.count, paths: this.deleted.paths },
      leftOut: { count: this.leftOut.count, paths: this.leftOut.paths },
      failed: { count: this.#failedCount, entries: this.#failed },
      attributes,
      leftoversRemoved: this.leftoversRemoved,
      verified: this.verified,
    };
  }
}
