import assert from 'node:assert/strict';
import { test } from 'node:test';
import { environmentCredentials } from './s3-environment.ts';

const keys = { AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 's' };

test('keys of the environment are taken as they are', () => {
  assert.deepEqual(environmentCredentials({}, keys), { accessKeyId: 'a', secretAccessKey: 's' });
  assert.deepEqual(environmentCredentials({}, { ...keys, AWS_SESSION_TOKEN: 't' }), {
    accessKeyId: 'a',
    secretAccessKey: 's',
    sessionToken: 't',
  });
});

test('whatever else is set is left to the provider chain', () => {
  assert.equal(environmentCredentials({ profile: 'p' }, keys), undefined);
  assert.equal(environmentCredentials({ credentialsFile: '/f' }, keys), undefined);
  for (const other of [
    { AWS_PROFILE: 'p' },
    { AWS_CREDENTIAL_EXPIRATION: '2026-01-02T03:04:05Z' },
    { AWS_ACCESS_KEY_ID: '' },
    { AWS_SECRET_ACCESS_KEY: undefined },
  ])
    assert.equal(environmentCredentials({}, { ...keys, ...other }), undefined, JSON.stringify(other));
});
