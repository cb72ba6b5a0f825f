import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseGlob } from './glob.ts';

const CASES: readonly [pattern: string, path: string, matches: boolean][] = [
  ['*.conf', 'etc/app.conf', true],
  ['*.conf', 'etc/.conf', true],
  ['*.conf', 'etc/app.conf.bak', false],
  ['APP.conf', 'app.conf', false],
  ['a?c', 'x/abc', true],
  ['a?c', 'ac', false],
  ['[a-c]1', 'b1', true],
  ['[!a-c]1', 'b1', false],
  ['[!a-c]1', 'd1', true],
  ['[]]', ']', true],
  ['[', '[', true],
  ['\\*', '*', true],
  ['\\*', 'x', false],
  ['héllo*', 'dir/héllo wörld', true],
  ['?', '😀', true],
  ['etc/*.conf', 'etc/app.conf', true],
  ['etc/*.conf', 'etc/sub/app.conf', false],
  ['/etc/*.conf', 'etc/app.conf', true],
  ['etc/**/app.conf', 'etc/app.conf', true],
  ['etc/**/app.conf', 'etc/a/b/app.conf', true],
  ['**/app.conf', 'etc/a/app.conf', true],
  ['etc/**', 'etc/a/b', true],
  ['etc/**', 'var/etc/a', false],
  ['a/**/b/**/c', 'a/x/b/y/b/z/c', true],
  ['a/**/b/**/c', 'a/x/c', false],
];

for (const [pattern, path, matches] of CASES) {
  test(`${pattern} ${matches ? 'matches' : 'does not match'} ${path}`, () => {
    assert.equal(parseGlob(pattern).matches(path), matches);
  });
}

test('only patterns without a slash are decided by the name alone', () => {
  assert.equal(parseGlob('*.conf').byNameOnly, true);
  assert.equal(parseGlob('/app.conf').byNameOnly, false);
});

test('a name made of ordinary characters matches itself and nothing else', () => {
  const name = fc.string({ minLength: 1 }).filter((text) => !/[*?[\]\\/]/.test(text));
  fc.assert(
    fc.property(name, name, (a, b) => {
      assert.equal(parseGlob(a).matches(b), a === b);
    }),
  );
});

test('many stars against a long name that does not match do not backtrack without end', () => {
  const glob = parseGlob(`${'a*'.repeat(40)}b`);
  const name = 'a'.repeat(5000);
  assert.equal(glob.matches(name), false);
});
