import assert from 'node:assert/strict';
import { test } from 'node:test';
import { plainCredentials } from './s3-profile.ts';

const KEYS = 'aws_access_key_id=AKIA\naws_secret_access_key = s3cr3t+/=\n';
const plain = { accessKeyId: 'AKIA', secretAccessKey: 's3cr3t+/=' };

test('keys that stand plainly in a profile are taken', () => {
  assert.deepEqual(plainCredentials(`[default]\n${KEYS}`, 'default'), plain);
  assert.deepEqual(
    plainCredentials(`# Velero\n\n[other]\nrole_arn=x\n[profile me]\r\n${KEYS}region=eu\n`, 'me'),
    plain,
  );
  assert.deepEqual(plainCredentials(`[a]\n${KEYS}aws_session_token=t\n[b]\n`, 'a'), { ...plain, sessionToken: 't' });
});

test('whatever might mean something else is left to the library', () => {
  const cases: Readonly<Record<string, string>> = {
    'a role': `[default]\n${KEYS}role_arn = arn:x\n`,
    'a process': '[default]\ncredential_process=/bin/true\n',
    'no secret': '[default]\naws_access_key_id=A\n',
    'no such profile': `[other]\n${KEYS}`,
    'two of them': `[default]\n${KEYS}[profile default]\n${KEYS}`,
    'a key twice': `[default]\n${KEYS}aws_access_key_id=B\n`,
    'nested settings': `[default]\n${KEYS}s3 =\n  max_bandwidth = 5\n`,
    'a comment behind a value': '[default]\naws_access_key_id=A # mine\naws_secret_access_key=b\n',
    'no file of the kind': '{"type":"service_account"}',
  };
  for (const [name, text] of Object.entries(cases)) assert.equal(plainCredentials(text, 'default'), undefined, name);
});
