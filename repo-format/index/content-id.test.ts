import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  contentHash,
  contentIdFromHash,
  contentIdFromKey,
  contentKey,
  contentPrefix,
  isContentId,
  parseContentId,
  writeContentKey,
} from './content-id.ts';

const hashes = fc.uint8Array({ minLength: 1, maxLength: 32 });
const prefixes = fc.constantFrom('', 'g', 'k', 'm', 'x', 'z');

test('text, key and hash of an id tell the same', () => {
  fc.assert(
    fc.property(prefixes, hashes, (prefix, hash) => {
      const id = contentIdFromHash(prefix, hash);
      const key = contentKey(id);
      assert.equal(id, prefix + Buffer.from(hash).toString('hex'));
      assert.equal(key[0], prefix === '' ? 0 : prefix.charCodeAt(0));
      assert.deepEqual(contentHash(id), hash);
      assert.equal(contentPrefix(id), prefix);
      assert.equal(contentIdFromKey(key, 0, key.length), id);
      assert.equal(parseContentId(prefix + id.slice(prefix.length).toUpperCase()), id);
      const out = new Uint8Array(40).fill(0xee);
      assert.equal(writeContentKey(id, out, 3), key.length);
      assert.deepEqual(out.subarray(3, 3 + key.length), key);
      assert.equal(out[3 + key.length], 0xee);
    }),
  );
});

test('keys sort as their texts do', () => {
  fc.assert(
    fc.property(prefixes, hashes, prefixes, hashes, (prefixA, hashA, prefixB, hashB) => {
      const a = contentIdFromHash(prefixA, hashA);
      const b = contentIdFromHash(prefixB, hashB);
      const byKey = Math.sign(Buffer.compare(contentKey(a), contentKey(b)));
      assert.equal(byKey, a === b ? 0 : a < b ? -1 : 1);
    }),
  );
  const ordered = [
    '0012abcd',
    '12345678',
    'ffffffff',
    'g01234567',
    'g01234568',
    'yffffffff',
    'z00000000',
    'z00000001',
    'zffffffff',
  ];
  assert.deepEqual(
    ordered.map(parseContentId).toSorted((a, b) => Buffer.compare(contentKey(a), contentKey(b))),
    ordered,
  );
});

test('what is no id is refused', () => {
  for (const text of [
    '',
    'x',
    'x1',
    'xx',
    'A00',
    '@abcd',
    'f',
    'abc',
    'k0g',
    `${'00'.repeat(33)}`,
    `k${'00'.repeat(33)}`,
    'kk00',
    ' 00',
  ]) {
    assert.equal(isContentId(text), false, text);
    assert.throws(() => parseContentId(text), { code: 'CONTENT_ID_INVALID' }, text);
  }
  assert.equal(isContentId('00FF'), false);
  assert.throws(() => contentIdFromHash('f', new Uint8Array(16)), { code: 'CONTENT_ID_INVALID' });
  assert.throws(() => contentIdFromHash('', new Uint8Array(0)), { code: 'CONTENT_ID_INVALID' });
  assert.throws(() => contentIdFromKey(new Uint8Array([1, 2]), 0, 2), { code: 'CONTENT_ID_INVALID' });
});
