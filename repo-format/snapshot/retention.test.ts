import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { formatTimestampNs, parseTimestampNs } from '../../base/go-time.ts';
import type { ManifestId } from '../manifest/manifest-entry.ts';
import { type RetainedSnapshot, type RetentionLimits, planRetention } from './retention.ts';

interface GoldenCase {
  readonly limits: RetentionLimits;
  readonly snapshots: readonly (readonly [string, readonly string[]])[];
}

const golden = JSON.parse(
  readFileSync(new URL('../../test/golden/retention/retention.json', import.meta.url), 'utf8'),
) as GoldenCase[];

function snapshotAt(time: string, other: Partial<RetainedSnapshot> = {}): RetainedSnapshot {
  const startTimeNs = parseTimestampNs(time) ?? 0n;
  return { id: time as ManifestId, startTimeNs, endTimeNs: startTimeNs, pins: [], ...other };
}

function reasonsOf(snapshots: readonly RetainedSnapshot[], limits: RetentionLimits): Record<string, readonly string[]> {
  return Object.fromEntries(
    planRetention(snapshots, limits).map(({ snapshot, reasons }) => [formatTimestampNs(snapshot.startTimeNs), reasons]),
  );
}

test('snapshots are kept for the reasons kopia gives', () => {
  assert.ok(golden.length > 0);
  for (const { limits, snapshots } of golden) {
    const planned = reasonsOf(
      snapshots.map(([time]) => snapshotAt(time)),
      limits,
    );
    assert.deepEqual(planned, Object.fromEntries(snapshots), JSON.stringify(limits));
  }
});

test('a pin keeps a snapshot that nothing else keeps', () => {
  const snapshots = [snapshotAt('2026-01-02T00:00:00Z'), snapshotAt('2026-01-01T00:00:00Z', { pins: ['velero-pin'] })];
  const plan = planRetention(snapshots, { keepLatest: 1 });
  assert.deepEqual(
    plan.map(({ keep, reasons }) => [keep, reasons]),
    [
      [true, ['latest-1']],
      [true, []],
    ],
  );
  const withoutPins = planRetention(
    snapshots.map((each) => ({ ...each, pins: [] })),
    { keepLatest: 1 },
  );
  assert.deepEqual(
    withoutPins.map(({ keep }) => keep),
    [true, false],
  );
});

test('incomplete snapshots last until a complete one follows, the young ones and three in any case', () => {
  const incomplete = { incomplete: 'checkpoint' };
  const times = ['20:00', '19:00', '12:00', '11:00', '10:00'].map((time) => `2026-01-02T${time}:00Z`);
  const kept = (snapshots: RetainedSnapshot[]): boolean[] =>
    planRetention(snapshots, { keepLatest: 10 }).map(({ keep }) => keep);
  assert.deepEqual(kept(times.map((time) => snapshotAt(time, incomplete))), [true, true, true, false, false]);
  const young = ['20:00', '19:30', '19:00', '18:00', '16:00'].map((time) =>
    snapshotAt(`2026-01-02T${time}:00Z`, incomplete),
  );
  assert.deepEqual(kept(young), [true, true, true, true, false]);
  assert.deepEqual(kept([snapshotAt('2026-01-02T21:00:00Z'), ...young]), [true, false, false, false, false, false]);
  assert.deepEqual(kept([...young, snapshotAt('2026-01-02T19:45:00Z')]), [true, true, false, false, false, false]);
});

test('all limits 0 or unset keep everything', () => {
  const snapshots = [snapshotAt('2026-01-02T00:00:00Z'), snapshotAt('2016-01-01T00:00:00Z')];
  for (const limits of [{}, { keepLatest: 0 }, { keepDaily: 0 }]) {
    assert.ok(planRetention(snapshots, limits).every(({ keep }) => keep));
  }
});

test('limits beyond any calendar have no cutoff', () => {
  const max = 2147483647;
  const limits = { keepLatest: 1, keepHourly: max, keepDaily: max, keepWeekly: max, keepMonthly: max, keepAnnual: max };
  const snapshots = [snapshotAt('2026-03-02T00:00:00Z'), snapshotAt('1971-01-01T05:00:00Z')];
  const [, old] = planRetention(snapshots, limits);
  assert.deepEqual(old?.reasons, ['hourly-2', 'daily-2', 'weekly-2', 'monthly-2', 'annual-2']);
});

test('weeks are those of the local zone', () => {
  const snapshots = [snapshotAt('2026-01-04T23:30:00Z'), snapshotAt('2026-01-04T20:00:00Z')];
  const weeks = (offset: number): number =>
    planRetention(snapshots, { keepWeekly: 5 }, () => offset).filter(({ keep }) => keep).length;
  assert.equal(weeks(0), 1);
  assert.equal(weeks(60), 2);
});

test('nothing in, nothing out', () => {
  assert.deepEqual(planRetention([], { keepLatest: 1 }), []);
});
