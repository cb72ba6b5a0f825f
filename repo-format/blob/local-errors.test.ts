import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errorCode, WindlassError } from '../../base/errors.ts';
import { translateStagingError } from '../content/growing-pack.ts';
import { translateLocalError } from './local-errors.ts';
import type { BlobId } from './storage.ts';

const FULL = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
const ID = 'p1' as BlobId;

test('a full disk of this machine is not a full store, and its place is named', () => {
  const error = translateLocalError(FULL, 'write', ID, '/cache/staging/p1');
  assert.ok(error instanceof WindlassError);
  assert.equal(error.code, 'LOCAL_DISK_FULL');
  assert.match(error.message, /on this machine to write blob p1 at \/cache\/staging\/p1/);
});

test('a pack that grows in its store is full with it', () => {
  assert.equal(errorCode(translateStagingError(FULL, 'write', ID, '/store/p1.f.tmp.00')), 'BLOB_STORE_FULL');
  assert.equal(errorCode(translateStagingError(FULL, 'write', ID, '/cache/p1')), 'LOCAL_DISK_FULL');
});

test('other failures are as everywhere', () => {
  const denied = Object.assign(new Error('EACCES'), { code: 'EACCES' });
  assert.equal(errorCode(translateLocalError(denied, 'write', ID, '/x')), 'BLOB_ACCESS_DENIED');
});
