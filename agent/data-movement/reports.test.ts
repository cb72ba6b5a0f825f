import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PodVolumeBackup } from '../../kube/index.ts';
import { aPodVolumeBackup } from '../../test/harness/pod-volume-objects.ts';
import { createTestClock } from '../../test/harness/test-clock.ts';
import { NoteBook } from './notes.ts';
import { PROGRESS_MS, Reports } from './reports.ts';
import type { RunView } from './run-view.ts';

const signal = new AbortController().signal;
const running = aPodVolumeBackup({ phase: 'InProgress' });
const at = (bytesDone: number): RunView => ({
  state: 'running',
  progress: { bytesDone, totalBytes: 100, files: 1 },
  stopping: undefined,
});

function recorded() {
  const clock = createTestClock();
  const written: object[] = [];
  let events = 0;
  const write = (_movement: PodVolumeBackup, merge: object): Promise<void> => {
    written.push(merge);
    return Promise.resolve();
  };
  const notes = new NoteBook();
  const reports = new Reports<PodVolumeBackup>({
    clock,
    notes,
    writer: { write, merge: write },
    events: { progress: () => void events++ },
  });
  return { clock, written, reports, notes, events: () => events };
}

test('why it does not go on is written twice a minute at most, and not again as it is', async () => {
  const { clock, written, reports } = recorded();
  const say = (text: string) => reports.say(running, text, signal);
  await say('place 3');
  await say('place 2');
  clock.advance(29_999);
  await say('place 2');
  assert.deepEqual(written, [{ status: { message: 'place 3' } }]);
  clock.advance(1);
  await say('place\n1');
  assert.deepEqual(written[1], { status: { message: 'place 1' } });
  clock.advance(60_000);
  const said = aPodVolumeBackup({ phase: 'InProgress', status: { message: 'place 1' } });
  await reports.say(said, 'place 1', signal);
  assert.equal(written.length, 2);
});

test('another object has its own time to speak', async () => {
  const { written, reports } = recorded();
  await reports.say(running, 'a', signal);
  await reports.say(aPodVolumeBackup({ metadata: { uid: 'other' } }), 'b', signal);
  assert.equal(written.length, 2);
});

test('progress is told when it is due and has changed, and takes an old message away', async () => {
  const { clock, written, reports, events } = recorded();
  reports.begin(running);
  assert.equal(await reports.progress(running, at(10), signal), PROGRESS_MS, 'a small volume is over before');
  assert.deepEqual(written, []);
  clock.advance(PROGRESS_MS - 1);
  assert.equal(await reports.progress(running, at(10), signal), 1);
  clock.advance(1);
  assert.equal(await reports.progress(running, at(20), signal), PROGRESS_MS);
  assert.deepEqual(written, [{ status: { progress: { bytesDone: 20, totalBytes: 100 } } }]);
  clock.advance(PROGRESS_MS);
  await reports.progress(running, at(20), signal);
  assert.deepEqual([written.length, events()], [1, 1], 'what has not changed is not told');
  const waited = aPodVolumeBackup({ phase: 'InProgress', status: { message: 'waiting for a slot' } });
  await reports.progress(waited, at(30), signal);
  assert.deepEqual(written[1], { status: { progress: { bytesDone: 30, totalBytes: 100 }, message: '' } });
});

test('without a mover, or before it has said anything, there is nothing to tell', async () => {
  const { written, reports } = recorded();
  const silent: RunView = { state: 'running', progress: undefined, stopping: undefined };
  for (const run of [undefined, silent]) assert.equal(await reports.progress(running, run, signal), PROGRESS_MS);
  assert.deepEqual(written, []);
});

test('notes are of one object, found by its UID and its key, until it is forgotten', () => {
  const { notes } = recorded();
  const again = aPodVolumeBackup({ metadata: { uid: 'made-anew' } });
  notes.of(running).messageMs = 1;
  assert.equal(notes.of(running).messageMs, 1);
  assert.equal(notes.of(again).messageMs, undefined);
  const key = notes.keyOf('pvb-uid') ?? assert.fail();
  assert.deepEqual(notes.uidsOf(key), ['pvb-uid', 'made-anew']);
  notes.forget('pvb-uid');
  assert.deepEqual([notes.keyOf('pvb-uid'), notes.uidsOf(key)], [undefined, ['made-anew']]);
  assert.equal(notes.of(running).messageMs, undefined);
});
