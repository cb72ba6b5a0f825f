import assert from 'node:assert/strict';
import { test } from 'node:test';
import { explainError, WindlassError } from './errors.ts';

test('an error is told with all that caused it, in one line', () => {
  const refused = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:1'), { code: 'ECONNREFUSED' });
  const failed = new TypeError('fetch failed', { cause: refused });
  const error = new WindlassError('the API server\n  cannot be reached', { code: 'KUBE_UNAVAILABLE', cause: failed });
  assert.equal(explainError(error), 'the API server cannot be reached: fetch failed: connect ECONNREFUSED 127.0.0.1:1');
});

test('what has been said is not said twice, and a cause that is no error is told as it is', () => {
  const inner = new Error('no such file');
  assert.equal(explainError(new Error('cannot start: no such file', { cause: inner })), 'cannot start: no such file');
  assert.equal(explainError(new Error('stopped', { cause: 'a reason' })), 'stopped: a reason');
  assert.equal(explainError('text'), 'text');
});

test('several reasons of one failure are in the line, and a circle of causes ends', () => {
  const addresses = ['::1', '127.0.0.1'].map((address) => new Error(`connect ECONNREFUSED ${address}:1`));
  const error = new Error('unavailable', { cause: new AggregateError(addresses) });
  assert.equal(explainError(error), 'unavailable: connect ECONNREFUSED ::1:1, connect ECONNREFUSED 127.0.0.1:1');
  const circle = new Error('a');
  circle.cause = new Error('b', { cause: circle });
  assert.equal(explainError(circle), 'a: b');
  assert.equal(explainError(new Error('')), 'an error without a message');
});
