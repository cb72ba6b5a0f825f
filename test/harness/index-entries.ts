// Index entries out of thin air, for tests of everything that keeps or merges them.
import fc from 'fast-check';
import type { BlobId } from '../../repo-format/blob/storage.ts';
import { contentIdFromHash, type ContentId } from '../../repo-format/index/content-id.ts';
import type { IndexEntry } from '../../repo-format/index/entry.ts';
import type { SeededRandom } from './seeded-random.ts';

/** A plain live entry; give what matters. */
export function anEntry(fields: Partial<IndexEntry> = {}): IndexEntry {
  return {
    id: '00112233445566778899aabbccddeeff' as ContentId,
    packId: 'p0123' as BlobId,
    packOffset: 32,
    packedLength: 128,
    originalLength: 100,
    compressionId: 0,
    formatVersion: 3,
    encryptionKeyId: 0,
    timestampSeconds: 1_700_000_000,
    deleted: false,
    ...fields,
  };
}

/** Random entries with 16-byte hashes. A small `keyspace` makes keys repeat. */
export function randomEntries(random: SeededRandom, count: number, packs: number, keyspace = Infinity): IndexEntry[] {
  return Array.from({ length: count }, () => {
    const prefix = random.pick(['', '', '', 'k', 'm', 'x', 'g', 'z']);
    const hash = random.bytes(16);
    if (keyspace !== Infinity) hash.fill(0).writeUInt32BE(random.below(keyspace));
    return anEntry({
      id: contentIdFromHash(prefix, hash),
      packId: `${prefix === '' ? 'p' : 'q'}${random.below(packs).toString(16).padStart(32, '0')}-s00147` as BlobId,
      packOffset: random.below(2 ** 30),
      packedLength: random.below(2 ** 24),
      originalLength: random.below(2 ** 24),
      compressionId: random.pick([0, 0, 0x1100, 0x1101]),
      timestampSeconds: 1_700_000_000 + random.below(4),
      deleted: random.chance(0.2),
    });
  });
}

/** Few keys, packs and times, so that entries meet and tie. */
export const collidingEntries: fc.Arbitrary<IndexEntry> = fc
  .record({
    prefix: fc.constantFrom('', 'k'),
    hash: fc.constantFrom(0, 1, 2, 255),
    pack: fc.constantFrom('pxx', 'pyy', 'pzz'),
    timestampSeconds: fc.integer({ min: 10, max: 12 }),
    deleted: fc.boolean(),
    packOffset: fc.integer({ min: 0, max: 2 ** 30 - 1 }),
  })
  .map(({ prefix, hash, pack, ...rest }) =>
    anEntry({ ...rest, id: contentIdFromHash(prefix, new Uint8Array(16).fill(hash)), packId: pack as BlobId }),
  );
