import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WindlassError } from '../../base/errors.ts';
import { mayPass } from './runs.ts';

test('what may pass is tried again, a name service that is away included; what would fail again is not', () => {
  const failure = (code: string, retry: 'never' | 'transient' | 'after-refresh') =>
    new WindlassError('failed', { code, retry });
  assert.equal(mayPass(failure('BLOB_TIMEOUT', 'transient')), true);
  assert.equal(mayPass(failure('BLOB_CREDENTIALS_EXPIRED', 'after-refresh')), true);
  assert.equal(mayPass(failure('BLOB_STORE_UNKNOWN', 'never')), true);
  assert.equal(mayPass(new DOMException('stopped', 'AbortError')), true);
  assert.equal(mayPass(failure('PASSWORD_WRONG', 'never')), false);
  assert.equal(mayPass(new TypeError('a bug')), false);
});
