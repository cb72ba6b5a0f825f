// `kopia.blobcfg`: object-lock settings of the repository (repository format §2.6). A missing blob means retention is off;
// one that cannot be decrypted makes the repository unusable for everyone, so it is never left behind under another key.
import { encodeGoJson } from '../../base/go-json.ts';
import type { ExactJsonObject } from '../../base/go-json.ts';
import { durationNsMember, formatInvalid, parseObject, stringMember, withUnknownMembers } from './json-members.ts';

export interface BlobConfig {
  /** `GOVERNANCE`, `COMPLIANCE` or a store's own word; empty = off. */
  readonly retentionMode: string;
  readonly retentionPeriodNs: bigint;
  /** As stored. */
  readonly raw: ExactJsonObject;
}

/** Retention off: what a new repository has, and what a missing blob means. */
export const NO_RETENTION: BlobConfig = { retentionMode: '', retentionPeriodNs: 0n, raw: {} };

const MIN_PERIOD_NS = 24n * 3600n * 1_000_000_000n;

export function isRetentionEnabled(config: BlobConfig): boolean {
  return config.retentionMode !== '' && config.retentionPeriodNs !== 0n;
}

export function parseBlobConfig(plaintext: Uint8Array): BlobConfig {
  const raw = parseObject(plaintext, 'kopia.blobcfg');
  return {
    retentionMode: stringMember(raw, 'retentionMode'),
    retentionPeriodNs: durationNsMember(raw, 'retentionPeriod'),
    raw,
  };
}

/** The plaintext; `FORMAT_INVALID` for settings that no client would accept. */
export function encodeBlobConfig(config: BlobConfig): Uint8Array {
  const { retentionMode, retentionPeriodNs } = config;
  if ((retentionMode === '') !== (retentionPeriodNs === 0n)) {
    throw formatInvalid('retention needs both a mode and a period');
  }
  if (retentionPeriodNs !== 0n && retentionPeriodNs < MIN_PERIOD_NS) {
    throw formatInvalid('the retention period is shorter than a day');
  }
  const members = withUnknownMembers(
    {
      retentionMode: retentionMode === '' ? undefined : retentionMode,
      retentionPeriod: retentionPeriodNs === 0n ? undefined : retentionPeriodNs,
    },
    config.raw,
  );
  return new Uint8Array(Buffer.from(encodeGoJson(members), 'utf8'));
}
