// Blobs in an S3 bucket (repository format §1.4): a blob is the object `prefix ‖ name`. One request a call and one attempt:
// retrying, limits and counting are wrappers.
import type { PutObjectCommandInput, S3Client } from '@aws-sdk/client-s3';
import type { Clock } from '../../base/clock.ts';
import { assertRangeInside, blobInvalidRange, blobNotFound, storageIsReadOnly } from './blob-errors.ts';
import { assertBlobId, assertBlobPrefix, isBlobId } from './blob-id.ts';
import { isRetainedBlob } from './retained-blobs.ts';
import { bodyOf, decodeKey, headerOf, md5Base64, nextToken, storeTime, wholeSeconds, dropBody } from './s3-answers.ts';
import { createS3Client, s3Region, type S3Library } from './s3-client.ts';
import { s3ErrorFacts, translateS3Error } from './s3-errors.ts';
import type { S3Options } from './s3-options.ts';
import { extendLock, type Lock, type ObjectLockMode } from './s3-retention.ts';
import { parseStorageClasses, STORAGE_CONFIG_NAME, storageClassOf, type StorageClasses } from './s3-storage-classes.ts';
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

/** No request yet, unless the bucket has to be asked for its region. */
export async function openS3Storage(
  options: S3Options & { readonly readOnly?: boolean },
  deps: S3StorageDeps,
  signal: AbortSignal,
): Promise<BlobStorage> {
  const library = await import('@aws-sdk/client-s3');
  const region = await s3Region(library, options, signal);
  return new S3Storage(library, options, region, deps);
}

interface Subject {
  readonly operation: string;
  readonly subject: string;
  readonly id?: BlobId;
}

class S3Storage implements BlobStorage {
  readonly displayName: string;
  readonly #library: S3Library;
  readonly #options: S3Options & { readonly readOnly?: boolean };
  readonly #region: string;
  readonly #clock: Pick<Clock, 'nowMs'>;
  #client: S3Client;
  /** Whether anything succeeded: then what fails later is neither the address nor, from the start, the keys. */
  #hasAnswered = false;
  readonly #oldClients: S3Client[] = [];
  #retention: Retention | undefined;
  #storageClasses: StorageClasses | undefined;

  constructor(
    library: S3Library,
    options: S3Options & { readonly readOnly?: boolean },
    region: string,
    deps: S3StorageDeps,
  ) {
    const { bucket, prefix, endpoint } = options;
    this.#library = library;
    this.#options = options;
    this.#region = region;
    this.#clock = deps.clock;
    this.#client = createS3Client(library, options, region);
    this.displayName = `s3://${bucket}/${prefix}${endpoint === undefined ? '' : ` at ${endpoint}`}`;
  }

  async getBlob(id: BlobId, range: ByteRange | undefined, signal: AbortSignal): Promise<Uint8Array> {
    signal.throwIfAborted();
    assertBlobId(id);
    if (range?.length === 0) return await this.#readNothing(id, range, signal);
    if (range !== undefined && !isSendable(range)) throw blobInvalidRange(id, range, undefined);
    const subject = { operation: 'read', subject: `blob ${id}`, id };
    const bounds = range === undefined ? {} : { Range: `bytes=${range.offset}-${range.offset + range.length - 1}` };
    const { GetObjectCommand } = this.#library;
    return await this.#request(
      subject,
      async (client) => {
        const answer = await client.send(new GetObjectCommand({ ...this.#place(id), ...bounds }), {
          abortSignal: signal,
        });
        return await bodyOf(answer, id, range, signal);
      },
      signal,
      (error) =>
        range !== undefined && s3ErrorFacts(error).httpStatus === 416 ? blobInvalidRange(id, range, undefined) : error,
    );
  }

