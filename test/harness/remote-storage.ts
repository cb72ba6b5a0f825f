// A storage as a bucket is one: no local files, an answer takes its time, every request counts.
import { setTimeout } from 'node:timers/promises';
import type { BlobId, BlobMetadata, BlobStorage, ByteRange } from '../../repo-format/blob/storage.ts';

export type StorageVerb = 'get' | 'metadata' | 'put' | 'list' | 'delete';

export interface RemoteOptions {
  /** How long every request takes at least. */
  readonly latencyMs?: number;
  /** Called before each request; may wait or throw. */
  readonly before?: (verb: StorageVerb, id: string, signal: AbortSignal) => void | Promise<void>;
}

export class RemoteStorage implements BlobStorage {
  readonly displayName: string;
  readonly requests: Record<StorageVerb, number> = { get: 0, metadata: 0, put: 0, list: 0, delete: 0 };
  /** Blobs that were read, by name: how often. */
  readonly reads = new Map<string, number>();
  bytesRead = 0;
  /** Requests under way, and the most there were at once. */
  atOnce = 0;
  mostAtOnce = 0;
  readonly #inner: BlobStorage;
  readonly #options: RemoteOptions;

  constructor(inner: BlobStorage, options: RemoteOptions = {}) {
    this.#inner = inner;
    this.#options = options;
    this.displayName = `remote ${inner.displayName}`;
  }

  /** Forgets what was counted. */
  reset(): void {
    for (const verb of ['get', 'metadata', 'put', 'list', 'delete'] as const) this.requests[verb] = 0;
    this.reads.clear();
    this.bytesRead = 0;
    this.mostAtOnce = 0;
  }

  async getBlob(id: BlobId, range: ByteRange | undefined, signal: AbortSignal): Promise<Uint8Array> {
    this.reads.set(id, (this.reads.get(id) ?? 0) + 1);
    const bytes = await this.#request('get', { id, signal }, () => this.#inner.getBlob(id, range, signal));
    this.bytesRead += bytes.length;
    return bytes;
  }

  getMetadata(id: BlobId, signal: AbortSignal): Promise<BlobMetadata> {
    return this.#request('metadata', { id, signal }, () => this.#inner.getMetadata(id, signal));
  }

  putBlob(id: BlobId, bytes: Uint8Array, signal: AbortSignal): Promise<BlobMetadata> {
    return this.#request('put', { id, signal }, () => this.#inner.putBlob(id, bytes, signal));
  }

  async *listBlobs(prefix: string, signal: AbortSignal): AsyncIterable<BlobMetadata> {
    await this.#request('list', { id: prefix, signal }, async () => undefined);
    yield* this.#inner.listBlobs(prefix, signal);
  }

  deleteBlob(id: BlobId, signal: AbortSignal): Promise<void> {
    return this.#request('delete', { id, signal }, () => this.#inner.deleteBlob(id, signal));
  }

  freeBytes(): Promise<number | undefined> {
    return Promise.resolve(undefined);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  async #request<Result>(
    verb: StorageVerb,
    { id, signal }: { readonly id: string; readonly signal: AbortSignal },
    work: () => Promise<Result>,
  ): Promise<Result> {
    this.requests[verb]++;
    this.mostAtOnce = Math.max(this.mostAtOnce, ++this.atOnce);
    try {
      await this.#options.before?.(verb, id, signal);
      const { latencyMs = 0 } = this.#options;
      if (latencyMs > 0) await setTimeout(latencyMs, undefined, { signal });
      return await work();
    } finally {
      this.atOnce--;
    }
  }
}
