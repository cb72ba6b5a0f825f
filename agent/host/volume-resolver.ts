// Asks the API what the volume of a pod is, and the node where it has it.
import type { Clock } from '../../base/clock.ts';
import { type ClaimFacts, claimNameOf, podVolume, volumeDirectory } from './volume-directory.ts';
import { findVolume } from './find-volume.ts';
import type { ClaimIdentity, VolumePlace } from '../datapath/job.ts';
import { KINDS, type KubeClient, type Pod } from '../../kube/index.ts';

export interface ResolvedVolume {
  readonly place: VolumePlace;
  readonly claim: ClaimIdentity | undefined;
}

export interface VolumeResolverDeps {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly hostPods: string;
}

/** A volume is looked for when it is prepared and when it is begun. The claim of a pod that runs stays bound to what it is bound to. */
const FRESH_MS = 60_000;

export class VolumeResolver {
  readonly #deps: VolumeResolverDeps;
  /** By the pod's UID and the claim's name. */
  readonly #known = new Map<string, { readonly atMs: number; readonly facts: ClaimFacts }>();

  constructor(deps: VolumeResolverDeps) {
    this.#deps = deps;
  }

  /** What {@link volumeDirectory} and {@link findVolume} refuse, and what the API answers. */
  async resolve(pod: Pod, volumeName: string, signal: AbortSignal): Promise<ResolvedVolume> {
    const volume = podVolume(pod, volumeName);
    const claimName = claimNameOf(pod, volume);
    const facts = claimName === undefined ? undefined : await this.#factsOf(pod, claimName, signal);
    const directory = volumeDirectory(volume, facts, await this.#driversFor(facts, signal));
    const place = await findVolume(this.#deps.hostPods, pod.metadata.uid, directory);
    if (facts === undefined) return { place, claim: undefined };
    const { name, namespace = '', uid } = facts.claim.metadata;
    return { place, claim: { namespace, name, uid } };
  }

  async #factsOf(pod: Pod, name: string, signal: AbortSignal): Promise<ClaimFacts> {
    const { client, clock } = this.#deps;
    const { namespace, uid } = pod.metadata;
    const nowMs = clock.monotonicMs();
    for (const [key, { atMs }] of this.#known) if (nowMs - atMs >= FRESH_MS) this.#known.delete(key);
    const known = this.#known.get(`${uid}/${name}`);
    if (known !== undefined) return known.facts;
    const claim = await client.get(KINDS.persistentVolumeClaim, { name, namespace }, signal);
    const { volumeName = '' } = claim.spec;
    if (volumeName === '') return { claim, volume: { ...claim, spec: {} } };
    const facts = { claim, volume: await client.get(KINDS.persistentVolume, { name: volumeName }, signal) };
    this.#known.set(`${uid}/${name}`, { atMs: nowMs, facts });
    return facts;
  }

  /** Only in-tree volumes need them. */
  async #driversFor(facts: ClaimFacts | undefined, signal: AbortSignal): Promise<ReadonlySet<string>> {
    const annotations = facts?.volume.metadata.annotations ?? {};
    const isAsked = facts !== undefined && facts.volume.spec.csi === undefined && facts.volume.spec.local === undefined;
    if (!isAsked || Object.keys(annotations).length === 0) return new Set();
    const { items } = await this.#deps.client.list(KINDS.csiDriver, {}, signal);
    return new Set(items.map(({ metadata }) => metadata.name));
  }
}
