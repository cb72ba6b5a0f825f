import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  collectTag,
  parseCount,
  parseList,
  parsePercent,
  parsePositive,
  parseSizeBytes,
  parseTag,
  parseThreads,
} from './option-values.ts';

test('sizes are read with and without units', () => {
  assert.equal(parseSizeBytes('256MiB'), 256 * 2 ** 20);
  assert.equal(parseSizeBytes('1.5g'), 1.5 * 2 ** 30);
  assert.equal(parseSizeBytes('10 KB'), 10_000);
  assert.equal(parseSizeBytes('1000'), 1000);
});

test('what is no size, number, percentage or tag is refused', () => {
  for (const text of ['', '3x', '-1', 'MiB', '1e3', '99999999TiB']) assert.throws(() => parseSizeBytes(text), /size/);
  for (const text of ['', '-1', '1.5', 'x', '9999999999']) assert.throws(() => parseCount(text), /whole number/);
  for (const text of ['-1', '100.5', '1e1', '']) assert.throws(() => parsePercent(text), /percentage/);
  for (const text of ['', 'x', ':x']) assert.throws(() => parseTag(text), /tag/);
  assert.throws(() => parsePositive('0'), /at least 1/);
});

test('a tag is cut at its first colon, and later ones join', () => {
  assert.deepEqual(collectTag('url:http://x', { a: 'b' }), { a: 'b', url: 'http://x' });
});

test('lists take known words only, several times over', () => {
  const parse = parseList(['owners', 'modes'] as const);
  assert.deepEqual(parse('modes', parse('owners, modes', undefined)), ['owners', 'modes']);
  assert.throws(() => parse('owners,colours', undefined), /owners, modes/);
});

test('worker threads are bounded, because each takes memory', () => {
  assert.equal(parseThreads('64'), 64);
  for (const text of ['0', '65', '1000', 'many']) assert.throws(() => parseThreads(text), /thread|least|whole number/);
});
