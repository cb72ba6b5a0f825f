import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Slots } from './slots.ts';

test('volumes get their turn in the order in which they came, and are called when it has come', () => {
  const called: string[] = [];
  const slots = new Slots(2, (id) => called.push(id));
  assert.deepEqual([slots.take('a'), slots.take('b')], [{ isGranted: true }, { isGranted: true }]);
  assert.deepEqual(slots.take('c'), { isGranted: false, position: 1, waiting: 1 });
  assert.deepEqual(slots.take('d'), { isGranted: false, position: 2, waiting: 2 });
  assert.deepEqual(slots.take('a'), { isGranted: true }, 'who has one keeps it');
  slots.release('a');
  assert.deepEqual(called, ['c']);
  assert.equal(slots.take('d').isGranted, false, 'nobody overtakes');
  assert.equal(slots.take('c').isGranted, true);
  assert.deepEqual([slots.inUse, slots.waiting], [2, 1]);
});

test('who leaves the queue makes the others move up', () => {
  const called: string[] = [];
  const slots = new Slots(1, (id) => called.push(id));
  for (const id of ['a', 'b', 'c']) slots.take(id);
  slots.release('b');
  assert.deepEqual(slots.take('c'), { isGranted: false, position: 1, waiting: 1 });
  slots.release('nobody');
  assert.deepEqual(called, []);
  slots.release('a');
  assert.deepEqual(called, ['c']);
});

test('a new limit calls those whose turn it is now, and takes nothing from those who have a slot', () => {
  const called: string[] = [];
  const slots = new Slots(1, (id) => called.push(id));
  for (const id of ['a', 'b', 'c', 'd']) slots.take(id);
  slots.setLimit(3);
  assert.deepEqual(called, ['b', 'c']);
  slots.take('b');
  slots.take('c');
  slots.setLimit(1);
  assert.deepEqual([slots.inUse, slots.take('d').isGranted], [3, false]);
});
