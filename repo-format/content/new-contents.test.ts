import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { NewContents, type NewContentsData } from './new-contents.ts';

const KEY_SIZE = 17;

/** Keys that fall into few buckets, so that chains grow and threads meet. */
function keyOf(number: number): Uint8Array {
  const key = new Uint8Array(KEY_SIZE);
  key[1] = number % 7;
  new DataView(key.buffer).setUint32(8, number);
  return key;
}

test('a key is inserted once, then present', () => {
  const set = NewContents.create(KEY_SIZE, 10);
  assert.equal(set.has(keyOf(1)), false);
  assert.equal(set.insert(keyOf(1)), 'inserted');
  assert.equal(set.insert(keyOf(1)), 'present');
  assert.equal(set.has(keyOf(1)), true);
  assert.equal(set.insert(keyOf(8)), 'inserted', 'another key of the same bucket');
  assert.equal(set.size, 2);
  assert.equal(set.promised, 2);
});

test('keys of any size count in full', () => {
  fc.assert(
    fc.property(fc.integer({ min: 4, max: 33 }), fc.array(fc.integer({ min: 0, max: 300 })), (keySize, numbers) => {
      const set = NewContents.create(keySize, numbers.length + 1);
      const model = new Set<number>();
      for (const number of numbers) {
        const key = new Uint8Array(keySize);
        key[0] = number >> 8;
        key[keySize - 1] = number;
        assert.equal(set.insert(key), model.has(number) ? 'present' : 'inserted');
        model.add(number);
      }
      assert.equal(set.size, model.size);
      assert.equal(set.promised, model.size);
    }),
  );
});

test('a full set says so, still knows its keys, and counts what its callers now store', () => {
  const set = NewContents.create(KEY_SIZE, 2);
  set.insert(keyOf(1));
  set.insert(keyOf(2));
  assert.equal(set.insert(keyOf(3)), 'full');
  assert.equal(set.insert(keyOf(3)), 'full', 'a refused key is not remembered');
  assert.equal(set.insert(keyOf(1)), 'present');
  assert.equal(set.has(keyOf(3)), false);
  assert.equal(set.size, 2);
  assert.equal(set.promised, 4);
});

test('two views of the same memory are one set', () => {
  const set = NewContents.create(KEY_SIZE, 10);
  const other = new NewContents(structuredClone(set.data));
  assert.equal(set.insert(keyOf(1)), 'inserted');
  assert.equal(other.insert(keyOf(1)), 'present');
  assert.equal(other.promised, 1);
});

const THREADS = 4;
const KEYS = 4000;

/** Each thread inserts all keys in an order of its own and notes in `counts` which it was first with. */
const INSERTING_THREAD = `
const { workerData } = require('node:worker_threads');
const { module, data, counts, gate, number, keys, keySize, threads } = workerData;
import(module).then(({ NewContents }) => {
  const set = new NewContents(data);
  const state = new Int32Array(gate);
  const seen = new Int32Array(counts);
  Atomics.add(state, 0, 1);
  while (Atomics.load(state, 0) < threads);
  for (let step = 0; step < keys; step++) {
    const id = number % 2 === 0 ? step : keys - 1 - step;
    const key = new Uint8Array(keySize);
    key[1] = id % 7;
    new DataView(key.buffer).setUint32(8, id);
    if (set.insert(key) === 'inserted') Atomics.add(seen, id, 1);
  }
});
`;

function insertOnThread(
  data: NewContentsData,
  shared: { counts: SharedArrayBuffer; gate: SharedArrayBuffer },
  number: number,
): Promise<void> {
  const module = new URL('./new-contents.ts', import.meta.url).href;
  const workerData = { module, data, ...shared, number, keys: KEYS, keySize: KEY_SIZE, threads: THREADS };
  const worker = new Worker(INSERTING_THREAD, { eval: true, workerData });
  return new Promise((resolve, reject) => {
    worker.once('error', reject);
    worker.once('exit', () => resolve());
  });
}

test('of several threads inserting the same keys exactly one gets each', async () => {
  const set = NewContents.create(KEY_SIZE, KEYS * THREADS);
  const shared = { counts: new SharedArrayBuffer(KEYS * 4), gate: new SharedArrayBuffer(4) };
  await Promise.all(Array.from({ length: THREADS }, (_, number) => insertOnThread(set.data, shared, number)));
  const counts = new Int32Array(shared.counts);
  assert.deepEqual(
    counts.findIndex((count) => count !== 1),
    -1,
    'every key was inserted by one thread',
  );
  assert.equal(set.promised, KEYS);
  assert.ok(set.size >= KEYS, 'lost races may waste entries, never keys');
  for (let number = 0; number < KEYS; number++) assert.ok(set.has(keyOf(number)));
});
