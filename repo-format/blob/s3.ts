// Blobs in an S3 bucket (repository format §1.4): a blob is the object `prefix ‖ name`. One request a call and one attempt:
// retrying, limits and counting are wrappers.
import type { PutObjectCommandInput, S3Client } from '@aws-sdk/client-s3';
import type { Clock } from '../../base/clock.ts';
import { assertRangeInside, blobInvalidRange, blobNotFound, storageIsReadOnly, storeFailure } from './blob-errors.ts';
import { assertBlobId, assertBlobPrefix, isBlobId } from './blob-id.ts';
import { isRetainedBlob } from './retained-blobs.ts';
import type { HttpResponse } from './http-client.ts';
import { bodyOf, decodeKey, headerTime, nextToken, wholeSeconds } from './s3-answers.ts';
import { createS3Client, s3Region, type S3Library } from './s3-client.ts';
import { CredentialsSource, provideCredentials } from './s3-credentials.ts';
import { libraryAddress, plainAddress, type S3Address } from './s3-endpoint.ts';
import { s3ErrorFacts, translateS3Error } from './s3-errors.ts';
import type { S3Checksum, S3Options } from './s3-options.ts';
import { isOwnChecksum, putHeaders, type PutOptions } from './s3-put-headers.ts';
import { S3Requests } from './s3-requests.ts';
import { extendLock, type Lock, type ObjectLockMode } from './s3-retention.ts';
import { parseStorageClasses, STORAGE_CONFIG_NAME, storageClassOf, type StorageClasses } from './s3-storage-classes.ts';
import { parseListPage } from './s3-xml.ts';
import type { BlobId, BlobMetadata, BlobStorage, ByteRange, Retention } from './storage.ts';

export interface S3StorageDeps {
  readonly clock: Pick<Clock, 'nowMs'>;
}

const CONTENT_TYPE = 'application/x-kopia';
/** Longer blobs go in parts. Packs never do: some stores tell the parts of a whole from one that was put. */
const LONGEST_PUT_BYTES = 64 << 20;
const PART_BYTES = 16 << 20;
const PARTS_AT_A_TIME = 4;
/** A `.storageconfig` longer than that is none. */
const MAX_STORAGE_CONFIG_BYTES = 1 << 20;
/** No blob is longer: the largest pack has some 121 MiB, an index blob less than its contents allow. */
const MAX_BLOB_BYTES = 1 << 30;
/** A page of a list has a thousand keys of a kilobyte, three times that when encoded. */
const MAX_ANSWER_BYTES = 16 << 20;
/** What a store may mean by these, it says only in a body. */
const WORDLESS_STATUSES: ReadonlySet<number> = new Set([400, 401, 403, 404]);

/** No request yet, unless the bucket has to be asked for its region. */
export async function openS3Storage(
  options: S3Options & { readonly readOnly?: boolean },
  deps: S3StorageDeps,
  signal: AbortSignal,
): Promise<BlobStorage> {
  const region = await s3Region(loadLibrary, options, signal);
  return new S3Storage(options, region, deps);
}

function loadLibrary(): Promise<S3Library> {
  return import('@aws-sdk/client-s3');
}

/** What is rare is left to the library. */
interface LibraryStore {
  readonly library: S3Library;
  readonly client: S3Client;
}

interface Subject {
  readonly operation: string;
  readonly subject: string;
  readonly id?: BlobId;
}

class S3Storage implements BlobStorage {
  readonly displayName: string;
  readonly #options: S3Options & { readonly readOnly?: boolean };
  readonly #region: string;
  readonly #clock: Pick<Clock, 'nowMs'>;
  readonly #credentials: CredentialsSource;
  readonly #requests: S3Requests;
  #libraryStore: Promise<LibraryStore> | undefined;
  readonly #oldLibraryStores: Promise<LibraryStore>[] = [];
  /** Whether anything succeeded: then what fails later is neither the address nor, from the start, the keys. */
  #hasAnswered = false;
  #retention: Retention | undefined;
  #storageClasses: Promise<StorageClasses> | undefined;

