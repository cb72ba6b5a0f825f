// Totals over a directory and all below it, kept in its own object and in its parent's entry (snapshots §3.3).
import { compareUtf8, quoteGoString } from '../../base/go-json.ts';
import { TimestampReader, clampToInt64Ns, formatTimestampNs, fromNs, toNs } from '../../base/go-time.ts';

export interface FailedEntry {
  /** Relative to the snapshot's root, `/`-separated. */
  readonly path: string;
  readonly error: string;
}

export interface DirectorySummary {
  /** Bytes of files. */
  readonly size: number;
  readonly files: number;
  readonly symlinks: number;
  /** Counts the directory itself. */
  readonly dirs: number;
  readonly maxTimeNs: bigint;
  /** Why the directory is not all there: `checkpoint`, `canceled`, `limit reached`. */
  readonly incomplete?: string;
  readonly numFailed: number;
  readonly numIgnoredErrors?: number;
  /** Sorted by path when we wrote them. */
  readonly errors?: readonly FailedEntry[];
}

export function encodeSummary(summary: DirectorySummary): string {
  const { size, files, symlinks, dirs, maxTimeNs, incomplete, numFailed, numIgnoredErrors, errors } = summary;
  const incompleteMember = incomplete ? `,"incomplete":${quoteGoString(incomplete)}` : '';
  const ignored = numIgnoredErrors ? `,"numIgnoredErrors":${numIgnoredErrors}` : '';
  const failed = errors && errors.length > 0 ? `,"errors":[${errors.map(encodeFailedEntry).join(',')}]` : '';
  return (
    `{"size":${size},"files":${files},"symlinks":${symlinks},"dirs":${dirs},"maxTime":"${formatTimestampNs(maxTimeNs)}"` +
    `${incompleteMember},"numFailed":${numFailed}${ignored}${failed}}`
  );
}

function encodeFailedEntry({ path, error }: FailedEntry): string {
  return `{"path":${quoteGoString(path)},"error":${quoteGoString(error)}}`;
}

/** Undefined when malformed; absent counters are 0. */
export function parseSummary(value: unknown): DirectorySummary | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const raw = value as Record<string, unknown>;
  const size = count(raw['size']);
  const files = count(raw['files']);
  const symlinks = count(raw['symlinks']);
  const dirs = count(raw['dirs']);
  const numFailed = count(raw['numFailed']);
  const numIgnoredErrors = count(raw['numIgnoredErrors']);
  const time = new TimestampReader();
  const maxTime = raw['maxTime'] ?? '1970-01-01T00:00:00Z';
  const incomplete = raw['incomplete'] ?? '';
  const errors = parseErrors(raw['errors']);
  if (size === undefined || files === undefined || symlinks === undefined || dirs === undefined) return undefined;
  if (numFailed === undefined || numIgnoredErrors === undefined || errors === undefined) return undefined;
  if (typeof maxTime !== 'string' || !time.read(maxTime) || typeof incomplete !== 'string') return undefined;
  return {
    size,
    files,
    symlinks,
    dirs,
    maxTimeNs: toNs(time.seconds, time.nanos),
    ...(incomplete === '' ? {} : { incomplete }),
    numFailed,
    ...(numIgnoredErrors === 0 ? {} : { numIgnoredErrors }),
    ...(errors.length === 0 ? {} : { errors }),
  };
}

function count(value: unknown): number | undefined {
  if (value === undefined || value === null) return 0;
  return typeof value === 'number' && Number.isSafeInteger(value) ? value : undefined;
}

function parseErrors(value: unknown): FailedEntry[] | undefined {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) return undefined;
  const result: FailedEntry[] = [];
  for (const item of value as unknown[]) {
    if (typeof item !== 'object' || item === null) return undefined;
    const { path = '', error = '' } = item as { path?: unknown; error?: unknown };
    if (typeof path !== 'string' || typeof error !== 'string') return undefined;
    result.push({ path, error });
  }
  return result;
}

/** HOT. Adds up a directory, one entry at a time, on plain numbers. */
export class SummaryBuilder {
  #size = 0;
  #files = 0;
  #symlinks = 0;
  #dirs = 1;
  #entries = 0;
  #maxSeconds = 0;
  #maxNanos = 0;
  #numFailed = 0;
  #numIgnoredErrors = 0;
  #errors: FailedEntry[] = [];

  addFile(size: number, mtimeSeconds: number, mtimeNanos: number): void {
    this.#files++;
    this.#size += size;
    this.#entries++;
    this.#seeTime(mtimeSeconds, mtimeNanos);
  }

  addSymlink(mtimeSeconds: number, mtimeNanos: number): void {
    this.#symlinks++;
    this.#entries++;
    this.#seeTime(mtimeSeconds, mtimeNanos);
  }

  addDirectory(summary: DirectorySummary, mtimeSeconds: number, mtimeNanos: number): void {
    this.#entries++;
    this.#size += summary.size;
    this.#files += summary.files;
    this.#symlinks += summary.symlinks;
    this.#dirs += summary.dirs;
    this.#numFailed += summary.numFailed;
    this.#numIgnoredErrors += summary.numIgnoredErrors ?? 0;
    for (const error of summary.errors ?? []) this.#errors.push(error);
    this.#seeTime(mtimeSeconds, mtimeNanos);
    const { seconds, nanos } = fromNs(summary.maxTimeNs);
    this.#seeTime(seconds, nanos);
  }

  addFailure(failed: FailedEntry, isIgnored: boolean): void {
    if (isIgnored) this.#numIgnoredErrors++;
    else this.#numFailed++;
    this.#errors.push(failed);
  }

  #seeTime(seconds: number, nanos: number): void {
    if (seconds < this.#maxSeconds || (seconds === this.#maxSeconds && nanos <= this.#maxNanos)) return;
    this.#maxSeconds = seconds;
    this.#maxNanos = nanos;
  }

  /** The directory's own modification time counts only when it has no entries. */
  build(mtimeSeconds: number, mtimeNanos: number, incomplete?: string): DirectorySummary {
    const isEmpty = this.#entries === 0;
    const { seconds, nanos } = clampToInt64Ns(
      isEmpty ? mtimeSeconds : this.#maxSeconds,
      isEmpty ? mtimeNanos : this.#maxNanos,
    );
    // Kopia means to keep ten, but keeps all (snapshots §3.3); nothing may be lost, so do we.
    const errors =
      this.#errors.length === 0 ? undefined : [...this.#errors].sort((a, b) => compareUtf8(a.path, b.path));
    return {
      size: this.#size,
      files: this.#files,
      symlinks: this.#symlinks,
      dirs: this.#dirs,
      maxTimeNs: toNs(seconds, nanos),
      ...(incomplete ? { incomplete } : {}),
      numFailed: this.#numFailed,
      ...(this.#numIgnoredErrors === 0 ? {} : { numIgnoredErrors: this.#numIgnoredErrors }),
      ...(errors === undefined ? {} : { errors }),
    };
  }
}
