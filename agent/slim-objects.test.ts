import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PodVolumeBackup, PodVolumeRestore } from '../kube/index.ts';
import { aPod, aPodVolumeBackup, aPodVolumeRestore } from '../test/harness/pod-volume-objects.ts';
import { slimBackup, slimPod, slimRestore } from './slim-objects.ts';

const slim = slimBackup('node-1');
const elsewhere = { node: 'node-2' };
const managed = { managedFields: [{ manager: 'velero' }] } as object;

test('of a backup of this node nothing is missed but who manages its fields', () => {
  const { metadata, ...backup } = aPodVolumeBackup({ phase: 'InProgress', status: { message: 'm' } });
  assert.deepEqual(slim({ ...backup, metadata: { ...metadata, ...managed } }), { ...backup, metadata });
});

test('of a backup of another node only what decisions look at is kept', () => {
  const labels = { 'velero.io/expose-on-going': 'true', 'velero.io/backup-name': 'daily' };
  const { spec, metadata, status } = slim(
    aPodVolumeBackup({ phase: 'Accepted', spec: elsewhere, metadata: { labels }, status: { message: 'm' } }),
  );
  assert.deepEqual(
    [spec.node, spec.pod, metadata.labels, status],
    ['node-2', {}, { 'velero.io/expose-on-going': 'true' }, { phase: 'Accepted' }],
  );
});

test('one that may have to be ended in the place of its node is whole: nothing of it is overwritten', () => {
  const status = { startTimestamp: '2026-11-20T12:30:00Z', message: 'Cancel it' };
  const finalizers = ['of.another/program'];
  const canceled = aPodVolumeBackup({
    phase: 'InProgress',
    spec: { ...elsewhere, cancel: true },
    status,
    metadata: { finalizers },
  });
  assert.deepEqual(slim(canceled), canceled);
  const deleted = aPodVolumeBackup({
    phase: 'Failed',
    spec: elsewhere,
    metadata: { finalizers, deletionTimestamp: '2026-11-20T13:00:00Z' },
  });
  assert.deepEqual(slim(deleted), deleted);
});

test('of a pod its volumes, its phase and its init containers are kept', () => {
  const initContainerStatuses = [{ name: 'restore-wait', state: { running: {} } }];
  const pod = aPod({
    metadata: { uid: 'pod-uid', ...managed },
    spec: { containers: [{ name: 'db' }] },
    status: { initContainerStatuses, containerStatuses: [{ name: 'db' }] },
  });
  const { spec, status, metadata } = slimPod(pod);
  assert.deepEqual(spec, { nodeName: 'node-1', volumes: [{ name: 'data', emptyDir: {} }] });
  assert.deepEqual(status, { phase: 'Running', initContainerStatuses });
  assert.equal('managedFields' in metadata, false);
});

test("objects without a spec, which the schema allows, are whole and are nobody's", () => {
  const { spec: _backup, ...bareBackup } = aPodVolumeBackup();
  const backup = slimBackup('node-1')(bareBackup as PodVolumeBackup);
  assert.equal(backup.spec.node, '');
  assert.deepEqual(backup.spec.pod, {});
  const { spec: _restore, ...bareRestore } = aPodVolumeRestore();
  assert.deepEqual(slimRestore(bareRestore as PodVolumeRestore).spec.pod, {});
});
