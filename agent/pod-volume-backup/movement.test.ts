import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PodVolumeBackup } from '../../kube/index.ts';
import type { BackupOutcome } from '../datapath/job.ts';
import type { RepositoryDirectory } from '../repository/repository-access.ts';
import { backupMovement } from './movement.ts';

const backup: PodVolumeBackup = {
  apiVersion: 'velero.io/v1',
  kind: 'PodVolumeBackup',
  metadata: { name: 'b', namespace: 'velero', uid: 'u1', resourceVersion: '1', creationTimestamp: '' },
  spec: { node: 'n', pod: {}, volume: 'data', backupStorageLocation: 'default', repoIdentifier: '' },
};

const outcome: BackupOutcome = {
  snapshotId: 's1',
  totalBytes: 10,
  incrementalBytes: 4,
  uploadedBytes: 3,
  files: 2,
  unreadable: { count: 0, first: [] },
  changedWhileRead: 0,
  resumedPacks: 0,
  wasFinished: false,
};

const kind = backupMovement({
  nodeName: 'n',
  repositories: {} as RepositoryDirectory,
  settings: () => ({ memoryLimitBytes: 0, parallel: undefined }),
  onUnreadable: 'report',
});

const completed = (more: Partial<BackupOutcome>) =>
  kind.completed(backup, { type: 'backed-up', outcome: { ...outcome, ...more }, maxRssBytes: 0 });

test('a backup of everything has no message', () => {
  assert.deepEqual(completed({}), {
    status: { path: '/u1', snapshotID: 's1', incrementalBytes: 4, progress: { totalBytes: 10, bytesDone: 10 } },
  });
});

test('what is missing is named, the first of it by path and reason', () => {
  const first = ['a', 'b', 'c', 'd'].map((path) => ({ path, code: 'EACCES' }));
  const { message, warning } = completed({ unreadable: { count: 30, first }, changedWhileRead: 2 });
  const missing =
    '30 files could not be read and are not in the backup: a (EACCES), b (EACCES), c (EACCES), and 27 more';
  assert.equal(warning, missing);
  assert.equal(message, `${missing}; 2 files changed or vanished while they were read`);
});

test('of what an earlier attempt has stored only the number is told', () => {
  const { message } = completed({ unreadable: { count: 3, first: [] }, wasFinished: true });
  assert.equal(message, '3 files could not be read and are not in the backup');
});
