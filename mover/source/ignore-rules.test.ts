import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { hasCode } from '../../base/errors.ts';
import { applyPatterns, parsePattern, pathOf } from './ignore-pattern.ts';
import { IgnoreScope, type IgnorePolicy } from './ignore-rules.ts';

function ignores(pattern: string, path: string, options: { base?: string; directory?: boolean } = {}): boolean {
  return applyPatterns(
    [parsePattern(pattern, options.base ?? '')],
    pathOf(`/${path}`),
    options.directory ?? false,
    false,
  );
}

// pattern, what it takes, what it leaves. A trailing slash marks a directory.
const TABLE: readonly (readonly [string, readonly string[], readonly string[]])[] = [
  ['a.txt', ['a.txt', 'x/a.txt', 'x/y/a.txt'], ['ba.txt', 'a.txt/b', 'A.TXT']],
  ['/a.txt', ['a.txt'], ['x/a.txt']],
  ['x/a.txt', ['x/a.txt'], ['y/x/a.txt']],
  ['x/', ['x/', 'y/x/'], ['x']],
  ['/x/y/', ['x/y/'], ['x/y', 'z/x/y/']],
  ['*.log', ['a.log', '.log', 'x/b.log'], ['a.logs', 'log']],
  ['a*', ['a', 'ab', 'x/abc'], ['ba']],
  ['x/*', ['x/a', 'x/b/'], ['x/a/b', 'y/a', 'x']],
  ['x/*/z', ['x/y/z'], ['x/z', 'x/a/b/z']],
  ['**/z', ['z', 'a/z', 'a/b/z'], ['az']],
  ['a/**/z', ['a/z', 'a/b/z', 'a/b/c/z'], ['z', 'b/a/z']],
  ['a/**', ['a/b', 'a/b/c'], ['a/', 'b/a/c']],
  ['**', ['a', 'a/b'], []],
  ['a?c', ['abc', 'x/a-c'], ['ac', 'a/c', 'abbc']],
  ['[a-c]x', ['ax', 'cx'], ['dx', '-x']],
  ['[!a-c]x', ['dx'], ['ax']],
  ['[a\\-c]x', ['ax', '-x', 'cx'], ['bx']],
  ['[[:digit:]]*', ['1', '1a', 'x/2'], ['a1']],
  ['[[:upper:]]z', ['Az'], ['az', '1z']],
  ['[[:upper:][:digit:]]z', [], ['Az', '1z']],
  ['\\!x', ['!x'], ['x']],
  ['\\#x', ['#x'], ['x']],
  ['a\\*b', ['a*b'], ['axb']],
  ['  a.txt  ', ['a.txt'], ['a.txt  ']],
  ['ä*', ['ä', 'äx', 'd/äöü'], ['a']],
  ['a*b', ['ab', 'axb', 'ax/b'], ['a/b', 'ax/yb']],
  ['a**b', ['ab', 'axxb'], ['a/x/b']],
  ['**a/b', ['a/b', 'xa/b', 'y/xa/b'], ['a/x/b']],
  ['[]', [], ['a']],
];

test('patterns take and leave what the table says', () => {
  for (const [pattern, taken, left] of TABLE) {
    for (const [paths, expected] of [
      [taken, true],
      [left, false],
    ] as const) {
      for (const path of paths) {
        const directory = path.endsWith('/');
        const plain = directory ? path.slice(0, -1) : path;
        assert.equal(ignores(pattern, plain, { directory }), expected, `${pattern} on ${path}`);
      }
    }
  }
});

test('a rule of a directory does not reach outside it', () => {
  assert.equal(ignores('a.txt', 'sub/deep/a.txt', { base: '/sub' }), true);
  assert.equal(ignores('/a.txt', 'sub/a.txt', { base: '/sub' }), true);
  assert.equal(ignores('/a.txt', 'sub/deep/a.txt', { base: '/sub' }), false);
  assert.equal(ignores('a.txt', 'a.txt', { base: '/sub' }), false);
  assert.equal(ignores('x/y', 'sub/x/y', { base: '/sub' }), true);
});

