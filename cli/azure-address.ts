// The parameters of an `azblob://` URL, and where an Azure store's address and credentials come from.
import { resolve } from 'node:path';
import type { AzureStorageDeps, AzureStorageOptions } from '../repo-format/blob/azure.ts';
import { type AzureAccess, azureAccountOf, azureCredential, azureEndpoint } from './azure-credentials.ts';
import { cliError } from './cli-errors.ts';
import type { CliContext } from './context.ts';
import { type StoreAddress, StoreParameters } from './repository-url.ts';

/** All that can be said about a place in Azure Blob Storage without reading a file. */
export interface AzurePlace extends AzureAccess {
  readonly container: string;
  readonly prefix: string;
  readonly endpoint?: string;
  readonly caCertPem?: string;
  readonly insecureSkipTlsVerify?: boolean;
  readonly blockSizeBytes?: number;
}

/** Files are named here and read by whoever opens the store. */
export type AzureAddress = Omit<AzurePlace, 'caCertPem'> & { readonly caCertFile?: string };

const NAMES = ['account', 'endpoint', 'credentialsFile', 'caCert', 'insecureSkipTLSVerify'];

export function azureAddress(
  address: StoreAddress,
  context: Pick<CliContext, 'environment' | 'workingDirectory'>,
): AzureAddress {
  const given = new StoreParameters(address, NAMES);
  const { bucket: container, prefix } = address;
  const account = given.text('account') ?? azureAccountOf(context.environment);
  if (account === undefined) throw given.invalid('no account: give ?account=NAME or set AZURE_STORAGE_ACCOUNT');
  const endpoint = given.text('endpoint');
  if (endpoint !== undefined && !isEndpoint(endpoint)) {
    throw given.invalid('endpoint is not of the form https://host:port/path');
  }
  const credentialsFile = given.text('credentialsFile');
  const caCertFile = given.text('caCert');
  const insecureSkipTlsVerify = given.flag('insecureSkipTLSVerify');
  return {
    container,
    prefix,
    account,
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(credentialsFile === undefined ? {} : { credentialsFile: resolve(context.workingDirectory, credentialsFile) }),
    ...(caCertFile === undefined ? {} : { caCertFile }),
    ...(insecureSkipTlsVerify === undefined ? {} : { insecureSkipTlsVerify }),
  };
}

function isEndpoint(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  return (
    url !== undefined &&
    /^https?:$/.test(url.protocol) &&
    `${url.username}${url.password}${url.search}${url.hash}` === ''
  );
}

/** What the adapter wants to know. Credentials are asked for when the first request needs them, and again when they expire. */
export async function azureStoreOptions(
  place: AzurePlace,
  context: CliContext,
): Promise<AzureStorageOptions & AzureStorageDeps> {
  const { environment, clock } = context;
  const { account, container, prefix, caCertPem, insecureSkipTlsVerify, blockSizeBytes } = place;
  if (!/^[a-z0-9]{3,24}$/.test(account)) {
    throw cliError('CLI_REPOSITORY_UNSUPPORTED', 'the name of an Azure account has 3 to 24 small letters and digits');
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
