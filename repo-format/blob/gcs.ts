// Blobs in a bucket of Google Cloud Storage, through its JSON API. Credentials come from @google-cloud/storage; the requests are our
// own, because that library's cannot be ended by a signal and do not notice a body that stalls. One request an operation.
import { createHash } from 'node:crypto';
import type { Clock } from '../../base/clock.ts';
import { hasCode } from '../../base/errors.ts';
import { toHex } from '../../base/hex.ts';
import type { RandomSource } from '../../base/random.ts';
import {
  assertRangeInside,
  blobInvalidRange,
  blobNotFound,
  isRangeTold,
  storageIsReadOnly,
  storeFailure,
} from './blob-errors.ts';
import { assertBlobId, assertBlobPrefix, isBlobId } from './blob-id.ts';
import {
  gcsAnswerFailure,
  gcsErrorFacts,
  type GcsRequest,
  translateGcsAuthError,
  translateGcsError,
} from './gcs-errors.ts';
import { type Authorization, gcsAuthorization } from './gcs-credentials.ts';
import { createHttpClient, type HttpClient, type HttpRequest, type HttpResponse } from './http-client.ts';
import type { StoreAgentOptions } from './store-agent.ts';
import type { BlobId, BlobMetadata, BlobStorage, ByteRange } from './storage.ts';

export interface GcsStorageOptions extends StoreAgentOptions {
  readonly bucket: string;
  /** Before every blob's name, as it is; ends with a slash when a folder is meant. */
  readonly prefix: string;
  /** `https://storage.googleapis.com` unless said otherwise. */
  readonly endpoint?: string;
  readonly universeDomain?: string;
  /** A key file or a configuration of workload identity; undefined: application default credentials. */
  readonly credentialsFile?: string;
  /** For emulators, which ask for no name. */
  readonly anonymous?: boolean;
  /** Cloud KMS key that new objects are encrypted with. */
  readonly kmsKeyName?: string;
  readonly readOnly?: boolean;
}

export interface GcsStorageDeps {
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly random: RandomSource;
}

const CONTENT_TYPE = 'application/x-kopia';
const LIST_PAGE = 1000;
const OBJECT_FIELDS = 'name,size,timeCreated';
/** No blob is longer: the largest pack has some 121 MiB, an index blob less than its contents allow. */
const MAX_BLOB_BYTES = 1 << 30;
const MAX_ANSWER_BYTES = 16 << 20;

/** Asks for nothing yet: credentials come with the first request. */
export async function openGcsStorage(options: GcsStorageOptions, deps: GcsStorageDeps): Promise<GcsStorage> {
  return new GcsStorage(options, deps);
}

interface StoredObject {
  readonly name?: string;
  /** A 64-bit number, as text. */
  readonly size?: string;
  readonly timeCreated?: string;
}

interface ObjectPage {
  readonly items?: readonly StoredObject[];
  readonly nextPageToken?: string;
}

export class GcsStorage implements BlobStorage {
  readonly displayName: string;
  readonly #options: GcsStorageOptions;
  readonly #deps: GcsStorageDeps;
  readonly #http: HttpClient;
  readonly #endpoint: string;
  #authorization: Promise<Authorization> | undefined;
  #hasAnswered = false;

  constructor(options: GcsStorageOptions, deps: GcsStorageDeps) {
    const { bucket, prefix, endpoint, universeDomain = 'googleapis.com' } = options;
    this.#options = options;
    this.#deps = deps;
    this.#http = createHttpClient(options);
    this.#endpoint = (endpoint ?? `https://storage.${universeDomain}`).replace(/\/+$/, '');
    this.displayName = `gs://${bucket}/${prefix}${endpoint === undefined ? '' : ` at ${this.#endpoint}`}`;
  }

  async getBlob(id: BlobId, range: ByteRange | undefined, signal: AbortSignal): Promise<Uint8Array> {
    signal.throwIfAborted();
    assertBlobId(id);
    if (range !== undefined && !isReadable(range)) return this.#readNothing(id, range, signal);
    const request: GcsRequest = { operation: 'read', subject: `blob ${id}` };
    const last = range === undefined ? undefined : range.offset + range.length - 1;
    const answer = await this.#send(
      request,
      {
        method: 'GET',
        url: `${this.#objectUrl(id)}?alt=media`,
        headers: range === undefined ? {} : { range: `bytes=${range.offset}-${last}` },
        maxBodyBytes: range?.length ?? MAX_BLOB_BYTES,
      },
      signal,
    );
    if (answer.status === 416 && range !== undefined) return this.#readNothing(id, range, signal);
    await this.#requireSuccess(answer, request, id, signal);
    // What is left of a blob that ends before the range does.
    if (range !== undefined && answer.body.length !== range.length) {
      if (isRangeTold(answer.headers['content-range'], range)) throw storeFailure('BLOB_TRUNCATED', request);
      throw blobInvalidRange(id, range, range.offset + answer.body.length);
    }
    return answer.body;
  }

