import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BlobId } from '../blob/storage.ts';
import type { ContentId } from './content-id.ts';
import { IndexBuilder } from './index-builder.ts';
import { PackNumbers } from './pack-numbers.ts';
import { parseIndex } from './parse-index.ts';
import type { ParsedIndex } from './parsed-index.ts';

function indexOf(version: 1 | 2, packs: readonly string[]): ParsedIndex {
  const builder = new IndexBuilder();
  packs.forEach((packId, n) =>
    builder.addEntry({
      id: n.toString(16).padStart(32, '0') as ContentId,
      packId: packId as BlobId,
      packOffset: 0,
      packedLength: 28,
      originalLength: 0,
      compressionId: 0,
      formatVersion: version,
      encryptionKeyId: 0,
      timestampSeconds: 1,
      deleted: false,
    }),
  );
  const [bytes] = builder.build({ version });
  assert.ok(bytes !== undefined);
  return parseIndex(bytes);
}

test('a pack has one number, whichever index names it', () => {
  const indexes = [
    indexOf(2, ['p1', 'p2', 'p1']),
    indexOf(2, ['p3', 'p2', 'p1']),
    indexOf(1, ['p1', 'p4', 'p3', 'p4']),
  ];
  const numbers = new PackNumbers();
  // By turns, as a walk in the order of keys meets them.
  for (let entry = 0; entry < 4; entry++) {
    for (const index of indexes) {
      if (entry >= index.entryCount) continue;
      assert.equal(numbers.nameOf(numbers.numberOf(index, entry)), index.packIdAt(entry));
    }
  }
  assert.equal(numbers.count, 4);
  const names = [0, 1, 2, 3].map((number) => numbers.nameOf(number));
  assert.deepEqual(names.toSorted(), ['p1', 'p2', 'p3', 'p4']);
  assert.throws(() => numbers.nameOf(4), RangeError);
});

test('a pack number beyond the table is told', () => {
  const sound = indexOf(2, ['p1']);
  const bytes = sound.bytes.slice();
  bytes[sound.keyOffset(0) + sound.keySize + 15] = 1;
  const index = parseIndex(bytes);
  assert.throws(() => new PackNumbers().numberOf(index, 0), { code: 'INDEX_CORRUPT' });
  assert.throws(() => index.packNameOf(index.packNumberAt(0)), { code: 'INDEX_CORRUPT' });
});
