import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WindlassError } from '../../base/errors.ts';
import { translateS3Error } from './s3-errors.ts';

const request = { operation: 'read', subject: 'blob p1', hasAnswered: false };

function thrown(members: { readonly name?: string; readonly code?: string; readonly status?: number }): Error {
  const { name = 'Error', code, status } = members;
  const metadata = status === undefined ? {} : { $metadata: { httpStatusCode: status, requestId: 'R-1' } };
  return Object.assign(new Error('with a secret in it'), { name }, code === undefined ? {} : { code }, metadata);
}

function translated(error: unknown, hasAnswered = false): WindlassError {
  const result = translateS3Error(error, { ...request, hasAnswered });
  assert.ok(result instanceof WindlassError);
  return result;
}

test('every failure becomes one of the closed set, with its retry class', () => {
  const table = [
    [{ name: 'AccessDenied', status: 403 }, 'BLOB_ACCESS_DENIED', 'never'],
    [{ name: '403', status: 403 }, 'BLOB_ACCESS_DENIED', 'never'],
    [{ name: 'ExpiredToken', status: 400 }, 'BLOB_CREDENTIALS_EXPIRED', 'after-refresh'],
    [{ name: 'CredentialsProviderError' }, 'BLOB_CREDENTIALS_MISSING', 'never'],
    [{ name: 'NoSuchBucket', status: 404 }, 'BLOB_BUCKET_MISSING', 'never'],
    [{ name: 'SlowDown', status: 503 }, 'BLOB_STORE_BUSY', 'transient'],
    [{ name: 'UnknownError', status: 429 }, 'BLOB_STORE_BUSY', 'transient'],
    [{ name: 'InternalError', status: 500 }, 'BLOB_STORE_UNAVAILABLE', 'transient'],
    [{ code: 'ECONNREFUSED' }, 'BLOB_STORE_UNAVAILABLE', 'transient'],
    [{ name: 'TimeoutError', code: 'ECONNRESET' }, 'BLOB_STORE_UNAVAILABLE', 'transient'],
    [{ name: 'TimeoutError' }, 'BLOB_TIMEOUT', 'transient'],
    [{ name: 'BadDigest', status: 400 }, 'BLOB_TRUNCATED', 'transient'],
    [{ name: 'RequestTimeTooSkewed', status: 403 }, 'BLOB_CLOCK_SKEW', 'never'],
    [{ code: 'DEPTH_ZERO_SELF_SIGNED_CERT' }, 'BLOB_TLS_UNTRUSTED', 'never'],
    [{ code: 'ENOTFOUND' }, 'BLOB_STORE_UNKNOWN', 'never'],
    [{ name: 'InsufficientStorage', status: 507 }, 'BLOB_STORE_FULL', 'never'],
    [{ name: 'NotImplemented', status: 501 }, 'BLOB_STORE_REFUSED', 'never'],
  ] as const;
  for (const [members, code, retry] of table) {
    const error = translated(thrown(members));
    assert.deepEqual([error.code, error.retry], [code, retry], JSON.stringify(members));
  }
});

test('keys and names that worked before have expired or are unreachable, not wrong', () => {
  for (const name of ['InvalidAccessKeyId', 'InvalidToken', 'SignatureDoesNotMatch']) {
    assert.equal(translated(thrown({ name, status: 403 })).code, 'BLOB_ACCESS_DENIED');
    assert.equal(translated(thrown({ name, status: 403 }), true).retry, 'after-refresh');
  }
  assert.equal(translated(thrown({ code: 'ENOTFOUND' }), true).retry, 'transient');
});

test('nothing that the library or the store says is passed on but plain words', () => {
  const error = translated(thrown({ name: 'Odd\nName with <xml>', status: 400 }));
  assert.equal(error.cause, undefined);
  assert.equal(error.message, 'cannot read blob p1: the store refuses the request (400)');
  assert.ok(!JSON.stringify(error).includes('secret'));
});

test('the time that a busy store asks for is handed on', () => {
  const busy = Object.assign(thrown({ name: 'SlowDown', status: 503 }), {
    $response: { headers: { 'retry-after': '7' } },
  });
  assert.equal(translated(busy).context['retryAfterMs'], 7000);
});

test("errors of our own pass through; an abort that is not the caller's is a connection that was cut", () => {
  const own = new WindlassError('x', { code: 'BLOB_NOT_FOUND' });
  assert.equal(translateS3Error(own, request), own);
  assert.equal(translated(new DOMException('stop', 'AbortError')).code, 'BLOB_STORE_UNAVAILABLE');
});
