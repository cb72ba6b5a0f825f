import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDeleteAllowed, isRewriteAllowed, safeDropTimeNs, wasLastRewriteFull } from './safety-gates.ts';
import { SAFETY, type SafetyLevel } from './safety-parameters.ts';
import { EMPTY_SCHEDULE, type Schedule } from './schedule.ts';
import type { TaskName } from './task-name.ts';

const HOUR_NS = 3_600_000_000_000n;
/** Hours since some noon, as the schedule has times. */
const at = (hours: number): bigint => 1_800_000_000_000_000_000n + (BigInt(Math.round(hours * 3600)) * HOUR_NS) / 3600n;

/** Task, start, end, and `false` for a failure. */
type Run = readonly [task: TaskName, start: number, end: number, success?: boolean];

function scheduleOf(runs: readonly Run[]): Schedule {
  const byTask = Map.groupBy(runs, ([task]) => task as string);
  const infos = [...byTask].map(
    ([task, list]) =>
      [
        task,
        list.map(([, start, end, success = true]) => ({
          startNs: at(start),
          endNs: at(end),
          success,
          error: success ? '' : 'failed',
          raw: '{}',
        })),
      ] as const,
  );
  return { ...EMPTY_SCHEDULE, runs: new Map(infos) };
}

test('a rewrite must be followed by a deletion before the next', () => {
  const cases: [string, readonly Run[], SafetyLevel, full: boolean, quick: boolean][] = [
    ['nothing ever ran', [], 'full', true, true],
    ['rewritten, not deleted', [['full-rewrite-contents', 0, 1]], 'full', false, false],
    ['rewritten, not deleted, without safety', [['full-rewrite-contents', 0, 1]], 'none', true, true],
    ['a failed rewrite does not count', [['full-rewrite-contents', 0, 1, false]], 'full', true, true],
    [
      'then deleted',
      [
        ['full-rewrite-contents', 0, 1],
        ['full-delete-blobs', 2, 3],
      ],
      'full',
      true,
      true,
    ],
    [
      'deleted at the very end of it',
      [
        ['full-rewrite-contents', 0, 1],
        ['full-delete-blobs', 0, 1],
      ],
      'full',
      true,
      true,
    ],
    [
      'deleted before',
      [
        ['full-rewrite-contents', 2, 3],
        ['full-delete-blobs', 0, 1],
      ],
      'full',
      false,
      false,
    ],
    [
      'the deletion failed',
      [
        ['full-rewrite-contents', 0, 1],
        ['full-delete-blobs', 2, 3, false],
      ],
      'full',
      false,
      false,
    ],
    [
      'a quick deletion counts',
      [
        ['full-rewrite-contents', 0, 1],
        ['quick-delete-blobs', 2, 3],
      ],
      'full',
      true,
      true,
    ],
    ['a quick rewrite holds up quick ones only', [['quick-rewrite-contents', 0, 1]], 'full', true, false],
  ];
  for (const [name, runs, level, full, quick] of cases) {
    assert.equal(isRewriteAllowed('full', scheduleOf(runs), SAFETY[level]), full, `full: ${name}`);
    assert.equal(isRewriteAllowed('quick', scheduleOf(runs), SAFETY[level]), quick, `quick: ${name}`);
  }
});

test('packs are deleted an hour after the last rewrite at the earliest', () => {
  const cases: [string, readonly Run[], SafetyLevel, now: number, boolean][] = [
    ['nothing ever ran', [], 'full', 0, true],
    ['just rewritten', [['full-rewrite-contents', 0, 1]], 'full', 1, false],
    ['a second short of an hour', [['full-rewrite-contents', 0, 1]], 'full', 2 - 1 / 3600, false],
    ['an hour later', [['full-rewrite-contents', 0, 1]], 'full', 2, true],
    ['quick rewrites count', [['quick-rewrite-contents', 0, 1]], 'full', 1.5, false],
    [
      'the latest counts',
      [
        ['full-rewrite-contents', 8, 9],
        ['full-rewrite-contents', 0, 1],
      ],
      'full',
      9.5,
      false,
    ],
    ['failed ones do not', [['full-rewrite-contents', 0, 1, false]], 'full', 1, true],
    ['without safety at once', [['full-rewrite-contents', 0, 1]], 'none', 1, true],
  ];
  for (const [name, runs, level, now, expected] of cases) {
    assert.equal(isDeleteAllowed(scheduleOf(runs), SAFETY[level], at(now)), expected, name);
  }
});

test('contents are dropped that were marked before the earlier of two collections far enough apart', () => {
  const gc = (start: number, success = true): Run => ['snapshot-gc', start, start + 0.5, success];
  const cases: [string, readonly Run[], SafetyLevel, hours: number | undefined][] = [
    ['never collected', [], 'full', undefined],
    ['collected once', [gc(0)], 'full', undefined],
    ['twice, exactly four hours apart', [gc(4.5), gc(0)], 'full', undefined],
    ['twice, a second more', [gc(4.5 + 1 / 3600), gc(0)], 'full', -1],
    ['the latest one that is far enough', [gc(50), gc(48), gc(24), gc(0)], 'full', 23],
    ['in any order', [gc(0), gc(24), gc(50), gc(48)], 'full', 23],
    ['a failed latest one confirms nothing', [gc(50, false), gc(24), gc(0)], 'full', -1],
    ['a failed earlier one is not confirmed', [gc(50), gc(24, false), gc(0)], 'full', -1],
    ['without safety: now', [], 'none', 99],
  ];
  for (const [name, runs, level, hours] of cases) {
    const expected = hours === undefined ? undefined : at(hours);
    assert.equal(safeDropTimeNs(scheduleOf(runs), SAFETY[level], at(99)), expected, name);
  }
});

test('which deletion finds what the last rewrite left behind', () => {
  assert.equal(wasLastRewriteFull(scheduleOf([])), true);
  assert.equal(wasLastRewriteFull(scheduleOf([['quick-rewrite-contents', 0, 1]])), false);
  assert.equal(
    wasLastRewriteFull(
      scheduleOf([
        ['quick-rewrite-contents', 0, 1],
        ['full-rewrite-contents', 2, 3],
      ]),
    ),
    true,
  );
});
