// The change hints of one source between two runs: which file they are in, and which snapshot they belong to. Losing them
// costs time, never data, so no failure here fails a backup.
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Logger } from '../../base/logger.ts';
import { formatSource, type SnapshotManifest, type SnapshotSource } from '../../repo-format/index.ts';
import { type HintTable, loadHints, storeHints } from './change-hints.ts';
import type { PreviousObject } from './lane-protocol.ts';

export class SourceHints {
  /** What the previous run noted; undefined when it noted nothing of this snapshot and device. */
  readonly table: HintTable | undefined;
  /** The root that the table belongs to. */
  readonly primary: PreviousObject | undefined;
  readonly #path: string | undefined;
  readonly #device: number;
  readonly #logs: Uint32Array[] = [];

  /** @param stateDirectory undefined when nothing is to be remembered */
  constructor(
    stateDirectory: string | undefined,
    { source, device, previous }: { source: SnapshotSource; device: number; previous: SnapshotManifest | undefined },
  ) {
    const name = createHash('sha256').update(formatSource(source)).digest('hex').slice(0, 32);
    this.#path = stateDirectory === undefined ? undefined : join(stateDirectory, 'hints', name);
    this.#device = device;
    const rootObjectId = previous?.rootEntry?.objectId;
    if (this.#path === undefined || rootObjectId === undefined) return;
    this.table = loadHints(this.#path, { rootObjectId, device });
    if (this.table !== undefined) this.primary = primaryOf(previous);
  }

  get isKept(): boolean {
    return this.#path !== undefined;
  }

  /** Adds what lanes have noted. */
  add(logs: readonly Uint32Array[]): void {
    this.#logs.push(...logs);
  }

  store(rootObjectId: string | undefined, logger: Logger): void {
    if (this.#path === undefined || rootObjectId === undefined) return;
    try {
      storeHints(this.#path, { rootObjectId, device: this.#device }, this.#logs);
    } catch (error) {
      logger.warn('change hints could not be stored; the next run is slower', { error: String(error) });
    }
  }
}

function primaryOf(previous: SnapshotManifest | undefined): PreviousObject | undefined {
  const root = previous?.rootEntry;
  if (root?.type !== 'd' || root.objectId === '' || root.summary === undefined) return undefined;
  return { objectId: root.objectId, summary: root.summary };
}
