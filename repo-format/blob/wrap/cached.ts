// Keeps index blobs on this machine: they never change, and every run needs them (metadata packs: pack-folder.ts). What is
// not kept, and why:
// - listings: what they say decides which epoch is written to, which indexes count, whether a pack is lost and whether a
//   dead session may be taken over. A list of 30 s ago, as Kopia keeps it, saves a few requests where one command follows
//   another, and would show a user on another machine the snapshots of 30 s ago;
// - format blobs: the key that authenticates cache files is inside of them, and a password changed elsewhere counts at once.
//
// A blob that was deleted or damaged in the store may be here still. Whoever checks the store goes past this.
import type { BlobId, BlobMetadata, BlobStorage, ByteRange, ManyCachedBlobs } from '../storage.ts';
import { CacheBundles } from './cache-bundles.ts';
import type { CacheFolder } from './cache-folder.ts';

/** Index blobs and compaction logs: immutable. */
function isKept(id: BlobId): boolean {
  return /^(?:x[nsr]|[nm])/.test(id);
}

export class CachedStorage implements BlobStorage {
  readonly displayName: string;
  readonly extendRetention?: BlobStorage['extendRetention'] & {};
  readonly manyCached: ManyCachedBlobs;
  readonly #inner: BlobStorage;
  readonly #cache: CacheFolder;

  constructor(inner: BlobStorage, cache: CacheFolder) {
    this.displayName = inner.displayName;
    if (inner.extendRetention !== undefined) this.extendRetention = inner.extendRetention.bind(inner);
    this.#inner = inner;
    this.#cache = cache;
    const bundles = new CacheBundles(cache);
    this.manyCached = {
      read: (listed, use) => bundles.read(listed, use),
      fetch: async (id, signal) => {
        const kept = cache.read(id);
        const bytes = kept ?? (await inner.getBlob(id, undefined, signal));
        if (!bundles.add(id, bytes) && kept === undefined) cache.write(id, bytes);
        return bytes;
      },
      flush: () => bundles.flush(),
    };
  }

  async getBlob(id: BlobId, range: ByteRange | undefined, signal: AbortSignal): Promise<Uint8Array> {
    if (!isKept(id) || range !== undefined) return this.#inner.getBlob(id, range, signal);
    signal.throwIfAborted();
    const cached = this.#cache.read(id);
    if (cached !== undefined) return cached;
    const bytes = await this.#inner.getBlob(id, undefined, signal);
    this.#cache.write(id, bytes);
    return bytes;
  }

  getMetadata(id: BlobId, signal: AbortSignal): Promise<BlobMetadata> {
    return this.#inner.getMetadata(id, signal);
  }

  async putBlob(id: BlobId, bytes: Uint8Array, signal: AbortSignal): Promise<BlobMetadata> {
    const metadata = await this.#inner.putBlob(id, bytes, signal);
    if (isKept(id)) this.#cache.write(id, bytes);
    return metadata;
  }

  listBlobs(prefix: string, signal: AbortSignal): AsyncIterable<BlobMetadata> {
    return this.#inner.listBlobs(prefix, signal);
  }

  async deleteBlob(id: BlobId, signal: AbortSignal): Promise<void> {
    if (isKept(id)) this.#cache.remove(id);
    await this.#inner.deleteBlob(id, signal);
  }

  freeBytes(signal: AbortSignal): Promise<number | undefined> {
    return this.#inner.freeBytes(signal);
  }

  dropCached(id: BlobId): boolean {
    return this.#cache.remove(id);
  }

  async close(): Promise<void> {
    try {
      await this.#cache.close();
    } finally {
      await this.#inner.close();
    }
  }
}
