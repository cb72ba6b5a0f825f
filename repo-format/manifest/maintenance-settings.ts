// Who maintains a repository, and how often: one manifest that kopia expects in every repository (snapshots §7.1). Without an
// owner in it `kopia maintenance run` refuses to work.
import { quoteGoString } from '../../base/go-json.ts';
import type { ManifestId } from './manifest-entry.ts';
import type { ManifestStore } from './manifest-store.ts';

const LABELS = { type: 'maintenance' };
const HOUR_NS = '3600000000000';
const DAY_NS = 86_400_000_000_000n;
const MONTH_NS = '2592000000000000';

/** Stores kopia's defaults in a new repository. `owner` is `user@host` of whoever is to run maintenance. */
export function putMaintenanceSettings(manifests: ManifestStore, owner: string, fullIntervalNs?: bigint): ManifestId {
  return manifests.put(LABELS, encodeMaintenanceSettings(owner, fullIntervalNs));
}

export function encodeMaintenanceSettings(owner: string, fullIntervalNs = DAY_NS): string {
  return (
    `{"owner":${quoteGoString(owner)},"quick":{"enabled":true,"interval":${HOUR_NS}},` +
    `"full":{"enabled":true,"interval":${fullIntervalNs}},` +
    `"logRetention":{"maxTotalSize":1073741824,"maxCount":10000,"maxAge":${MONTH_NS}},` +
    '"extendObjectLocks":false,"listParallelism":0}'
  );
}
