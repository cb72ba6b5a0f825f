// Who Velero is to a repository, and what its sources look like (snapshots §9.2, §9.6). Loaded by every command: nothing heavy here.
import type { SourceDefaults } from '../snapshot/source.ts';

/** The same on every node, of every cluster. */
export const VELERO_USER = 'default';
export const VELERO_HOST = 'default';
export const VELERO_UPLOADER = 'kopia';
export const DATA_MOVER = 'snapshot-data-upload-download';
export const POD_VOLUME = 'snapshot-pod-volume';

/** How many names follow `REQUESTER/kopia/`. */
const REQUESTERS: Readonly<Record<string, number>> = {
  [DATA_MOVER]: 2, // namespace, claim
  [POD_VOLUME]: 3, // namespace, pod, claim or volume
  'pod-volume-backup-restore': 3, // until Velero 1.16
};

/** A path as Velero's snapshots have it; such a path is no file's and stays as it is. */
export function isVeleroPath(path: string): boolean {
  const [requester = '', uploader, ...names] = path.split('/');
  return uploader === VELERO_UPLOADER && names.length === REQUESTERS[requester] && names.every((name) => name !== '');
}

/** What completes a source on a Velero location. */
export function veleroIdentity(workingDirectory: string): SourceDefaults {
  return { userName: VELERO_USER, host: VELERO_HOST, workingDirectory, isNamedPath: isVeleroPath };
}

/** Where the snapshots of a pod's volume are: of `volume` the claim's name, or the volume's own where there is no claim. */
export function podVolumePath(namespace: string, pod: string, volume: string): string {
  return [POD_VOLUME, VELERO_UPLOADER, namespace, pod, volume].join('/');
}
