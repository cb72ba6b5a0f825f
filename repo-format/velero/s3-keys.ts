// The keys of velero-plugin-for-aws, and what they mean for the blobs of a repository.
import {
  booleanValue,
  invalidValue,
  requireKnownKeys,
  textValue,
  urlValue,
  type LocationConfig,
} from './config-values.ts';
import { locationError } from './location-error.ts';
import type { StorePlace } from './store-place.ts';

export interface S3Store extends StorePlace {
  readonly kind: 's3';
  /** `https://host:port`; undefined for Amazon's own, which follows from the region. */
  readonly endpoint?: string;
  /** Undefined: that of the bucket. */
  readonly region?: string;
  readonly forcePathStyle: boolean;
  readonly insecureSkipTlsVerify: boolean;
  readonly profile?: string;
  readonly kmsKeyId?: string;
  readonly serverSideEncryption?: string;
  /** Tags of every object, as `k=v&k=v`. */
  readonly tagging?: string;
  /** Undefined: as suits the endpoint. Some stores know no checksums at all: `none`. */
  readonly checksumAlgorithm?: S3Checksum;
}

export type S3Checksum = (typeof CHECKSUMS)[number] | 'none';

const CHECKSUMS = ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256'] as const;
const SSE_C_KEYS = ['customerKeyEncryptionFile', 'customerKeyEncryptionSecret'] as const;
const KEYS = [
  'region',
  's3Url',
  'publicUrl', // of signed links only
  's3ForcePathStyle',
  'profile',
  'kmsKeyId',
  ...SSE_C_KEYS,
  'serverSideEncryption',
  'insecureSkipTLSVerify',
  'tagging',
  'checksumAlgorithm',
  'signatureVersion', // as in the plugin the last two change nothing
  'enableSharedConfig',
];

/** `isAws` is false for the store of another plugin: its own keys are none of ours. */
export function s3Store(config: LocationConfig, place: StorePlace, isAws: boolean): S3Store {
  if (isAws) requireKnownKeys(config, KEYS);
  requireNoCustomerKey(config);
  urlValue(config, 'publicUrl');
  const endpoint = endpointOf(config);
  const region = textValue(config, 'region')?.replace(/^\/+|\/+$/g, '');
  const profile = textValue(config, 'profile');
  const kmsKeyId = textValue(config, 'kmsKeyId');
  // The plugin uses it where there is no key.
  const serverSideEncryption = kmsKeyId === undefined ? textValue(config, 'serverSideEncryption') : undefined;
  const tagging = taggingOf(config);
  const checksumAlgorithm = checksumOf(config);
  return {
    kind: 's3',
    ...place,
    forcePathStyle: pathStyleOf(config, endpoint),
    insecureSkipTlsVerify: booleanValue(config, 'insecureSkipTLSVerify'),
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(region === undefined ? {} : { region }),
    ...(profile === undefined ? {} : { profile }),
    ...(kmsKeyId === undefined ? {} : { kmsKeyId }),
    ...(serverSideEncryption === undefined ? {} : { serverSideEncryption }),
    ...(tagging === undefined ? {} : { tagging }),
    ...(checksumAlgorithm === undefined ? {} : { checksumAlgorithm }),
  };
}

/** Velero writes its own objects with such a key, never the repository's: Kopia could not read them, and neither could Velero's node agents. */
function requireNoCustomerKey(config: LocationConfig): void {
  const key = SSE_C_KEYS.find((name) => textValue(config, name) !== undefined);
  if (key === undefined) return;
  throw locationError(
    'STORE_SSE_C_UNSUPPORTED',
    `the location encrypts with a customer key (${key}), with which Kopia could not read a repository`,
    { key },
  );
}

function endpointOf(config: LocationConfig): string | undefined {
  const url = urlValue(config, 's3Url');
  if (url === undefined) return undefined;
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '' || url.username !== '' || url.password !== '') {
    throw invalidValue('s3Url', `${url.protocol}//${url.host}…`, 'only a scheme, a host and a port are expected');
  }
  return url.origin;
}

/** Where nothing is said, as Kopia does in Velero: only these stores want, or have to have, the bucket in the host's name. */
const HOST_STYLE = /\.(amazonaws\.com(\.cn)?|aliyuncs\.com|googleapis\.com)(:\d+)?$/;

function pathStyleOf(config: LocationConfig, endpoint: string | undefined): boolean {
  if (textValue(config, 's3ForcePathStyle') !== undefined) return booleanValue(config, 's3ForcePathStyle');
  return endpoint !== undefined && !HOST_STYLE.test(endpoint);
}

const MAX_TAGS = 10;

function taggingOf(config: LocationConfig): string | undefined {
  const value = textValue(config, 'tagging');
  if (value === undefined) return undefined;
  const pairs = value.split('&');
  if (pairs.length > MAX_TAGS) throw invalidValue('tagging', value, `more than ${MAX_TAGS} tags`);
  for (const pair of pairs) {
    const [key = '', text, ...more] = pair.split('=');
    if (text === undefined || more.length > 0 || key === '') throw invalidValue('tagging', value, 'not k=v&k=v');
    if (key.length > 128 || text.length > 248) throw invalidValue('tagging', value, 'a key or value is too long');
  }
  return value;
}

function checksumOf(config: LocationConfig): S3Checksum | undefined {
  const value = config['checksumAlgorithm'];
  if (value === undefined) return undefined;
  if (value === '') return 'none';
  const known = CHECKSUMS.find((name) => name === value.toUpperCase());
  if (known === undefined) throw invalidValue('checksumAlgorithm', value, `none of ${CHECKSUMS.join(', ')}`);
  return known;
}
