import assert from 'node:assert/strict';
import { test } from 'node:test';
import { aPodVolumeBackup } from '../../test/harness/pod-volume-objects.ts';
import { Remembered } from './remembered.ts';

const KEY = 'velero/daily-1';
const version = (resourceVersion: string, uid = 'pvb-uid') => aPodVolumeBackup({ metadata: { resourceVersion, uid } });

test('what was written counts until the cache has it', () => {
  const remembered = new Remembered();
  remembered.set(KEY, version('100'));
  assert.equal(remembered.newest(KEY, version('99'))?.metadata.resourceVersion, '100', 'the cache is behind');
  const cached = version('100');
  assert.equal(remembered.newest(KEY, cached), cached, 'the cache has caught up');
  assert.equal(remembered.newest(KEY, version('99'))?.metadata.resourceVersion, '99', 'and is believed from then on');
});

test('versions are compared as numbers, however long', () => {
  const remembered = new Remembered();
  remembered.set(KEY, version('100000000000000000001'));
  assert.equal(remembered.newest(KEY, version('99'))?.metadata.resourceVersion, '100000000000000000001');
  assert.equal(
    remembered.newest(KEY, version('100000000000000000002'))?.metadata.resourceVersion,
    '100000000000000000002',
  );
});

test('another object of the same name is another object', () => {
  const remembered = new Remembered();
  remembered.set(KEY, version('100', 'before'));
  assert.equal(remembered.newest(KEY, version('50', 'after'))?.metadata.uid, 'after');
});

test('an object that the server says is gone stays gone while the cache still has it', () => {
  const remembered = new Remembered();
  remembered.set(KEY, version('100'));
  remembered.markGone(KEY, 'pvb-uid');
  assert.equal(remembered.newest(KEY, version('99')), undefined);
  assert.equal(remembered.newest(KEY, version('120', 'made anew'))?.metadata.uid, 'made anew');
  assert.equal(remembered.newest(KEY, undefined), undefined, 'the cache has seen it');
  assert.equal(remembered.newest(KEY, version('99'))?.metadata.resourceVersion, '99', 'nothing is kept of it');
});

test('what the cache has lost is not brought back', () => {
  const remembered = new Remembered();
  remembered.set(KEY, version('100'));
  assert.equal(remembered.newest(KEY, undefined), undefined);
  assert.equal(remembered.newest(KEY, version('99'))?.metadata.resourceVersion, '99');
});
