// A bucket with an S3 API, read by ranges through `fetch`: the server must allow this page (CORS). Requests are signed with
// AWS Signature Version 4 when a key is given; without one they go as anybody's.
import { WindlassError } from '../../../../base/errors.ts';
import { blobInvalidRange, blobNotFound } from '../../../../repo-format/blob/blob-errors.ts';
import { isBlobId } from '../../../../repo-format/blob/blob-id.ts';
import type { BlobId, BlobMetadata, BlobStorage, ByteRange } from '../../../../repo-format/blob/storage.ts';
import { readsOnly } from './blob-files.ts';

export interface S3Place {
  /** `https://host[:port]`; the bucket is put behind it. */
  readonly endpoint: string;
  readonly bucket: string;
  /** As it is, so mostly with a `/` at its end. */
  readonly prefix: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
}

const EMPTY_SHA256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
const MAX_PAGES = 100_000;

export class S3ReadStorage implements BlobStorage {
  readonly displayName: string;
  readonly #place: S3Place;
  readonly #spare: ReadonlyMap<BlobId, Uint8Array>;

  constructor(place: S3Place, spare: ReadonlyMap<BlobId, Uint8Array>) {
    this.#place = { ...place, endpoint: place.endpoint.replace(/\/+$/, '') };
    this.displayName = `s3://${place.bucket}/${place.prefix}`;
    this.#spare = spare;
  }

  async getBlob(id: BlobId, range: ByteRange | undefined, signal: AbortSignal): Promise<Uint8Array> {
    if (range?.length === 0) return new Uint8Array(0);
    const headers = range === undefined ? {} : { range: `bytes=${range.offset}-${range.offset + range.length - 1}` };
    const response = await this.#request('GET', id, {}, headers, signal);
    if (response.status === 404) return await this.#missing(response, id, range);
    if (response.status === 416 && range !== undefined) throw blobInvalidRange(id, range, -1);
    if (!response.ok) throw await refused(response, `read ${id}`);
    const bytes = new Uint8Array(await response.arrayBuffer());
    if (range === undefined || bytes.length === range.length) return bytes;
    throw blobInvalidRange(id, range, range.offset + bytes.length);
  }

  async getMetadata(id: BlobId, signal: AbortSignal): Promise<BlobMetadata> {
    const response = await this.#request('HEAD', id, {}, {}, signal);
    if (response.status === 404) return { id, length: this.#spareOf(id, undefined).length, timestampMs: 0 };
    if (!response.ok) throw await refused(response, `look at ${id}`);
    const length = Number(response.headers.get('content-length'));
    return { id, length, timestampMs: Date.parse(response.headers.get('last-modified') ?? '') || 0 };
  }

  async *listBlobs(prefix: string, signal: AbortSignal): AsyncIterable<BlobMetadata> {
    const start = this.#place.prefix + prefix;
    let token: string | undefined;
    for (let page = 0; page < MAX_PAGES; page++) {
      const more: Record<string, string> = token === undefined ? {} : { 'continuation-token': token };
      const query = { 'list-type': '2', prefix: start, delimiter: '/', ...more };
      const response = await this.#request('GET', '', query, {}, signal);
      if (!response.ok) throw await refused(response, 'list the bucket');
      const answer = new DOMParser().parseFromString(await response.text(), 'application/xml');
      for (const item of answer.getElementsByTagName('Contents')) {
        const id = child(item, 'Key').slice(this.#place.prefix.length);
        if (!isBlobId(id)) continue;
        yield { id, length: Number(child(item, 'Size')), timestampMs: Date.parse(child(item, 'LastModified')) || 0 };
      }
      const next = child(answer.documentElement, 'NextContinuationToken') || undefined;
      if (next === undefined) return;
      // It would go on for ever.
      if (next === token) break;
      token = next;
    }
    throw new WindlassError('the list of the bucket does not end', { code: 'BLOB_STORE_REFUSED' });
  }

  putBlob(): Promise<never> {
    return Promise.reject(readsOnly());
  }

  deleteBlob(): Promise<never> {
    return Promise.reject(readsOnly());
  }

  async freeBytes(): Promise<undefined> {
    return undefined;
  }

  async close(): Promise<void> {}

  /** Servers also say 404 of a bucket, and of keys that they do not know: only a missing blob is one. */
  async #missing(response: Response, id: BlobId, range: ByteRange | undefined): Promise<Uint8Array> {
    const code = codeOf(await response.text());
    if (code !== undefined && code !== 'NoSuchKey' && code !== 'NotFound') throw refusedWith(code, `read ${id}`);
    return this.#spareOf(id, range);
  }

  #spareOf(id: BlobId, range: ByteRange | undefined): Uint8Array {
    const spare = this.#spare.get(id);
    if (spare === undefined) throw blobNotFound(id);
    return Uint8Array.from(range === undefined ? spare : spare.subarray(range.offset, range.offset + range.length));
  }

