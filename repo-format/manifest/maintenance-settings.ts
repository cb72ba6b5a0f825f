// Who maintains a repository, and how often: one manifest that kopia expects in every repository (snapshots §7.1). Without an
// owner in it `kopia maintenance run` refuses to work.
import { quoteGoString } from '../../base/go-json.ts';
import type { ManifestId } from './manifest-entry.ts';
import type { ManifestStore } from './manifest-store.ts';

const LABELS = { type: 'maintenance' };
const HOUR_NS = '3600000000000';
const DAY_NS = '86400000000000';
const MONTH_NS = '2592000000000000';

/** Stores kopia's defaults in a new repository. `owner` is `user@host` of whoever is to run maintenance. */
export function putMaintenanceSettings(manifests: ManifestStore, owner: string): ManifestId {
  return manifests.put(LABELS, encodeMaintenanceSettings(owner));
}

export function encodeMaintenanceSettings(owner: string): string {
  return (
    `{"owner":${quoteGoString(owner)},"quick":{"enabled":true,"interval":${HOUR_NS}},` +
    `"full":{"enabled":true,"interval":${DAY_NS}},` +
    `"logRetention":{"maxTotalSize":1073741824,"maxCount":10000,"maxAge":${MONTH_NS}},` +
    '"extendObjectLocks":false,"listParallelism":0}'
  );
}
