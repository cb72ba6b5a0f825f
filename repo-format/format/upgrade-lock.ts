// The upgrade lock in the repository's configuration: while it holds, only its owner may read or write (repository format
// §2.9). We never own one: a locked repository is refused, an announced lock is left alone and preserved.
import { WindlassError } from '../../base/errors.ts';
import type { ExactJsonObject } from '../../base/go-json.ts';
import { parseTimestampNs } from '../../base/go-time.ts';
import { durationNsMember, formatInvalid, stringMember } from './json-members.ts';

export interface UpgradeLock {
  readonly ownerId: string;
  readonly creationTimeNs: bigint;
  readonly advanceNoticeNs: bigint;
  readonly ioDrainTimeoutNs: bigint;
  readonly maxPermittedClockDriftNs: bigint;
  readonly message: string;
  /** As stored. */
  readonly raw: ExactJsonObject;
}

/** What Go writes for "no time"; far outside int64 nanoseconds. */
const ZERO_TIME = '0001-01-01T00:00:00Z';
const ZERO_TIME_NS = -62_135_596_800_000_000_000n;

export function parseUpgradeLock(raw: ExactJsonObject): UpgradeLock {
  const text = stringMember(raw, 'creationTime') || ZERO_TIME;
  const creationTimeNs = text === ZERO_TIME ? ZERO_TIME_NS : parseTimestampNs(text);
  if (creationTimeNs === undefined) throw formatInvalid('creationTime of the upgrade lock is not a time');
  return {
    ownerId: stringMember(raw, 'ownerID'),
    creationTimeNs,
    advanceNoticeNs: durationNsMember(raw, 'advanceNoticeDuration'),
    ioDrainTimeoutNs: durationNsMember(raw, 'ioDrainTimeout'),
    maxPermittedClockDriftNs: durationNsMember(raw, 'maxPermittedClockDrift'),
    message: stringMember(raw, 'message'),
    raw,
  };
}

/** Time given to everyone else to stop: before it is over, the upgrade does not begin. */
function drainNs(lock: UpgradeLock): bigint {
  return lock.maxPermittedClockDriftNs + 2n * lock.ioDrainTimeoutNs;
}

/** True from the moment on which everyone but the owner must keep away. */
export function isUpgradeLocked(lock: UpgradeLock, nowNs: bigint): boolean {
  const drain = drainNs(lock);
  return lock.advanceNoticeNs < drain || nowNs >= lock.creationTimeNs + lock.advanceNoticeNs - drain;
}

/** When the upgrade begins: all others have stopped by then. */
export function upgradeTimeNs(lock: UpgradeLock): bigint {
  const drain = drainNs(lock);
  return lock.creationTimeNs + (lock.advanceNoticeNs > drain ? lock.advanceNoticeNs : drain);
}

/** `REPOSITORY_LOCKED` while `lock` keeps us out. */
export function requireUnlocked(lock: UpgradeLock | undefined, nowNs: bigint): void {
  if (lock === undefined || !isUpgradeLocked(lock, nowNs)) return;
  throw new WindlassError('the repository is locked for an upgrade', {
    code: 'REPOSITORY_LOCKED',
    retry: 'transient',
    context: { ownerId: lock.ownerId, message: lock.message },
  });
}