test('patterns that cannot be read are errors', () => {
  for (const pattern of ['a\\', '[a', '[a\\', '[[:nothing:]]', '[[:alpha:', '*a'.repeat(10_000)]) {
    assert.throws(
      () => parsePattern(pattern, ''),
      (error) => hasCode(error, 'IGNORE_PATTERN_INVALID'),
      pattern,
    );
  }
});

test('any pattern is either an error or answers, on any path', () => {
  const piece = fc.constantFrom(
    '*',
    '**',
    '?',
    '/',
    'a',
    'b',
    '[',
    ']',
    '!',
    '-',
    '\\',
    '[:',
    ':]',
    'alpha',
    ' ',
    '#',
    'é',
  );
  const text = fc.array(piece, { maxLength: 12 }).map((parts) => parts.join(''));
  fc.assert(
    fc.property(text, fc.stringMatching(/^[ab/é]{0,12}$/), fc.boolean(), (pattern, path, directory) => {
      try {
        assert.equal(typeof ignores(pattern, path, { directory }), 'boolean');
      } catch (error) {
        assert.ok(hasCode(error, 'IGNORE_PATTERN_INVALID'), String(error));
      }
    }),
    { numRuns: 500 },
  );
});

test('a hostile pattern costs no exponential time', () => {
  const started = process.hrtime.bigint();
  assert.equal(ignores(`${'*a'.repeat(30)}b`, 'a'.repeat(250)), false);
  assert.equal(ignores(`${'**/*a'.repeat(20)}/b`, 'a/'.repeat(120)), false);
  assert.ok(process.hrtime.bigint() - started < 2_000_000_000n);
});

const file = { isDirectory: false, size: 10, dev: 1 };
const folder = { isDirectory: true, size: 4096, dev: 1 };

function scope(...steps: readonly (readonly [string, IgnorePolicy | undefined, readonly string[]])[]): IgnoreScope {
  return steps.reduce((at, [directory, policy, texts]) => at.enter(directory, policy, texts), IgnoreScope.none());
}

test('without a policy nothing is left out', () => {
  const none = IgnoreScope.none();
  assert.equal(none.isEmpty, true);
  assert.equal(none.reason('.kopiaignore', file, 1), undefined);
  assert.deepEqual(none.dotFilesOf(undefined), []);
});

test('later and deeper rules win, and can take back what a parent ignored', () => {
  const deep = scope(
    ['', { ignore: ['*.log', '!keep.log'] }, []],
    ['sub', undefined, ['!*.log\n# comment\n\nsecret\r\n']],
  );
  assert.equal(deep.reason('sub/a.log', file, 1), undefined);
  assert.equal(deep.reason('sub/secret', file, 1), 'pattern');
  const top = scope(['', { ignore: ['*.log', '!keep.log'] }, []]);
  assert.equal(top.reason('x/a.log', file, 1), 'pattern');
  assert.equal(top.reason('x/keep.log', file, 1), undefined);
  assert.equal(top.enter('x', undefined, []), top);
});

test('size and device limits', () => {
  const limits = scope(['', { maxFileSize: 9, oneFileSystem: true }, []]);
  assert.equal(limits.isEmpty, false);
  assert.equal(limits.reason('f', file, 1), 'size');
  assert.equal(limits.reason('d', folder, 1), undefined);
  assert.equal(limits.reason('d', { ...folder, dev: 2 }, 1), 'device');
  const below = limits.enter('d', { ignore: [] }, []);
  assert.deepEqual([below.maxFileSize, below.oneFileSystem], [9, false]);
});

test('dot files come from the policy of the directory, else from above', () => {
  const top = scope(['', { ignoreDotFiles: ['.kopiaignore'] }, []]);
  assert.deepEqual(top.dotFilesOf(undefined), ['.kopiaignore']);
  assert.deepEqual(top.dotFilesOf({ ignore: ['x'] }), []);
  assert.deepEqual(top.enter('d', { ignore: ['x'] }, []).dotFiles, []);
});
