// From what names a repository to its blobs: the adapter of its store, and around it the wrappers that every object store gets.
import { constants } from 'node:fs';
import { access as mayRead, readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { hasCode, WindlassError } from '../base/errors.ts';
import { storageIsReadOnly } from '../repo-format/blob/blob-errors.ts';
import type { GcsStorageOptions } from '../repo-format/blob/gcs.ts';
import type { S3Options } from '../repo-format/blob/s3-options.ts';
import { openFilesystemStorage, type BlobStorage } from '../repo-format/index.ts';
import { type AzurePlace, azureAddress, azureStoreOptions } from './azure-address.ts';
import { cliError } from './cli-errors.ts';
import type { CliContext } from './context.ts';
import { emulator, gcsAddress } from './gcs-address.ts';
import { type FolderAddress, repositoryAddress, type StoreAddress } from './repository-url.ts';
import { s3Address } from './s3-address.ts';
import { environmentCredentials } from './s3-environment.ts';
import { type OpenLocation, openLocation } from './velero-location/location-file.ts';
import { throttled, wrapObjectStore } from './wrap-storage.ts';

export interface Access {
  readonly readOnly: boolean;
}

/** A place in an object store with all that its adapter wants to know. */
export type ObjectStore =
  | ({ readonly kind: 's3' } & S3Options)
  | ({ readonly kind: 'azure' } & AzurePlace)
  | ({ readonly kind: 'gcs' } & GcsStorageOptions);

/** Where a repository is: what its URL says, or a location of Velero's. */
interface RepositoryPlace {
  readonly where: FolderAddress | { readonly kind: 'store'; readonly store: ObjectStore };
  /** Why nothing may be changed there; undefined where it may. */
  readonly readOnlyBecause?: string;
}

/** What the options name, with the files read that they name; nothing is asked of a store. */
export async function repositoryPlace(context: CliContext): Promise<RepositoryPlace> {
  const opened = await openLocation(context, (file) => readCertificate(context, file));
  if (opened !== undefined) return locationPlace(context, opened);
  const address = repositoryAddress(context.options.repository, context.workingDirectory);
  if (address.kind === 'folder') return { where: address };
  return { where: { kind: 'store', store: await objectStoreOf(context, address) } };
}

function locationPlace(context: CliContext, { location, store, readOnly }: OpenLocation): RepositoryPlace {
  const readOnlyBecause = readOnly ? { readOnlyBecause: `location ${location.name}, by its accessMode,` } : {};
  switch (store.kind) {
    case 'folder':
      return { where: store, ...readOnlyBecause };
    case 's3':
      return { where: { kind: 'store', store }, ...readOnlyBecause };
    case 'azure': {
      const { bucket: container, ...place } = store;
      return { where: { kind: 'store', store: { ...place, container } }, ...readOnlyBecause };
    }
    case 'gcs':
      return { where: { kind: 'store', store: { ...emulator(context), ...store } }, ...readOnlyBecause };
  }
}

/** The blobs of the repository that the options name; `REPOSITORY_NOT_FOUND` when there is no such folder. */
export async function openStorage(context: CliContext, access: Access): Promise<BlobStorage> {
  const { where, readOnlyBecause } = await repositoryPlace(context);
  if (readOnlyBecause !== undefined && !access.readOnly) throw storageIsReadOnly('change it', readOnlyBecause);
  if (where.kind === 'store') return await openObjectStore(context, where.store, access);
  const { path } = where;
  try {
    const folder = await openFilesystemStorage({ path, readOnly: access.readOnly }, { random: context.random });
    return throttled(context, folder);
  } catch (cause) {
    if (!hasCode(cause, 'BLOB_ROOT_MISSING')) throw cause;
    throw new WindlassError(`no repository at ${path}`, { code: 'REPOSITORY_NOT_FOUND', context: { path }, cause });
  }
}

/** The same for a repository that is to be made there. A folder is made, a bucket must exist. */
export async function openNewStorage(context: CliContext, layout: 'version1' | 'current'): Promise<BlobStorage> {
  const { where, readOnlyBecause } = await repositoryPlace(context);
  if (readOnlyBecause !== undefined) throw storageIsReadOnly('create a repository', readOnlyBecause);
  if (where.kind === 'store') return await openObjectStore(context, where.store, { readOnly: false });
  return await openFilesystemStorage({ path: where.path, create: layout }, { random: context.random });
}

/** Opens the adapter, which loads its library, and wraps it. */
export async function openObjectStore(context: CliContext, store: ObjectStore, access: Access): Promise<BlobStorage> {
  if (store.insecureSkipTlsVerify === true) {
    // Not a remark: it must be seen with --quiet, too.
    context.stderr.write(
      'windlass: the certificate of the object store is not verified, as asked: anybody may be in between\n',
    );
  }
  if (store.kind !== 'azure') await requireCredentialsFile(store.credentialsFile);
  const adapter = await openAdapter(context, store, access);
  const refreshCredentials = adapter.refreshCredentials?.bind(adapter);
  return wrapObjectStore(context, adapter, {
    readOnly: access.readOnly,
    ...(refreshCredentials === undefined ? {} : { refreshCredentials }),
  });
}

/** A clear word for a wrong path: to a provider's library it is only that there are no credentials. */
async function requireCredentialsFile(path: string | undefined): Promise<void> {
  if (path === undefined) return;
  try {
    await mayRead(path, constants.R_OK);
  } catch (cause) {
    throw cliError('CLI_CREDENTIALS_FILE', `cannot read the credentials file ${path}`, { path }, cause);
  }
}

/** An adapter, and how it is made to ask for credentials anew. */
type Adapter = BlobStorage & { refreshCredentials?(signal: AbortSignal): Promise<void> };

async function openAdapter(context: CliContext, store: ObjectStore, { readOnly }: Access): Promise<Adapter> {
  const { clock, random, signal } = context;
  switch (store.kind) {
    case 's3': {
      const { openS3Storage } = await import('../repo-format/blob/s3.ts');
      return await openS3Storage({ ...store, readOnly }, { clock }, signal);
    }
    case 'azure': {
      const { openAzureStorage } = await import('../repo-format/blob/azure.ts');
      const options = await azureStoreOptions(store, context);
      return await openAzureStorage({ ...options, readOnly }, options);
    }
    case 'gcs': {
      const { openGcsStorage } = await import('../repo-format/blob/gcs.ts');
      return await openGcsStorage({ ...store, readOnly }, { clock, random });
    }
  }
}

async function objectStoreOf(context: CliContext, address: StoreAddress): Promise<ObjectStore> {
  switch (address.scheme) {
    case 's3': {
      const place = s3Address(address);
      const { caCertFile, credentialsFile, ...options } = place;
      const credentials = environmentCredentials(place, context.environment);
      return {
        kind: 's3',
        ...options,
        ...(credentials === undefined ? {} : { credentials }),
        ...(credentialsFile === undefined
          ? {}
          : { credentialsFile: resolve(context.workingDirectory, credentialsFile) }),
        ...(await certificateOf(context, caCertFile)),
      };
    }
    case 'azblob': {
      const { caCertFile, ...place } = azureAddress(address, context);
      return { kind: 'azure', ...place, ...(await certificateOf(context, caCertFile)) };
    }
    case 'gs': {
      const { caCertFile, ...options } = gcsAddress(address, context);
      return { kind: 'gcs', ...options, ...(await certificateOf(context, caCertFile)) };
    }
  }
}

async function certificateOf(context: CliContext, file: string | undefined): Promise<{ caCertPem?: string }> {
  return file === undefined ? {} : { caCertPem: await readCertificate(context, file) };
}

async function readCertificate(context: CliContext, file: string): Promise<string> {
  const path = resolve(context.workingDirectory, file);
  try {
    const text = await readFile(path, 'utf8');
    if (!text.includes('-----BEGIN CERTIFICATE-----')) throw new Error('no certificate in PEM form in it');
    return text;
  } catch (error) {
    throw cliError('CLI_CERTIFICATE_FILE', `certificate file ${path} cannot be read`, { path }, error);
  }
}
