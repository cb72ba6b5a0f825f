// Repository names, cache places, identity and error lines: everything a command derives before it opens anything.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { WindlassError } from '../base/errors.ts';
import { cacheRoot, isRepositoryCacheName } from './cache-directory.ts';
import { errorLine } from './error-line.ts';
import { exitCodeOf } from './exit-codes.ts';
import { defaultIdentity } from './identity.ts';
import { processOwners } from '../base/process-owner.ts';
import { repositoryAddress } from './repository-url.ts';
import { s3Address } from './s3-address.ts';

const place = (text: string | undefined) => repositoryAddress(text, '/here');

test('a repository is a path, relative or not, or a file URL', () => {
  assert.deepEqual(place('repo'), { kind: 'folder', path: '/here/repo' });
  assert.deepEqual(place('/repo'), { kind: 'folder', path: '/repo' });
  assert.deepEqual(place('file:///a%20b/repo'), { kind: 'folder', path: '/a b/repo' });
  for (const bad of ['sftp://host/x', 'file://host/x', undefined, '']) {
    assert.throws(
      () => place(bad),
      (error) => exitCodeOf(error) === 2,
    );
  }
});

test('a place in an object store is a bucket and a prefix: a path gets its last slash, ?prefix= is taken as it is', () => {
  const told = (text: string): unknown[] => {
    const address = place(text);
    assert.ok(address.kind === 'store');
    return [address.scheme, address.bucket, address.prefix, ...address.parameters.keys()];
  };
  assert.deepEqual(told('s3://bucket'), ['s3', 'bucket', '']);
  assert.deepEqual(told('s3://bucket/'), ['s3', 'bucket', '']);
  assert.deepEqual(told('S3://bucket/a/b'), ['s3', 'bucket', 'a/b/']);
  assert.deepEqual(told('s3://bucket/a%20b/'), ['s3', 'bucket', 'a b/']);
  assert.deepEqual(told('s3://bucket?prefix=no-slash'), ['s3', 'bucket', 'no-slash']);
  assert.deepEqual(told('gs://bucket/a?x=1'), ['gs', 'bucket', 'a/', 'x']);
  assert.deepEqual(told('azblob://container/a?account=me'), ['azblob', 'container', 'a/', 'account']);
});

test('a URL of a store with secrets in it, or that is not quite one, is refused without repeating it', () => {
  const bad = ['s3://key:hunter2@bucket/', 's3://hunter2:hunter2', 's3:///hunter2', 's3://bucket/a#hunter2'];
  for (const text of [
    ...bad,
    's3://bucket/hunter2?prefix=hunter2',
    's3://bucket?region=hunter2&region=x',
    's3://bucket/%hunter2',
  ]) {
    assert.throws(
      () => place(text),
      (error: Error) => exitCodeOf(error) === 2 && !error.message.includes('hunter2'),
      text,
    );
  }
});

test('the parameters of an s3 URL are known by name, and what they say is checked', () => {
  const s3 = (query: string) => {
    const address = place(`s3://bucket/p?${query}`);
    assert.ok(address.kind === 'store');
    return s3Address(address);
  };
  assert.deepEqual(
    s3('endpoint=http://127.0.0.1:9000&region=eu-1&pathStyle=false&checksumAlgorithm=crc32c&profile=p'),
    {
      bucket: 'bucket',
      prefix: 'p/',
      endpoint: 'http://127.0.0.1:9000',
      region: 'eu-1',
      forcePathStyle: false,
      checksumAlgorithm: 'CRC32C',
      profile: 'p',
    },
  );
  assert.deepEqual(
    s3('caCert=ca.pem&insecureSkipTLSVerify=true&kmsKeyId=k&tagging=a%3D1%26b%3D2&storageClass=STANDARD_IA'),
    {
      bucket: 'bucket',
      prefix: 'p/',
      caCertFile: 'ca.pem',
      insecureSkipTlsVerify: true,
      kmsKeyId: 'k',
      tagging: 'a=1&b=2',
      storageClass: 'STANDARD_IA',
    },
  );
  assert.equal(s3('endpoint=https://s3.example.org/').endpoint, 'https://s3.example.org');
  const bad = ['regoin=x', 'pathStyle=yes', 'endpoint=host:9000', 'endpoint=http://host/path', 'endpoint=ftp://host'];
  for (const query of [...bad, 'endpoint=http://k:s@host', 'checksumAlgorithm=md5', 'secretAccessKey=x']) {
    assert.throws(() => s3(query), { code: 'CLI_REPOSITORY_UNSUPPORTED' }, query);
  }
});

