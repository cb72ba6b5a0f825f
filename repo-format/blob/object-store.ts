// A place in an object store of any provider, and how it becomes a storage: its adapter, loaded when it is wanted, and around it
// the wrappers that every object store gets.
import { constants } from 'node:fs';
import { access as mayRead } from 'node:fs/promises';
import { WindlassError } from '../../base/errors.ts';
import type { AzureStorageDeps, AzureStorageOptions } from './azure.ts';
import { type AzureAccess, azureCredential, azureEndpoint } from './azure-credentials.ts';
import { credentialsFileError } from './blob-errors.ts';
import type { GcsStorageOptions } from './gcs.ts';
import { environmentCredentials } from './s3-environment.ts';
import type { S3Options } from './s3-options.ts';
import type { BlobStorage } from './storage.ts';
import { wrapObjectStore, type WrapDeps, type WrapOptions } from './wrap/object-store-wrappers.ts';

/** All that can be said about a place in Azure Blob Storage without reading a file. */
export interface AzurePlace extends AzureAccess {
  readonly container: string;
  readonly prefix: string;
  readonly endpoint?: string;
  readonly caCertPem?: string;
  readonly insecureSkipTlsVerify?: boolean;
  readonly blockSizeBytes?: number;
}

/** A place in an object store with all that its adapter wants to know. */
export type ObjectStore =
  | ({ readonly kind: 's3' } & S3Options)
  | ({ readonly kind: 'azure' } & AzurePlace)
  | ({ readonly kind: 'gcs' } & GcsStorageOptions);

export interface ObjectStoreDeps extends WrapDeps {
  /** Where the providers' own variables stand. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** Opens the adapter, which loads its library, and wraps it. `STORE_CREDENTIALS_FILE` for a credentials file that cannot be read. */
export async function openObjectStore(
  store: ObjectStore,
  options: Omit<WrapOptions, 'refreshCredentials'>,
  deps: ObjectStoreDeps,
  signal: AbortSignal,
): Promise<BlobStorage> {
  if (store.kind !== 'azure') await requireCredentialsFile(store.credentialsFile);
  const adapter = await openAdapter(store, options.readOnly, deps, signal);
  return wrapObjectStore(adapter, { ...options, refreshCredentials: adapter.refreshCredentials?.bind(adapter) }, deps);
}

async function requireCredentialsFile(path: string | undefined): Promise<void> {
  if (path === undefined) return;
  try {
    await mayRead(path, constants.R_OK);
  } catch (cause) {
    throw credentialsFileError(path, 'cannot be read', cause);
  }
}

/** An adapter, and how it is made to ask for credentials anew. */
type Adapter = BlobStorage & { refreshCredentials?(signal: AbortSignal): Promise<void> };

async function openAdapter(
  store: ObjectStore,
  readOnly: boolean,
  { clock, random, environment }: ObjectStoreDeps,
  signal: AbortSignal,
): Promise<Adapter> {
  switch (store.kind) {
    case 's3': {
      const { openS3Storage } = await import('./s3.ts');
      const credentials = store.credentials ?? environmentCredentials(store, environment);
      const known = credentials === undefined ? {} : { credentials };
      return await openS3Storage({ ...store, ...known, readOnly }, { clock }, signal);
    }
    case 'azure': {
      const { openAzureStorage } = await import('./azure.ts');
      const options = await azureStoreOptions(store, { environment, clock });
      return await openAzureStorage({ ...options, readOnly }, options);
    }
    case 'gcs': {
      const { openGcsStorage } = await import('./gcs.ts');
      return await openGcsStorage({ ...emulator(environment), ...store, readOnly }, { clock, random });
    }
  }
}

/** As Google's own libraries: an emulator is at this address, and asks for no name. */
function emulator({ STORAGE_EMULATOR_HOST: host }: ObjectStoreDeps['environment']): Partial<GcsStorageOptions> {
  if (host === undefined || host === '') return {};
  const url = /^https?:\/\//.test(host) ? host : `http://${host}`;
  return { endpoint: url.replace(/\/storage\/v1\/?$/, ''), anonymous: true };
}

/** What the adapter wants to know. Credentials are asked for when the first request needs them, and again when they expire. */
async function azureStoreOptions(
  place: AzurePlace,
  { environment, clock }: Pick<ObjectStoreDeps, 'environment' | 'clock'>,
): Promise<AzureStorageOptions & AzureStorageDeps> {
  const { account, container, prefix, caCertPem, insecureSkipTlsVerify, blockSizeBytes } = place;
  if (!/^[a-z0-9]{3,24}$/.test(account)) {
    throw new WindlassError('the name of an Azure account has 3 to 24 small letters and digits', {
      code: 'CLI_REPOSITORY_UNSUPPORTED',
    });
  }
  return {
    account,
    container,
    prefix,
    endpoint: place.endpoint ?? (await azureEndpoint(place, environment)),
    caCertPem,
    insecureSkipTlsVerify,
    blockSizeBytes,
    credential: (signal) => azureCredential(place, environment, clock, signal),
  };
}
