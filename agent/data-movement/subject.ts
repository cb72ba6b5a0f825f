// What PodVolumeBackups and PodVolumeRestores have in common: one volume of one pod on its way through the phases.
import type {
  DataPhase,
  KubeObject,
  Pod,
  PodReference,
  PodVolumeBackup,
  PodVolumeRestore,
  Store,
} from '../../kube/index.ts';

/** Either of the two, as far as phases go. */
export type Movement = PodVolumeBackup | PodVolumeRestore;

export const FINAL_PHASES: ReadonlySet<DataPhase> = new Set<DataPhase>(['Completed', 'Failed', 'Canceled']);

export function phaseOf({ status }: Pick<Movement, 'status'>): DataPhase {
  const phase = status?.phase;
  // An object as `kubectl` makes it has an empty one.
  return phase === undefined || (phase as string) === '' ? 'New' : phase;
}

export function isFinal(movement: Pick<Movement, 'status'>): boolean {
  return FINAL_PHASES.has(phaseOf(movement));
}

export function isDeleting({ metadata }: KubeObject): boolean {
  return metadata.deletionTimestamp !== undefined;
}

/** Of RFC 3339; undefined for what is not there. */
export function timeMs(text: string | null | undefined): number | undefined {
  const ms = text === null || text === undefined ? NaN : Date.parse(text);
  return Number.isNaN(ms) ? undefined : ms;
}

export function podName({ namespace = '', name = '' }: PodReference): string {
  return `${namespace}/${name}`;
}

/** The very pod that is meant: not one that has taken its name since. */
export function podOf(pods: Store<Pod>, reference: PodReference): Pod | undefined {
  const pod = pods.get(podName(reference));
  return pod !== undefined && pod.metadata.uid === reference.uid ? pod : undefined;
}
