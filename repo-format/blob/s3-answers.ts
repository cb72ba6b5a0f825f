// Reads the answers of S3, whose every member is optional and none of them trusted.
import { blobInvalidRange, storeFailure, type StoreFailureDetails } from './blob-errors.ts';
import type { HttpResponse } from './http-client.ts';
import type { BlobId, ByteRange } from './storage.ts';

/** The bytes of an answer, exactly those asked for. */
export function bodyOf({ headers, body }: HttpResponse, id: BlobId, range: ByteRange | undefined): Uint8Array {
  if (range === undefined) return body;
  const details = { operation: 'read', subject: `blob ${id}` };
  const told = parseContentRange(headers['content-range']);
  if (told === undefined) throw storeFailure('BLOB_STORE_REFUSED', { ...details, storeCode: 'RangeIgnored' });
  const isOther = told.from !== range.offset || told.to !== range.offset + range.length - 1;
  if (isOther) throw blobInvalidRange(id, range, told.total);
  if (body.length !== range.length) throw storeFailure('BLOB_TRUNCATED', { ...details, storeCode: 'TooShort' });
  return body;
}

function parseContentRange(
  text: string | string[] | undefined,
): { from: number; to: number; total: number | undefined } | undefined {
  const [, from, to, total] = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(String(text ?? '')) ?? [];
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

/** A time that a header tells, in the store's whole seconds. */
export function headerTime(date: string | string[] | undefined, otherwiseMs: number): number {
  const parsed = typeof date === 'string' ? Date.parse(date) : Number.NaN;
  return Math.floor((Number.isNaN(parsed) ? otherwiseMs : parsed) / 1000) * 1000;
}
