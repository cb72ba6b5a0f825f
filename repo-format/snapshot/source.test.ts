import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasCode } from '../../base/errors.ts';
import { defaultHostName, encodeSource, formatSource, isSameSource, parseSource } from './source.ts';

const defaults = { host: 'node', userName: 'root', workingDirectory: '/srv' };

test('sources are read as kopia reads them', () => {
  const cases: [string, string, string, string][] = [
    ['me@there:/a/b', 'me', 'there', '/a/b'],
    ['me@there:rel:x', 'me', 'there', 'rel:x'],
    ['me@there', 'me', 'there', ''],
    ['@there', '', 'there', ''],
    ['(global)', '', '', ''],
    ['/a//b/../c/', 'root', 'node', '/a/c'],
    ['.', 'root', 'node', '/srv'],
    ['x:y@z', 'root', 'node', '/srv/x:y@z'],
    ['/', 'root', 'node', '/'],
  ];
  for (const [text, userName, host, path] of cases) {
    assert.deepEqual(parseSource(text, defaults), { userName, host, path }, text);
  }
  assert.throws(
    () => parseSource('me@', defaults),
    (error) => hasCode(error, 'SOURCE_INVALID'),
  );
});

test('sources are shown as they are written', () => {
  for (const text of ['me@there:/a/b', 'me@there', '@there', '(global)']) {
    assert.equal(formatSource(parseSource(text, defaults)), text);
  }
  assert.equal(encodeSource({ host: 'h', userName: 'u', path: '/<' }), '{"host":"h","userName":"u","path":"/\\u003c"}');
});

test('a machine is called by its short name in lower case', () => {
  assert.equal(defaultHostName('Node-1.Example.COM'), 'node-1');
  assert.equal(defaultHostName('plain'), 'plain');
  assert.equal(defaultHostName(''), 'nohost');
});

test('sources are equal when all three parts are', () => {
  const source = { host: 'h', userName: 'u', path: '/p' };
  assert.ok(isSameSource(source, { ...source }));
  for (const change of [{ host: 'x' }, { userName: 'x' }, { path: 'x' }]) {
    assert.equal(isSameSource(source, { ...source, ...change }), false);
  }
});
