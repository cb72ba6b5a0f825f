// The location that the global options name, and the place it stands for.
import { resolve } from 'node:path';
import { usageError } from './cli-errors.ts';
import { readInput } from './read-input.ts';
import type { CliContext } from './context.ts';
import {
  type BackupStorageLocation,
  MAX_LOCATION_BYTES,
  parseLocation,
} from '../repo-format/velero/location-document.ts';
import { locationError } from '../repo-format/velero/location-error.ts';
import { type LocationStore, locationStore } from '../repo-format/velero/location-store.ts';

export type LocationContext = Pick<CliContext, 'options' | 'signal' | 'workingDirectory'>;

export interface OpenLocation extends LocationStore {
  readonly location: BackupStorageLocation;
}

/** Whether the repository is addressed by a BackupStorageLocation: then it is Velero's, whoever made it. */
export function hasLocation({ options }: Pick<CliContext, 'options'>): boolean {
  return options.backupStorageLocation !== undefined;
}

/** Undefined where the options name no location. `readCertificate` is for `--ca-cert`. */
export async function openLocation(
  context: LocationContext,
  readCertificate: (file: string) => Promise<string>,
): Promise<OpenLocation | undefined> {
  const { backupStorageLocation: file, volumeNamespace, credentialsFile, caCert } = context.options;
  if (file === undefined) {
    if (volumeNamespace === undefined && credentialsFile === undefined && caCert === undefined) return undefined;
    throw usageError('--volume-namespace, --credentials-file and --ca-cert go with --backup-storage-location');
  }
  if (volumeNamespace === undefined) throw usageError('--backup-storage-location needs --volume-namespace');
  const location = await parseLocation(await readLocation(resolve(context.workingDirectory, file), context.signal));
  const access = {
    volumeNamespace,
    credentialsFile: credentialsFile === undefined ? undefined : resolve(context.workingDirectory, credentialsFile),
    caCertPem: caCert === undefined ? undefined : await readCertificate(caCert),
  };
  return { location, ...locationStore(location, access) };
}

async function readLocation(path: string, signal: AbortSignal): Promise<string> {
  try {
    const bytes = await readInput(path, MAX_LOCATION_BYTES + 1, signal);
    if (bytes.length > MAX_LOCATION_BYTES) throw new Error('it is longer than 1 MiB');
    return new TextDecoder().decode(bytes);
  } catch (cause) {
    signal.throwIfAborted();
    throw locationError('LOCATION_FILE', `the location file ${path} cannot be read`, { path }, cause);
  }
}
