import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ExactJsonObject } from '../../base/go-json.ts';
import { isUpgradeLocked, parseUpgradeLock, requireUnlocked, upgradeTimeNs } from './upgrade-lock.ts';

const MINUTE_NS = 60n * 1_000_000_000n;
const CREATED_NS = BigInt(Date.UTC(2026, 10, 20, 12)) * 1_000_000n;

/** Drain is 1 + 2·2 = 5 minutes. */
function lockWith(advanceNoticeMinutes: bigint): ReturnType<typeof parseUpgradeLock> {
  const raw: ExactJsonObject = {
    ownerID: 'owner',
    creationTime: '2026-11-20T13:00:00+01:00',
    advanceNoticeDuration: advanceNoticeMinutes * MINUTE_NS,
    ioDrainTimeout: 2n * MINUTE_NS,
    maxPermittedClockDrift: MINUTE_NS,
    message: 'upgrading',
  };
  return parseUpgradeLock(raw);
}

test('without notice a lock holds at once', () => {
  const lock = lockWith(0n);
  assert.equal(isUpgradeLocked(lock, CREATED_NS - 1n), true);
  assert.equal(upgradeTimeNs(lock), CREATED_NS + 5n * MINUTE_NS);
  assert.throws(() => requireUnlocked(lock, CREATED_NS), {
    code: 'REPOSITORY_LOCKED',
    retry: 'transient',
    context: { ownerId: 'owner', message: 'upgrading' },
  });
});

test('an announced lock holds from the drain time before the upgrade', () => {
  const lock = lockWith(60n);
  const from = CREATED_NS + 55n * MINUTE_NS;
  assert.equal(isUpgradeLocked(lock, from - 1n), false);
  assert.equal(isUpgradeLocked(lock, from), true);
  assert.equal(upgradeTimeNs(lock), CREATED_NS + 60n * MINUTE_NS);
  requireUnlocked(lock, from - 1n);
});

test('a notice as long as the drain time locks from the creation on', () => {
  assert.equal(isUpgradeLocked(lockWith(5n), CREATED_NS - 1n), false);
  assert.equal(isUpgradeLocked(lockWith(5n), CREATED_NS), true);
  assert.equal(isUpgradeLocked(lockWith(4n), CREATED_NS - 1n), true);
});

test('no lock, no objection; a lock without times is still a lock', () => {
  requireUnlocked(undefined, CREATED_NS);
  const empty = parseUpgradeLock({ creationTime: '0001-01-01T00:00:00Z' });
  assert.equal(isUpgradeLocked(empty, CREATED_NS), true);
  assert.equal(isUpgradeLocked(parseUpgradeLock({}), CREATED_NS), true);
});
