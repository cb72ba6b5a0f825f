// Repositories that Velero made are maintained by Velero's own jobs.
import type { BlobStorage } from '../../repo-format/index.ts';
import { cliError } from '../cli-errors.ts';
import { isVeleroRepository } from '../../repo-format/velero/velero-repository.ts';

/** `MAINTENANCE_BY_VELERO` for a repository of Velero's. */
export async function requireNotVelero(storage: BlobStorage, signal: AbortSignal): Promise<void> {
  if (!(await isVeleroRepository(storage, signal))) return;
  throw cliError('MAINTENANCE_BY_VELERO', 'Velero made this repository and maintains it by its own jobs', {
    storage: storage.displayName,
  });
}
