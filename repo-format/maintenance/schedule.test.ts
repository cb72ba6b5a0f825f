import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTestClock } from '../../test/harness/test-clock.ts';
import { CHEAP_KEY_ALGORITHM, cheapKeys } from '../../test/harness/cheap-keys.ts';
import { systemRandom } from '../../base/random.ts';
import { parseTimestampNs } from '../../base/go-time.ts';
import { createMemoryStorage } from '../blob/memory.ts';
import { createFormat } from '../format/create-format.ts';
import type { OpenFormat } from '../format/open-format.ts';
import type { BlobStorage } from '../blob/storage.ts';
import {
  EMPTY_SCHEDULE,
  encodeSchedule,
  lastSuccessEndNs,
  loadSchedule,
  NEVER_NS,
  parseSchedule,
  SCHEDULE_BLOB_ID,
  storeSchedule,
  withRun,
} from './schedule.ts';

const signal = new AbortController().signal;
const EMPTY_TEXT =
  '{"nextFullMaintenance":"0001-01-01T00:00:00Z","nextQuickMaintenance":"0001-01-01T00:00:00Z","runs":null}';
// As kopia writes it, from a machine east of Greenwich, with members of a kopia to come.
const KOPIA_TEXT =
  '{"nextFullMaintenance":"2026-11-21T11:07:13.873832163+02:00","nextQuickMaintenance":"2026-11-20T12:07:13.873832163+02:00",' +
  '"runs":{"cleanup-logs":[{"start":"2026-11-20T11:07:13.9+02:00","end":"2026-11-20T11:07:14+02:00","error":"no \\u003cway\\u003e"}],' +
  '"compact-single-epoch":[{"start":"2026-11-20T11:07:13.873832163+02:00","end":"2026-11-20T11:07:13.873852703+02:00","success":true,"extra":[{"kind":"compactSingleEpochStats","data":null}],"later":[1,{"a":2}]}],' +
  '"task-to-come":[{"start":"2026-11-20T11:07:13Z","end":"2026-11-20T11:07:13Z","success":true}]},"mood":{"good":true}}';

const at = (text: string): bigint => parseTimestampNs(text) ?? 0n;

async function repository(version: 1 | 3): Promise<{ storage: BlobStorage; format: OpenFormat }> {
  const clock = createTestClock();
  const storage = createMemoryStorage({ clock });
  const options = { password: 'secret', keyAlgo: CHEAP_KEY_ALGORITHM, version };
  const format = await createFormat(storage, options, { clock, random: systemRandom, deriveKey: cheapKeys }, signal);
  return { storage, format };
}

test('an empty schedule is what kopia writes for one', () => {
  assert.equal(encodeSchedule(EMPTY_SCHEDULE), EMPTY_TEXT);
  assert.deepEqual(parseSchedule(EMPTY_TEXT), EMPTY_SCHEDULE);
  assert.deepEqual(parseSchedule('{}'), EMPTY_SCHEDULE);
});

test('times of any zone, failures and successes are read', () => {
  const schedule = parseSchedule(KOPIA_TEXT);
  assert.equal(schedule.nextFullNs, at('2026-11-21T09:07:13.873832163Z'));
  const [failed] = schedule.runs.get('cleanup-logs') ?? [];
  assert.equal(failed?.success, false);
  assert.equal(failed.error, 'no <way>');
  const [done] = schedule.runs.get('compact-single-epoch') ?? [];
  assert.equal(done?.success, true);
  assert.equal(done.endNs, at('2026-11-20T09:07:13.873852703Z'));
});

