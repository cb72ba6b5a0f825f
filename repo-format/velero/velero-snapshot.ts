// Snapshots as Velero makes them, so that either program goes on with the other's: whose they are, what marks them, which one the next
// is compared with, and the policy that goes with their source (snapshots §9.6).
import { loadPolicy, setPolicy } from '../snapshot/effective-policy.ts';
import { encodePolicy, type Policy } from '../snapshot/policy.ts';
import type { ManifestId, Repository, SnapshotManifest, SnapshotSource } from '../index.ts';
import { listSnapshots } from '../index.ts';
import { DATA_MOVER, isVeleroPath, POD_VOLUME, VELERO_HOST, VELERO_UPLOADER, VELERO_USER } from './velero-identity.ts';

export const VELERO_DESCRIPTION = 'Kopia Uploader';
export const VELERO_PIN = 'velero-pin';

const REQUESTER_TAG = 'snapshot-requester';
const UPLOADER_TAG = 'snapshot-uploader';
const OPERATION_TAG = 'velero.io/async-operation-id';
export const VELERO_SOURCE_FORMS =
  'snapshot-pod-volume/kopia/NAMESPACE/POD/VOLUME or snapshot-data-upload-download/kopia/NAMESPACE/PVC';

/** Whether the source is one that Velero could have made. */
export function isVeleroSource({ host, userName, path }: SnapshotSource): boolean {
  return host === VELERO_HOST && userName === VELERO_USER && isVeleroPath(path);
}

/** The tags that Velero finds its snapshots by. They are no user's tags and have no prefix. */
export function veleroTags(path: string): Record<string, string> {
  const [requester = ''] = path.split('/');
  const tags = { [REQUESTER_TAG]: requester, [UPLOADER_TAG]: VELERO_UPLOADER };
  return requester === DATA_MOVER ? { ...tags, [OPERATION_TAG]: '' } : tags;
}

/** The latest complete snapshot with Velero's tags; checkpoints have none. */
export function chooseVeleroParent(snapshots: readonly SnapshotManifest[], path: string): ManifestId | undefined {
  const { [REQUESTER_TAG]: requester, [UPLOADER_TAG]: uploader } = veleroTags(path);
  return snapshots
    .filter(({ incomplete, tags }) => {
      return incomplete === undefined && tags[REQUESTER_TAG] === requester && tags[UPLOADER_TAG] === uploader;
    })
    .reduce<SnapshotManifest | undefined>(
      (latest, next) => (latest === undefined || next.startTimeNs > latest.startTimeNs ? next : latest),
      undefined,
    )?.id;
}

/** What stays the same of a claim when its pod is made anew under another name. */
export interface ClaimOfVolume {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

/** Of ours alone, beside Velero's: no other program looks at them. */
export const CLAIM_TAG = 'windlass.io/pvc-uid';
export const RUN_TAG = 'windlass.io/run';

/** Does the path name a volume of the claim, whatever its pod was called? */
export function isPathOfClaim(path: string, { namespace, name }: ClaimOfVolume): boolean {
  const [requester, uploader, pathNamespace, , volume, ...more] = path.split('/');
  if (requester !== POD_VOLUME || uploader !== VELERO_UPLOADER || more.length > 0) return false;
  return pathNamespace === namespace && volume === name;
}

/**
 * The snapshot that the next one of `source` is compared with: the latest of the source, as Velero would take it, or of the same
 * claim under another pod's name. One that cannot be read only costs speed here.
 */
export async function findVeleroParent(
  { manifests }: Repository,
  source: SnapshotSource,
  signal: AbortSignal,
  claim?: ClaimOfVolume,
): Promise<ManifestId | undefined> {
  if (claim === undefined) {
    const snapshots = await listSnapshots(manifests, { source, onCorrupt: () => undefined }, signal);
    return chooseVeleroParent(snapshots, source.path);
  }
  const { host, userName } = source;
  const candidates = await listSnapshots(
    manifests,
    {
      source: { host, userName, path: '' },
      isWanted: ({ path = '', [CLAIM_TAG]: uid }) =>
        path === source.path || uid === claim.uid || isPathOfClaim(path, claim),
      onCorrupt: () => undefined,
    },
    signal,
  );
  return chooseVeleroParent(candidates, source.path);
}

const UNLIMITED = 2 ** 31 - 1;

/** Nothing is ever dropped by retention: Velero forgets snapshots by their IDs. */
export function veleroPolicy(parallelReads: number): Policy {
  return {
    retention: {
      keepLatest: UNLIMITED,
      keepHourly: UNLIMITED,
      keepDaily: UNLIMITED,
      keepWeekly: UNLIMITED,
      keepMonthly: UNLIMITED,
      keepAnnual: UNLIMITED,
    },
    errorHandling: { ignoreUnknownTypes: true },
    scheduling: { manual: true },
    compression: { compressorName: 'none' },
    upload: { maxParallelFileReads: parallelReads, parallelUploadAboveSize: 2 ** 31 },
  };
}

/** As Velero before each backup: the source's policy is this one. Nothing is written where it is already. */
export async function storeVeleroPolicy(
  repository: Repository,
  source: SnapshotSource,
  parallelReads: number,
  signal: AbortSignal,
): Promise<void> {
  const policy = veleroPolicy(parallelReads);
  const stored = await loadPolicy(repository.manifests, source, signal);
  if (stored !== undefined && encodePolicy(stored.policy) === encodePolicy(policy)) return;
  await setPolicy(repository.manifests, source, policy, signal);
  await repository.flush(signal);
}
