// The controller's metrics: those of Velero's server for the maintenance of repositories under their names (node-agent §8.1), and how
// repositories are.
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { BackupRepository, MaintenanceEntry } from '../kube/index.ts';

/** Velero's, in seconds. */
const BUCKETS = [60, 300, 600, 900, 1800, 3600, 7200, 10800, 14400];
const PHASES = ['New', 'Ready', 'NotReady'] as const;

export interface ControllerMetrics {
  maintained(repository: string, entry: MaintenanceEntry): void;
  checked(result: 'ready' | 'failed', seconds: number): void;
  text(): Promise<string>;
}

/** What is asked for when it is read. */
export interface MeasuredState {
  readonly repositories: () => readonly BackupRepository[];
  readonly runningJobs: () => number;
  readonly isLeading: () => boolean;
}

export function createMetrics({ repositories, runningJobs, isLeading }: MeasuredState): ControllerMetrics {
  const registers = [new Registry()];
  const [registry] = registers as [Registry];
  const labelNames = ['repository_name'] as const;
  const succeeded = new Counter({
    name: 'velero_repo_maintenance_success_total',
    help: 'Maintenance Jobs that succeeded',
    labelNames,
    registers,
  });
  const failed = new Counter({
    name: 'velero_repo_maintenance_failure_total',
    help: 'Maintenance Jobs that failed, could not be started or were deleted',
    labelNames,
    registers,
  });
  const duration = new Histogram({
    name: 'velero_repo_maintenance_duration_seconds',
    help: 'From the making of a maintenance Job to its end',
    labelNames,
    buckets: BUCKETS,
    registers,
  });
  const checks = new Histogram({
    name: 'windlass_repository_check_seconds',
    help: 'Looks at repositories themselves',
    labelNames: ['result'],
    buckets: [0.1, 0.5, 1, 5, 15, 60, 120],
    registers,
  });
  const measured = (name: string, help: string, value: () => number): void => {
    const collect = function collect(this: Gauge): void {
      this.set(value());
    };
    new Gauge({ name, help, registers, collect });
  };
  measured('windlass_maintenance_jobs', 'Maintenance Jobs that run', runningJobs);
  measured('windlass_controller_leading', '1 while this is the one that works', () => (isLeading() ? 1 : 0));
  new Gauge({
    name: 'windlass_backup_repositories',
    help: 'BackupRepositories by phase',
    labelNames: ['phase'],
    registers,
    collect() {
      const all = repositories();
      for (const phase of PHASES) {
        this.set({ phase }, all.filter(({ status }) => (status?.phase ?? 'New') === phase).length);
      }
    },
  });
  return {
    maintained(repository, { result, startTimestamp, completeTimestamp }) {
      const labels = { repository_name: repository };
      (result === 'Succeeded' ? succeeded : failed).inc(labels);
      const seconds = (Date.parse(completeTimestamp ?? '') - Date.parse(startTimestamp ?? '')) / 1000;
      if (seconds >= 0) duration.observe(labels, seconds);
    },
    checked: (result, seconds) => checks.observe({ result }, seconds),
    text: () => registry.metrics(),
  };
}
