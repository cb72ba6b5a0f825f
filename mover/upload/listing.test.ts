import assert from 'node:assert/strict';
import { test } from 'node:test';

import { file, rawName, tree } from '../../test/harness/tree.ts';
import { AT_FDCWD, check, close, ENOTDIR, O_DIRECTORY, O_RDONLY, openat } from '../posix/libc.ts';
import { Listing, withoutRepeats } from './listing.ts';

const OPTIONS = { seed: 1, withFingerprints: true, nowMs: 0 };

test('a name that is listed twice is one entry', () => {
  const names = (...given: string[]) => withoutRepeats(given.map((name) => ({ name }))).map(({ name }) => name);
  assert.deepEqual(names(), []);
  assert.deepEqual(names('a'), ['a']);
  assert.deepEqual(names('a', 'a', 'b', 'c', 'c', 'c'), ['a', 'b', 'c']);
});

test('entries are sorted by the bytes of the names they are stored under, whatever was listed before', (t) => {
  const listing = new Listing();
  const many = Object.fromEntries(Array.from({ length: 1500 }, (_, i) => [`n${i}`, file(`${i}`)]));
  const mixed = { b: file('1'), [rawName('a', 0xff)]: file('2'), '\uffee': file('3'), '😀': file('4'), B: file('5') };
  for (const [entries, expected] of [
    [many, Object.keys(many).sort()],
    [mixed, ['B', 'a%FF', 'b', '\uffee', '😀']],
    [{}, []],
  ] as const) {
    const fd = check(openat(AT_FDCWD, tree(entries).temporary(t), O_RDONLY | O_DIRECTORY), 'openat');
    assert.equal(listing.scan(fd, OPTIONS), 0);
    listing.materialize();
    assert.deepEqual(
      listing.entries.map(({ name }) => name),
      expected,
    );
    assert.ok(listing.entries.every(({ stat, errno }) => errno === 0 && stat.isRegular));
    close(fd);
  }
});

test('the fingerprint of a directory does not depend on the order of its entries, but on everything in it', (t) => {
  const listing = new Listing();
  const root = tree({ a: file('1'), b: file('2') }).temporary(t);
  const fingerprint = (seed = 1): string => {
    const fd = check(openat(AT_FDCWD, root, O_RDONLY | O_DIRECTORY), 'openat');
    assert.equal(listing.scan(fd, { ...OPTIONS, seed }), 0);
    close(fd);
    return JSON.stringify(listing.fingerprint);
  };
  const before = fingerprint();
  assert.equal(fingerprint(), before);
  assert.notEqual(fingerprint(2), before);
  tree({ c: file('3') }).build(root);
  assert.notEqual(fingerprint(), before);
});

test('what is no directory cannot be listed', (t) => {
  const root = tree({ file: file('x') }).temporary(t);
  const fd = check(openat(AT_FDCWD, `${root}/file`, O_RDONLY), 'openat');
  assert.equal(new Listing().scan(fd, OPTIONS), ENOTDIR);
  close(fd);
});
