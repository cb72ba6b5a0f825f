// The members of a put, as the library has them, in headers.
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { PutObjectCommandInput } from '@aws-sdk/client-s3';
import type { S3Checksum } from './s3-options.ts';

export type PutOptions = Omit<PutObjectCommandInput, 'Bucket' | 'Key' | 'Body'>;

/** The others are the library's to compute. */
export function isOwnChecksum(checksum: S3Checksum | undefined): boolean {
  return checksum !== 'CRC32C' && checksum !== 'CRC64NVME';
}

export function putHeaders(options: PutOptions, bytes: Uint8Array, checksum: S3Checksum): Record<string, string> {
  const headers: Readonly<Record<string, string | undefined>> = {
    'content-type': options.ContentType,
    'x-amz-storage-class': options.StorageClass,
    'x-amz-server-side-encryption': options.ServerSideEncryption,
    'x-amz-server-side-encryption-aws-kms-key-id': options.SSEKMSKeyId,
    'x-amz-tagging': options.Tagging,
    'x-amz-object-lock-mode': options.ObjectLockMode,
    'x-amz-object-lock-retain-until-date': options.ObjectLockRetainUntilDate?.toISOString(),
    // Stores demand it of what they lock.
    'content-md5': options.ObjectLockMode === undefined ? undefined : digest('md5', bytes),
    ...checksumHeader(bytes, checksum),
  };
  return Object.fromEntries(
    Object.entries(headers).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}

function checksumHeader(bytes: Uint8Array, checksum: S3Checksum): Record<string, string> {
  if (checksum === 'CRC32') return { 'x-amz-checksum-crc32': crc32Base64(bytes) };
  if (checksum === 'SHA1') return { 'x-amz-checksum-sha1': digest('sha1', bytes) };
  if (checksum === 'SHA256') return { 'x-amz-checksum-sha256': digest('sha256', bytes) };
  return {};
}

function crc32Base64(bytes: Uint8Array): string {
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32(bytes));
  return sum.toString('base64');
}

function digest(algorithm: string, bytes: Uint8Array): string {
  return createHash(algorithm).update(bytes).digest('base64');
}
