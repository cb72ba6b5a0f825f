// Reads the answers of S3, whose every member is optional and none of them trusted.
import { createHash } from 'node:crypto';
import type { GetObjectCommandOutput } from '@aws-sdk/client-s3';
import { blobInvalidRange, storeFailure, type StoreFailureDetails } from './blob-errors.ts';
import { readBody } from './read-body.ts';
import type { BlobId, ByteRange } from './storage.ts';

/** The bytes of an answer, exactly those asked for; the rest of a body that is not wanted is not waited for. */
export async function bodyOf(
  { Body: body, ContentLength: length, ContentRange: contentRange }: GetObjectCommandOutput,
  id: BlobId,
  range: ByteRange | undefined,
  signal: AbortSignal,
  maxBytes?: number,
): Promise<Uint8Array> {
  const details = { operation: 'read', subject: `blob ${id}` };
  if (body === undefined) throw storeFailure('BLOB_TRUNCATED', details);
  const stream = body as unknown as NodeJS.ReadableStream & { destroy(error?: Error): void };
  const drop = <E>(error: E): E => {
    stream.destroy();
    return error;
  };
  if (range !== undefined) {
    const told = parseContentRange(contentRange);
    if (told === undefined) throw drop(storeFailure('BLOB_STORE_REFUSED', { ...details, storeCode: 'RangeIgnored' }));
    const isShort = told.from !== range.offset || told.to !== range.offset + range.length - 1;
    if (isShort) throw drop(blobInvalidRange(id, range, told.total));
  }
  return await readBody(stream, { expectedBytes: range?.length ?? length, maxBytes, details }, signal);
}

/** A body that nobody reads would keep its connection. */
export function dropBody({ Body: body }: GetObjectCommandOutput): void {
  (body as unknown as { destroy(): void } | undefined)?.destroy();
}

function parseContentRange(
  text: string | undefined,
): { from: number; to: number; total: number | undefined } | undefined {
  const [, from, to, total] = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(text ?? '') ?? [];
  if (from === undefined || to === undefined) return undefined;
  return { from: Number(from), to: Number(to), total: total === '*' ? undefined : Number(total) };
}

/** A list that never ends by itself: the same place again, or a next page without its place. */
export function nextToken(
  isTruncated: boolean | undefined,
  token: string | undefined,
  next: string | undefined,
  details: StoreFailureDetails,
): string | undefined {
  if (isTruncated !== true) return undefined;
  if (next === undefined || next === token)
    throw storeFailure('BLOB_STORE_REFUSED', { ...details, storeCode: 'EndlessList' });
  return next;
}

export function decodeKey(key: string): string {
  try {
    return decodeURIComponent(key.replaceAll('+', ' '));
  } catch {
    return key;
  }
}

/** A list tells milliseconds where a HEAD tells seconds: the same blob has one time. */
export function wholeSeconds(time: Date | undefined): number {
  return time === undefined ? 0 : Math.floor(time.getTime() / 1000) * 1000;
}

export function storeTime(date: string | undefined, otherwiseMs: number): number {
  const parsed = date === undefined ? Number.NaN : Date.parse(date);
  return Number.isNaN(parsed) ? Math.floor(otherwiseMs / 1000) * 1000 : parsed;
}

export function headerOf(response: unknown, name: string): string | undefined {
  const headers = (response as { readonly headers?: Readonly<Record<string, string>> } | undefined)?.headers;
  return headers?.[name];
}

export function md5Base64(bytes: Uint8Array): string {
  return createHash('md5').update(bytes).digest('base64');
}
