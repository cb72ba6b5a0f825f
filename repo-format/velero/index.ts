// The door to what Velero makes of a repository: where it lies in a BackupStorageLocation, how it is opened or made there, and
// what marks its snapshots.
export { cacheLimitBytes } from './cache-limit.ts';
export { type BackupStorageLocation, readLocation } from './location-document.ts';
export { openLocationStorage, type LocationStorageDeps } from './location-storage.ts';
export {
  PASSWORD_SECRET,
  readLocationSecrets,
  readRepositoryPasswords,
  type RepositoryPasswords,
  type SecretSource,
} from './location-secrets.ts';
export { locationStore, type LocationAccess, type LocationStore } from './location-store.ts';
export { maintainVeleroRepository, type MaintenanceReport } from './maintain-repository.ts';
export { openVeleroRepository, type OpenedRepository, type VeleroRepositoryOptions } from './open-repository.ts';
export {
  type PreparedRepository,
  type PrepareDeps,
  type PrepareOptions,
  prepareVeleroRepository,
} from './prepare-repository.ts';
export {
  CLAIM_TAG,
  type ClaimOfVolume,
  findVeleroParent,
  RUN_TAG,
  storeVeleroPolicy,
  VELERO_DESCRIPTION,
  VELERO_PIN,
  veleroTags,
} from './velero-snapshot.ts';
export { podVolumePath, VELERO_HOST, VELERO_USER } from './velero-identity.ts';
