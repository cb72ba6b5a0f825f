import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HeadBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { s3Region, type S3Library } from './s3-client.ts';

const signal = new AbortController().signal;
const place = { bucket: 'some-bucket', prefix: '', credentials: { accessKeyId: 'a', secretAccessKey: 's' } };

/** The library, with a store that answers each request so. */
function libraryThat(answer: () => unknown): { library: S3Library; asked: () => number } {
  let requests = 0;
  class AnsweringClient extends S3Client {
    // oxlint-disable-next-line typescript/no-explicit-any -- one signature in place of the library's eight
    override send(): any {
      requests++;
      return Promise.try(answer);
    }
  }
  const library = { S3Client: AnsweringClient, HeadBucketCommand } as unknown as S3Library;
  return { library, asked: () => requests };
}

function refusal(name: string, headers: Readonly<Record<string, string>>, statusCode: number): Error {
  const error = new Error(`planned ${name}`);
  return Object.assign(error, { name, $metadata: { httpStatusCode: statusCode }, $response: { statusCode, headers } });
}

test('a region that is given, or an endpoint, asks nobody', async () => {
  const { library, asked } = libraryThat(() => assert.fail('asked'));
  assert.equal(await s3Region(async () => library, { ...place, region: 'eu-central-1' }, signal), 'eu-central-1');
  assert.equal(
    await s3Region(async () => library, { ...place, endpoint: 'https://minio.example' }, signal),
    'us-east-1',
  );
  assert.equal(asked(), 0);
});

test('else the bucket is asked once, and a refusal names the region, too', async () => {
  const answering = libraryThat(() => ({ BucketRegion: 'ap-south-1' }));
  assert.equal(await s3Region(async () => answering.library, place, signal), 'ap-south-1');
  assert.equal(answering.asked(), 1);
  const headers = { 'x-amz-bucket-region': 'eu-west-3' };
  for (const error of [refusal('PermanentRedirect', headers, 301), refusal('403', headers, 403)]) {
    const refusing = libraryThat(() => {
      throw error;
    });
    assert.equal(await s3Region(async () => refusing.library, place, signal), 'eu-west-3');
  }
});

test('a bucket that tells no region is an error with a code', async () => {
  for (const [name, status, code] of [
    ['NoSuchBucket', 404, 'BLOB_BUCKET_MISSING'],
    ['CredentialsProviderError', 0, 'BLOB_CREDENTIALS_MISSING'],
    ['SlowDown', 503, 'BLOB_STORE_BUSY'],
  ] as const) {
    const { library } = libraryThat(() => {
      throw refusal(name, { 'x-amz-bucket-region': 'not a region!' }, status);
    });
    await assert.rejects(
      s3Region(async () => library, place, signal),
      { code },
    );
  }
});
