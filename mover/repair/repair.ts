// Mends an open repository: the index from its packs, lost contents from a tree that still has them, and what stays lost off
// the index when told so. In a repository opened for reading the same steps are only planned. Each step is one flush: a kill
// leaves what was done, and doing it again does the rest.
import type { Logger } from '../../base/logger.ts';
import {
  type BlobMetadata,
  type ContentId,
  dropLost,
  listSnapshots,
  rebuildIndex,
  type RebuiltIndex,
  type Repository,
  type SnapshotManifest,
} from '../../repo-format/index.ts';
import type { AffectedSnapshot } from '../verify/affected.ts';
import { affectedSnapshots } from '../verify/affected-snapshots.ts';
import { unindexedDeps } from '../verify/unindexed.ts';
import { healContents, type HealReport } from './heal.ts';

export interface RepairOptions {
  /** A tree that may still have what is lost. */
  readonly healFrom?: string | undefined;
  /** Take what stays lost off the index. */
  readonly dropLost?: boolean | undefined;
}

export interface RepairReport {
  /** Rows that only packs had. */
  readonly index: RebuiltIndex;
  /** Snapshots that only these rows name. */
  readonly snapshotsBack: readonly string[];
  readonly heal: HealReport | undefined;
  /** Still lost after all that. */
  readonly lost: { readonly packs: number; readonly contents: number; readonly manifests: number };
  /** Snapshots that need something of it. */
  readonly hurt: readonly AffectedSnapshot[];
  /** Contents taken off the index, or to be. */
  readonly dropped: number;
}

export async function repairRepository(
  repository: Repository,
  options: RepairOptions,
  deps: { readonly logger: Logger },
  signal: AbortSignal,
): Promise<RepairReport> {
  const { contents, readOnly } = repository;
  const flush = async (): Promise<void> => {
    if (!readOnly) await contents.flush(signal);
  };
  const before = new Set((await snapshotsOf(repository, deps.logger, signal)).map(({ id }) => id));
  const index = await rebuildIndex(contents, await packsOf(repository, signal), unindexedDeps(repository), signal);
  await flush();
  const manifests = await snapshotsOf(repository, deps.logger, signal);
  let lost = await contents.findLostContents(signal);
  let heal: HealReport | undefined;
  if (options.healFrom !== undefined && lost.length > 0) {
    const wanted = new Set<ContentId>(lost.map(({ id }) => id));
    await contents.hideLostContents(signal);
    heal = await healContents(repository, options.healFrom, wanted, signal);
    await flush();
    lost = lost.filter(({ id }) => wanted.has(id));
  }
  const ids = lost.map(({ id }) => id);
  const hurt = await affectedSnapshots(repository, manifests, ids, signal);
  const isDropped = options.dropLost === true;
  if (isDropped && !readOnly) {
    await dropLost(contents, lost, signal);
    await flush();
  }
  return {
    index,
    snapshotsBack: manifests.filter(({ id }) => !before.has(id)).map(({ id }) => id),
    heal,
    lost: {
      packs: new Set(lost.map(({ packId }) => packId)).size,
      contents: lost.length,
      manifests: ids.filter((id) => id.startsWith('m')).length,
    },
    hurt,
    dropped: isDropped ? lost.length : 0,
  };
}

async function packsOf({ storage }: Repository, signal: AbortSignal): Promise<BlobMetadata[]> {
  const packs: BlobMetadata[] = [];
  for (const prefix of ['p', 'q']) for await (const pack of storage.listBlobs(prefix, signal)) packs.push(pack);
  return packs;
}

function snapshotsOf({ manifests }: Repository, logger: Logger, signal: AbortSignal): Promise<SnapshotManifest[]> {
  const onCorrupt = (id: string, error: unknown): void =>
    logger.warn('a snapshot cannot be read', { id, error: String(error) });
  return listSnapshots(manifests, { onCorrupt }, signal);
}
