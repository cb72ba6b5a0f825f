import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DEFAULT_DEADLINE_SECONDS, parseFailure, parseOptions, shown } from './marker-text.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text);

test('a failure marker gives its reason, code and object', () => {
  assert.deepEqual(parseFailure(bytes('{"message":"disk full","code":"ENOSPC","podVolumeRestore":"r-1"}')), {
    message: 'disk full',
    code: 'ENOSPC',
    podVolumeRestore: 'r-1',
  });
  assert.deepEqual(parseFailure(bytes('{"message":"disk full"}')), { message: 'disk full' });
});

test('a failure marker that cannot be read is a failure all the same', () => {
  for (const text of ['', '{', '[]', 'null', '"x"', '{"message":7}', '{"message":"\\u0000\\n"}']) {
    assert.match(parseFailure(bytes(text)).message, /^no reason given/, text);
  }
  assert.match(parseFailure(new Uint8Array([0x7b, 0xff])).message, /^no reason given/);
});

test('options are taken when they can be used', () => {
  assert.deepEqual(parseOptions(bytes('{"deadlineSeconds":90,"tidy":true,"later":1}')), {
    options: { deadlineSeconds: 90, tidy: true },
  });
  assert.deepEqual(parseOptions(bytes('{}')), { options: {} });
});

test('a deadline that cannot be used is the default, and said so', () => {
  for (const value of ['0', '-1', '1.5', '1e12', '1728001', '"90"', 'null', '[]', 'true']) {
    const { options, complaint } = parseOptions(bytes(`{"deadlineSeconds":${value},"tidy":false}`));
    assert.deepEqual(options, { deadlineSeconds: DEFAULT_DEADLINE_SECONDS, tidy: false }, value);
    assert.match(complaint ?? '', /^deadlineSeconds is not a whole number from 1 to 1728000$/);
  }
  for (const value of [1, 1_728_000])
    assert.deepEqual(parseOptions(bytes(`{"deadlineSeconds":${value}}`)), { options: { deadlineSeconds: value } });
  const { options, complaint } = parseOptions(bytes('nothing'));
  assert.deepEqual(options, { deadlineSeconds: DEFAULT_DEADLINE_SECONDS });
  assert.equal(complaint, 'the options are not a JSON object');
  assert.deepEqual(parseOptions(bytes('{"tidy":1}')), { options: {}, complaint: 'tidy is neither true nor false' });
});

test('any bytes are parsed without an error', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (input) => {
      assert.equal(typeof parseFailure(input).message, 'string');
      assert.ok(parseOptions(input).options.tidy === undefined);
    }),
  );
});

test('what is shown is one bounded line', () => {
  assert.equal(shown(' a\r\n\u001b[31mb\u202e c '), 'a [31mb c');
  assert.equal(shown('x'.repeat(3000)).length, 2001);
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => !/[\p{Cc}\u2028\u2029]/u.test(shown(text))));
});
