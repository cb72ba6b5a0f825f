import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeName, standInNames } from './names.ts';

const none = (): boolean => false;

test('valid UTF-8 is its own name, anything else is not', () => {
  const valid = ['a', 'é', '日本', '😀', '\u0001', 'a\ufeffb', '\ufeffa', '\ufffd'];
  for (const name of valid) assert.equal(decodeName(new TextEncoder().encode(name)), name);
  // Latin-1, cut sequences, overlong forms, a surrogate, beyond U+10FFFF.
  for (const raw of [[0xe9], [0xe2, 0x82], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0x61, 0xff]]) {
    assert.equal(decodeName(Uint8Array.from(raw)), undefined);
  }
});

test('a name is decoded from the middle of a larger array', () => {
  const whole = Buffer.from('..été\0x');
  assert.equal(decodeName(whole, 2, 7), 'été');
  assert.equal(decodeName(Uint8Array.from(whole), 2, 7), 'été');
  assert.equal(decodeName(Uint8Array.from(whole).subarray(1), 1, 6), 'été');
});

test('stand-ins show what is readable and the rest in hex', () => {
  const raw = [Uint8Array.from([0x63, 0xe9, 0x2e]), Uint8Array.from([0xc3, 0xa9, 0xff]), Uint8Array.from([0xe2, 0x82])];
  assert.deepEqual(
    standInNames(raw, none).map((entry) => entry.name),
    ['c%E9.', 'é%FF', '%E2%82'],
  );
});

test('a stand-in never takes the name of a real file or of another stand-in', () => {
  const real = new Set(['%FF', '%FF~1']);
  const raw = Uint8Array.of(0xff);
  assert.equal(standInNames([raw], (name) => real.has(name))[0]?.name, '%FF~2');
  const spelled = Buffer.from([0x25, 0x46, 0x45, 0xff]);
  assert.deepEqual(
    standInNames([Uint8Array.of(0xfe, 0xff), spelled], none).map((entry) => entry.name),
    ['%FE%FF~1', '%FE%FF'],
  );
});

test('stand-ins do not depend on the order of the listing, are unique, and are no raw name', () => {
  const name = fc.uint8Array({ minLength: 1, maxLength: 6 }).filter((bytes) => decodeName(bytes) === undefined);
  const names = fc.uniqueArray(name, { maxLength: 12, selector: (bytes) => Buffer.from(bytes).toString('hex') });
  fc.assert(
    fc.property(names, fc.array(fc.string({ maxLength: 4 }), { maxLength: 5 }), (raw, others) => {
      const taken = new Set(others);
      const given = standInNames(raw, (text) => taken.has(text));
      assert.equal(new Set(given.map((entry) => entry.name)).size, raw.length);
      assert.ok(given.every((entry, i) => !taken.has(entry.name) && entry.raw === raw[i]));
      const reversed = standInNames(raw.toReversed(), (text) => taken.has(text)).toReversed();
      assert.deepEqual(reversed, given);
    }),
  );
});
