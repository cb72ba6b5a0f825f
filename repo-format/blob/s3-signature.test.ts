import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeKey, encodeQuery, RequestSigner, type UnsignedRequest } from './s3-signature.ts';

// The examples of Amazon's documentation of S3's signatures, and of its test suite for all services.
const credentials = {
  accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
};
const nowMs = Date.UTC(2013, 4, 24);
const bucket = { host: 'examplebucket.s3.amazonaws.com', method: 'GET', path: '/', query: {}, headers: {} };

function signatureOf(request: Partial<UnsignedRequest>): string | undefined {
  const signer = new RequestSigner({ region: 'us-east-1', service: 's3' });
  const whole = { ...bucket, body: undefined, ...request };
  // Twice: the second time with the key of the first.
  signer.sign(whole, credentials, nowMs);
  const { authorization } = signer.sign(whole, credentials, nowMs);
  return /Signature=([0-9a-f]{64})$/.exec(authorization ?? '')?.[1];
}

test('a read of a range', () => {
  const signature = signatureOf({ path: '/test.txt', headers: { range: 'bytes=0-9' } });
  assert.equal(signature, 'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41');
});

test('a write, with a key and a header that are not plain', () => {
  const signature = signatureOf({
    method: 'PUT',
    path: `/${encodeKey('test$file.text')}`,
    headers: { date: 'Fri, 24 May 2013 00:00:00 GMT', 'x-amz-storage-class': 'REDUCED_REDUNDANCY' },
    body: Buffer.from('Welcome to Amazon S3.'),
  });
  assert.equal(signature, '98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd');
});

test('a list', () => {
  const signature = signatureOf({ query: { prefix: 'J', 'max-keys': '2' } });
  assert.equal(signature, '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7');
});

test('a session token is sent and signed', () => {
  const signer = new RequestSigner({ region: 'r', service: 's3' });
  const headers = signer.sign({ ...bucket, body: undefined }, { ...credentials, sessionToken: 'token' }, nowMs);
  assert.equal(headers['x-amz-security-token'], 'token');
  assert.match(
    headers['authorization'] ?? '',
    /SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token,/,
  );
});

test('the key is made anew for another day and another secret', () => {
  const signer = new RequestSigner({ region: 'us-east-1', service: 's3' });
  const request = { ...bucket, path: '/test.txt', headers: { range: 'bytes=0-9' }, body: undefined };
  const others = [
    signer.sign(request, credentials, nowMs + 86_400_000),
    signer.sign(request, { ...credentials, secretAccessKey: 'x' }, nowMs),
  ];
  const { authorization } = signer.sign(request, credentials, nowMs);
  assert.match(authorization ?? '', /Signature=f0e8bdb87c964420/);
  for (const other of others) assert.notEqual(other['authorization'], authorization);
});

test('keys and queries are encoded as they are signed', () => {
  assert.equal(encodeKey("a/b c+d%é!'()*~"), 'a/b%20c%2Bd%25%C3%A9%21%27%28%29%2A~');
  assert.equal(encodeQuery({ prefix: 'a/b', delimiter: '/', a: '' }), 'a=&delimiter=%2F&prefix=a%2Fb');
});
