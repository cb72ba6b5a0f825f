// Where a repository is that Velero keeps in a BackupStorageLocation, and how it is reached: a pure mapping from the object's
// keys, as Velero and its plugins for AWS, Azure and Google Cloud understand them.
import { posix } from 'node:path';
import type { ObjectStore } from '../blob/object-store.ts';
import { locationError } from './location-error.ts';
import type { BackupStorageLocation } from './location-document.ts';
import { azureStore, type AzureStore } from './azure-keys.ts';
import { gcsStore, type GcsStore } from './gcs-keys.ts';
import { s3Store, type S3Store } from './s3-keys.ts';
import type { StorePlace } from './store-place.ts';

/** What is given beside the object, since its Secrets are out of reach. */
export interface LocationAccess {
  readonly volumeNamespace: string;
  /** Path of the credentials file of `--credentials-file`. */
  readonly credentialsFile?: string | undefined;
  /** PEM text of `--ca-cert`; used instead of the object's own certificate. */
  readonly caCertPem?: string | undefined;
}

export interface FolderStore {
  readonly kind: 'folder';
  readonly path: string;
}

export interface LocationStore {
  readonly store: S3Store | AzureStore | GcsStore | FolderStore;
  readonly readOnly: boolean;
}

/** The same place in the words of the adapters. */
export function storeOfLocation(store: S3Store | AzureStore | GcsStore): ObjectStore {
  if (store.kind !== 'azure') return store;
  const { bucket: container, ...place } = store;
  return { ...place, container };
}

type Backend = 'aws' | 'azure' | 'gcp' | 'fs';
const BACKENDS: Readonly<Record<string, Backend>> = {
  'velero.io/aws': 'aws',
  'velero.io/azure': 'azure',
  'velero.io/gcp': 'gcp',
  'velero.io/fs': 'fs',
};

export function locationStore(location: BackupStorageLocation, access: LocationAccess): LocationStore {
  const backend = backendOf(location);
  const prefix = repositoryPrefix(location.prefix, access.volumeNamespace);
  const { readOnly } = location;
  if (backend === 'fs') return { store: folderStore(location, prefix), readOnly };
  const place = placeOf(location, access, prefix);
  switch (backend) {
    case 'aws':
      return { store: s3Store(location.config, place, isKnown(location)), readOnly };
    case 'azure':
      return { store: azureStore(location.config, place), readOnly };
    case 'gcp':
      return { store: gcsStore(location.config, place), readOnly };
  }
}

/** `<prefix>/kopia/<namespace>/`, without the first part where there is none. */
export function repositoryPrefix(locationPrefix: string, volumeNamespace: string): string {
  if (volumeNamespace.length > 63 || !/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(volumeNamespace)) {
    throw locationError('LOCATION_INVALID', `${JSON.stringify(volumeNamespace)} is not the name of a namespace`);
  }
  return `${posix.join(locationPrefix, 'kopia', volumeNamespace)}/`;
}

function providerOf({ provider }: BackupStorageLocation): string {
  return provider.includes('/') ? provider : `velero.io/${provider}`;
}

function isKnown(location: BackupStorageLocation): boolean {
  return BACKENDS[providerOf(location)] !== undefined;
}

/** Other plugins' stores are reached through their S3 interface when the location names its endpoint. */
function backendOf(location: BackupStorageLocation): Backend {
  const known = BACKENDS[providerOf(location)];
  if (known !== undefined) return known;
  if ((location.config['s3Url'] ?? '') !== '') return 'aws';
  throw locationError(
    'LOCATION_UNSUPPORTED',
    `provider ${location.provider} is none of aws, azure, gcp and fs, and the location has no s3Url`,
    { provider: location.provider },
  );
}

function folderStore({ config }: BackupStorageLocation, prefix: string): FolderStore {
  const root = config['fspath'] ?? '';
  if (!posix.isAbsolute(root)) throw locationError('LOCATION_INVALID', 'spec.config.fspath is not an absolute path');
  return { kind: 'folder', path: posix.join(root, prefix).replace(/\/$/, '') };
}

function placeOf(location: BackupStorageLocation, access: LocationAccess, prefix: string): StorePlace {
  const { bucket, config } = location;
  if (bucket === '') throw locationError('LOCATION_INVALID', 'spec.objectStorage.bucket is missing');
  if (bucket.includes('/')) throw locationError('LOCATION_INVALID', `the bucket ${bucket} has a slash in its name`);
  const credentialsFile = credentialsOf(location, access) ?? config['credentialsFile'];
  const caCertPem = certificateOf(location, access);
  return {
    bucket,
    prefix,
    ...(credentialsFile === undefined || credentialsFile === '' ? {} : { credentialsFile }),
    ...(caCertPem === undefined ? {} : { caCertPem }),
  };
}

/** Without a Secret in the location the environment applies, as it does in Velero's own pod. */
function credentialsOf({ credential }: BackupStorageLocation, access: LocationAccess): string | undefined {
  if (access.credentialsFile !== undefined || credential === undefined) return access.credentialsFile;
  const { name, key } = credential;
  throw locationError(
    'LOCATION_CREDENTIALS',
    `the location's credentials are in key ${key} of Secret ${name}: give its content with --credentials-file`,
    { secret: name, key },
  );
}

/** As in Velero the reference comes before the certificate. */
function certificateOf({ caCertRef, caCertPem }: BackupStorageLocation, access: LocationAccess): string | undefined {
  if (access.caCertPem !== undefined) return access.caCertPem;
  if (caCertRef === undefined) return caCertPem;
  const { name, key } = caCertRef;
  throw locationError(
    'LOCATION_CREDENTIALS',
    `the location's CA certificate is in key ${key} of Secret ${name}: give its content with --ca-cert`,
    { secret: name, key },
  );
}
