// Repository names, cache places, identity and error lines: everything a command derives before it opens anything.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { WindlassError } from '../base/errors.ts';
import { cacheRoot, isRepositoryCacheName } from './cache-directory.ts';
import { errorLine } from './error-line.ts';
import { exitCodeOf } from './exit-codes.ts';
import { defaultIdentity } from './identity.ts';
import { processOwners } from './process-owner.ts';
import { repositoryPath } from './repository-url.ts';

test('a repository is a path, relative or not, or a file URL', () => {
  assert.equal(repositoryPath('repo', '/here'), '/here/repo');
  assert.equal(repositoryPath('/repo', '/here'), '/repo');
  assert.equal(repositoryPath('file:///a%20b/repo', '/here'), '/a b/repo');
  for (const bad of ['s3://bucket/x', 'file://host/x', undefined, '']) {
    assert.throws(
      () => repositoryPath(bad, '/here'),
      (error) => exitCodeOf(error) === 2,
    );
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
