import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BlobId } from '../blob/storage.ts';
import { contentKey, type ContentId } from './content-id.ts';
import { IndexBuilder } from './index-builder.ts';
import { RowsByKey } from './rows-by-key.ts';

test('finds the newest row of each of many keys, and no other', () => {
  const builder = new IndexBuilder(17);
  const rows = new RowsByKey(builder);
  const pack = builder.addPack('p1' as BlobId);
  const keys = Array.from({ length: 3000 }, (_, n) =>
    contentKey(`${n % 3 === 0 ? 'k' : ''}${(n * 0x9e37).toString(16).padStart(32, '0')}` as ContentId),
  );
  const add = (key: Uint8Array): number => builder.add(key, pack, 0, 28, 0, 0, 3, 1, false);
  for (const key of keys) {
    assert.equal(rows.get(key), -1);
    rows.set(key, add(key));
  }
  const newest = keys.map((key, n) => (n % 2 === 0 ? add(key) : n));
  keys.forEach((key, n) => rows.set(key, newest[n] ?? -1));
  assert.deepEqual(
    keys.map((key) => rows.get(key)),
    newest,
  );
  assert.equal(rows.get(contentKey(`m${'00'.repeat(16)}` as ContentId)), -1);
  assert.equal(rows.get(new Uint8Array(16)), -1);
  rows.clear();
  assert.equal(rows.get(keys[0] ?? new Uint8Array(17)), -1);
});
