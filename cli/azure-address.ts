// The parameters of an `azblob://` URL, and where an Azure store's address and credentials come from.
import { resolve } from 'node:path';
import { azureAccountOf } from '../repo-format/blob/azure-credentials.ts';
import type { AzurePlace } from '../repo-format/blob/object-store.ts';
import type { CliContext } from './context.ts';
import { type StoreAddress, StoreParameters } from './repository-url.ts';

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
