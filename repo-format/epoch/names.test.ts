import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BlobId, BlobMetadata } from '../blob/storage.ts';
import { completeSets, firstCompleteSet } from './complete-sets.ts';
import { epochNumberOf, epochRangeOf, watermarkSecondsOf } from './names.ts';
import { longestChain } from './range-chain.ts';

const blob = (id: string): BlobMetadata => ({ id: id as BlobId, length: 1, timestampMs: 0 });

test('epoch numbers stand before the first underscore, after what is no digit', () => {
  const numbers = { pppp9: 9, x7: 7, x01234_1235: 1234, x0_1235: 0, 'abc1234_xxxx-sadfasd': 1234, xe12: 12 };
  for (const [name, number] of Object.entries(numbers)) assert.equal(epochNumberOf(name), number, name);
  for (const name of ['', '_', 'a_', 'x123x_', 'xe', 'xe-', 'xe1.5', `xe${'9'.repeat(16)}`]) {
    assert.equal(epochNumberOf(name), undefined, name);
  }
});

test('ranges have two bounds in order', () => {
  assert.deepEqual(epochRangeOf('xr0_9_abc-s1-c1'), { min: 0, max: 9 });
  assert.deepEqual(epochRangeOf('xr5_5_abc'), { min: 5, max: 5 });
  for (const name of ['', 'xr', 'xr0_9', 'xr_9_a', 'xr0__a', 'xr9_0_a', 'xr0_9x_a', 'xr0_-9_a']) {
    assert.equal(epochRangeOf(name), undefined, name);
  }
});

test('watermarks are whole seconds', () => {
  assert.equal(watermarkSecondsOf('xw1795161018'), 1795161018);
  for (const name of ['xw', 'xw1.5', 'xwx', 'xw1_', 'xe1', 'xw 1'])
    assert.equal(watermarkSecondsOf(name), undefined, name);
});

test('sets are complete with their last blob, in the order they become so', () => {
  const cases: [string[], string[][]][] = [
    [[], []],
    [['a-s0-c2', 'b-s0-c2'], [['a-s0-c2', 'b-s0-c2']]],
    [
      ['a-s0-c2', 'malformed', 'b-s0-c2'],
      [['malformed'], ['a-s0-c2', 'b-s0-c2']],
    ],
    [
      ['a-s0-c2', 'malformed-s0-x2', 'b-s0-c2'],
      [['malformed-s0-x2'], ['a-s0-c2', 'b-s0-c2']],
    ],
    [
      ['a-s0-c2', 'malformed-s0-cNAN', 'b-s0-c2'],
      [['malformed-s0-cNAN'], ['a-s0-c2', 'b-s0-c2']],
    ],
    [
      ['a-x0-c2', 'b-x0-c2'],
      [['a-x0-c2'], ['b-x0-c2']],
    ],
    [
      ['foo-s0-c2', 'aaa-s1-c2', 'bar-s0-c2', 'bbb-s1-c2'],
      [
        ['foo-s0-c2', 'bar-s0-c2'],
        ['aaa-s1-c2', 'bbb-s1-c2'],
      ],
    ],
    [['foo-s0-c3', 'aaa-s1-c3', 'bar-s0-c3', 'bbb-s1-c3'], []],
    [['a-s0-c1', 'b-s0-c1'], [['a-s0-c1']]],
    [['a-s0-c0'], []],
  ];
  for (const [names, sets] of cases) {
    assert.deepEqual(
      completeSets(names.map(blob)),
      sets.map((set) => set.map(blob)),
      names.join(),
    );
    assert.deepEqual(firstCompleteSet(names.map(blob)), sets[0]?.map(blob));
  }
});

test('the chain of ranges reaches farthest from epoch 0, with the fewest ranges', () => {
  const chain = (...bounds: [number, number][]): [number, number][] =>
    longestChain(bounds.map(([min, max]) => ({ min, max, blobs: [] }))).map(({ min, max }) => [min, max]);
  assert.deepEqual(chain(), []);
  assert.deepEqual(chain([0, 9], [10, 19], [20, 29], [50, 59]), [
    [0, 9],
    [10, 19],
    [20, 29],
  ]);
  assert.deepEqual(chain([0, 9], [0, 29], [10, 19], [30, 39]), [
    [0, 29],
    [30, 39],
  ]);
  assert.deepEqual(chain([0, 9], [0, 29], [10, 59], [30, 39]), [
    [0, 9],
    [10, 59],
  ]);
  assert.deepEqual(chain([0, 9], [10, 19], [0, 19]), [[0, 19]]);
  assert.deepEqual(chain([1, 9], [10, 19]), [], 'nothing starts at 0');
  assert.deepEqual(chain([0, 0]), [], 'a chain must end above epoch 0');
  assert.deepEqual(chain([0, 0], [1, 9]), [
    [0, 0],
    [1, 9],
  ]);
  const many = Array.from({ length: 50_000 }, (_, index): [number, number] => [index * 2, index * 2 + 1]);
  assert.equal(chain(...many).length, 50_000);
});
