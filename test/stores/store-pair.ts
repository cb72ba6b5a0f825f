// The `windlass` command, and kopia where there is one, on one repository in a real S3 server's bucket.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { findKopia, KopiaClient } from '../harness/kopia-client.ts';
import type { BucketOptions, S3Server } from '../harness/s3-server.ts';
import { memoryFolder, type CleanUp } from '../harness/scratch.ts';
import { WindlassClient } from '../harness/windlass-command.ts';

export const PASSWORD = 'two-way-password';

export interface StorePair {
  readonly folder: string;
  readonly tree: string;
  readonly url: string;
  readonly bucket: string;
  readonly windlass: WindlassClient;
  /** Undefined where no kopia is installed. */
  readonly kopia: KopiaClient | undefined;
  /** Another one with a cache of its own. */
  anotherWindlass(name: string, environment?: Readonly<Record<string, string>>): WindlassClient;
  target(name: string): string;
}

let buckets = 0;

export async function openStorePair(t: CleanUp, server: S3Server, options: BucketOptions = {}): Promise<StorePair> {
  const bucket = `pair-${process.pid}-${++buckets}`;
  await server.createBucket(bucket, options);
  const folder = memoryFolder(t, 'store-pair');
  const url = `s3://${bucket}/some/place?endpoint=${server.endpoint}`;
  const anotherWindlass = (name: string, environment = server.environment): WindlassClient => {
    const cacheFolder = join(folder, name);
    mkdirSync(cacheFolder, { recursive: true });
    return new WindlassClient({ repository: url, cacheFolder, password: PASSWORD, environment });
  };
  const program = findKopia();
  const place = [`--bucket=${bucket}`, '--prefix=some/place/', `--endpoint=${new URL(server.endpoint).host}`];
  const repository = ['s3', ...place, '--disable-tls'];
  const kopia =
    program === undefined
      ? undefined
      : new KopiaClient({
          program,
          folder: join(folder, 'kopia'),
          repository,
          password: PASSWORD,
          environment: server.environment,
        });
  return {
    folder,
    tree: join(folder, 'tree'),
    url,
    bucket,
    windlass: anotherWindlass('windlass'),
    kopia,
    anotherWindlass,
    target: (name) => join(folder, name),
  };
}
