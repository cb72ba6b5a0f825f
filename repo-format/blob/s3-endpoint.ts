// Where requests to a bucket go. Amazon's own rules (partitions, FIPS, dual stack, access points) are the library's: it is
// asked once for the address of an object, and loaded for that. An endpoint that is given needs no rules.
import type { S3Client, S3ClientConfig } from '@aws-sdk/client-s3';
import { storeFailure } from './blob-errors.ts';
import type { S3Library } from './s3-client.ts';
import type { S3Options } from './s3-options.ts';
import type { SigningScope } from './s3-signature.ts';

export interface S3Address {
  /** `https://host:port`, without a slash at the end. */
  readonly origin: string;
  readonly host: string;
  /** Path of the bucket: ends with a slash, keys follow. */
  readonly basePath: string;
  readonly scope: SigningScope;
}

/** Undefined where the library has to be asked. */
export function plainAddress(
  { endpoint, bucket, forcePathStyle = true }: S3Options,
  region: string,
): S3Address | undefined {
  // Buckets with other letters are access points.
  if (endpoint === undefined || !forcePathStyle || !/^[\w.-]+$/.test(bucket) || !URL.canParse(endpoint))
    return undefined;
  const { origin, host, pathname, search, protocol } = new URL(endpoint);
  if (search !== '' || !['http:', 'https:'].includes(protocol)) return undefined;
  return { origin, host, basePath: `${pathname.replace(/\/+$/, '')}/${bucket}/`, scope: { region, service: 's3' } };
}

interface SeenRequest {
  readonly protocol: string;
  readonly hostname: string;
  readonly port?: number;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

const PROBE_KEY = 'k';

/** Lets the library make a request that is never sent. */
export async function libraryAddress(
  library: S3Library,
  createClient: (changes: S3ClientConfig) => S3Client,
  bucket: string,
): Promise<S3Address> {
  let seen: SeenRequest | undefined;
  const requestHandler = {
    handle: async (request: SeenRequest): Promise<never> => {
      seen = request;
      throw new Error('not to be sent');
    },
  } as unknown as NonNullable<S3ClientConfig['requestHandler']>;
  const client = createClient({ requestHandler, credentials: { accessKeyId: 'k', secretAccessKey: 's' } });
  try {
    await client.send(new library.GetObjectCommand({ Bucket: bucket, Key: PROBE_KEY }));
  } catch (error) {
    if (seen === undefined) throw error;
  } finally {
    client.destroy();
  }
  const address = seen === undefined ? undefined : addressOf(seen);
  if (address !== undefined) return address;
  throw storeFailure('BLOB_STORE_REFUSED', { operation: 'find', subject: `bucket ${bucket}`, storeCode: 'OddAddress' });
}

function addressOf({ protocol, hostname, port, path, headers }: SeenRequest): S3Address | undefined {
  const [, region, service] = /\/\d{8}\/([^/]+)\/([^/]+)\/aws4_request/.exec(headers['authorization'] ?? '') ?? [];
  if (region === undefined || service === undefined || !path.endsWith(`/${PROBE_KEY}`)) return undefined;
  const origin = `${protocol}//${hostname}${port === undefined ? '' : `:${port}`}`;
  const { host } = new URL(origin);
  return { origin, host, basePath: path.slice(0, -PROBE_KEY.length), scope: { region, service } };
}
