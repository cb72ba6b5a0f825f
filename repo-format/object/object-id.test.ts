import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasCode } from '../../base/errors.ts';
import type { ContentId } from '../index/content-id.ts';
import {
  directObjectId,
  indexObjectId,
  indirectObjectId,
  isObjectId,
  objectIdParts,
  parseObjectId,
} from './object-id.ts';

const HASH = '00112233445566778899aabbccddeeff';

test('ids say what they are', () => {
  assert.deepEqual(objectIdParts(parseObjectId(`IIx${HASH}`)), partsOf(2, false, `x${HASH}`));
  assert.deepEqual(objectIdParts(parseObjectId(`Z${HASH}`)), partsOf(0, true, HASH));
  assert.deepEqual(objectIdParts(parseObjectId(`k${HASH}`)), partsOf(0, false, `k${HASH}`));
});

function partsOf(indirection: number, compressed: boolean, contentId: string): Record<string, unknown> {
  return { indirection, compressed, contentId };
}

test('the oldest form is accepted and not written', () => {
  assert.equal(parseObjectId(`D${HASH}`), HASH);
  assert.equal(parseObjectId(`ID${HASH.toUpperCase()}`), `I${HASH}`);
  assert.equal(isObjectId(`D${HASH}`), false);
});

test('malformed ids are refused', () => {
  const bad = [
    '',
    'I',
    'Z',
    HASH.slice(1),
    `IZ${HASH}`,
    `ZI${HASH}`,
    `f${HASH}`,
    `a${HASH}`,
    `kk${HASH}`,
    `${HASH}z`,
    `${'I'.repeat(9)}${HASH}`,
    'ab'.repeat(33),
    `${HASH}\n`,
  ];
  for (const text of bad) {
    assert.throws(
      () => parseObjectId(text),
      (error) => hasCode(error, 'OBJECT_ID_INVALID'),
      text,
    );
    assert.equal(isObjectId(text), false, text);
  }
});

test('indirection is added and taken off', () => {
  const direct = directObjectId(`x${HASH}` as ContentId);
  const indirect = indirectObjectId(direct);
  assert.equal(indirect, `Ix${HASH}`);
  assert.equal(indexObjectId(indirect), direct);
  assert.equal(indexObjectId(direct), undefined);
  assert.equal(directObjectId(HASH as ContentId, true), `Z${HASH}`);
});
