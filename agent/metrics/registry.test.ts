// The names, types, labels and buckets that dashboards for Velero's node agent ask for (node-agent §8.1), read as Prometheus reads them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { aPodVolumeBackup, aPodVolumeRestore } from '../../test/harness/pod-volume-objects.ts';
import { observeEnding } from './observe.ts';
import { type AgentMetrics, createMetrics } from './registry.ts';

const NODE = 'node-1';
const newMetrics = (): AgentMetrics => createMetrics(NODE, () => 256);

/** Samples by name and labels, types by name. */
async function read(metrics: AgentMetrics) {
  const lines = (await metrics.text()).split('\n');
  const types = lines.filter((line) => line.startsWith('# TYPE ')).map((line) => line.slice(7).split(' '));
  const samples = lines
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const at = line.lastIndexOf(' ');
      return [line.slice(0, at), Number(line.slice(at + 1))] as const;
    });
  return { types: new Map(types as [string, string][]), samples: new Map(samples) };
}

test("Velero's metrics are there from the start, under its prefix", async () => {
  const { types, samples } = await read(newMetrics());
  const velero = [...types].filter(([name]) => name.startsWith('podVolume_'));
  assert.deepEqual(Object.fromEntries(velero), {
    podVolume_pod_volume_backup_enqueue_count: 'counter',
    podVolume_pod_volume_backup_dequeue_count: 'counter',
    podVolume_pod_volume_operation_latency_seconds: 'histogram',
    podVolume_pod_volume_operation_latency_seconds_gauge: 'gauge',
    podVolume_data_upload_success_total: 'counter',
    podVolume_data_upload_failure_total: 'counter',
    podVolume_data_upload_cancel_total: 'counter',
    podVolume_data_download_success_total: 'counter',
    podVolume_data_download_failure_total: 'counter',
    podVolume_data_download_cancel_total: 'counter',
  });
  const counters = velero.filter(([, type]) => type === 'counter');
  for (const [name] of counters) assert.equal(samples.get(`${name}{node="node-1"}`), 0, name);
});

test('a completed backup is counted with the labels and buckets of Velero, in whole seconds', async () => {
  const metrics = newMetrics();
  metrics.begun('backup');
  metrics.begun('restore');
  const startTimestamp = '2026-11-20T13:00:00Z';
  const owner = { apiVersion: 'velero.io/v1', kind: 'Backup', name: 'daily', uid: 'u' };
  const backup = aPodVolumeBackup({
    phase: 'InProgress',
    status: { startTimestamp },
    metadata: { ownerReferences: [owner] },
  });
  observeEnding(metrics, backup, 'Completed', Date.parse(startTimestamp) + 301_400);
  const { samples } = await read(metrics);
  assert.equal(samples.get('podVolume_pod_volume_backup_enqueue_count{node="node-1"}'), 1);
  assert.equal(samples.get('podVolume_pod_volume_backup_dequeue_count{node="node-1"}'), 1);
  const labels =
    'node="node-1",operation="daily-1-default-shop-kopia-backup",backupName="velero/daily",pod_volume_backup="daily-1"';
  const name = 'podVolume_pod_volume_operation_latency_seconds';
  assert.equal(samples.get(`${name}_gauge{${labels}}`), 301);
  assert.equal(samples.get(`${name}_sum{${labels}}`), 301);
  const buckets = [...samples].flatMap(([sample, value]) => {
    const bound = new RegExp(`^${name}_bucket\\{le="([^"]+)"`).exec(sample)?.[1];
    return bound === undefined ? [] : [[bound, value]];
  });
  assert.deepEqual(buckets, [
    ...['60', '300'].map((bound) => [bound, 0]),
    ...['600', '900', '1800', '3600', '7200', '10800', '14400', '+Inf'].map((bound) => [bound, 1]),
  ]);
});

test('how volumes end is counted by kind; what never began has waited for nothing', async () => {
  const metrics = newMetrics();
  observeEnding(metrics, aPodVolumeBackup({ phase: 'Accepted' }), 'Failed', 0);
  observeEnding(metrics, aPodVolumeRestore({ phase: 'New' }), 'Canceled', 0);
  const { samples } = await read(metrics);
  const ended = (kind: string, phase: string) =>
    samples.get(`windlass_volumes_total{node="node-1",kind="${kind}",phase="${phase}"}`);
  assert.deepEqual(
    [ended('backup', 'Failed'), ended('restore', 'Canceled'), ended('backup', 'Completed'), ended('restore', 'Failed')],
    [1, 1, 0, 0],
  );
  assert.equal(
    [...samples.keys()].some((name) => name.startsWith('windlass_stage_seconds')),
    false,
  );
});

test('series that name single backups do not grow without end: the oldest go', async () => {
  const metrics = newMetrics();
  const completed = (i: number) =>
    metrics.backupCompleted({ operation: `o-${i}`, backupName: 'velero/daily', podVolumeBackup: `pvb-${i}` }, 1);
  for (let i = 0; i < 600; i++) completed(i);
  const { samples } = await read(metrics);
  const gauges = [...samples.keys()].filter((name) => name.includes('latency_seconds_gauge{'));
  assert.equal(gauges.length, 500);
  assert.ok(gauges.some((name) => name.includes('"pvb-599"')));
  assert.ok(!gauges.some((name) => name.includes('"pvb-99"')));
  assert.equal([...samples.keys()].filter((name) => name.includes('latency_seconds_count{')).length, 500);
});

test('what is moved, waited for and used', async () => {
  const metrics = newMetrics();
  metrics.moved('backup', 100, 3, 40);
  metrics.moved('restore', 50, 2, 0);
  metrics.moverEnded('done', 1000);
  metrics.moverEnded('failed', 500);
  metrics.queue({ waiting: 4, inUse: 2, limit: 3 });
  metrics.configuration(false);
  metrics.reconciled('pod-volume-backup', 1, true);
  const { samples } = await read(metrics);
  const expected: Readonly<Record<string, number>> = {
    'windlass_bytes_total{node="node-1",kind="backup"}': 100,
    'windlass_files_total{node="node-1",kind="restore"}': 2,
    'windlass_uploaded_bytes_total{node="node-1"}': 40,
    'windlass_data_movers_total{node="node-1",outcome="failed"}': 1,
    'windlass_data_mover_peak_bytes{node="node-1"}': 1000,
    'windlass_data_mover_budget_bytes{node="node-1"}': 256,
    'windlass_queue_length{node="node-1"}': 4,
    'windlass_slots_in_use{node="node-1"}': 2,
    'windlass_slots{node="node-1"}': 3,
    'windlass_configuration_current{node="node-1"}': 0,
    'windlass_reconciles_total{controller="pod-volume-backup",result="error"}': 1,
  };
  for (const [sample, value] of Object.entries(expected)) assert.equal(samples.get(sample), value, sample);
});