test('a rewrite keeps what others wrote, letter by letter, and what is not known', () => {
  const before = parseSchedule(KOPIA_TEXT);
  const after = withRun(before, 'advance-epoch', {
    startNs: at('2026-11-20T10:00:00.5Z'),
    endNs: at('2026-11-20T10:00:01Z'),
    stats: { kind: 'advanceEpochStats', data: { currentEpoch: 3, wasAdvanced: true } },
  });
  const expected = KOPIA_TEXT.replace(
    '"runs":{',
    '"runs":{"advance-epoch":[{"start":"2026-11-20T10:00:00.5Z","end":"2026-11-20T10:00:01Z","success":true,"extra":[{"kind":"advanceEpochStats","data":{"currentEpoch":3,"wasAdvanced":true}}]}],',
  )
    .replace('2026-11-21T11:07:13.873832163+02:00', '2026-11-21T09:07:13.873832163Z')
    .replace(
      '"nextQuickMaintenance":"2026-11-20T12:07:13.873832163+02:00"',
      '"nextQuickMaintenance":"2026-11-20T10:07:13.873832163Z"',
    );
  assert.equal(encodeSchedule(after), expected);
  assert.deepEqual(parseSchedule(expected).runs, after.runs);
});

test('runs go in front, and the oldest beyond fifty go', () => {
  let schedule = EMPTY_SCHEDULE;
  for (let run = 1; run <= 60; run++) {
    schedule = withRun(schedule, 'cleanup-logs', { startNs: BigInt(run), endNs: BigInt(run + 1), error: `no ${run}` });
  }
  const runs = schedule.runs.get('cleanup-logs') ?? [];
  assert.equal(runs.length, 50);
  assert.deepEqual([runs[0]?.error, runs[49]?.error], ['no 60', 'no 11']);
  assert.deepEqual(parseSchedule(encodeSchedule(schedule)), schedule);
});

test('only successes count as successes', () => {
  const failed = withRun(EMPTY_SCHEDULE, 'snapshot-gc', { startNs: 5n, endNs: 9n, error: '' });
  assert.equal(lastSuccessEndNs(failed, 'snapshot-gc'), undefined);
  const done = withRun(failed, 'snapshot-gc', { startNs: 3n, endNs: 4n });
  assert.equal(lastSuccessEndNs(parseSchedule(encodeSchedule(done)), 'snapshot-gc', 'cleanup-logs'), 4n);
});

for (const version of [1, 3] as const) {
  test(`the blob of a version ${version} repository opens again, and not when a byte of it changed`, async () => {
    const { storage, format } = await repository(version);
    assert.deepEqual(await loadSchedule(storage, format, signal), EMPTY_SCHEDULE);
    const schedule = parseSchedule(KOPIA_TEXT);
    await storeSchedule(storage, format, schedule, systemRandom, signal);
    assert.deepEqual(await loadSchedule(storage, format, signal), {
      ...schedule,
      others: [{ key: 'mood', raw: '{"good":true}' }],
    });
    const sealed = await storage.getBlob(SCHEDULE_BLOB_ID, undefined, signal);
    for (const position of [0, 12, sealed.length - 1]) {
      const changed = Uint8Array.from(sealed);
      changed[position] = (changed[position] ?? 0) ^ 1;
      await storage.putBlob(SCHEDULE_BLOB_ID, changed, signal);
      await assert.rejects(loadSchedule(storage, format, signal), { code: 'MAINTENANCE_SCHEDULE_INVALID' });
    }
    await storage.putBlob(SCHEDULE_BLOB_ID, sealed.subarray(0, 20), signal);
    await assert.rejects(loadSchedule(storage, format, signal), { code: 'MAINTENANCE_SCHEDULE_INVALID' });
  });
}

test('what is no schedule is refused', () => {
  const texts = [
    '',
    '[]',
    'null',
    '{"runs":[]}',
    '{"runs":{"a":{}}}',
    '{"nextFullMaintenance":"soon"}',
    '{"runs":{"a":[{"start":1}]}}',
  ];
  for (const text of texts) {
    assert.throws(() => parseSchedule(text), { code: 'MAINTENANCE_SCHEDULE_INVALID' }, text);
  }
  assert.equal(parseSchedule('{"NEXTFULLMAINTENANCE":null}').nextFullNs, NEVER_NS);
});
