// A real S3 server for tests: versitygw over a temporary folder, one for each test file.
import { mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as library from '@aws-sdk/client-s3';
import type { S3Options } from '../../repo-format/blob/s3-options.ts';
import { buildGoProgram } from './go-program.ts';
import { removeTree } from './scratch.ts';
import { answersHttp, freePort, listens, startServer } from './server-process.ts';

export interface S3Server {
  readonly endpoint: string;
  readonly pid: number;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** For programs: the provider's ordinary variables. */
  readonly environment: Readonly<Record<string, string>>;
  /** Where the buckets' objects lie as files. */
  readonly folder: string;
  /** A new bucket, and the options of a place in it. */
  createBucket(name: string, options?: BucketOptions): Promise<void>;
  optionsFor(bucket: string, prefix?: string): S3Options;
  /** For what only tests do. */
  readonly client: library.S3Client;
  stop(): Promise<void>;
}

export interface BucketOptions {
  readonly objectLock?: boolean;
}

export interface S3ServerOptions {
  /** Paths of a certificate and its key: TLS. */
  readonly tls?: { readonly certificate: string; readonly key: string };
  /** Where its folder is made; default the system's temporary folder. */
  readonly parent?: string;
  /** Connections serve many requests, as a real store's do; by itself this server closes each after its answer. */
  readonly keepAlive?: boolean;
  /** Knows users besides its root account: `s3-users.ts`. */
  readonly users?: boolean;
  /** Allows pages of every origin to read, where a bucket says nothing of its own. */
  readonly corsOrigin?: string;
}

const KEYS = { accessKeyId: 'test-access', secretAccessKey: 'test-secret-key-0123456789' };

export async function startS3Server(options: S3ServerOptions = {}): Promise<S3Server> {
  const program = buildGoProgram('versitygw');
  if ('missing' in program) throw new Error(program.missing);
  const scratch = mkdtempSync(join(options.parent ?? tmpdir(), 'windlass-s3-'));
  const folder = join(scratch, 'buckets');
  const versions = join(scratch, 'versions');
  const users = join(scratch, 'users');
  for (const path of [folder, versions, users]) mkdirSync(path);
  const port = await freePort();
  const { tls } = options;
  const endpoint = `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`;
  const flags = [
    ...(tls === undefined ? [] : ['--cert', tls.certificate, '--key', tls.key]),
    ...(options.keepAlive === true ? ['--keep-alive'] : []),
    ...(options.users === true ? ['--iam-dir', users, '--iam-cache-disable'] : []),
    ...(options.corsOrigin === undefined ? [] : ['--cors-allow-origin', options.corsOrigin]),
  ];
  const server = await startServer(
    [program.path, '--port', `127.0.0.1:${port}`, '--quiet', ...flags, 'posix', '--versioning-dir', versions, folder],
    { ROOT_ACCESS_KEY: KEYS.accessKeyId, ROOT_SECRET_KEY: KEYS.secretAccessKey, VGW_REGION: 'us-east-1' },
    () => (tls === undefined ? answersHttp(endpoint) : listens(port)),
  );
  const client = testClient(endpoint);
  return {
    endpoint,
    pid: server.child.pid ?? 0,
    ...KEYS,
    environment: { AWS_ACCESS_KEY_ID: KEYS.accessKeyId, AWS_SECRET_ACCESS_KEY: KEYS.secretAccessKey },
    folder,
    client,
    async createBucket(name, { objectLock = false } = {}) {
      await client.send(new library.CreateBucketCommand({ Bucket: name, ObjectLockEnabledForBucket: objectLock }));
    },
    optionsFor: (bucket, prefix = '') => ({ bucket, prefix, endpoint, credentials: KEYS }),
    async stop() {
      client.destroy();
      await server.stop();
      removeTree(scratch);
    },
  };
}

function testClient(endpoint: string): library.S3Client {
  return new library.S3Client({ endpoint, region: 'us-east-1', forcePathStyle: true, credentials: KEYS });
}
