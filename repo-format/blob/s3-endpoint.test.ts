import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as library from '@aws-sdk/client-s3';
import { createS3Client } from './s3-client.ts';
import { libraryAddress, plainAddress, type S3Address } from './s3-endpoint.ts';
import type { S3Options } from './s3-options.ts';

const place = { bucket: 'some-bucket', prefix: '' };

function byLibrary(options: S3Options, region: string): Promise<S3Address> {
  const create = (changes: library.S3ClientConfig): library.S3Client =>
    createS3Client(library, options, region, changes);
  return libraryAddress(library, create, options.bucket);
}

const scope = { region: 'eu-west-3', service: 's3' };

test('an endpoint in path style: as the library has it', async () => {
  for (const [endpoint, origin, basePath] of [
    ['http://127.0.0.1:9000', 'http://127.0.0.1:9000', '/some-bucket/'],
    ['https://minio.example/', 'https://minio.example', '/some-bucket/'],
    ['https://minio.example:443/s3/', 'https://minio.example', '/s3/some-bucket/'],
    ['http://[::1]:9000', 'http://[::1]:9000', '/some-bucket/'],
  ] as const) {
    const options = { ...place, endpoint };
    const plain = plainAddress(options, 'eu-west-3');
    assert.deepEqual(plain, { origin, host: new URL(origin).host, basePath, scope });
    if (!endpoint.includes('::1')) assert.deepEqual(plain, await byLibrary(options, 'eu-west-3'));
  }
});

test("everything else is the library's to say", async () => {
  const virtual = { ...place, endpoint: 'https://oss.example', forcePathStyle: false };
  for (const options of [
    place,
    virtual,
    { ...place, bucket: 'arn:aws:s3:eu-west-3:123456789012:accesspoint/a', endpoint: 'https://x' },
  ])
    assert.equal(plainAddress(options, 'eu-west-3'), undefined);
  const host = 'some-bucket.s3.eu-west-3.amazonaws.com';
  assert.deepEqual(await byLibrary(place, 'eu-west-3'), { origin: `https://${host}`, host, basePath: '/', scope });
  assert.equal((await byLibrary(virtual, 'eu-west-3')).host, 'some-bucket.oss.example');
  const china = await byLibrary({ ...place, bucket: 'with.dots' }, 'cn-north-1');
  assert.equal(china.origin, 'https://s3.cn-north-1.amazonaws.com.cn');
  assert.equal(china.basePath, '/with.dots/');
});
