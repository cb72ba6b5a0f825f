// Removes the snapshots of a source that its stored retention policy does not keep. Only what somebody stored counts:
// built-in defaults remove nothing.
import {
  deleteSnapshot,
  expiredSnapshots,
  listSnapshots,
  type ManifestId,
  type Repository,
  type SnapshotSource,
  type SourcePolicies,
} from '../../repo-format/index.ts';
import { isAbortError } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';

/**
 * Ids of the snapshots that were removed. The new snapshot is durable by then: a failure here must not make it look as if
 * there were none, so it is only logged. Too many snapshots lose nothing, and the next run tries again.
 */
export async function applyRetention(
  repository: Repository,
  source: SnapshotSource,
  policies: SourcePolicies,
  logger: Logger,
  signal: AbortSignal,
): Promise<ManifestId[]> {
  try {
    return await removeExpired(repository, source, policies, logger, signal);
  } catch (error) {
    if (isAbortError(error) && signal.aborted) throw error;
    logger.warn('the retention policy could not be applied; no snapshot expires', { error: String(error) });
    return [];
  }
}

async function removeExpired(
  repository: Repository,
  source: SnapshotSource,
  policies: SourcePolicies,
  logger: Logger,
  signal: AbortSignal,
): Promise<ManifestId[]> {
  const snapshots = await listSnapshots(repository.manifests, { source }, signal);
  const expired = expiredSnapshots(snapshots, policies.effective);
  for (const { snapshot } of expired) {
    logger.info('snapshot expired by the retention policy', { snapshotId: snapshot.id });
    await deleteSnapshot(repository.manifests, snapshot.id, signal);
  }
  if (expired.length > 0) await repository.flush(signal);
  return expired.map(({ snapshot }) => snapshot.id);
}
