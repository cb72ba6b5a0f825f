// The data movers of a node, with real processes: what becomes of one that fails, is stopped, or is forgotten.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { WindlassError } from '../../base/errors.ts';
import { silentLogger } from '../../base/logger.ts';
import { MoverFixture } from '../../test/harness/mover-fixture.ts';
import { scratchFolder } from '../../test/harness/scratch.ts';
import { createTestClock, type TestClock } from '../../test/harness/test-clock.ts';
import type { Answer, Job, MarkJob } from '../datapath/job.ts';
import { type EndedRun, mayPass, Runs, type RunsDeps } from './runs.ts';

interface Started {
  readonly runs: Runs;
  readonly clock: TestClock;
  readonly ended: EndedRun[];
  readonly changes: string[];
  /** Until the run is in another state than `running`. */
  over(uid: string): Promise<void>;
}

function start(
  t: TestContext,
  podProblem: (uid: string) => Promise<Answer> = () => Promise.resolve({}),
  more: Partial<RunsDeps> = {},
): Started {
  const clock = createTestClock();
  const ended: EndedRun[] = [];
  const changes: string[] = [];
  const runs = new Runs({
    clock,
    logger: silentLogger,
    mover: { environment: { PATH: process.env['PATH'] }, compileCache: process.env['NODE_COMPILE_CACHE'] },
    onDerivedKey: () => undefined,
    podProblem,
    onChange: (uid, change) => changes.push(`${uid} ${change}`),
    onEnded: (run) => ended.push(run),
    stallMs: 0,
    ...more,
  });
  t.after(() => void runs.stopAll());
  const over = async (uid: string): Promise<void> => {
    while (runs.view(uid)?.state === 'running') await delay(5);
  };
  return { runs, clock, ended, changes, over };
}

function markJob(t: TestContext): MarkJob {
  const root = scratchFolder(t, 'runs');
  mkdirSync(join(root, 'data'));
  const mark = { outcome: 'failed', code: 'C', message: 'm', name: 'n', uid: 'u' } as const;
  return { kind: 'mark', subject: {}, volume: { root, names: ['data'], isMount: false }, restoreUid: 'r', mark };
}

const HOUR_MS = 3_600_000;

/** Started from here, and not heard to have ended. */
function processesRunning(): number {
  return process.getActiveResourcesInfo().filter((name) => name === 'ProcessWrap').length;
}

test('what a mover has done is kept until its object is done with', async (t) => {
  const { runs, ended, changes, over } = start(t);
  assert.equal(runs.view('a'), undefined);
  runs.start('a', markJob(t), HOUR_MS);
  assert.deepEqual([runs.view('a')?.state, runs.running], ['running', 1]);
  runs.start('a', markJob(t), HOUR_MS);
  await over('a');
  assert.deepEqual(runs.view('a'), { state: 'done', result: { type: 'marked' } });
  assert.deepEqual([changes, ended.map(({ outcome }) => outcome), runs.running], [['a ended'], ['done'], 0]);
  runs.forget('a');
  assert.deepEqual(runs.uids(), []);
});

test('the next process is started ahead of one that runs alone', async (t) => {
  const { runs, over } = start(t);
  const before = processesRunning();
  runs.start('a', markJob(t), HOUR_MS);
  runs.expectMore();
  assert.equal(processesRunning() - before, 2);
  await over('a');
});

test('no process is started ahead while several run', async (t) => {
  const { runs, over } = start(t);
  const before = processesRunning();
  runs.start('a', markJob(t), HOUR_MS);
  runs.start('b', markJob(t), HOUR_MS);
  runs.expectMore();
  assert.equal(processesRunning() - before, 2);
  await Promise.all([over('a'), over('b')]);
});

test('a process that cannot be started ahead harms nobody', async (t) => {
  const { runs, over } = start(t);
  const { execPath } = process;
  t.after(() => (process.execPath = execPath));
  runs.start('a', markJob(t), HOUR_MS);
  process.execPath = '/no\0program';
  runs.expectMore();
  await over('a');
  assert.equal(runs.view('a')?.state, 'done');
});

test('what fails for good is failed at once', async (t) => {
  const { runs, ended, over } = start(t);
  runs.start('a', { ...markJob(t), volume: { root: '/nonexistent', names: ['x'], isMount: false } }, HOUR_MS);
  await over('a');
  const view = runs.view('a');
  assert.ok(view?.state === 'failed' && view.error.code === 'VOLUME_NOT_FOUND');
  assert.ok((ended[0]?.maxRssBytes ?? 0) > 1 << 20, 'what it took counts for the high-water mark, too');
});

