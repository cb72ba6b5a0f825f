import assert from 'node:assert/strict';
import { test } from 'node:test';
import { blobPath, blobPathParts } from './filesystem-layout.ts';
import { parseShards } from './filesystem-shards.ts';
import type { BlobId, LocalLayout } from './storage.ts';

const layout = (shards: number[], rest: Partial<LocalLayout> = {}): LocalLayout => ({
  rootPath: '/repository',
  shards,
  maxNonShardedLength: 20,
  overrides: [],
  ...rest,
});
const path = (of: LocalLayout, name: string): string => blobPathParts(of, name as BlobId).join('/');

test('blobs lie where kopia puts them', () => {
  const foobar = 'foobarbaz12345678910123213123';
  assert.equal(path(layout([3, 3]), foobar), 'foo/bar/baz12345678910123213123.f');
  assert.equal(path(layout([1, 3]), foobar), 'f/oob/arbaz12345678910123213123.f');
  assert.equal(path(layout([]), foobar), `${foobar}.f`);
  assert.equal(path(layout([1, 3]), 'xe11'), 'xe11.f');
  assert.equal(path(layout([1, 3]), 'kopia.repository'), 'kopia.repository.f');
  assert.equal(path(layout([1, 3]), 'kopia.repository.backup.x'), 'k/opi/a.repository.backup.x.f');
  assert.equal(path(layout([1, 3]), 'xn11_5b5bc94b0123456789abcdef-c1'), 'x/n11/_5b5bc94b0123456789abcdef-c1.f');
  assert.equal(blobPath(layout([1, 3]), 'xe11' as BlobId), '/repository/xe11.f');
});

test('the limit for folders is inclusive, sizes of zero and overlong sizes add none, the first override wins', () => {
  assert.equal(path(layout([1, 3]), 'a'.repeat(20)), `${'a'.repeat(20)}.f`);
  assert.equal(path(layout([1, 3]), 'a'.repeat(21)), `a/aaa/${'a'.repeat(17)}.f`);
  assert.equal(path(layout([0, 2, 0, 100], { maxNonShardedLength: 2 }), 'abcdef'), 'ab/cdef.f');
  assert.equal(path(layout([3], { maxNonShardedLength: 0 }), 'abc'), 'abc.f');
  const overrides = [
    { prefix: 'p', shards: [2] },
    { prefix: 'pp', shards: [4] },
  ];
  assert.equal(path(layout([1], { overrides, maxNonShardedLength: 0 }), 'ppqq'), 'pp/qq.f');
  assert.equal(path(layout([1], { overrides, maxNonShardedLength: 0 }), 'qqpp'), 'q/qpp.f');
});

test('a name whose parts would climb out of the root is refused', () => {
  for (const [shards, name] of [
    [[1, 3], '.hidden-name-of-some-length'],
    [[2, 3], '..-name-of-some-length-x'],
    [[3, 2], 'abc..name-of-some-length'],
  ] as const) {
    assert.throws(() => blobPathParts(layout([...shards]), name as BlobId), { code: 'BLOB_NAME_INVALID' });
  }
});

test('.shards is read in any case of its names, absent members are zero', () => {
  assert.deepEqual(parseShards('{"Default":[1,3],"MaxNonShardedLength":20,"new":1}'), {
    shards: [1, 3],
    maxNonShardedLength: 20,
    overrides: [],
  });
  assert.deepEqual(parseShards('{"overrides":[{"prefix":"p","shards":[2]}]}'), {
    shards: [],
    maxNonShardedLength: 0,
    overrides: [{ prefix: 'p', shards: [2] }],
  });
});
