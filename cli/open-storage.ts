// From what names a repository to its blobs: the adapter of its store, and around it the wrappers that every object store gets.
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { hasCode, WindlassError } from '../base/errors.ts';
import { storageIsReadOnly } from '../repo-format/blob/blob-errors.ts';
import { type ObjectStore, openObjectStore } from '../repo-format/blob/object-store.ts';
import { throttled } from '../repo-format/blob/wrap/object-store-wrappers.ts';
import { openFilesystemStorage, type BlobStorage } from '../repo-format/index.ts';
import { storeOfLocation } from '../repo-format/velero/location-store.ts';
import { azureAddress } from './azure-address.ts';
import { cliError } from './cli-errors.ts';
import type { CliContext } from './context.ts';
import { gcsAddress } from './gcs-address.ts';
import { type FolderAddress, repositoryAddress, type StoreAddress } from './repository-url.ts';
import { s3Address } from './s3-address.ts';
import { type OpenLocation, openLocation } from './location-file.ts';

export interface Access {
  readonly readOnly: boolean;
}

/** Where a repository is: what its URL says, or a location of Velero's. */
interface RepositoryPlace {
  readonly where: FolderAddress | { readonly kind: 'store'; readonly store: ObjectStore };
  /** Why nothing may be changed there; undefined where it may. */
  readonly readOnlyBecause?: string;
}

/** What the options name, with the files read that they name; nothing is asked of a store. */
export async function repositoryPlace(context: CliContext): Promise<RepositoryPlace> {
  const opened = await openLocation(context, (file) => readCertificate(context, file));
  if (opened !== undefined) return locationPlace(opened);
  const address = repositoryAddress(context.options.repository, context.workingDirectory);
  if (address.kind === 'folder') return { where: address };
  return { where: { kind: 'store', store: await objectStoreOf(context, address) } };
}

function locationPlace({ location, store, readOnly }: OpenLocation): RepositoryPlace {
  const readOnlyBecause = readOnly ? { readOnlyBecause: `location ${location.name}, by its accessMode,` } : {};
  if (store.kind === 'folder') return { where: store, ...readOnlyBecause };
  return { where: { kind: 'store', store: storeOfLocation(store) }, ...readOnlyBecause };
}

/** The blobs of the repository that the options name; `REPOSITORY_NOT_FOUND` when there is no such folder. */
export async function openStorage(context: CliContext, access: Access): Promise<BlobStorage> {
  const { where, readOnlyBecause } = await repositoryPlace(context);
  if (readOnlyBecause !== undefined && !access.readOnly) throw storageIsReadOnly('change it', readOnlyBecause);
  if (where.kind === 'store') return await openStore(context, where.store, access);
  const { path } = where;
  try {
    const folder = await openFilesystemStorage({ path, readOnly: access.readOnly }, { random: context.random });
    return throttled(folder, context.options.bwlimit, context.clock);
  } catch (cause) {
    if (!hasCode(cause, 'BLOB_ROOT_MISSING')) throw cause;
    throw new WindlassError(`no repository at ${path}`, { code: 'REPOSITORY_NOT_FOUND', context: { path }, cause });
  }
}

/** The same for a repository that is to be made there. A folder is made, a bucket must exist. */
export async function openNewStorage(context: CliContext, layout: 'version1' | 'current'): Promise<BlobStorage> {
  const { where, readOnlyBecause } = await repositoryPlace(context);
  if (readOnlyBecause !== undefined) throw storageIsReadOnly('create a repository', readOnlyBecause);
  if (where.kind === 'store') return await openStore(context, where.store, { readOnly: false });
  return await openFilesystemStorage({ path: where.path, create: layout }, { random: context.random });
}

async function openStore(context: CliContext, store: ObjectStore, access: Access): Promise<BlobStorage> {
  if (store.insecureSkipTlsVerify === true) {
    // Not a remark: it must be seen with --quiet, too.
    context.stderr.write(
      'windlass: the certificate of the object store is not verified, as asked: anybody may be in between\n',
    );
  }
  const { bwlimit: bandwidth, maxRequests } = context.options;
  return openObjectStore(store, { readOnly: access.readOnly, bandwidth, maxRequests }, context, context.signal);
}

async function objectStoreOf(context: CliContext, address: StoreAddress): Promise<ObjectStore> {
  switch (address.scheme) {
    case 's3': {
      const { caCertFile, credentialsFile, ...options } = s3Address(address);
      return {
        kind: 's3',
        ...options,
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
