import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ManifestId } from '../manifest/manifest-entry.ts';
import { expiredSnapshots } from './expiry.ts';
import type { Policy } from './policy.ts';
import type { RetainedSnapshot } from './retention.ts';

const HOUR_NS = 3_600_000_000_000n;
const START_NS = 1_800_000_000_000_000_000n;

const snapshot = (hour: number, more: Partial<RetainedSnapshot> = {}): RetainedSnapshot => ({
  id: `s${hour}` as ManifestId,
  startTimeNs: START_NS + BigInt(hour) * HOUR_NS,
  endTimeNs: START_NS + BigInt(hour) * HOUR_NS,
  pins: [],
  ...more,
});
const rule = (retention: Policy['retention']): { stored: Policy; policy: Policy } => {
  const policy: Policy = retention === undefined ? {} : { retention };
  return { stored: policy, policy };
};
const idsOf = (snapshots: readonly RetainedSnapshot[], policy: { stored: Policy; policy: Policy }): string[] =>
  expiredSnapshots(snapshots, policy).map((decision) => decision.snapshot.id);

test('what a stored rule does not keep expires, and a pin always wins', () => {
  const snapshots = [snapshot(0), snapshot(1, { pins: ['keep'] }), snapshot(2), snapshot(3)];
  assert.deepEqual(idsOf(snapshots, rule({ keepLatest: 1 })), ['s2', 's0']);
});

test('built-in defaults expire nothing but checkpoints that are of no use any more', () => {
  const old = Array.from({ length: 100 }, (_, hour) => snapshot(hour));
  const useless = snapshot(50, { id: 'checkpoint' as ManifestId, incomplete: 'checkpoint' });
  const defaults = { stored: {}, policy: { retention: { keepLatest: 1 } } };
  assert.deepEqual(idsOf([...old, useless], defaults), ['checkpoint']);
});

test('the newest checkpoints stay', () => {
  const checkpoint = snapshot(5, { incomplete: 'checkpoint' });
  assert.deepEqual(idsOf([snapshot(0), checkpoint], rule({ keepLatest: 1 })), []);
});
