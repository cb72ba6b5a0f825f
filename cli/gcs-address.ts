// The parameters of a `gs://` URL.
import { resolve } from 'node:path';
import type { GcsStorageOptions } from '../repo-format/blob/gcs.ts';
import type { CliContext } from './context.ts';
import { type StoreAddress, StoreParameters } from './repository-url.ts';

/** Files are named here and read by whoever opens the store. */
export type GcsAddress = Omit<GcsStorageOptions, 'caCertPem'> & { readonly caCertFile?: string };

const NAMES = ['endpoint', 'credentialsFile', 'kmsKeyName', 'universeDomain', 'caCert', 'insecureSkipTLSVerify'];

export function gcsAddress(address: StoreAddress, context: Pick<CliContext, 'workingDirectory'>): GcsAddress {
  const given = new StoreParameters(address, NAMES);
  const { bucket, prefix } = address;
  const endpoint = given.origin('endpoint');
  const credentialsFile = given.text('credentialsFile');
  const kmsKeyName = given.text('kmsKeyName');
  const universeDomain = given.text('universeDomain');
  const caCertFile = given.text('caCert');
  const insecureSkipTlsVerify = given.flag('insecureSkipTLSVerify');
  return {
    bucket,
    prefix,
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(credentialsFile === undefined ? {} : { credentialsFile: resolve(context.workingDirectory, credentialsFile) }),
    ...(kmsKeyName === undefined ? {} : { kmsKeyName }),
    ...(universeDomain === undefined ? {} : { universeDomain }),
    ...(caCertFile === undefined ? {} : { caCertFile }),
    ...(insecureSkipTlsVerify === undefined ? {} : { insecureSkipTlsVerify }),
  };
}