  async #request(
    method: 'GET' | 'HEAD',
    id: string,
    query: Readonly<Record<string, string>>,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<Response> {
    const { endpoint, bucket, prefix } = this.#place;
    const key = id === '' ? '' : `${prefix}${id}`;
    const path = `/${[bucket, ...key.split('/')].map(encode).join('/')}`;
    const search = Object.entries(query)
      .map(([name, value]) => `${encode(name)}=${encode(value)}`)
      .sort()
      .join('&');
    const url = new URL(`${endpoint}${path}${search === '' ? '' : `?${search}`}`);
    const signed = await sign(this.#place, { method, host: url.host, path, search }, new Date());
    try {
      return await fetch(url, { method, headers: { ...headers, ...signed }, signal, cache: 'no-store' });
    } catch (cause) {
      if (signal.aborted) throw signal.reason;
      // Some servers leave the permission out of a refusal: then a page cannot tell it from silence.
      throw new WindlassError(
        `${url.origin} did not answer this page: the server is away, refuses the keys, or does not allow the page. Let the bucket's CORS rules allow the origin "null" (that of a page opened from a file), the methods GET and HEAD and all headers`,
        { code: 'BLOB_STORE_UNAVAILABLE', retry: 'transient', cause },
      );
    }
  }
}

interface SignedRequest {
  readonly method: string;
  readonly host: string;
  readonly path: string;
  readonly search: string;
}

/** Headers of AWS Signature Version 4 for a request without a body. */
export async function sign(
  place: Pick<S3Place, 'region' | 'accessKeyId' | 'secretAccessKey' | 'sessionToken'>,
  request: SignedRequest,
  now: Date,
): Promise<Record<string, string>> {
  if (place.accessKeyId === '') return {};
  const stamp = now.toISOString().replace(/[-:]|\.\d{3}/g, '');
  const day = stamp.slice(0, 8);
  const headers: Record<string, string> = {
    'x-amz-content-sha256': EMPTY_SHA256,
    'x-amz-date': stamp,
    ...(place.sessionToken === '' ? {} : { 'x-amz-security-token': place.sessionToken }),
  };
  const all = Object.entries({ host: request.host, ...headers }).sort(([a], [b]) => (a < b ? -1 : 1));
  const names = all.map(([name]) => name).join(';');
  const canonical = [
    request.method,
    request.path,
    request.search,
    ...all.map(([name, value]) => `${name}:${value}`),
    '',
    names,
    EMPTY_SHA256,
  ].join('\n');
  const scope = `${day}/${place.region}/s3/aws4_request`;
  const text = ['AWS4-HMAC-SHA256', stamp, scope, hex(await sha256(canonical))].join('\n');
  let key = new TextEncoder().encode(`AWS4${place.secretAccessKey}`);
  for (const part of [day, place.region, 's3', 'aws4_request']) key = await hmac(key, part);
  const credential = `Credential=${place.accessKeyId}/${scope}`;
  headers['authorization'] =
    `AWS4-HMAC-SHA256 ${credential}, SignedHeaders=${names}, Signature=${hex(await hmac(key, text))}`;
  return headers;
}

async function sha256(text: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)));
}

async function hmac(key: Uint8Array<ArrayBuffer>, text: string): Promise<Uint8Array<ArrayBuffer>> {
  const imported = await crypto.subtle.importKey('raw', key, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
  return new Uint8Array(await crypto.subtle.sign('HMAC', imported, new TextEncoder().encode(text)));
}

const hex = (bytes: Uint8Array): string => [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');

/** RFC 3986, as the signature wants it. */
function encode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
}

function child(parent: Element, name: string): string {
  return [...parent.children].find((element) => element.tagName === name)?.textContent ?? '';
}

async function refused(response: Response, what: string): Promise<WindlassError> {
  return refusedWith(codeOf(await response.text()) ?? `status ${response.status}`, what);
}

function refusedWith(code: string, what: string): WindlassError {
  return new WindlassError(`the bucket refused to ${what}: ${code}`, { code: 'BLOB_ACCESS_DENIED' });
}

function codeOf(xml: string): string | undefined {
  return /<Code>([A-Za-z]+)<\/Code>/.exec(xml)?.[1];
}
