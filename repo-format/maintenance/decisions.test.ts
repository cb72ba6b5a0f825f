// What is decided about single contents and packs, in tables.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BlobId } from '../blob/storage.ts';
import type { SessionId } from '../content/session.ts';
import { judgePack, type PackVerdict } from './delete-packs.ts';
import { NameSet } from './name-set.ts';
import type { PackUse } from './pack-table.ts';
import { isWasteful, shortPacks } from './rewrite-contents.ts';
import { SAFETY } from './safety-parameters.ts';
import { judgeContent, type ContentFacts, type Verdict } from './snapshot-gc.ts';

const HOUR_MS = 3600 * 1000;
const START_MS = 1_800_000_000_000;

test('contents: manifests and what is used stay, the young stay, the rest is marked once', () => {
  const limits = { startTimeMs: START_MS, minAgeMs: 24 * HOUR_MS };
  const old = { prefixByte: 0, used: false, deleted: false, timestampSeconds: START_MS / 1000 - 24 * 3600 };
  const cases: [Partial<ContentFacts>, Verdict][] = [
    [{}, 'delete'],
    [{ deleted: true }, 'marked'],
    [{ used: true }, 'keep'],
    [{ used: true, deleted: true }, 'undelete'],
    [{ timestampSeconds: old.timestampSeconds + 1 }, 'too-recent'],
    [{ timestampSeconds: old.timestampSeconds + 1, deleted: true }, 'too-recent'],
    // A writer whose clock is fast.
    [{ timestampSeconds: START_MS / 1000 + 99 }, 'too-recent'],
    [{ prefixByte: 0x6d }, 'system'],
    [{ prefixByte: 0x6d, deleted: true }, 'system'],
    [{ prefixByte: 0x6b }, 'delete'],
  ];
  for (const [facts, verdict] of cases) {
    assert.equal(judgeContent({ ...old, ...facts }, limits), verdict, JSON.stringify(facts));
  }
  assert.equal(judgeContent({ ...old, timestampSeconds: START_MS / 1000 }, { ...limits, minAgeMs: 0 }), 'delete');
});

test('packs: used, new, young ones and those of live sessions stay', () => {
  const hours = (count: number): number => START_MS + 1000 - count * HOUR_MS;
  const sessions = new Map([
    ['s01' as SessionId, { checkpointTimeMs: hours(95) }],
    ['s02' as SessionId, { checkpointTimeMs: hours(96) }],
  ]);
  const cases: [id: string, timestampMs: number, used: boolean, PackVerdict, withoutSafety: PackVerdict][] = [
    ['p0-s00', hours(99), true, 'used', 'used'],
    ['p0-s00', START_MS + 1001, false, 'too-new', 'too-new'],
    ['p0-s00', START_MS + 1000, false, 'too-young', 'delete'],
    ['p0-s00', hours(24) + 1, false, 'too-young', 'delete'],
    ['p0-s00', hours(24), false, 'delete', 'delete'],
    ['p0-s01', hours(99), false, 'session', 'delete'],
    ['q0-s02', hours(99), false, 'delete', 'delete'],
    // Markers themselves.
    ['sffff-s01', hours(99), false, 'session', 'delete'],
    ['sffff-s02', hours(99), false, 'delete', 'delete'],
    // Of a writer that knows no sessions.
    ['p0', hours(99), false, 'delete', 'delete'],
  ];
  for (const [id, timestampMs, used, full, none] of cases) {
    const blob = { id: id as BlobId, timestampMs };
    const limits = { startTimeMs: START_MS, sessions };
    assert.equal(judgePack(blob, used, { ...limits, safety: SAFETY.full }), full, `${id} ${timestampMs}`);
    assert.equal(judgePack(blob, used, { ...limits, safety: SAFETY.none }), none, `${id} ${timestampMs}, none`);
  }
});

const use = (id: string, totalBytes: number, more: Partial<PackUse> = {}): PackUse => ({
  id: id as BlobId,
  totalBytes,
  liveCount: 1,
  liveBytes: totalBytes,
  movable: 1,
  movableBytes: totalBytes,
  ...more,
});

test('short packs: below 60 %, two of a kind, with something to move', () => {
  const limits = { maxPackSizeBytes: 1000, kinds: ['p', 'q'] };
  const ids = (packs: readonly PackUse[]): string[] => packs.map(({ id }) => id).sort();
  const found = shortPacks(
    [use('p1', 599), use('p2', 600), use('p3', 10), use('q1', 10), use('q2', 10, { movable: 0 }), use('r1', 1)],
    limits,
  );
  assert.deepEqual(ids(found.together), ['p1', 'p3']);
  assert.deepEqual(ids(found.alone), ['q1']);
  assert.deepEqual(shortPacks([use('p1', 599), use('p2', 1)], { ...limits, kinds: ['q'] }).together, []);
});

test('a single short pack is emptied only for the sake of much garbage', () => {
  assert.equal(isWasteful(1 << 20, use('p', 500 << 10)), true);
  assert.equal(isWasteful(1 << 20, use('p', 700 << 10)), false);
  assert.equal(isWasteful(60 << 10, use('p', 100)), false, 'too little to bother');
  // Half of such a pack is the index of its many small contents.
  assert.equal(isWasteful(400 << 10, use('p', 200 << 10, { liveCount: 5000 })), false);
});

test('a set of names has what was added, and nothing else among many', () => {
  const set = new NameSet();
  const name = (number: number): string => `p${(number * 2_654_435_761).toString(16).padStart(32, '0')}-s0`;
  for (let number = 0; number < 5000; number += 2) assert.ok(set.add(name(number)));
  assert.equal(set.add(name(0)), false);
  assert.equal(set.size, 2500);
  for (let number = 0; number < 5000; number++) assert.equal(set.has(name(number)), number % 2 === 0, name(number));
});
