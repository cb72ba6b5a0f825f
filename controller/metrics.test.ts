import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BackupRepository } from '../kube/index.ts';
import { createMetrics } from './metrics.ts';

test('maintenance goes by the names of Velero, repositories by their phase', async () => {
  const repository = (phase?: 'Ready' | 'NotReady') =>
    ({ status: phase === undefined ? {} : { phase } }) as BackupRepository;
  const metrics = createMetrics({
    repositories: () => [repository('Ready'), repository('Ready'), repository()],
    runningJobs: () => 2,
    isLeading: () => true,
  });
  const startTimestamp = '2026-01-10T12:00:00Z';
  metrics.maintained('a', { result: 'Succeeded', startTimestamp, completeTimestamp: '2026-01-10T12:02:00Z' });
  metrics.maintained('a', { result: 'Failed', startTimestamp });
  metrics.checked('failed', 3);
  const text = await metrics.text();
  for (const line of [
    'velero_repo_maintenance_success_total{repository_name="a"} 1',
    'velero_repo_maintenance_failure_total{repository_name="a"} 1',
    'velero_repo_maintenance_duration_seconds_sum{repository_name="a"} 120',
    'windlass_backup_repositories{phase="Ready"} 2',
    'windlass_backup_repositories{phase="New"} 1',
    'windlass_backup_repositories{phase="NotReady"} 0',
    'windlass_maintenance_jobs 2',
    'windlass_controller_leading 1',
  ])
    assert.ok(text.includes(`${line}\n`), `${line}\n${text}`);
});
