// Makes the library's client, for what is rare: asking for a bucket's region, parts of long blobs, locks.
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { getCACertificates } from 'node:tls';
import type * as Library from '@aws-sdk/client-s3';
import type { HeadBucketCommandOutput, S3Client, S3ClientConfig } from '@aws-sdk/client-s3';
import { isAbortError } from '../../base/errors.ts';
import { provideCredentials } from './s3-credentials.ts';
import { s3ErrorFacts, translateS3Error } from './s3-errors.ts';
import type { S3Options } from './s3-options.ts';

export type S3Library = typeof Library;

// The library takes the wait for a free connection for a store that does not answer, and whoever calls bounds requests anyway.
const DEFAULT_CONNECTIONS = Infinity;
const CONNECT_TIMEOUT_MS = 10_000;
// A store that moves no byte for a minute has failed, whatever it says later.
const IDLE_TIMEOUT_MS = 60_000;
// What is asked for a bucket's region answers for all of Amazon's.
const FIRST_REGION = 'us-east-1';

const SILENT = { trace() {}, debug() {}, info() {}, warn() {}, error() {} };

/** `changes`: members of the configuration that are to be others. */
export function createS3Client(
  library: S3Library,
  options: S3Options,
  region: string,
  changes: S3ClientConfig = {},
): S3Client {
  const { endpoint, forcePathStyle, checksumAlgorithm } = options;
  const isOwnChecksum = endpoint !== undefined || checksumAlgorithm === 'none';
  return new library.S3Client({
    region,
    ...(endpoint === undefined ? { followRegionRedirects: true } : { endpoint }),
    forcePathStyle: forcePathStyle ?? endpoint !== undefined,
    credentials: (identity) =>
      provideCredentials(options, async () => identity?.['callerClientConfig'] as object | undefined),
    // Some stores refuse the headers of checksums, some the encoding they come in.
    requestChecksumCalculation: isOwnChecksum ? 'WHEN_REQUIRED' : 'WHEN_SUPPORTED',
    responseChecksumValidation: 'WHEN_REQUIRED', // what is read is authenticated by the format
    expectContinueHeader: false, // proxies stall on it
    retryStrategy: ONLY_CLOCK_CORRECTION,
    requestHandler: requestHandlerOf(options),
    logger: SILENT,
    ...changes,
  } satisfies S3ClientConfig);
}

/** The SDK tries again once after it has set its clock by the store's; all other retries are the caller's. */
const ONLY_CLOCK_CORRECTION: NonNullable<S3ClientConfig['retryStrategy']> = {
  mode: 'windlass',
  acquireInitialRetryToken: async () => retryToken(0),
  refreshRetryTokenForRetry: async (token, { error }) => {
    const isCorrected = error?.$metadata?.clockSkewCorrected === true;
    if (!isCorrected || token.getRetryCount() > 0) throw error ?? new Error('no retries');
    return retryToken(1);
  },
  recordSuccess() {},
};

function retryToken(count: number): { getRetryCount(): number; getRetryDelay(): number } {
  return { getRetryCount: () => count, getRetryDelay: () => 0 };
}

function requestHandlerOf(options: S3Options): NonNullable<S3ClientConfig['requestHandler']> {
  const { maxConnections = DEFAULT_CONNECTIONS, caCertPem, insecureSkipTlsVerify = false } = options;
  const agent = { keepAlive: true, maxSockets: maxConnections };
  const trusted = caCertPem === undefined ? {} : { ca: [...getCACertificates('default'), caCertPem] };
  return {
    httpAgent: new HttpAgent(agent),
    httpsAgent: new HttpsAgent({ ...agent, ...trusted, rejectUnauthorized: !insecureSkipTlsVerify }),
    connectionTimeout: options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
    socketTimeout: options.idleTimeoutMs ?? IDLE_TIMEOUT_MS,
    logger: SILENT,
  };
}

/** The region of the options, or what the bucket says of itself. */
export async function s3Region(
  load: () => Promise<S3Library>,
  options: S3Options,
  signal: AbortSignal,
): Promise<string> {
  const { region, endpoint, bucket } = options;
  if (region !== undefined && region !== '') return region;
  if (endpoint !== undefined) return FIRST_REGION;
  const library = await load();
  const client = createS3Client(library, options, FIRST_REGION);
  try {
    return await askRegion(client, new library.HeadBucketCommand({ Bucket: bucket }), signal);
  } catch (error) {
    if (isAbortError(error)) throw error;
    // A refusal names the region too.
    const named = s3ErrorFacts(error).bucketRegion;
    if (named !== undefined) return named;
    throw translateS3Error(error, { operation: 'find', subject: `bucket ${bucket}`, hasAnswered: false });
  } finally {
    client.destroy();
  }
}

async function askRegion(
  client: S3Client,
  command: InstanceType<S3Library['HeadBucketCommand']>,
  signal: AbortSignal,
): Promise<string> {
  const answer: HeadBucketCommandOutput = await client.send(command, { abortSignal: signal });
  return answer.BucketRegion ?? FIRST_REGION;
}
