// Maintenance as Velero runs it: whatever is due, in the name that owns Velero's repositories.
import { type MaintenanceDeps, type MaintenanceReport, runMaintenance } from '../maintenance/enter.ts';
import type { Repository } from '../repository.ts';
import { VELERO_HOST, VELERO_USER } from './velero-identity.ts';

export type { MaintenanceReport } from '../maintenance/enter.ts';

/** `MAINTENANCE_NOT_OWNER` where another client is named, and what `runMaintenance` answers. */
export function maintainVeleroRepository(
  repository: Repository,
  { memoryLimitBytes }: { readonly memoryLimitBytes?: number | undefined },
  deps: MaintenanceDeps,
  signal: AbortSignal,
): Promise<MaintenanceReport> {
  const client = { username: VELERO_USER, hostname: VELERO_HOST };
  const options = { mode: 'auto', safety: 'full', dryRun: false, force: false, client, memoryLimitBytes } as const;
  return runMaintenance(repository, options, deps, signal);
}
