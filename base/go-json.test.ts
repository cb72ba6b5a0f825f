import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { hasCode } from './errors.ts';
import {
  compareUtf8,
  encodeGoJson,
  encodeStringMap,
  parseExactJson,
  quoteGoString,
  splitJsonArray,
  splitJsonObject,
} from './go-json.ts';

const anyText = fc.string({ unit: 'binary' });

test('strings are escaped as Go escapes them', () => {
  assert.equal(quoteGoString('plain /\u007f é 東京'), '"plain /\u007f é 東京"');
  assert.equal(quoteGoString('"\\\b\f\n\r\t'), String.raw`"\"\\\b\f\n\r\t"`);
  assert.equal(quoteGoString('\u0000\u0007\u001f'), String.raw`"\u0000\u0007\u001f"`);
  assert.equal(quoteGoString('<&>\u2028\u2029'), String.raw`"\u003c\u0026\u003e\u2028\u2029"`);
  assert.equal(quoteGoString('😀'), '"😀"');
  assert.equal(quoteGoString('a\ud800b\udc00\ud800'), String.raw`"a\ufffdb\ufffd\ufffd"`);
});

test('quoted text reads back', () => {
  fc.assert(fc.property(anyText, (text) => JSON.parse(quoteGoString(text)) === text.toWellFormed()));
});

test('strings order by their UTF-8 bytes', () => {
  fc.assert(
    fc.property(anyText, anyText, (a, b) => {
      const expected = Buffer.compare(Buffer.from(a), Buffer.from(b));
      return Math.sign(compareUtf8(a, b)) === expected;
    }),
  );
  assert.ok(compareUtf8('\uffee', '😀') < 0);
});

test('map members are sorted by key, whatever JavaScript makes of numeric keys', () => {
  assert.equal(
    encodeStringMap({ b: '1', '10': 'x', '9': 'y', __proto___: 'z' }),
    '{"10":"x","9":"y","__proto___":"z","b":"1"}',
  );
  assert.equal(encodeStringMap(null), 'null');
});

test('integers past 2^53 keep every digit', () => {
  const text = '{"a":9223372036854775807,"b":-9223372036854775808,"c":[9007199254740993,1],"d":1.5,"e":null,"f":true}';
  assert.equal(encodeGoJson(parseExactJson(text)), text);
});

test('what is not JSON is JSON_INVALID', () => {
  for (const text of ['', '{', '[1,]', 'undefined', '{"a":1}x']) {
    assert.throws(
      () => parseExactJson(text),
      (error) => hasCode(error, 'JSON_INVALID'),
    );
    assert.throws(
      () => splitJsonObject(text),
      (error) => hasCode(error, 'JSON_INVALID'),
    );
    assert.throws(
      () => splitJsonArray(text),
      (error) => hasCode(error, 'JSON_INVALID'),
    );
  }
});

test('deep nesting is refused, not a crash', () => {
  const deep = '['.repeat(200_000) + ']'.repeat(200_000);
  assert.throws(
    () => encodeGoJson(parseExactJson(deep)),
    (error) => hasCode(error, 'JSON_INVALID'),
  );
});

test('members and elements are found with their text untouched', () => {
  const text = ' { "a" : {"x":[1,2],"y":"},{\\""} , "b":1.50, "\\u0063" : [ ] } ';
  assert.deepEqual(splitJsonObject(text), [
    { key: 'a', raw: '{"x":[1,2],"y":"},{\\""}' },
    { key: 'b', raw: '1.50' },
    { key: 'c', raw: '[ ]' },
  ]);
  assert.deepEqual(splitJsonArray('[{"a":"]"}, [1,[2]] ,"x,y"]'), ['{"a":"]"}', '[1,[2]]', '"x,y"']);
  assert.deepEqual(splitJsonArray('[ ]'), []);
  assert.deepEqual(splitJsonObject('{}'), []);
});

test('splitting any JSON object keeps its members', () => {
  fc.assert(
    fc.property(fc.dictionary(anyText, fc.jsonValue()), (value) => {
      const members = splitJsonObject(JSON.stringify(value)).map(({ key, raw }): [string, unknown] => [
        key,
        JSON.parse(raw),
      ]);
      assert.deepEqual(Object.fromEntries(members), JSON.parse(JSON.stringify({ ...value })));
    }),
  );
});
