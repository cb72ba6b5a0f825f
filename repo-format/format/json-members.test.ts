import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ExactJsonObject } from '../../base/go-json.ts';
import {
  arrayMember,
  booleanMember,
  bytesMember,
  durationNsMember,
  integerMember,
  member,
  objectMember,
  parseObject,
  stringMember,
  withUnknownMembers,
} from './json-members.ts';

const parse = (text: string): ExactJsonObject => parseObject(new Uint8Array(Buffer.from(text)), 'test');

test('names match in any case, the exact one first; null and absent are zero', () => {
  const object = parse('{"Hash":"b","hash":"a","NULL":null}');
  assert.equal(stringMember(object, 'hash'), 'a');
  assert.equal(stringMember(object, 'HASH'), 'b');
  assert.equal(member(object, 'null'), undefined);
  assert.equal(stringMember(object, 'absent'), '');
  assert.equal(booleanMember(object, 'absent'), false);
  assert.equal(integerMember(object, 'null'), 0);
  assert.equal(durationNsMember(object, 'absent'), 0n);
  assert.deepEqual(bytesMember(object, 'absent'), new Uint8Array(0));
  assert.deepEqual(objectMember(object, 'absent'), {});
  assert.deepEqual(arrayMember(object, 'absent'), []);
});

test('durations are exact to the last of 64 bits', () => {
  const object = parse(
    '{"a":9223372036854775807,"b":-9223372036854775808,"c":9007199254740993,"d":9223372036854775808}',
  );
  assert.equal(durationNsMember(object, 'a'), 9223372036854775807n);
  assert.equal(durationNsMember(object, 'b'), -9223372036854775808n);
  assert.equal(durationNsMember(object, 'c'), 9007199254740993n);
  assert.throws(() => durationNsMember(object, 'd'), { code: 'FORMAT_INVALID' });
});

test('values of another type are refused', () => {
  const object = parse('{"text":"x","number":1,"fraction":1.5,"object":{},"array":[],"true":true}');
  const invalid = { code: 'FORMAT_INVALID' };
  assert.throws(() => stringMember(object, 'number'), invalid);
  assert.throws(() => booleanMember(object, 'text'), invalid);
  assert.throws(() => integerMember(object, 'fraction'), invalid);
  assert.throws(() => integerMember(object, 'text'), invalid);
  assert.throws(() => durationNsMember(object, 'fraction'), invalid);
  assert.throws(() => durationNsMember(object, 'text'), invalid);
  assert.throws(() => bytesMember(object, 'number'), invalid);
  assert.throws(() => objectMember(object, 'array'), invalid);
  assert.throws(() => arrayMember(object, 'object'), invalid);
});

test('base64 is read strictly', () => {
  assert.deepEqual(bytesMember(parse('{"b":"AAEC/w=="}'), 'b'), Uint8Array.of(0, 1, 2, 255));
  for (const text of ['AAEC/w', 'AAEC/w=', 'AAEC_w==', 'AAEC/w==!', 'AAEC/x==', ' AAEC/w==']) {
    assert.throws(() => bytesMember({ b: text }, 'b'), { code: 'FORMAT_INVALID' }, text);
  }
});

test('what is not an object in UTF-8 is refused', () => {
  for (const text of ['', '[]', 'null', '1', '"x"', '{', '{"a":1}}', '\ufeff{}']) {
    assert.throws(() => parse(text), { code: 'FORMAT_INVALID' }, text);
  }
  assert.throws(() => parseObject(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d), 'test'), {
    code: 'FORMAT_INVALID',
  });
});

test('unknown members follow the known ones, whatever they are called', () => {
  const original = parse('{"__proto__":{"x":1},"b":2,"A":3,"new":9007199254740993}');
  const merged = withUnknownMembers({ a: 'known', absent: undefined }, original);
  assert.deepEqual(Object.keys(merged), ['a', '__proto__', 'b', 'new']);
  assert.equal(merged['new'], 9007199254740993n);
});
