// From a pod's volume to where the kubelet has it (node-agent §3.2): pure, from what the API says of pod, claim and volume.
import { WindlassError } from '../../base/errors.ts';
import type { PersistentVolume, PersistentVolumeClaim, Pod, PodVolume } from '../../kube/index.ts';

/** What must be known of the claim behind a volume. */
export interface ClaimFacts {
  readonly claim: PersistentVolumeClaim;
  readonly volume: PersistentVolume;
}

export interface VolumeDirectory {
  /** Below `PODUID/volumes/PLUGIN`. */
  readonly names: readonly string[];
}

const PROVISIONED_BY = 'pv.kubernetes.io/provisioned-by';
const MIGRATED_TO = 'pv.kubernetes.io/migrated-to';

/** `VOLUME_UNKNOWN` when the pod has no volume of that name. */
export function podVolume({ spec, metadata }: Pod, name: string): PodVolume {
  const found = spec.volumes?.find((volume) => volume.name === name);
  if (found !== undefined) return found;
  throw new WindlassError(`pod ${metadata.namespace}/${metadata.name} has no volume ${name}`, {
    code: 'VOLUME_UNKNOWN',
    context: { pod: metadata.name, volume: name },
  });
}

/** The claim that the volume is, by its name; a generic ephemeral volume has one of its own. */
export function claimNameOf(pod: Pod, volume: PodVolume): string | undefined {
  if (volume.persistentVolumeClaim !== undefined) return volume.persistentVolumeClaim.claimName;
  return volume.ephemeral === undefined ? undefined : `${pod.metadata.name}-${volume.name}`;
}

/** `VOLUME_NOT_BOUND`, and `VOLUME_UNSUPPORTED` for block devices and folders of the host, which are no volumes of the kubelet's. */
export function volumeDirectory(
  volume: PodVolume,
  facts: ClaimFacts | undefined,
  csiDrivers: ReadonlySet<string>,
): VolumeDirectory {
  if (volume.hostPath !== undefined) throw unsupported(volume, 'it is a folder of the node (hostPath)');
  if (facts === undefined) return { names: volume.csi === undefined ? [volume.name] : [volume.name, 'mount'] };
  const { claim, volume: persistent } = facts;
  const { volumeName = '' } = claim.spec;
  if (volumeName === '') {
    throw new WindlassError(`claim ${claim.metadata.name} is not bound to a volume`, {
      code: 'VOLUME_NOT_BOUND',
      retry: 'transient',
      context: { claim: claim.metadata.name },
    });
  }
  if (persistent.spec.hostPath !== undefined)
    throw unsupported(volume, 'its persistent volume is a folder of the node');
  if ((claim.spec.volumeMode ?? persistent.spec.volumeMode) === 'Block') {
    throw unsupported(volume, 'it is a block device: use CSI snapshot data movement for it');
  }
  return { names: isCsi(persistent, csiDrivers) ? [volumeName, 'mount'] : [volumeName] };
}

/** In-tree volumes that a driver has taken over are the driver's. */
function isCsi({ spec, metadata }: PersistentVolume, csiDrivers: ReadonlySet<string>): boolean {
  if (spec.csi !== undefined) return true;
  const { [PROVISIONED_BY]: provisioner, [MIGRATED_TO]: migrated } = metadata.annotations ?? {};
  return [provisioner, migrated].some((driver) => driver !== undefined && csiDrivers.has(driver));
}

function unsupported({ name }: PodVolume, reason: string): WindlassError {
  return new WindlassError(`volume ${name} cannot be backed up or restored by its files: ${reason}`, {
    code: 'VOLUME_UNSUPPORTED',
    context: { volume: name },
  });
}
