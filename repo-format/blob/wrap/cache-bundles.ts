// Many small index blobs in few cache files: making thousands of files is half of what a first open costs. A bundle is an
// ordinary file of the cache folder: authenticated whole, replaced by a rename, and as good as none when it is torn.
import { Buffer } from 'node:buffer';
import type { BlobId, BlobMetadata } from '../storage.ts';
import type { CacheFolder } from './cache-folder.ts';

/** Bundles have numbers, so that they are found without a listing. */
const SLOTS = 64;
/** Read and opened one at a time: this is what bundles need of memory. */
const BUNDLE_BYTES = 1 << 20;
/** A bundle of which less is still listed gives its place up. */
const MIN_LISTED_SHARE = 1 / 4;

export class CacheBundles {
  readonly #cache: CacheFolder;
  readonly #freeSlots: BlobId[] = [];
  #pending: Buffer[] = [];
  #pendingBytes = 0;

  constructor(cache: CacheFolder) {
    this.#cache = cache;
  }

  /** Calls `use` with every blob of `listed` that a bundle holds; its bytes are good until `use` returns. */
  read(listed: readonly BlobMetadata[], use: (blob: BlobMetadata, bytes: Uint8Array) => void): void {
    const byId = new Map<string, BlobMetadata>(listed.map((blob) => [blob.id, blob]));
    this.#freeSlots.length = 0;
    for (let slot = 0; slot < SLOTS; slot++) {
      const name = `bundle-${slot}` as BlobId;
      const bundle = this.#cache.read(name);
      let usedBytes = 0;
      for (const [id, bytes] of bundle === undefined ? [] : records(bundle)) {
        const blob = byId.get(id);
        if (blob?.length !== bytes.length) continue;
        usedBytes += bytes.length;
        byId.delete(id);
        use(blob, bytes);
      }
      if (bundle === undefined || usedBytes < bundle.length * MIN_LISTED_SHARE) this.#freeSlots.push(name);
    }
  }

  /** False when there is no place for it. Copies the bytes; call {@link flush} after the last. */
  add(id: BlobId, bytes: Uint8Array): boolean {
    if (this.#freeSlots.length === 0 || bytes.length > BUNDLE_BYTES / 4) return false;
    const name = Buffer.from(id);
    const record = Buffer.allocUnsafe(6 + name.length + bytes.length);
    record.writeUInt16LE(name.length, 0);
    record.writeUInt32LE(bytes.length, 2);
    record.set(name, 6);
    record.set(bytes, 6 + name.length);
    this.#pending.push(record);
    this.#pendingBytes += record.length;
    if (this.#pendingBytes >= BUNDLE_BYTES) this.flush();
    return true;
  }

  flush(): void {
    const slot = this.#pendingBytes === 0 ? undefined : this.#freeSlots.shift();
    if (slot !== undefined) this.#cache.write(slot, Buffer.concat(this.#pending));
    this.#pending = [];
    this.#pendingBytes = 0;
  }
}

function* records(bundle: Uint8Array): Generator<[string, Uint8Array]> {
  const view = Buffer.from(bundle.buffer, bundle.byteOffset, bundle.length);
  for (let at = 0; at + 6 <= view.length;) {
    const nameEnd = at + 6 + view.readUInt16LE(at);
    const end = nameEnd + view.readUInt32LE(at + 2);
    if (end > view.length) return;
    yield [view.toString('latin1', at + 6, nameEnd), view.subarray(nameEnd, end)];
    at = end;
  }
}
