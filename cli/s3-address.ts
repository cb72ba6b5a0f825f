// The parameters of an `s3://` URL, named as in a Velero location where that has the same.
import type { S3Checksum, S3Options } from '../repo-format/blob/s3-options.ts';
import { StoreParameters, type StoreAddress } from './repository-url.ts';

/** Files are named here and read by whoever opens the store. */
export interface S3Address extends Omit<S3Options, 'caCertPem'> {
  readonly caCertFile?: string;
}

const NAMES = [
  'endpoint',
  'region',
  'pathStyle',
  'profile',
  'credentialsFile',
  'caCert',
  'insecureSkipTLSVerify',
  'serverSideEncryption',
  'kmsKeyId',
  'tagging',
  'storageClass',
  'checksumAlgorithm',
];
const CHECKSUMS: readonly S3Checksum[] = ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256', 'none'];

export function s3Address(address: StoreAddress): S3Address {
  const given = new StoreParameters(address, NAMES);
  const { bucket, prefix } = address;
  return {
    bucket,
    prefix,
    ...some('endpoint', given.origin('endpoint')),
    ...some('region', given.text('region')),
    ...some('forcePathStyle', given.flag('pathStyle')),
    ...some('profile', given.text('profile')),
    ...some('credentialsFile', given.text('credentialsFile')),
    ...some('caCertFile', given.text('caCert')),
    ...some('insecureSkipTlsVerify', given.flag('insecureSkipTLSVerify')),
    ...some('serverSideEncryption', given.text('serverSideEncryption')),
    ...some('kmsKeyId', given.text('kmsKeyId')),
    ...some('tagging', given.text('tagging')),
    ...some('storageClass', given.text('storageClass')),
    ...some('checksumAlgorithm', given.choice('checksumAlgorithm', CHECKSUMS)),
  };
}

function some<Name extends string, Value>(name: Name, value: Value | undefined): { [key in Name]?: Value } {
  // A computed key is a string to the compiler, whatever its type was.
  return value === undefined ? {} : ({ [name]: value } as { [key in Name]?: Value });
}