  async getMetadata(id: BlobId, signal: AbortSignal): Promise<BlobMetadata> {
    signal.throwIfAborted();
    assertBlobId(id);
    const { HeadObjectCommand } = this.#library;
    const command = new HeadObjectCommand(this.#place(id));
    const answer = await this.#request(
      { operation: 'look at', subject: `blob ${id}`, id },
      async (client) => {
        try {
          return await client.send(command, { abortSignal: signal });
        } catch (error) {
          throw s3ErrorFacts(error).httpStatus === 404 ? await this.#whyMissing(client, id, error, signal) : error;
        }
      },
      signal,
    );
    return { id, length: answer.ContentLength ?? 0, timestampMs: wholeSeconds(answer.LastModified) };
  }

  async putBlob(id: BlobId, bytes: Uint8Array, signal: AbortSignal): Promise<BlobMetadata> {
    signal.throwIfAborted();
    assertBlobId(id);
    this.#refuseReadOnly(`write blob ${id}`);
    const input = { ...this.#place(id), ...(await this.#putOptions(id, signal)), Body: bytes };
    const subject = { operation: 'write', subject: `blob ${id}`, id };
    const dateMs = await this.#request(subject, (client) => this.#put(client, input, signal), signal);
    return { id, length: bytes.length, timestampMs: dateMs };
  }

  async *listBlobs(prefix: string, signal: AbortSignal): AsyncIterable<BlobMetadata> {
    signal.throwIfAborted();
    assertBlobPrefix(prefix);
    const { bucket, prefix: place } = this.#options;
    const { ListObjectsV2Command } = this.#library;
    const input = { Bucket: bucket, Prefix: `${place}${prefix}`, Delimiter: '/', EncodingType: 'url' as const };
    let token: string | undefined;
    do {
      const page = new ListObjectsV2Command({ ...input, ...(token === undefined ? {} : { ContinuationToken: token }) });
      const subject = { operation: 'list', subject: `blobs of ${this.displayName}` };
      const answer = await this.#request(subject, (client) => client.send(page, { abortSignal: signal }), signal);
      const isEncoded = answer.EncodingType === 'url';
      for (const { Key: key = '', Size: length = 0, LastModified: time } of answer.Contents ?? []) {
        signal.throwIfAborted();
        const name = (isEncoded ? decodeKey(key) : key).slice(place.length);
        // Whatever else lies there is nobody's blob.
        if (isBlobId(name) && name !== STORAGE_CONFIG_NAME) yield { id: name, length, timestampMs: wholeSeconds(time) };
      }
      token = nextToken(answer.IsTruncated, token, answer.NextContinuationToken, subject);
    } while (token !== undefined);
    signal.throwIfAborted();
  }

  async deleteBlob(id: BlobId, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    assertBlobId(id);
    this.#refuseReadOnly(`delete blob ${id}`);
    const { DeleteObjectCommand } = this.#library;
    const command = new DeleteObjectCommand(this.#place(id));
    const isGone = (error: unknown): boolean => ['NoSuchKey', 'NotFound'].includes(s3ErrorFacts(error).name);
    await this.#request(
      { operation: 'delete', subject: `blob ${id}` },
      async (client) => {
        try {
          await client.send(command, { abortSignal: signal });
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
    for (const client of [this.#client, ...this.#oldClients.splice(0)]) client.destroy();
  }

  #place(id: string): { Bucket: string; Key: string } {
    return { Bucket: this.#options.bucket, Key: `${this.#options.prefix}${id}` };
  }

  /** An answer to a HEAD has no words: whether the blob, the bucket or the key is unknown, a GET tells. */
  async #whyMissing(client: S3Client, id: BlobId, missing: unknown, signal: AbortSignal): Promise<unknown> {
    const { GetObjectCommand } = this.#library;
    try {
      const command = new GetObjectCommand({ ...this.#place(id), Range: 'bytes=0-0' });
      const answer = await client.send(command, { abortSignal: signal });
      dropBody(answer);
      return missing;
    } catch (error) {
      return s3ErrorFacts(error).httpStatus === 416 ? missing : error;
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
  async #put(
    client: S3Client,
    input: PutObjectCommandInput & { Body: Uint8Array },
    signal: AbortSignal,
  ): Promise<number> {
    const { PutObjectCommand } = this.#library;
    if (input.Body.length > LONGEST_PUT_BYTES) return await this.#putInParts(client, input, signal);
    const locked = input.ObjectLockMode === undefined ? {} : { ContentMD5: md5Base64(input.Body) };
    const command = new PutObjectCommand({ ...input, ...locked });
    let date: string | undefined;
    command.middlewareStack.add(
      (next) => async (args) => {
        const result = await next(args);
        date = headerOf(result.response, 'date');
        return result;
      },
      { step: 'deserialize', priority: 'low' },
    );
    await client.send(command, { abortSignal: signal });
    return storeTime(date, this.#clock.nowMs());
  }

  async #putInParts(client: S3Client, input: PutObjectCommandInput, signal: AbortSignal): Promise<number> {
    const { Upload } = await import('@aws-sdk/lib-storage');
    const abortController = new AbortController();
    const abort = (): void => abortController.abort();
    const checksum = input.ObjectLockMode === undefined ? {} : { ChecksumAlgorithm: 'CRC32' as const };
    const upload = new Upload({
      client,
      params: { ...checksum, ...input },
      partSize: PART_BYTES,
      queueSize: PARTS_AT_A_TIME,
      abortController,
    });
    signal.addEventListener('abort', abort);
    try {
      await upload.done();
    } finally {
      signal.removeEventListener('abort', abort);
    }
    return storeTime(undefined, this.#clock.nowMs());
  }

  async #putOptions(id: BlobId, signal: AbortSignal): Promise<Omit<PutObjectCommandInput, 'Bucket' | 'Key'>> {
    const { serverSideEncryption, kmsKeyId, tagging, storageClass, checksumAlgorithm } = this.#options;
    this.#storageClasses ??= await this.#readStorageClasses(signal);
    const chosenClass = storageClassOf(this.#storageClasses, id) ?? storageClass;
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

  /** Asked for once, by the first put. */
  async #readStorageClasses(signal: AbortSignal): Promise<StorageClasses> {
    const { GetObjectCommand } = this.#library;
    const command = new GetObjectCommand(this.#place(STORAGE_CONFIG_NAME));
    const subject = { operation: 'read', subject: STORAGE_CONFIG_NAME };
    const bytes = await this.#request(
      subject,
      async (client) => {
        try {
          const answer = await client.send(command, { abortSignal: signal });
          return await bodyOf(answer, STORAGE_CONFIG_NAME as BlobId, undefined, signal, MAX_STORAGE_CONFIG_BYTES);
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
    await this.#request(
      subject,
      (client) => extendLock({ client, library: this.#library }, place, lock, signal),
      signal,
    );
  }

  /** One attempt. Translates what fails, and asks for credentials anew next time when these no longer do. */
  async #request<T>(
    { operation, subject, id }: Subject,
    send: (client: S3Client) => Promise<T>,
    signal: AbortSignal,
    recognize: (error: unknown) => unknown = (error) => error,
  ): Promise<T> {
    const client = this.#client;
    try {
      const answer = await send(client);
      if (client === this.#client) this.#hasAnswered = true;
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
      if (isCredentialsFailure(translated)) this.#renewClient(client);
      throw translated;
    }
  }

  /** Only once for all that failed with the old one. */
  #renewClient(failed: S3Client): void {
    if (failed !== this.#client) return;
    this.#oldClients.push(failed);
    this.#client = createS3Client(this.#library, this.#options, this.#region);
  }
}

function isCredentialsFailure(error: unknown): boolean {
  return error instanceof Error && 'retry' in error && error.retry === 'after-refresh';
}

function isSendable({ offset, length }: ByteRange): boolean {
  const valid = Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0;
  return valid && Number.isSafeInteger(offset + length);
}