test('what may pass is waited for, longer each time, and not for ever', async (t) => {
  const fixture = await MoverFixture.create(t);
  const volume = fixture.volume('pod-uid');
  const { runs, clock, over } = start(t, () => Promise.resolve({ problem: 'who knows', mayPass: true }));
  const delays: number[] = [];
  for (let attempt = 1; attempt <= 3; attempt++) {
    runs.start('a', fixture.backupJob(volume), HOUR_MS);
    await over('a');
    const view = runs.view('a');
    assert.ok(view?.state === 'waiting', JSON.stringify(view));
    assert.equal(view.attempts, attempt);
    delays.push(view.nextMs - clock.nowMs());
  }
  assert.deepEqual(delays, [2_000, 4_000, 8_000]);
  clock.advance(HOUR_MS);
  runs.start('a', fixture.backupJob(volume), HOUR_MS);
  await over('a');
  assert.equal(runs.view('a')?.state, 'failed', 'its time is over');
  assert.deepEqual(await fixture.snapshots(), []);
});

test('a volume that is not mounted yet is waited for, for a minute', async (t) => {
  const fixture = await MoverFixture.create(t);
  const volume = { ...fixture.volume('pod-uid'), isMount: true };
  const { runs, clock, over } = start(t);
  let waitedMs = 0;
  for (let attempt = 1; attempt <= 6; attempt++) {
    runs.start('a', fixture.backupJob(volume), HOUR_MS);
    await over('a');
    const view = runs.view('a');
    assert.ok(view?.state === 'waiting' || view?.state === 'failed', JSON.stringify(view));
    assert.equal(view.error.code, 'VOLUME_NOT_MOUNTED');
    assert.equal(view.state, attempt < 6 ? 'waiting' : 'failed');
    if (view.state === 'waiting') waitedMs += view.nextMs - clock.nowMs();
  }
  assert.equal(waitedMs, 62_000);
  assert.deepEqual(await fixture.snapshots(), []);
});

test('a mover that is stopped says for what, whatever it ended with', async (t) => {
  const { runs, ended, over } = start(t);
  runs.start('a', markJob(t), HOUR_MS);
  runs.stop('a', 'pod-gone');
  runs.stop('a', 'cancel');
  await over('a');
  const view = runs.view('a');
  // It may have been done before it heard of it.
  assert.ok(view?.state === 'done' || (view?.state === 'stopped' && view.reason === 'pod-gone'), JSON.stringify(view));
  assert.equal(ended.length, 1);
});

test('nothing is kept of a mover whose object has gone while it ran', async (t) => {
  const fixture = await MoverFixture.create(t);
  const volume = fixture.volume('pod-uid');
  let asked = false;
  const { runs, ended } = start(t, () => {
    asked = true;
    return new Promise(() => undefined);
  });
  runs.start('a', fixture.backupJob(volume), HOUR_MS);
  while (!asked) await delay(5);
  runs.forget('a');
  assert.equal(runs.view('a')?.state, 'running');
  while (ended.length === 0) await delay(5);
  assert.deepEqual([runs.uids(), ended.map(({ outcome }) => outcome)], [[], ['stopped']]);
  assert.deepEqual(await fixture.snapshots(), []);
});

test('how often a failure is waited for counts those of its kind', async (t) => {
  const fixture = await MoverFixture.create(t);
  const { runs, over } = start(t, () => Promise.resolve({ problem: 'who knows', mayPass: true }));
  const failWith = async (job: Job): Promise<string | undefined> => {
    runs.start('a', job, HOUR_MS);
    await over('a');
    return runs.view('a')?.state;
  };
  const otherFailure = fixture.backupJob(fixture.volume('pod-uid'));
  const notMounted = { ...markJob(t), volume: { ...fixture.volume('no-mount'), isMount: true } };
  const states = [];
  for (const job of [otherFailure, otherFailure, ...Array.from({ length: 5 }, () => notMounted)])
    states.push(await failWith(job));
  assert.deepEqual(new Set(states), new Set(['waiting']));
  assert.equal(await failWith(notMounted), 'failed');
});

test('a restore that waits for its next attempt has the volume, too', async (t) => {
  const fixture = await MoverFixture.create(t);
  const volume = { ...fixture.volume('pod-uid'), isMount: true };
  const { runs, over } = start(t);
  const jobOf = (runId: string) => fixture.restoreJob(volume, 'f'.repeat(32), { runId });
  runs.start('a', jobOf('a'), HOUR_MS);
  await over('a');
  assert.equal(runs.view('a')?.state, 'waiting');
  assert.throws(() => runs.start('b', jobOf('b'), HOUR_MS), { code: 'VOLUME_BUSY' });
  runs.start('a', jobOf('a'), HOUR_MS);
  await over('a');
  assert.equal(runs.view('a')?.state, 'waiting');
});

