// The S3 adapter against a real server.
import { after, before, type TestContext } from 'node:test';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { openS3Storage } from '../../repo-format/blob/s3.ts';
import type { BlobStorage } from '../../repo-format/blob/storage.ts';
import { systemClock } from '../../base/clock.ts';
import { blobStorageSuite } from '../harness/blob-storage-suite.ts';
import { startS3Server, type S3Server } from '../harness/s3-server.ts';

const signal = new AbortController().signal;
let server: S3Server;
let buckets = 0;

before(async () => {
  server = await startS3Server();
});
after(() => server.stop());

async function freshBucket(): Promise<string> {
  const name = `bucket-${++buckets}`;
  await server.createBucket(name);
  return name;
}

async function openAt(prefix: string, bucket?: string): Promise<BlobStorage> {
  const name = bucket ?? (await freshBucket());
  // This server makes folders of prefixes, removes each with its last object, and refuses a put that comes at that moment.
  const kept = { Bucket: name, Key: `${prefix}other/kept`, Body: 'x' };
  if (prefix.endsWith('/')) await server.client.send(new PutObjectCommand(kept));
  const options = server.optionsFor(name, prefix);
  return await openS3Storage(options, { clock: systemClock }, signal);
}

for (const prefix of ['', 'backups/kopia/ns/', 'no-slash-']) {
  blobStorageSuite(`S3 at "${prefix}"`, (_t: TestContext) => openAt(prefix), { timestampSlackMs: 2000 });
}

blobStorageSuite(
  'S3, read-only',
  async () => {
    const bucket = await freshBucket();
    const writer = await openAt('', bucket);
    const readOnly = await openS3Storage(
      { ...server.optionsFor(bucket), readOnly: true },
      { clock: systemClock },
      signal,
    );
    return { readOnly, writer };
  },
  { timestampSlackMs: 2000 },
);
