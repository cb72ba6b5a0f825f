// The waits that make maintenance safe beside writers that know nothing of it (snapshots §7.5). Each is longer than
// something that a writer, of either implementation, may still do with what it saw before.

const HOUR_MS = 3600 * 1000;

export interface SafetyParameters {
  /** Packs younger than this stay, referenced or not: a writer may be about to index them. */
  readonly packDeleteMinAgeMs: number;
  /** How much further back than the earlier garbage collection deleted contents are dropped. */
  readonly dropContentExtraMarginMs: number;
  /** Between the end of one garbage collection and the start of the one that confirms it. */
  readonly marginBetweenSnapshotGcMs: number;
  /** Contents younger than this are not collected: their snapshot may not be stored yet. */
  readonly minContentAgeSubjectToGcMs: number;
  /** Contents younger than this are not moved. */
  readonly rewriteMinAgeMs: number;
  /** A session without a sign of life for this long is dead. */
  readonly sessionExpirationAgeMs: number;
  /** Whether a content must be found unused twice before it is dropped. */
  readonly requireTwoGcCycles: boolean;
  /** How long a pack that a rewrite emptied stays for those who still read by an old index. */
  readonly minRewriteToOrphanDeletionDelayMs: number;
  /** How long superseded legacy index blobs stay for stores whose listings lag. */
  readonly settleTimeMs: number;
}

export type SafetyLevel = 'full' | 'none';

export const SAFETY: Readonly<Record<SafetyLevel, SafetyParameters>> = {
  full: {
    packDeleteMinAgeMs: 24 * HOUR_MS,
    dropContentExtraMarginMs: HOUR_MS,
    marginBetweenSnapshotGcMs: 4 * HOUR_MS,
    minContentAgeSubjectToGcMs: 24 * HOUR_MS,
    rewriteMinAgeMs: 2 * HOUR_MS,
    sessionExpirationAgeMs: 96 * HOUR_MS,
    requireTwoGcCycles: true,
    minRewriteToOrphanDeletionDelayMs: HOUR_MS,
    settleTimeMs: HOUR_MS,
  },
  /** Only where nothing else writes or reads, and listings tell the truth at once. */
  none: {
    packDeleteMinAgeMs: 0,
    dropContentExtraMarginMs: 0,
    marginBetweenSnapshotGcMs: 0,
    minContentAgeSubjectToGcMs: 0,
    rewriteMinAgeMs: 0,
    sessionExpirationAgeMs: 0,
    requireTwoGcCycles: false,
    minRewriteToOrphanDeletionDelayMs: 0,
    settleTimeMs: 0,
  },
};
