// The agent's metrics: those of Velero's node agent under their names (node-agent §8.1), and what its users miss there.
import { Counter, Gauge, Histogram, Registry } from 'prom-client';

/** Velero's, in seconds. */
const VELERO_BUCKETS = [60, 300, 600, 900, 1800, 3600, 7200, 10800, 14400];
/** Velero's labels name each backup: an agent that runs for months would never stop growing. Scraped every minute, none is missed. */
const MAX_LATENCY_SERIES = 500;
const STAGE_BUCKETS = [0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800];

export type Ending = 'Completed' | 'Failed' | 'Canceled';

export interface AgentMetrics {
  /** A volume has taken a slot. */
  begun(kind: 'backup' | 'restore'): void;
  ended(kind: 'backup' | 'restore', ending: Ending): void;
  backupCompleted(names: BackupNames, seconds: number): void;
  moved(kind: 'backup' | 'restore', bytes: number, files: number, uploadedBytes: number): void;
  /** `stage`: `wait` from creation to start, `move` of each run of a data mover. */
  stage(kind: 'backup' | 'restore', stage: string, seconds: number): void;
  moverEnded(outcome: string, maxRssBytes: number): void;
  reconciled(controller: string, seconds: number, failed: boolean): void;
  queue(state: { readonly waiting: number; readonly inUse: number; readonly limit: number }): void;
  configuration(isCurrent: boolean): void;
  text(): Promise<string>;
}

export interface BackupNames {
  readonly operation: string;
  readonly backupName: string;
  readonly podVolumeBackup: string;
}

export function createMetrics(node: string, memoryLimitBytes: () => number): AgentMetrics {
  const registers = [new Registry()];
  const [registry] = registers as [Registry];
  const counter = <Name extends string>(name: string, help: string, labelNames: readonly Name[]) =>
    new Counter<Name>({ name, help, labelNames: [...labelNames], registers });
  const gauge = <Name extends string>(name: string, help: string, labelNames: readonly Name[]) =>
    new Gauge<Name>({ name, help, labelNames: [...labelNames], registers });

  /** Asked for when it is read. */
  const measured = (name: string, help: string, value: () => number): void => {
    const collect = function collect(this: Gauge): void {
      this.set({ node }, value());
    };
    new Gauge({ name, help, labelNames: ['node'], registers, collect });
  };

  const enqueued = counter('podVolume_pod_volume_backup_enqueue_count', 'Backups that have taken a slot', ['node']);
  const dequeued = counter('podVolume_pod_volume_backup_dequeue_count', 'Backups that have given their slot back', [
    'node',
  ]);
  const latencyLabels = ['node', 'operation', 'backupName', 'pod_volume_backup'] as const;
  const latency = new Histogram({
    name: 'podVolume_pod_volume_operation_latency_seconds',
    help: 'Time from start to completion of a backup',
    labelNames: [...latencyLabels],
    buckets: VELERO_BUCKETS,
    registers,
  });
  const latencyGauge = gauge(
    'podVolume_pod_volume_operation_latency_seconds_gauge',
    'The same, of the last one',
    latencyLabels,
  );
  for (const kind of ['data_upload', 'data_download']) {
    for (const outcome of ['success', 'failure', 'cancel'])
      counter(`podVolume_${kind}_${outcome}_total`, 'CSI snapshot data movement', ['node']).inc({ node }, 0);
  }
  const endings = counter('windlass_volumes_total', 'Volumes by how they ended', ['node', 'kind', 'phase']);
  const bytes = counter('windlass_bytes_total', 'Bytes of volumes backed up or restored', ['node', 'kind']);
  const files = counter('windlass_files_total', 'Files of volumes backed up or restored', ['node', 'kind']);
  const uploaded = counter('windlass_uploaded_bytes_total', 'Bytes added to repositories', ['node']);
  const stages = new Histogram({
    name: 'windlass_stage_seconds',
    help: 'Time of a volume in each stage',
    labelNames: ['node', 'kind', 'stage'],
    buckets: STAGE_BUCKETS,
    registers,
  });
  const movers = counter('windlass_data_movers_total', 'Data movers by how they ended', ['node', 'outcome']);
  const peak = gauge('windlass_data_mover_peak_bytes', 'Largest resident size of a data mover so far', ['node']);
  measured('windlass_data_mover_budget_bytes', 'What one data mover is meant to stay below', memoryLimitBytes);
  const waiting = gauge('windlass_queue_length', 'Volumes that wait for a slot', ['node']);
  const inUse = gauge('windlass_slots_in_use', 'Volumes that are being moved', ['node']);
  const limit = gauge('windlass_slots', 'Volumes that may be moved at a time', ['node']);
  const reconciles = counter('windlass_reconciles_total', 'Looks at objects', ['controller', 'result']);
  const current = gauge('windlass_configuration_current', '0 while a new configuration cannot be used', ['node']);
  measured('windlass_agent_resident_bytes', 'Resident size of the agent itself', () => process.memoryUsage.rss());
  enqueued.inc({ node }, 0);
  dequeued.inc({ node }, 0);
  current.set({ node }, 1);
  // An increase from nothing to one is none to Prometheus: what alerts look at begins at 0.
  for (const kind of ['backup', 'restore'])
    for (const phase of ['Completed', 'Failed', 'Canceled']) endings.inc({ node, kind, phase }, 0);
  for (const outcome of ['done', 'failed', 'stopped']) movers.inc({ node, outcome }, 0);
  let peakBytes = 0;
  const latencySeries: Readonly<Record<(typeof latencyLabels)[number], string>>[] = [];

  return {
    begun(kind) {
      if (kind === 'backup') enqueued.inc({ node });
    },
    ended(kind, ending) {
      endings.inc({ node, kind, phase: ending });
      if (kind === 'backup') dequeued.inc({ node });
    },
    backupCompleted({ operation, backupName, podVolumeBackup }, seconds) {
      const labels = { node, operation, backupName, pod_volume_backup: podVolumeBackup };
      latencySeries.push(labels);
      const [oldest] = latencySeries;
      if (latencySeries.length > MAX_LATENCY_SERIES && oldest !== undefined) {
        latencySeries.shift();
        latency.remove(oldest);
        latencyGauge.remove(oldest);
      }
      latency.observe(labels, Math.round(seconds));
      latencyGauge.set(labels, Math.round(seconds));
    },
    moved(kind, movedBytes, movedFiles, uploadedBytes) {
      bytes.inc({ node, kind }, movedBytes);
      files.inc({ node, kind }, movedFiles);
      uploaded.inc({ node }, uploadedBytes);
    },
    stage: (kind, stage, seconds) => stages.observe({ node, kind, stage }, seconds),
    moverEnded(outcome, maxRssBytes) {
      movers.inc({ node, outcome });
      peakBytes = Math.max(peakBytes, maxRssBytes);
      peak.set({ node }, peakBytes);
    },
    reconciled: (controller, _seconds, failed) => reconciles.inc({ controller, result: failed ? 'error' : 'success' }),
    queue(state) {
      waiting.set({ node }, state.waiting);
      inUse.set({ node }, state.inUse);
      limit.set({ node }, state.limit);
    },
    configuration: (isCurrent) => current.set({ node }, isCurrent ? 1 : 0),
    text: () => registry.metrics(),
  };
}
