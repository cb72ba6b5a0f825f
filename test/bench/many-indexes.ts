// Fills a repository with many small index blobs, as thousands of short runs without maintenance leave one. The packs that
// they name are made up: nothing but indexes can be read.
import { systemClock } from '../../base/clock.ts';
import { toHex } from '../../base/hex.ts';
import { systemRandom } from '../../base/random.ts';
import type { BlobId, BlobStorage } from '../../repo-format/blob/storage.ts';
import { createContentCipher } from '../../repo-format/crypto/content-cipher.ts';
import { sealBlob } from '../../repo-format/epoch/encrypted-blob.ts';
import { uncompactedPrefix } from '../../repo-format/epoch/names.ts';
import { cipherSpecOf } from '../../repo-format/format/repository-config.ts';
import { createKeyedHash } from '../../repo-format/hash/keyed-hash.ts';
import type { ContentId } from '../../repo-format/index/content-id.ts';
import { IndexBuilder } from '../../repo-format/index/index-builder.ts';
import { Repository } from '../../repo-format/repository.ts';

/** Blobs on their way to the store at a time. */
const AT_ONCE = 8;

export interface ManyIndexes {
  readonly password: string;
  readonly indexes: number;
  readonly contents: number;
}

/** Creates the repository in an empty store. */
export async function makeManyIndexes(storage: BlobStorage, made: ManyIndexes): Promise<void> {
  const { signal } = new AbortController();
  const deps = { clock: systemClock, random: systemRandom };
  await using repository = await Repository.create({ storage, password: made.password }, deps, signal);
  const { config } = repository.format;
  const seal = {
    cipher: createContentCipher(cipherSpecOf(config)),
    hash: createKeyedHash(config.hash, config.secret),
  };
  const perIndex = Math.ceil(made.contents / made.indexes);
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < made.indexes) {
      const session = `s${toHex(systemRandom.bytes(8))}`;
      for (const shard of indexOf(next++, session, perIndex, config.version).build({ version: 2 })) {
        const { id, bytes } = sealBlob(seal, uncompactedPrefix(0), `${session}-c1`, shard);
        await storage.putBlob(id, bytes, signal);
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

function indexOf(n: number, session: string, entries: number, formatVersion: number): IndexBuilder {
  const builder = new IndexBuilder();
  const timestampSeconds = Math.floor(systemClock.nowMs() / 1000);
  for (let entry = 0; entry < entries; entry++) {
    builder.addEntry({
      id: `${entry % 10 === 0 ? 'k' : ''}${toHex(systemRandom.bytes(16))}` as ContentId,
      packId: `${entry % 10 === 0 ? 'q' : 'p'}${toHex(new Uint8Array(16).fill(n))}-${session}` as BlobId,
      packOffset: entry * 1000,
      packedLength: 1000,
      originalLength: 972,
      compressionId: 0,
      formatVersion,
      encryptionKeyId: 0,
      timestampSeconds,
      deleted: false,
    });
  }
  return builder;
}
