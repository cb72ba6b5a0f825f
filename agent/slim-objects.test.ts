import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PodVolumeBackup, PodVolumeRestore } from '../kube/index.ts';
import { aPodVolumeBackup, aPodVolumeRestore } from '../test/harness/pod-volume-objects.ts';
import { slimBackup, slimRestore } from './slim-objects.ts';

test("objects without a spec, which the schema allows, are whole and are nobody's", () => {
  const { spec: _backup, ...bareBackup } = aPodVolumeBackup();
  const backup = slimBackup('node-1')(bareBackup as PodVolumeBackup);
  assert.equal(backup.spec.node, '');
  assert.deepEqual(backup.spec.pod, {});
  const { spec: _restore, ...bareRestore } = aPodVolumeRestore();
  assert.deepEqual(slimRestore(bareRestore as PodVolumeRestore).spec.pod, {});
});

test('of a backup on another node only what decisions look at is kept', () => {
  const spec = { node: 'node-2', cancel: true };
  const kept = slimBackup('node-1')(aPodVolumeBackup({ phase: 'InProgress', spec, status: { message: 'long' } }));
  assert.deepEqual([kept.spec.cancel, kept.status?.phase, kept.status?.message], [true, 'InProgress', undefined]);
});
