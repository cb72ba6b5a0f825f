import assert from 'node:assert/strict';
import { test } from 'node:test';
import { codeOf, refused, unreachable } from './kube-error.ts';

test('each status has its code', () => {
  const codes = [
    [400, undefined, 'KUBE_INVALID'],
    [401, 'Unauthorized', 'KUBE_UNAUTHORIZED'],
    [403, 'Forbidden', 'KUBE_FORBIDDEN'],
    [404, 'NotFound', 'KUBE_NOT_FOUND'],
    [408, 'Timeout', 'KUBE_UNAVAILABLE'],
    [409, 'Conflict', 'KUBE_CONFLICT'],
    [409, 'AlreadyExists', 'KUBE_ALREADY_EXISTS'],
    [410, 'Expired', 'KUBE_GONE'],
    [422, 'Invalid', 'KUBE_INVALID'],
    [429, 'TooManyRequests', 'KUBE_TOO_MANY_REQUESTS'],
    [500, 'InternalError', 'KUBE_UNAVAILABLE'],
    [504, 'Timeout', 'KUBE_UNAVAILABLE'],
  ] as const;
  for (const [status, reason, code] of codes) assert.equal(codeOf(status, reason), code, `${status} ${reason}`);
});

test("the server's own words are kept, as far as they are its own", () => {
  const status = JSON.stringify({ kind: 'Status', reason: 'NotFound', message: 'pods "x" not found', code: 404 });
  assert.equal(refused('GET /x', { status: 404, body: status }).message, 'GET /x: pods "x" not found');
  assert.equal(refused('GET /x', { status: 502, body: '<html>' }).message, 'GET /x: the API server answers 502');
  const strange = JSON.stringify({ reason: 1, message: { a: 1 } });
  assert.equal(refused('GET /x', { status: 500, body: strange }).message, 'GET /x: the API server answers 500');
  assert.equal(refused('GET /x', { status: 500, body: 'null' }).message, 'GET /x: the API server answers 500');
});

test('how long to wait is seconds; anything else is not understood', () => {
  const wait = (retryAfter?: string): number | undefined =>
    refused('x', { status: 429, body: '', retryAfter }).retryAfterMs;
  assert.equal(wait('3'), 3000);
  assert.equal(wait('Wed, 21 Oct 2026 07:28:00 GMT'), undefined);
  assert.equal(wait('-1'), undefined);
  assert.equal(wait(''), undefined);
  assert.equal(wait(), undefined);
});

test('no answer is told with its reason', () => {
  const cause = Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' });
  const error = unreachable('GET /x', cause);
  assert.equal(error.message, 'GET /x: the API server cannot be reached: ECONNRESET');
  assert.equal(error.retry, 'transient');
  assert.equal(unreachable('x', 'odd').message, 'x: the API server cannot be reached: odd');
});
