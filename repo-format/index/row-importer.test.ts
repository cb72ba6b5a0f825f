import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BlobId } from '../blob/storage.ts';
import type { ContentId } from './content-id.ts';
import type { IndexEntry } from './entry.ts';
import { IndexBuilder } from './index-builder.ts';
import { PackNumbers } from './pack-numbers.ts';
import { parseIndex } from './parse-index.ts';
import type { ParsedIndex } from './parsed-index.ts';
import { RowImporter } from './row-importer.ts';

function entryOf(n: number, packId: string): IndexEntry {
  return {
    id: `${n % 2 === 0 ? 'k' : ''}${n.toString(16).padStart(32, '0')}` as ContentId,
    packId: packId as BlobId,
    packOffset: n * 7,
    packedLength: n + 28,
    originalLength: n,
    compressionId: 0,
    formatVersion: 3,
    encryptionKeyId: 0,
    timestampSeconds: 100 + n,
    deleted: n % 3 === 0,
  };
}

function indexOf(version: 1 | 2, entries: readonly IndexEntry[]): ParsedIndex {
  const builder = new IndexBuilder();
  for (const entry of entries) builder.addEntry(entry);
  const [bytes] = builder.build({ version });
  assert.ok(bytes !== undefined);
  return parseIndex(bytes);
}

test('rows go over as they are, from indexes of both versions, with one set of numbers for several builders', () => {
  const indexes = [
    indexOf(2, [entryOf(1, 'p1'), entryOf(2, 'q2'), entryOf(3, 'p1')]),
    indexOf(1, [entryOf(4, 'q2'), entryOf(5, 'p3')]),
    indexOf(2, [entryOf(6, 'q4'), entryOf(7, 'p3'), entryOf(8, 'q2')]),
  ];
  const numbers = new PackNumbers();
  for (const order of [indexes, indexes.toReversed()]) {
    const builder = new IndexBuilder();
    const importer = new RowImporter(builder, numbers);
    for (const index of order) {
      for (let entry = 0; entry < index.entryCount; entry++) {
        const row = importer.add(index, entry, index.keyAt(entry));
        assert.deepEqual(builder.entryOf(row), index.entryAt(entry));
      }
    }
  }
});

test('a row that goes over deleted is later than it was', () => {
  const index = indexOf(2, [entryOf(1, 'p1')]);
  const builder = new IndexBuilder();
  const importer = new RowImporter(builder);
  for (const [nowSeconds, timestampSeconds] of [
    [500, 500],
    [50, 102],
  ] as const) {
    const row = importer.addDeleted(index, 0, index.keyAt(0), nowSeconds);
    assert.deepEqual(builder.entryOf(row), { ...index.entryAt(0), deleted: true, timestampSeconds });
  }
});
