import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WindlassError } from '../../base/errors.ts';
import { azureTokenFailure } from './azure-errors.ts';
import { translateGcsAuthError } from './gcs-errors.ts';

const codeOf = (error: unknown): string => (error instanceof WindlassError ? error.code : String(error));
const request = { operation: 'read', subject: 'blob p1' };
const noFile = Object.assign(new Error('no such file'), { code: 'ENOENT' });

test('Azure: a token refused at first is a wrong identity, later one that was replaced; a busy service is neither', () => {
  const denied = new WindlassError('refused', { code: 'BLOB_ACCESS_DENIED' });
  const busy = new WindlassError('busy', { code: 'BLOB_STORE_UNAVAILABLE', retry: 'transient' });
  assert.equal(azureTokenFailure(denied, false), denied);
  assert.equal(codeOf(azureTokenFailure(denied, true)), 'BLOB_CREDENTIALS_EXPIRED');
  assert.equal(azureTokenFailure(busy, true), busy);
});

test('Google: the same, and a file that is being replaced', () => {
  const refused = new Error('invalid_grant: secret words');
  assert.equal(codeOf(translateGcsAuthError(refused, request, false)), 'BLOB_ACCESS_DENIED');
  const later = translateGcsAuthError(refused, request, true);
  assert.equal(codeOf(later), 'BLOB_CREDENTIALS_EXPIRED');
  assert.ok(later instanceof WindlassError && later.retry === 'after-refresh' && !later.message.includes('secret'));
  assert.equal(codeOf(translateGcsAuthError(noFile, request, false)), 'BLOB_CREDENTIALS_MISSING');
  assert.equal(codeOf(translateGcsAuthError(noFile, request, true)), 'BLOB_CREDENTIALS_EXPIRED');
  const reset = Object.assign(new Error('reset'), { code: 'ECONNRESET' });
  assert.equal(codeOf(translateGcsAuthError(reset, request, true)), 'BLOB_STORE_UNAVAILABLE');
});
