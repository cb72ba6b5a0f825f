// A repository as Velero wants to find it: Kopia's own blobs, one more that says it was set up, and itself as who maintains it
// (snapshots §9.3).
import { hasCode } from '../../base/errors.ts';
import type { BlobId, BlobStorage, Repository } from '../index.ts';
import { loadParameters } from '../maintenance/parameters.ts';
import { putMaintenanceSettings } from '../manifest/maintenance-settings.ts';
import { locationError } from './location-error.ts';
import { VELERO_HOST, VELERO_USER } from './velero-identity.ts';

export const VELERO_BLOB = 'udmrepo.Repository' as BlobId;
const MAX_BLOB_BYTES = 64 << 10;
const OWNER = `${VELERO_USER}@${VELERO_HOST}`;

/** Whether Velero set the repository up. */
export async function isVeleroRepository(storage: BlobStorage, signal: AbortSignal): Promise<boolean> {
  try {
    await storage.getMetadata(VELERO_BLOB, signal);
    return true;
  } catch (error) {
    if (hasCode(error, 'BLOB_NOT_FOUND')) return false;
    throw error;
  }
}

/** Plain JSON: the same for whoever reads it, password or not. */
export function encodeVeleroBlob(uniqueId: Uint8Array): Uint8Array {
  return Buffer.from(`{"uniqueID":"${Buffer.from(uniqueId).toString('base64')}"}`);
}

/** `set-up`, or `bare` where only Kopia's blobs are there. `LOCATION_REPOSITORY_MISMATCH` when the blob is another repository's. */
export async function veleroState(
  storage: BlobStorage,
  uniqueId: Uint8Array,
  signal: AbortSignal,
): Promise<'set-up' | 'bare'> {
  if (!(await isVeleroRepository(storage, signal))) return 'bare';
  const { length } = await storage.getMetadata(VELERO_BLOB, signal);
  const text =
    length > MAX_BLOB_BYTES ? '' : Buffer.from(await storage.getBlob(VELERO_BLOB, undefined, signal)).toString();
  if (parseUniqueId(text)?.equals(uniqueId) === true) return 'set-up';
  throw locationError(
    'LOCATION_REPOSITORY_MISMATCH',
    `${VELERO_BLOB} does not belong to the repository beside it: Velero would call it corrupted`,
  );
}

function parseUniqueId(text: string): Buffer | undefined {
  try {
    const { uniqueID } = JSON.parse(text) as { uniqueID?: unknown };
    return typeof uniqueID === 'string' ? Buffer.from(uniqueID, 'base64') : undefined;
  } catch {
    return undefined;
  }
}

/** The rest of what Velero does with a new repository, or with one that it finds bare: full maintenance every `fullIntervalNs`. Flushed when it resolves. */
export async function setUpForVelero(
  repository: Repository,
  signal: AbortSignal,
  fullIntervalNs?: bigint,
): Promise<void> {
  const { owner } = await loadParameters(repository.manifests, signal);
  // Another owner's settings are replaced as a whole.
  if (owner !== OWNER) {
    for (const { id } of await repository.manifests.find({ type: 'maintenance' }, signal)) {
      await repository.manifests.delete(id, signal);
    }
    putMaintenanceSettings(repository.manifests, OWNER, fullIntervalNs);
    await repository.flush(signal);
  }
  await repository.storage.putBlob(VELERO_BLOB, encodeVeleroBlob(repository.format.uniqueId), signal);
}
