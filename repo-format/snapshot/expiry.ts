// Which snapshots the stored retention policies let go, source by source (snapshots §4.8). Plans only.
import type { ManifestStore } from '../manifest/manifest-store.ts';
import { type EffectivePolicy, loadEffectivePolicy } from './effective-policy.ts';
import { planRetention, type RetainedSnapshot, type RetentionDecision, type ZoneOffset } from './retention.ts';
import type { SnapshotManifest } from './snapshot-manifest.ts';
import { listSnapshots, listSources } from './snapshots.ts';
import type { SnapshotSource } from './source.ts';

/** True when somebody stored a rule on how many snapshots to keep: built-in defaults remove nothing. */
export function hasRetention({ stored }: Pick<EffectivePolicy, 'stored'>): boolean {
  return Object.keys(stored.retention ?? {}).some((key) => key.startsWith('keep'));
}

/**
 * Those of one source that may go. Pinned ones never do. Without a stored rule only checkpoints that a later snapshot has
 * made useless.
 */
export function expiredSnapshots<T extends RetainedSnapshot>(
  snapshots: readonly T[],
  effective: Pick<EffectivePolicy, 'stored' | 'policy'>,
  zoneOffset?: ZoneOffset,
): RetentionDecision<T>[] {
  const isAsked = hasRetention(effective);
  const decisions = planRetention(snapshots, effective.policy.retention ?? {}, zoneOffset);
  return decisions.filter(
    ({ keep, snapshot }) => !keep && snapshot.pins.length === 0 && (isAsked || snapshot.incomplete !== undefined),
  );
}

export interface SourceExpiry {
  readonly source: SnapshotSource;
  /** Whether a stored policy says how many to keep. */
  readonly hasRule: boolean;
  readonly kept: number;
  /** Newest first. */
  readonly expired: readonly SnapshotManifest[];
}

/** Of these sources, or of all. `SNAPSHOT_CORRUPT` when a snapshot cannot be read: a plan without it would be wrong. */
export async function planExpiry(
  manifests: ManifestStore,
  options: { readonly sources?: readonly SnapshotSource[]; readonly zoneOffset?: ZoneOffset },
  signal: AbortSignal,
): Promise<SourceExpiry[]> {
  const plans: SourceExpiry[] = [];
  for (const source of options.sources ?? (await listSources(manifests, signal))) {
    const snapshots = await listSnapshots(manifests, { source }, signal);
    const effective = await loadEffectivePolicy(manifests, source, signal);
    const expired = expiredSnapshots(snapshots, effective, options.zoneOffset).map(({ snapshot }) => snapshot);
    plans.push({ source, hasRule: hasRetention(effective), kept: snapshots.length - expired.length, expired });
  }
  return plans;
}