test('the cache is where it was told to be, else below the XDG cache home, else below HOME', () => {
  const environment = { WINDLASS_CACHE_DIR: '/env', XDG_CACHE_HOME: '/xdg', HOME: '/home/u' };
  assert.equal(cacheRoot('/flag', environment), '/flag');
  assert.equal(cacheRoot(undefined, environment), '/env');
  assert.equal(cacheRoot(undefined, { ...environment, WINDLASS_CACHE_DIR: '' }), '/xdg/windlass');
  assert.equal(cacheRoot(undefined, { XDG_CACHE_HOME: 'relative', HOME: '/home/u' }), '/home/u/.cache/windlass');
  assert.equal(cacheRoot(undefined, {}), undefined);
});

test('only folders named like a unique id are caches of repositories', () => {
  assert.equal(isRepositoryCacheName('ab'.repeat(32)), true);
  for (const name of ['compile-cache', '..', 'AB'.repeat(32), '']) assert.equal(isRepositoryCacheName(name), false);
});

test('the identity is a short lower-case host and a user', () => {
  const { host, userName } = defaultIdentity(process.env, '/here');
  assert.match(host, /^[^.A-Z]+$/);
  assert.notEqual(userName, '');
});

test('an error is one line with its causes and its code, and no control characters', () => {
  const cause = new Error('tag\nmismatch\u001b[31m');
  const error = new WindlassError('content k1 failed', { code: 'CONTENT_CORRUPT', cause });
  assert.equal(errorLine(error), 'windlass: content k1 failed: tag\\x0amismatch\\x1b[31m [CONTENT_CORRUPT]');
  assert.equal(errorLine(new TypeError('x is undefined')), 'windlass: x is undefined [INTERNAL]');
  assert.equal(
    errorLine(new WindlassError('outer: inner', { code: 'X', cause: new Error('inner') })),
    'windlass: outer: inner [X]',
  );
});

test('exit codes follow the code of the error', () => {
  const code = (name: string): number => exitCodeOf(new WindlassError('x', { code: name }));
  assert.deepEqual(['REPOSITORY_NOT_FOUND', 'PASSWORD_WRONG', 'CLI_USAGE', 'ANYTHING'].map(code), [10, 12, 2, 1]);
  assert.equal(exitCodeOf(new DOMException('stopped', 'AbortError')), 130);
});

test('a process that lives is not gone, one that ended is, and in doubt it lives', () => {
  const owners = processOwners();
  assert.equal(owners.isGone(owners.self), false);
  const ended = spawnSync(process.execPath, ['-e', '']);
  assert.equal(owners.isGone(owners.self.replace(`|${process.pid}|`, `|${ended.pid}|`)), true);
  const fields = owners.self.split('|');
  const changed = (at: number, value: string): string => fields.with(at, value).join('|');
  assert.equal(owners.isGone(changed(0, 'other-host')), false, 'another machine');
  assert.equal(owners.isGone(changed(1, 'other-boot')), true, 'this machine before it was started anew');
  assert.equal(owners.isGone(changed(2, 'other-namespace')), false, 'another container');
  if (process.platform === 'linux')
    assert.equal(owners.isGone(changed(4, '1')), true, 'the id belongs to another process now');
  assert.equal(owners.isGone('nonsense'), false);
});
