import assert from 'node:assert/strict';
import { test } from 'node:test';
import { putHeaders } from './s3-put-headers.ts';

const bytes = Buffer.from('123456789');

test('each option has its header, and what is not set has none', () => {
  assert.deepEqual(putHeaders({ ContentType: 'a/b' }, bytes, 'none'), { 'content-type': 'a/b' });
  const options = {
    StorageClass: 'STANDARD_IA',
    ServerSideEncryption: 'aws:kms',
    SSEKMSKeyId: 'key',
    Tagging: 'a=1',
    ObjectLockMode: 'GOVERNANCE',
    ObjectLockRetainUntilDate: new Date('2026-01-02T03:04:05.000Z'),
  } as const;
  assert.deepEqual(putHeaders(options, bytes, 'none'), {
    'x-amz-storage-class': 'STANDARD_IA',
    'x-amz-server-side-encryption': 'aws:kms',
    'x-amz-server-side-encryption-aws-kms-key-id': 'key',
    'x-amz-tagging': 'a=1',
    'x-amz-object-lock-mode': 'GOVERNANCE',
    'x-amz-object-lock-retain-until-date': '2026-01-02T03:04:05.000Z',
    'content-md5': 'JfnnlDI7RTiF9RgfG2JNCw==',
  });
});

test('checksums', () => {
  // The check value of CRC-32 is cbf43926.
  assert.deepEqual(putHeaders({}, bytes, 'CRC32'), { 'x-amz-checksum-crc32': 'y/Q5Jg==' });
  assert.deepEqual(putHeaders({}, bytes, 'SHA1'), { 'x-amz-checksum-sha1': '98O8HYCOBHMq32eZZczDTKeuNEE=' });
  assert.deepEqual(Object.keys(putHeaders({}, bytes, 'SHA256')), ['x-amz-checksum-sha256']);
});
