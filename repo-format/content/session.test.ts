import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTestClock } from '../../test/harness/test-clock.ts';
import { encodeSessionMarker, newSessionId, type SessionId } from './session.ts';

const random = { bytes: (length: number) => Uint8Array.from({ length }, (_, index) => 0xf0 + index) };

// Repository format §11.1: the period number of a session.
for (const [date, period] of [
  ['2000-01-01', '0'],
  ['2024-01-01', '124'],
  ['2026-11-20', '147'],
] as const) {
  test(`a session of ${date} ends in ${period}`, () => {
    assert.equal(newSessionId(createTestClock(Date.parse(date)), random), `sf0f1f2f3f4f5f6f7${period}`);
  });
}

test('a clock before 2000 gives a valid session', () => {
  assert.match(newSessionId(createTestClock(0), random), /^s[0-9a-f]{16}0$/);
});

test('a marker holds Kopia’s members, with times as Go writes them', () => {
  const marker = (startTimeMs: number): unknown =>
    JSON.parse(
      new TextDecoder().decode(
        encodeSessionMarker({ id: 's01' as SessionId, startTimeMs, username: 'u"ü', hostname: 'h' }),
      ),
    );
  const at = (time: string): unknown => ({
    id: 's01',
    startTime: time,
    checkpointTime: time,
    username: 'u"ü',
    hostname: 'h',
  });
  assert.deepEqual(marker(Date.UTC(2026, 10, 20, 12)), at('2026-11-20T12:00:00Z'));
  assert.deepEqual(marker(Date.UTC(2026, 10, 20, 12, 0, 10, 120)), at('2026-11-20T12:00:10.12Z'));
  assert.deepEqual(marker(Date.UTC(2026, 10, 20, 10, 10, 10, 100)), at('2026-11-20T10:10:10.1Z'));
});
