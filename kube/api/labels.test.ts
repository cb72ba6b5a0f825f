import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { test } from 'node:test';
import { labelValue } from './labels.ts';
import { nameOfKey, objectKey } from './object.ts';

test('a value is kept up to 63 characters; beyond, its hash tells it from others', () => {
  const fits = 'a'.repeat(63);
  assert.equal(labelValue(fits), fits);
  const operation = 'du-4dd7d2a1-1c62-4f5c-a3a6-0f3a0d9f9f1c.6b1c7d7e-2b4a-4a58-9c0f-1d2e3f4a5b6c';
  const short = labelValue(operation);
  assert.equal(short.length, 63);
  assert.equal(short, operation.slice(0, 57) + hash('sha256', operation).slice(0, 6));
});

test('a key is a name and its namespace', () => {
  for (const name of [{ namespace: 'velero', name: 'a-b' }, { name: 'node-1' }])
    assert.deepEqual(nameOfKey(objectKey(name)), name);
});
