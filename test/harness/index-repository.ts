// The part of a repository that indexes need: a storage, keys, parameters, and blobs with given entries.
import { createContentCipher, type ContentCipher } from '../../repo-format/crypto/content-cipher.ts';
import type { BlobId, BlobMetadata, BlobStorage } from '../../repo-format/blob/storage.ts';
import { createMemoryStorage } from '../../repo-format/blob/memory.ts';
import { sealBlob } from '../../repo-format/epoch/encrypted-blob.ts';
import type { IndexConfig } from '../../repo-format/epoch/snapshot.ts';
import { createKeyedHash, type KeyedHash } from '../../repo-format/hash/keyed-hash.ts';
import type { IndexEntry } from '../../repo-format/index/entry.ts';
import { IndexBuilder } from '../../repo-format/index/index-builder.ts';
import { createTestClock, type TestClock } from './test-clock.ts';

export const REFRESH_MS = 20 * 60 * 1000;

export interface IndexRepository {
  readonly storage: BlobStorage;
  readonly cipher: ContentCipher;
  readonly hash: KeyedHash;
  readonly clock: TestClock;
  readonly config: IndexConfig;
}

export function createIndexRepository(options: { readonly epochs: boolean } = { epochs: true }): IndexRepository {
  const clock = createTestClock();
  return {
    clock,
    storage: createMemoryStorage({ clock }),
    cipher: createContentCipher({ encryption: 'AES256-GCM-HMAC-SHA256', masterKey: new Uint8Array(32).fill(7) }),
    hash: createKeyedHash('HMAC-SHA256-128', new Uint8Array(32).fill(8)),
    config: { epochParameters: { enabled: options.epochs, epochRefreshFrequencyMs: REFRESH_MS } },
  };
}

export function indexBytes(entries: readonly IndexEntry[], version: 1 | 2 = 2): Uint8Array {
  const builder = new IndexBuilder();
  for (const entry of entries) builder.addEntry(entry);
  const [bytes] = builder.build({ version });
  if (bytes === undefined) throw new RangeError('an index needs entries');
  return bytes;
}

/** Stores an index blob with these entries; `prefix` like `xn0_` or `n`. */
export async function putIndex(
  repository: IndexRepository,
  prefix: string,
  suffix: string,
  entries: readonly IndexEntry[],
): Promise<BlobId> {
  const { id, bytes } = sealBlob(repository, prefix, suffix, indexBytes(entries));
  await repository.storage.putBlob(id, bytes, new AbortController().signal);
  return id;
}

export async function putEmpty(repository: { readonly storage: BlobStorage }, ...names: string[]): Promise<void> {
  for (const name of names) {
    await repository.storage.putBlob(name as BlobId, new Uint8Array(1), new AbortController().signal);
  }
}

export async function namesIn(storage: BlobStorage, prefix = ''): Promise<string[]> {
  const found: BlobMetadata[] = [];
  for await (const blob of storage.listBlobs(prefix, new AbortController().signal)) found.push(blob);
  return found.map((blob) => blob.id).sort();
}
