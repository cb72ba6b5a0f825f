// Counters that lanes keep in shared memory, one row a lane, so that progress costs no messages. A row has one writer;
// readers may see a sum that is a moment old.

export const PROGRESS_COLUMNS = ['files', 'cachedFiles', 'readBytes', 'cachedBytes', 'directories', 'errors'] as const;
export type ProgressColumn = (typeof PROGRESS_COLUMNS)[number];

const WIDTH = PROGRESS_COLUMNS.length;

export interface BackupProgress {
  /** Files and symlinks finished, unchanged ones included. */
  readonly files: number;
  readonly cachedFiles: number;
  /** Bytes of file data read and hashed. */
  readonly hashedBytes: number;
  /** Bytes of files that were not read because they have not changed. */
  readonly cachedBytes: number;
  readonly directories: number;
  readonly errors: number;
  /** Bytes of packs stored so far. */
  readonly uploadedBytes: number;
  /** What the previous snapshot held, as a guess of the whole; undefined for a first one. */
  readonly estimatedFiles: number | undefined;
  readonly estimatedBytes: number | undefined;
  readonly elapsedMs: number;
}

export function createProgressMemory(lanes: number): SharedArrayBuffer {
  return new SharedArrayBuffer(lanes * WIDTH * 8);
}

/** One lane's row. HOT: plain stores into memory nobody else writes. */
export class LaneProgress {
  readonly #row: Float64Array;

  constructor(memory: SharedArrayBuffer, laneNumber: number) {
    this.#row = new Float64Array(memory, laneNumber * WIDTH * 8, WIDTH);
  }

  file(): void {
    this.#row[0] = (this.#row[0] ?? 0) + 1;
  }

  cachedFile(bytes: number): void {
    this.#row[0] = (this.#row[0] ?? 0) + 1;
    this.#row[1] = (this.#row[1] ?? 0) + 1;
    this.#row[3] = (this.#row[3] ?? 0) + bytes;
  }

  cachedTree(files: number, directories: number, bytes: number): void {
    this.#row[0] = (this.#row[0] ?? 0) + files;
    this.#row[1] = (this.#row[1] ?? 0) + files;
    this.#row[3] = (this.#row[3] ?? 0) + bytes;
    this.#row[4] = (this.#row[4] ?? 0) + directories;
  }

  read(bytes: number): void {
    this.#row[2] = (this.#row[2] ?? 0) + bytes;
  }

  directory(): void {
    this.#row[4] = (this.#row[4] ?? 0) + 1;
  }

  error(): void {
    this.#row[5] = (this.#row[5] ?? 0) + 1;
  }
}

/** The sum of all rows. */
export function sumProgress(memory: SharedArrayBuffer): Record<ProgressColumn, number> {
  const rows = new Float64Array(memory);
  const sum = { files: 0, cachedFiles: 0, readBytes: 0, cachedBytes: 0, directories: 0, errors: 0 };
  for (let at = 0; at < rows.length; at++) {
    const column = PROGRESS_COLUMNS[at % WIDTH];
    if (column !== undefined) sum[column] += rows[at] ?? 0;
  }
  return sum;
}
