// Blobs in a container of Azure Blob Storage, through @azure/storage-blob. One request an operation and one attempt a request:
// who tries again sits above (design 0006).
import { createHash } from 'node:crypto';
import type { Agent } from 'node:http';
import type * as AzureLibrary from '@azure/storage-blob';
import type { ContainerClient, StoragePipelineOptions } from '@azure/storage-blob';
import { hasCode } from '../../base/errors.ts';
import { azureTokenFailure, translateAzureError } from './azure-errors.ts';
import { assertRangeInside, blobInvalidRange, isRangeTold, storageIsReadOnly, storeFailure } from './blob-errors.ts';
import { assertBlobId, assertBlobPrefix, isBlobId } from './blob-id.ts';
import { createStoreAgent, type StoreAgentOptions } from './store-agent.ts';
import { readBody } from './read-body.ts';
import type { BlobId, BlobMetadata, BlobStorage, ByteRange } from './storage.ts';

export type AzureCredential =
  | { readonly kind: 'account-key'; readonly key: string }
  | { readonly kind: 'sas'; readonly token: string }
  | { readonly kind: 'identity'; readonly getToken: (signal: AbortSignal) => Promise<AzureToken> };

export interface AzureToken {
  readonly token: string;
  readonly expiresAtMs: number;
}

export interface AzureStorageOptions extends StoreAgentOptions {
  readonly account: string;
  readonly container: string;
  /** In front of every name; empty, or ending as it should. */
  readonly prefix: string;
  /** `https://ACCOUNT.blob.core.windows.net`, or where an emulator is. */
  readonly endpoint?: string | undefined;
  readonly blockSizeBytes?: number | undefined;
  readonly readOnly?: boolean;
}

export interface AzureStorageDeps {
  /** Asks the credential chain; called at first and after the store refused what it gave. */
  readonly credential: (signal: AbortSignal) => Promise<AzureCredential>;
}

/** A put of more than this goes in blocks. */
const MAX_SINGLE_PUT_BYTES = 64 << 20;
const DEFAULT_BLOCK_BYTES = 16 << 20;
const LIST_PAGE = 5000;
const CONTENT_TYPE = 'application/x-kopia';

export async function openAzureStorage(options: AzureStorageOptions, deps: AzureStorageDeps): Promise<AzureStorage> {
  const sdk = await import('@azure/storage-blob');
  return new AzureStorage(options, deps, sdk);
}

type Sdk = typeof AzureLibrary;

export class AzureStorage implements BlobStorage {
  readonly displayName: string;
  readonly #options: AzureStorageOptions;
  readonly #deps: AzureStorageDeps;
  readonly #sdk: Sdk;
  readonly #endpoint: string;
  readonly #agent: Agent;
  #client: Promise<ContainerClient> | undefined;
  #hasAnswered = false;

  constructor(options: AzureStorageOptions, deps: AzureStorageDeps, sdk: Sdk) {
    this.#options = options;
    this.#deps = deps;
    this.#sdk = sdk;
    this.#endpoint = (options.endpoint ?? `https://${options.account}.blob.core.windows.net`).replace(/\/+$/, '');
    this.#agent = createStoreAgent(new URL(this.#endpoint).protocol, options);
    this.displayName = `azblob://${options.container}/${options.prefix}?account=${options.account}`;
  }

  async getBlob(id: BlobId, range: ByteRange | undefined, signal: AbortSignal): Promise<Uint8Array> {
    assertBlobId(id);
    if (range !== undefined && !isReadable(range)) return this.#readNothing(id, range, signal);
    try {
      return await this.#call('read', id, signal, (container) => this.#download(container, id, range, signal), range);
    } catch (error) {
      // The store's refusal does not say how long the blob is.
      if (range !== undefined && hasCode(error, 'BLOB_INVALID_RANGE')) await this.#readNothing(id, range, signal);
      throw error;
    }
  }