  /** No bytes, or none that could be there: the length alone decides. */
  async #readNothing(id: BlobId, range: ByteRange, signal: AbortSignal): Promise<Uint8Array> {
    const { length } = await this.getMetadata(id, signal);
    assertRangeInside(id, range, length);
    if (range.length > 0) throw blobInvalidRange(id, range, length);
    return new Uint8Array(0);
  }

  async getMetadata(id: BlobId, signal: AbortSignal): Promise<BlobMetadata> {
    signal.throwIfAborted();
    assertBlobId(id);
    const request: GcsRequest = { operation: 'look at', subject: `blob ${id}` };
    const url = `${this.#objectUrl(id)}?fields=${OBJECT_FIELDS}`;
    const answer = await this.#send(request, { method: 'GET', url, maxBodyBytes: MAX_ANSWER_BYTES }, signal);
    await this.#requireSuccess(answer, request, id, signal);
    return metadataOf(id, parseAnswer<StoredObject>(answer, request));
  }

  async putBlob(id: BlobId, bytes: Uint8Array, signal: AbortSignal): Promise<BlobMetadata> {
    signal.throwIfAborted();
    assertBlobId(id);
    this.#refuseReadOnly(`write blob ${id}`);
    const request: GcsRequest = { operation: 'write', subject: `blob ${id}` };
    const boundary = `windlass-${toHex(this.#deps.random.bytes(16))}`;
    const object = {
      name: this.#key(id),
      contentType: CONTENT_TYPE,
      // The store compares.
      md5Hash: createHash('md5').update(bytes).digest('base64'),
    };
    const head =
      `--${boundary}\r\ncontent-type: application/json; charset=UTF-8\r\n\r\n${JSON.stringify(object)}\r\n` +
      `--${boundary}\r\ncontent-type: ${CONTENT_TYPE}\r\n\r\n`;
    const { bucket, kmsKeyName } = this.#options;
    const kms = kmsKeyName === undefined ? '' : `&kmsKeyName=${encodeURIComponent(kmsKeyName)}`;
    const query = `uploadType=multipart&fields=${OBJECT_FIELDS}${kms}`;
    const answer = await this.#send(
      request,
      {
        method: 'POST',
        url: `${this.#endpoint}/upload/storage/v1/b/${encodeURIComponent(bucket)}/o?${query}`,
        headers: { 'content-type': `multipart/related; boundary=${boundary}` },
        body: [Buffer.from(head), bytes, Buffer.from(`\r\n--${boundary}--\r\n`)],
        maxBodyBytes: MAX_ANSWER_BYTES,
      },
      signal,
    );
    await this.#requireSuccess(answer, request, undefined, signal);
    const stored = metadataOf(id, parseAnswer<StoredObject>(answer, request));
    if (stored.length === bytes.length) return stored;
    throw storeFailure('BLOB_TRUNCATED', { ...request, storeCode: 'LengthDiffers' });
  }

  async *listBlobs(prefix: string, signal: AbortSignal): AsyncGenerator<BlobMetadata, void, void> {
    signal.throwIfAborted();
    assertBlobPrefix(prefix);
    let pageToken: string | undefined;
    do {
      const page = await this.#listPage(prefix, pageToken, LIST_PAGE, signal);
      for (const object of page.items ?? []) {
        signal.throwIfAborted();
        const id = (object.name ?? '').slice(this.#options.prefix.length);
        // What is in a directory below, or has no name of a blob, is somebody else's.
        if (object.name?.startsWith(this.#options.prefix) === true && isBlobId(id)) yield metadataOf(id, object);
      }
      pageToken = page.nextPageToken;
    } while (pageToken !== undefined && pageToken !== '');
  }

  async #listPage(
    prefix: string,
    pageToken: string | undefined,
    maxResults: number,
    signal: AbortSignal,
  ): Promise<ObjectPage> {
    const request: GcsRequest = { operation: 'list', subject: this.displayName };
    const query = new URLSearchParams({
      prefix: `${this.#options.prefix}${prefix}`,
      maxResults: String(maxResults),
      fields: `items(${OBJECT_FIELDS}),nextPageToken`,
      ...(pageToken === undefined ? {} : { pageToken }),
    });
    const url = `${this.#bucketUrl()}/o?${query.toString()}`;
    const answer = await this.#send(request, { method: 'GET', url, maxBodyBytes: MAX_ANSWER_BYTES }, signal);
    await this.#requireSuccess(answer, request, undefined, signal);
    return parseAnswer<ObjectPage>(answer, request);
  }

  async deleteBlob(id: BlobId, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    assertBlobId(id);
    this.#refuseReadOnly(`delete blob ${id}`);
    const request: GcsRequest = { operation: 'delete', subject: `blob ${id}` };
    const url = this.#objectUrl(id);
    const answer = await this.#send(request, { method: 'DELETE', url, maxBodyBytes: MAX_ANSWER_BYTES }, signal);
    try {
      await this.#requireSuccess(answer, request, id, signal);
    } catch (error) {
      if (!hasCode(error, 'BLOB_NOT_FOUND')) throw error;
    }
  }

  async freeBytes(signal: AbortSignal): Promise<undefined> {
    signal.throwIfAborted();
    return undefined;
  }

  /** Credentials are asked for anew by the next request. */
  async refreshCredentials(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.#authorization = undefined;
  }

  async close(): Promise<void> {
    this.#http.close();
  }

  #key(id: BlobId): string {
    return `${this.#options.prefix}${id}`;
  }

  #bucketUrl(): string {
    return `${this.#endpoint}/storage/v1/b/${encodeURIComponent(this.#options.bucket)}`;
  }

  #objectUrl(id: BlobId): string {
    return `${this.#bucketUrl()}/o/${encodeURIComponent(this.#key(id))}`;
  }

  #refuseReadOnly(operation: string): void {
    if (this.#options.readOnly === true) throw storageIsReadOnly(operation, this.displayName);
  }

  async #send(request: GcsRequest, http: HttpRequest, signal: AbortSignal): Promise<HttpResponse> {
    const authorization = await this.#authorize(request, signal);
    try {
      const answer = await this.#http.request({ ...http, headers: { ...http.headers, ...authorization } }, signal);
      if (answer.status < 400 || answer.status === 404) this.#hasAnswered = true;
      return answer;
    } catch (error) {
      signal.throwIfAborted();
      throw translateGcsError(error, request, this.#hasAnswered);
    }
  }

  async #authorize(request: GcsRequest, signal: AbortSignal): Promise<Record<string, string>> {
    if (this.#options.anonymous === true) return {};
    const authorization = (this.#authorization ??= gcsAuthorization(this.#options, this.displayName));
    try {
      return await untilAborted((async () => (await authorization)())(), signal);
    } catch (error) {
      signal.throwIfAborted();
      // Not kept: the next request may find the credentials in place.
      if (this.#authorization === authorization) this.#authorization = undefined;
      throw translateGcsAuthError(error, request, this.#hasAnswered);
    }
  }

  /** `id` is of a blob whose absence is no failure of the bucket. */
  async #requireSuccess(
    answer: HttpResponse,
    request: GcsRequest,
    id: BlobId | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    if (answer.status >= 200 && answer.status < 300) return;
    if (answer.status !== 404) throw gcsAnswerFailure(answer, request);
    const { message } = gcsErrorFacts(answer);
    const isBucket = id === undefined || /bucket does not exist/i.test(message);
    if (isBucket) throw storeFailure('BLOB_BUCKET_MISSING', { ...request, httpStatus: 404 });
    // The store's word for both is the same: where it does not say which, a list of one object does.
    if (!/no such object/i.test(message)) await this.#listPage('', undefined, 1, signal);
    throw blobNotFound(id);
  }
}

/** A range that a request can ask for. */
function isReadable({ offset, length }: ByteRange): boolean {
  return Number.isSafeInteger(offset) && offset >= 0 && Number.isSafeInteger(offset + length) && length > 0;
}

function metadataOf(id: BlobId, { size, timeCreated }: StoredObject): BlobMetadata {
  // A time of the last change would move with every change of the retention.
  return { id, length: Number(size ?? 0), timestampMs: Date.parse(timeCreated ?? '') || 0 };
}

function parseAnswer<T>({ body }: HttpResponse, request: GcsRequest): T {
  try {
    return JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.length).toString('utf8')) as T;
  } catch {
    // A proxy's page perhaps.
    throw storeFailure('BLOB_STORE_REFUSED', { ...request, storeCode: 'NotJson' });
  }
}

/** The promise goes on by itself: nothing ends the asking for a token. */
async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = (): void => reject(signal.reason as Error);
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