test('two restores do not go into one volume at a time', async (t) => {
  const fixture = await MoverFixture.create(t);
  const volume = fixture.volume('pod-uid');
  const { runs, over } = start(t);
  runs.start('a', fixture.restoreJob(volume, 'f'.repeat(32)), HOUR_MS);
  const second = fixture.restoreJob(volume, 'f'.repeat(32), { runId: 'b' });
  assert.throws(() => runs.start('b', second, HOUR_MS), { code: 'VOLUME_BUSY', retry: 'transient' });
  assert.deepEqual(runs.uids(), ['a']);
  runs.start('c', fixture.restoreJob(fixture.volume('another'), 'f'.repeat(32)), HOUR_MS);
  await over('a');
  runs.start('b', second, HOUR_MS);
  await over('b');
  await over('c');
  assert.equal(runs.view('b')?.state, 'failed', 'there is no such snapshot');
});

test('an agent that ends takes its movers with it', async (t) => {
  const fixture = await MoverFixture.create(t);
  let asked = 0;
  const { runs } = start(t, () => {
    asked++;
    return new Promise(() => undefined);
  });
  for (const uid of ['a', 'b']) runs.start(uid, fixture.backupJob(fixture.volume(uid), { runId: uid }), HOUR_MS);
  while (asked < 2) await delay(5);
  await runs.stopAll();
  assert.equal(runs.running, 0);
  assert.deepEqual(await fixture.snapshots(), []);
});

/** A run whose mover waits for an answer that never comes, telling its progress all the time. */
async function hanging(t: TestContext, stallMs: number): Promise<Started> {
  const fixture = await MoverFixture.create(t);
  const asked = Promise.withResolvers<void>();
  const neverAnswered = (): Promise<never> => {
    asked.resolve();
    return new Promise(() => undefined);
  };
  const started = start(t, neverAnswered, { stallMs });
  started.runs.start('a', fixture.backupJob(fixture.volume('pod-uid')), HOUR_MS);
  await asked.promise;
  return started;
}

/** Time goes on until it is ended: its signs of life, which take up to ten seconds of real time, may come between. */
async function stallsOut({ runs, clock }: Started, stepMs = 100): Promise<void> {
  while (runs.view('a')?.state === 'running') {
    clock.advance(stepMs);
    await delay(20);
  }
}

test('a mover without progress is ended, which may pass, and the reason is said', async (t) => {
  const started = await hanging(t, 100);
  const { runs, ended } = started;
  await stallsOut(started);
  const view = runs.view('a');
  assert.ok(view?.state === 'waiting', JSON.stringify(view));
  assert.deepEqual(
    [view.error.code, view.attempts, ended.map(({ outcome }) => outcome)],
    ['MOVER_STALLED', 1, ['failed']],
  );
  assert.match(view.error.message, /^the data mover had shown no progress for \S+, and was ended$/);
});

test('a stalled mover is not tried again for ever', async (t) => {
  const started = await hanging(t, 100);
  await stallsOut(started, HOUR_MS);
  const view = started.runs.view('a');
  assert.ok(view?.state === 'failed' && view.error.code === 'MOVER_STALLED');
});

test('a cancel of a stalled mover is a cancel', async (t) => {
  const { runs, clock, over } = await hanging(t, 100);
  runs.stop('a', 'cancel');
  clock.advance(HOUR_MS);
  await over('a');
  assert.deepEqual(runs.view('a'), { state: 'stopped', reason: 'cancel' });
});

test('with 0 nobody looks for progress', async (t) => {
  const { runs, clock } = await hanging(t, 0);
  clock.advance(100 * HOUR_MS);
  await delay(300);
  assert.equal(runs.view('a')?.state, 'running');
});

test('what may pass is tried again, a name service that is away included; what would fail again is not', () => {
  const failure = (code: string, retry: 'never' | 'transient' | 'after-refresh') =>
    new WindlassError('failed', { code, retry });
  assert.equal(mayPass(failure('BLOB_TIMEOUT', 'transient')), true);
  assert.equal(mayPass(failure('BLOB_CREDENTIALS_EXPIRED', 'after-refresh')), true);
  assert.equal(mayPass(failure('BLOB_STORE_UNKNOWN', 'never')), true);
  assert.equal(mayPass(failure('BLOB_ACCESS_DENIED', 'never')), true);
  assert.equal(mayPass(new DOMException('stopped', 'AbortError')), true);
  assert.equal(mayPass(failure('PASSWORD_WRONG', 'never')), false);
  assert.equal(mayPass(new TypeError('a bug')), false);
});