  /** No bytes, or none that could be there: the length alone decides. */
  async #readNothing(id: BlobId, range: ByteRange, signal: AbortSignal): Promise<Uint8Array> {
    assertRangeInside(id, range, (await this.getMetadata(id, signal)).length);
    return new Uint8Array(0);
  }

  async #download(
    container: ContainerClient,
    id: BlobId,
    range: ByteRange | undefined,
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    const details = { operation: 'read', subject: `blob ${id}` };
    const blob = container.getBlobClient(this.#key(id));
    const {
      readableStreamBody: body,
      contentLength = 0,
      contentRange,
    } = await blob.download(range?.offset ?? 0, range?.length, {
      abortSignal: signal,
      maxRetryRequests: 0,
    });
    if (body === undefined) throw storeFailure('BLOB_TRUNCATED', details);
    // The library's stream complains when nobody reads it to its end.
    body.on('error', () => undefined);
    const stream = body as NodeJS.ReadableStream & { destroy(error?: Error): void };
    if (range !== undefined && contentLength < range.length && !isRangeTold(contentRange, range)) {
      stream.destroy();
      throw blobInvalidRange(id, range, range.offset + contentLength);
    }
    return readBody(stream, { expectedBytes: range?.length ?? contentLength, details }, signal);
  }

  async getMetadata(id: BlobId, signal: AbortSignal): Promise<BlobMetadata> {
    assertBlobId(id);
    return this.#call('look at', id, signal, async (container) => {
      const found = await container.getBlobClient(this.#key(id)).getProperties({ abortSignal: signal });
      return { id, length: found.contentLength ?? 0, timestampMs: found.lastModified?.getTime() ?? 0 };
    });
  }

  async putBlob(id: BlobId, bytes: Uint8Array, signal: AbortSignal): Promise<BlobMetadata> {
    assertBlobId(id);
    this.#refuseReadOnly(`write blob ${id}`);
    return this.#call('write', id, signal, async (container) => {
      const blob = container.getBlockBlobClient(this.#key(id));
      const headers = { blobContentType: CONTENT_TYPE };
      const md5 = createHash('md5').update(bytes).digest();
      if (bytes.length > MAX_SINGLE_PUT_BYTES) {
        const blocks = await this.#putBlocks(blob, bytes, signal);
        const done = await blob.commitBlockList(blocks, {
          abortSignal: signal,
          blobHTTPHeaders: { ...headers, blobContentMD5: md5 },
        });
        return { id, length: bytes.length, timestampMs: done.lastModified?.getTime() ?? 0 };
      }
      const done = await blob.upload(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), bytes.length, {
        abortSignal: signal,
        blobHTTPHeaders: { ...headers, blobContentMD5: md5 },
        transactionalContentMD5: md5,
      });
      return { id, length: bytes.length, timestampMs: done.lastModified?.getTime() ?? 0 };
    });
  }

  /** One after the other: nothing a repository writes is so long that it would matter. */
  async #putBlocks(
    blob: ReturnType<ContainerClient['getBlockBlobClient']>,
    bytes: Uint8Array,
    signal: AbortSignal,
  ): Promise<string[]> {
    const sizeBytes = this.#options.blockSizeBytes ?? DEFAULT_BLOCK_BYTES;
    const names: string[] = [];
    for (let offset = 0; offset < bytes.length; offset += sizeBytes) {
      const part = bytes.subarray(offset, offset + sizeBytes);
      const name = Buffer.from(String(names.length).padStart(8, '0')).toString('base64');
      await blob.stageBlock(name, Buffer.from(part.buffer, part.byteOffset, part.length), part.length, {
        abortSignal: signal,
        transactionalContentMD5: createHash('md5').update(part).digest(),
      });
      names.push(name);
    }
    return names;
  }

  async *listBlobs(prefix: string, signal: AbortSignal): AsyncGenerator<BlobMetadata, void, void> {
    signal.throwIfAborted();
    assertBlobPrefix(prefix);
    let continuationToken: string | undefined;
    do {
      const page = await this.#listPage(prefix, continuationToken, signal);
      continuationToken = page.continuationToken;
      for (const blob of page.blobs) {
        signal.throwIfAborted();
        yield blob;
      }
    } while (continuationToken !== undefined && continuationToken !== '');
  }

  async #listPage(prefix: string, continuationToken: string | undefined, signal: AbortSignal) {
    return this.#call('list', undefined, signal, async (container) => {
      const pages = container
        .listBlobsFlat({ prefix: `${this.#options.prefix}${prefix}`, abortSignal: signal })
        .byPage({ maxPageSize: LIST_PAGE, ...(continuationToken === undefined ? {} : { continuationToken }) });
      const { value } = await pages.next();
      const page = value as { segment?: { blobItems?: ListedBlob[] }; continuationToken?: string } | undefined;
      const blobs = (page?.segment?.blobItems ?? []).flatMap((item) => this.#listed(item));
      return { blobs, continuationToken: page?.continuationToken };
    });
  }

  /** What is in a directory below, or has no name of a blob, is somebody else's. */
  #listed({ name, properties }: ListedBlob): BlobMetadata[] {
    const id = name.slice(this.#options.prefix.length);
    if (!name.startsWith(this.#options.prefix) || !isBlobId(id)) return [];
    return [{ id, length: properties.contentLength ?? 0, timestampMs: properties.lastModified.getTime() }];
  }

  async deleteBlob(id: BlobId, signal: AbortSignal): Promise<void> {
    assertBlobId(id);
    this.#refuseReadOnly(`delete blob ${id}`);
    try {
      await this.#call('delete', id, signal, async (container) => {
        await container.getBlobClient(this.#key(id)).delete({ abortSignal: signal });
      });
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
    this.#client = undefined;
  }

  async close(): Promise<void> {
    this.#agent.destroy();
  }

  #refuseReadOnly(operation: string): void {
    if (this.#options.readOnly === true) throw storageIsReadOnly(operation, this.displayName);
  }

  #key(id: BlobId): string {
    return `${this.#options.prefix}${id}`;
  }

  async #call<T>(
    operation: string,
    blobId: BlobId | undefined,
    signal: AbortSignal,
    work: (container: ContainerClient) => Promise<T>,
    range?: ByteRange,
  ): Promise<T> {
    signal.throwIfAborted();
    const subject = blobId === undefined ? this.displayName : `blob ${blobId}`;
    try {
      const answer = await work(await this.#container(signal));
      this.#hasAnswered = true;
      return answer;
    } catch (error) {
      signal.throwIfAborted();
      throw translateAzureError(error, { operation, subject, blobId, range, hasAnswered: this.#hasAnswered });
    }
  }

  async #container(signal: AbortSignal): Promise<ContainerClient> {
    const opening = (this.#client ??= this.#connect(signal));
    try {
      return await opening;
    } catch (error) {
      // Not kept: the next request may find the credentials in place.
      if (this.#client === opening) this.#client = undefined;
      throw error;
    }
  }

  async #connect(signal: AbortSignal): Promise<ContainerClient> {
    const { StorageSharedKeyCredential, AnonymousCredential, newPipeline, ContainerClient: Client } = this.#sdk;
    const { account, container } = this.#options;
    const credential = await this.#deps.credential(signal);
    // `agent` reaches the pipeline below, which the type leaves out.
    const pipelineOptions = { agent: this.#agent, retryOptions: { maxTries: 1 } } as StoragePipelineOptions;
    const url = `${this.#endpoint}/${container}`;
    switch (credential.kind) {
      case 'account-key':
        return new Client(url, newPipeline(new StorageSharedKeyCredential(account, credential.key), pipelineOptions));
      case 'sas':
        return new Client(
          `${url}?${credential.token.replace(/^\?/, '')}`,
          newPipeline(new AnonymousCredential(), pipelineOptions),
        );
      case 'identity': {
        const getToken = async (_scopes: unknown, { abortSignal }: { abortSignal?: unknown } = {}) => {
          const asked = abortSignal instanceof AbortSignal ? abortSignal : signal;
          try {
            const { token, expiresAtMs } = await credential.getToken(asked);
            return { token, expiresOnTimestamp: expiresAtMs };
          } catch (error) {
            throw azureTokenFailure(error, this.#hasAnswered);
          }
        };
        return new Client(url, newPipeline({ getToken }, pipelineOptions));
      }
    }
  }
}

/** A range that a request can ask for. */
function isReadable({ offset, length }: ByteRange): boolean {
  return Number.isSafeInteger(offset) && offset >= 0 && Number.isSafeInteger(offset + length) && length > 0;
}

interface ListedBlob {
  readonly name: string;
  readonly properties: { readonly contentLength?: number; readonly lastModified: Date };
}