  constructor(options: S3Options & { readonly readOnly?: boolean }, region: string, deps: S3StorageDeps) {
    const { bucket, prefix, endpoint } = options;
    this.#options = options;
    this.#region = region;
    this.#clock = deps.clock;
    this.#credentials = new CredentialsSource(() => provideCredentials(options, () => this.#callerConfig()));
    this.#requests = new S3Requests(options, region, {
      credentials: this.#credentials,
      nowMs: () => deps.clock.nowMs(),
      addressIn: (bucketRegion) => this.#addressIn(bucketRegion),
    });
    this.displayName = `s3://${bucket}/${prefix}${endpoint === undefined ? '' : ` at ${endpoint}`}`;
  }

  async getBlob(id: BlobId, range: ByteRange | undefined, signal: AbortSignal): Promise<Uint8Array> {
    signal.throwIfAborted();
    assertBlobId(id);
    if (range?.length === 0) return await this.#readNothing(id, range, signal);
    if (range !== undefined && !isSendable(range)) throw blobInvalidRange(id, range, undefined);
    const subject = { operation: 'read', subject: `blob ${id}`, id };
    const headers: Record<string, string> =
      range === undefined ? {} : { range: `bytes=${range.offset}-${range.offset + range.length - 1}` };
    // A store that does not know ranges sends more, and is refused as that.
    const maxBodyBytes = range?.length ?? MAX_BLOB_BYTES;
    return await this.#request(
      subject,
      async () => bodyOf(await this.#get(id, headers, maxBodyBytes, signal), id, range),
      signal,
      (error) =>
        range !== undefined && s3ErrorFacts(error).httpStatus === 416 ? blobInvalidRange(id, range, undefined) : error,
    );
  }

  #get(
    id: string,
    headers: Readonly<Record<string, string>>,
    maxBodyBytes: number,
    signal: AbortSignal,
  ): Promise<HttpResponse> {
    return this.#requests.send({ method: 'GET', key: this.#keyOf(id), headers, maxBodyBytes }, signal);
  }

  async getMetadata(id: BlobId, signal: AbortSignal): Promise<BlobMetadata> {
    signal.throwIfAborted();
    assertBlobId(id);
    const { headers } = await this.#request(
      { operation: 'look at', subject: `blob ${id}`, id },
      async () => {
        try {
          return await this.#requests.send({ method: 'HEAD', key: this.#keyOf(id), maxBodyBytes: 0 }, signal);
        } catch (error) {
          throw WORDLESS_STATUSES.has(s3ErrorFacts(error).httpStatus ?? 0)
            ? await this.#inWords(id, error, signal)
            : error;
        }
      },
      signal,
    );
    return { id, length: Number(headers['content-length'] ?? 0), timestampMs: headerTime(headers['last-modified'], 0) };
  }

  async putBlob(id: BlobId, bytes: Uint8Array, signal: AbortSignal): Promise<BlobMetadata> {
    signal.throwIfAborted();
    assertBlobId(id);
    this.#refuseReadOnly(`write blob ${id}`);
    const input = await this.#putOptions(id, signal);
    const subject = { operation: 'write', subject: `blob ${id}`, id };
    const timestampMs = await this.#request(subject, () => this.#put(id, input, bytes, signal), signal);
    return { id, length: bytes.length, timestampMs };
  }

  async *listBlobs(prefix: string, signal: AbortSignal): AsyncIterable<BlobMetadata> {
    signal.throwIfAborted();
    assertBlobPrefix(prefix);
    // Whoever may write asks beside the lists that come first: the first put does not wait for it.
    if (this.#options.readOnly !== true) void this.#askStorageClasses(signal).catch(() => undefined);
    const { prefix: place } = this.#options;
    const subject = { operation: 'list', subject: `blobs of ${this.displayName}` };
    const query = { 'list-type': '2', prefix: `${place}${prefix}`, delimiter: '/', 'encoding-type': 'url' };
    let token: string | undefined;
    do {
      const next: Record<string, string> = token === undefined ? {} : { 'continuation-token': token };
      const page = await this.#request(
        subject,
        async () => {
          const request = { method: 'GET' as const, query: { ...query, ...next }, maxBodyBytes: MAX_ANSWER_BYTES };
          const { body } = await this.#requests.send(request, signal);
          const text = Buffer.from(body.buffer, body.byteOffset, body.length).toString('utf8');
          const list = parseListPage(text);
          // A proxy's page perhaps.
          if (list === undefined) throw storeFailure('BLOB_STORE_REFUSED', { ...subject, storeCode: 'NoList' });
          return list;
        },
        signal,
      );
      for (const { key, length, lastModified } of page.blobs) {
        signal.throwIfAborted();
        const name = (page.isEncoded ? decodeKey(key) : key).slice(place.length);
        // Whatever else lies there is nobody's blob.
        if (isBlobId(name) && name !== STORAGE_CONFIG_NAME)
          yield { id: name, length, timestampMs: wholeSeconds(lastModified) };
      }
      token = nextToken(page.isTruncated, token, page.nextToken, subject);
    } while (token !== undefined);
    signal.throwIfAborted();
  }

  async deleteBlob(id: BlobId, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    assertBlobId(id);
    this.#refuseReadOnly(`delete blob ${id}`);
    const isGone = (error: unknown): boolean => ['NoSuchKey', 'NotFound'].includes(s3ErrorFacts(error).name);
    await this.#request(
      { operation: 'delete', subject: `blob ${id}` },
      async () => {
        try {
          const request = { method: 'DELETE' as const, key: this.#keyOf(id), maxBodyBytes: MAX_ANSWER_BYTES };
          await this.#requests.send(request, signal);
        } catch (error) {
          if (!isGone(error)) throw error;
        }
      },
      signal,
    );
  }

  retainPuts(retention: Retention): void {
    this.#retention = retention;
  }

  async freeBytes(signal: AbortSignal): Promise<undefined> {
    signal.throwIfAborted();
  }

  async close(): Promise<void> {
    this.#requests.close();
    const opened = [this.#libraryStore, ...this.#oldLibraryStores.splice(0)];
    for (const store of opened) {
      // Whoever wanted it was told why it could not be loaded.
      const { client } = (await store?.catch(() => undefined)) ?? {};
      client?.destroy();
    }
  }

  #keyOf(id: string): string {
    return `${this.#options.prefix}${id}`;
  }

  #place(id: string): { Bucket: string; Key: string } {
    return { Bucket: this.#options.bucket, Key: this.#keyOf(id) };
  }

  #openLibrary(): Promise<LibraryStore> {
    this.#libraryStore ??= loadLibrary().then((library) => ({
      library,
      client: createS3Client(library, this.#options, this.#region),
    }));
    return this.#libraryStore;
  }

  async #addressIn(region: string): Promise<S3Address> {
    const plain = plainAddress(this.#options, region);
    if (plain !== undefined) return plain;
    const library = await loadLibrary();
    return await libraryAddress(
      library,
      (changes) => createS3Client(library, this.#options, region, changes),
      this.#options.bucket,
    );
  }

  /** Whoever trusts an authority of their own asks for a role by way of the same. */
  async #callerConfig(): Promise<object> {
    const { caCertPem, insecureSkipTlsVerify = false } = this.#options;
    if (caCertPem === undefined && !insecureSkipTlsVerify) return { region: async () => this.#region };
    return (await this.#openLibrary()).client.config;
  }

  /** An answer to a HEAD has no words: whether the blob, the bucket or the key is unknown, or keys have expired, a GET tells. */
  async #inWords(id: BlobId, refusal: unknown, signal: AbortSignal): Promise<unknown> {
    try {
      await this.#get(id, { range: 'bytes=0-0' }, MAX_ANSWER_BYTES, signal);
      return refusal;
    } catch (error) {
      return s3ErrorFacts(error).httpStatus === 416 ? refusal : error;
    }
  }

  #refuseReadOnly(operation: string): void {
    if (this.#options.readOnly === true) throw storageIsReadOnly(operation, this.displayName);
  }

  /** Nothing of a blob can still be asked for where there is none, or outside of it. */
  async #readNothing(id: BlobId, range: ByteRange, signal: AbortSignal): Promise<Uint8Array> {
    const { length } = await this.getMetadata(id, signal);
    assertRangeInside(id, range, length);
    return new Uint8Array(0);
  }

  /** The store's time of the put: its answer's date. */
  async #put(id: BlobId, options: PutOptions, bytes: Uint8Array, signal: AbortSignal): Promise<number> {
    const { checksumAlgorithm } = this.#options;
    if (bytes.length > LONGEST_PUT_BYTES || !isOwnChecksum(checksumAlgorithm))
      return await this.#putByLibrary({ ...this.#place(id), ...options, Body: bytes }, signal);
    const headers = putHeaders(options, bytes, this.#checksum());
    const { headers: told } = await this.#requests.send(
      { method: 'PUT', key: this.#keyOf(id), headers, body: bytes, maxBodyBytes: MAX_ANSWER_BYTES },
      signal,
    );
    return headerTime(told['date'], this.#clock.nowMs());
  }

  /** Amazon's own store checks one of every put, others may refuse it. */
  #checksum(): S3Checksum {
    return this.#options.checksumAlgorithm ?? (this.#options.endpoint === undefined ? 'CRC32' : 'none');
  }

  /** In parts when it is long. */
  async #putByLibrary(input: PutObjectCommandInput & { Body: Uint8Array }, signal: AbortSignal): Promise<number> {
    const { Upload } = await import('@aws-sdk/lib-storage');
    const { client } = await this.#openLibrary();
    const abortController = new AbortController();
    const abort = (): void => abortController.abort();
    const checksum = input.ObjectLockMode === undefined ? {} : { ChecksumAlgorithm: 'CRC32' as const };
    const upload = new Upload({
      client,
      params: { ...checksum, ...input },
      partSize: input.Body.length > LONGEST_PUT_BYTES ? PART_BYTES : LONGEST_PUT_BYTES,
      queueSize: PARTS_AT_A_TIME,
      abortController,
    });
    signal.addEventListener('abort', abort);
    try {
      await upload.done();
    } finally {
      signal.removeEventListener('abort', abort);
    }
    return headerTime(undefined, this.#clock.nowMs());
  }

  async #putOptions(id: BlobId, signal: AbortSignal): Promise<PutOptions> {
    const { serverSideEncryption, kmsKeyId, tagging, storageClass, checksumAlgorithm } = this.#options;
    const chosenClass = storageClassOf(await this.#askStorageClasses(signal), id) ?? storageClass;
    const retention = isRetainedBlob(id) ? this.#retention : undefined;
    const encryption = kmsKeyId === undefined ? serverSideEncryption : 'aws:kms';
    return {
      ContentType: CONTENT_TYPE,
      ...(chosenClass === undefined
        ? {}
        : { StorageClass: chosenClass as NonNullable<PutObjectCommandInput['StorageClass']> }),
      ...(encryption === undefined
        ? {}
        : { ServerSideEncryption: encryption as NonNullable<PutObjectCommandInput['ServerSideEncryption']> }),
      ...(kmsKeyId === undefined ? {} : { SSEKMSKeyId: kmsKeyId }),
      ...(tagging === undefined ? {} : { Tagging: tagging }),
      ...(checksumAlgorithm === undefined || checksumAlgorithm === 'none'
        ? {}
        : { ChecksumAlgorithm: checksumAlgorithm }),
      ...(retention === undefined ? {} : this.#lockUntil(retention)),
    };
  }

  #lockUntil({ mode, periodMs }: Retention): Lock {
    return {
      ObjectLockMode: mode as ObjectLockMode,
      ObjectLockRetainUntilDate: new Date(this.#clock.nowMs() + periodMs),
    };
  }

  /** Once; a failure is the caller's, and the next one asks again. */
  #askStorageClasses(signal: AbortSignal): Promise<StorageClasses> {
    if (this.#storageClasses !== undefined) return this.#storageClasses;
    const asked = this.#readStorageClasses(signal);
    this.#storageClasses = asked;
    asked.catch(() => {
      if (this.#storageClasses === asked) this.#storageClasses = undefined;
    });
    return asked;
  }

  async #readStorageClasses(signal: AbortSignal): Promise<StorageClasses> {
    const subject = { operation: 'read', subject: STORAGE_CONFIG_NAME };
    const bytes = await this.#request(
      subject,
      async () => {
        try {
          return (await this.#get(STORAGE_CONFIG_NAME, {}, MAX_STORAGE_CONFIG_BYTES, signal)).body;
        } catch (error) {
          // A key that may not be read may be none, as it is for most users: then there are no classes to follow.
          if (['NoSuchKey', 'NotFound', 'AccessDenied'].includes(s3ErrorFacts(error).name)) return undefined;
          throw error;
        }
      },
      signal,
    );
    return bytes === undefined ? [] : parseStorageClasses(bytes);
  }

  async extendRetention(id: BlobId, retention: Retention, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    assertBlobId(id);
    this.#refuseReadOnly(`extend the retention of blob ${id}`);
    const lock = this.#lockUntil(retention);
    const subject = { operation: 'extend the retention of', subject: `blob ${id}`, id };
    const place = this.#place(id);
    await this.#request(subject, async () => extendLock(await this.#openLibrary(), place, lock, signal), signal);
  }

  /** One attempt. Translates what fails, and asks for credentials anew next time when these no longer do. */
  async #request<T>(
    { operation, subject, id }: Subject,
    send: () => Promise<T>,
    signal: AbortSignal,
    recognize: (error: unknown) => unknown = (error) => error,
  ): Promise<T> {
    try {
      const answer = await send();
      this.#hasAnswered = true;
      return answer;
    } catch (thrown) {
      signal.throwIfAborted();
      const error = recognize(thrown);
      const { name } = s3ErrorFacts(error);
      if (id !== undefined && (name === 'NoSuchKey' || name === 'NotFound')) {
        this.#hasAnswered = true;
        throw blobNotFound(id);
      }
      const translated = translateS3Error(error, { operation, subject, hasAnswered: this.#hasAnswered });
      if (isCredentialsFailure(translated)) this.#forgetCredentials();
      throw translated;
    }
  }

  /** The library keeps them with its client. */
  #forgetCredentials(): void {
    this.#credentials.forget();
    if (this.#libraryStore !== undefined) this.#oldLibraryStores.push(this.#libraryStore);
    this.#libraryStore = undefined;
  }
}

function isCredentialsFailure(error: unknown): boolean {
  return error instanceof Error && 'retry' in error && error.retry === 'after-refresh';
}

function isSendable({ offset, length }: ByteRange): boolean {
  const valid = Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0;
  return valid && Number.isSafeInteger(offset + length);
}
