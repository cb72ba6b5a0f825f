// The loop on real folders, with a clock that only moves when the loop pauses.
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { scratchFolder } from '../test/harness/scratch.ts';
import { Volumes } from './volumes.ts';
import { type Outcome, waitForVolumes } from './wait.ts';

const UID = '6f1e5c0a-7d1b-4a0e-9d0e-0123456789ab';
const DAY = 86_400;

interface Pod {
  readonly folder: string;
  readonly lines: string[];
  seconds: number;
  /** How far a pause moves the clock; more than one second where a day has to pass. */
  step: number;
  mark(volume: string, suffix?: string, text?: string): void;
  wait(onPause?: () => void): Promise<Outcome>;
  readonly stop: AbortController;
}

function pod(t: TestContext, names: readonly string[]): Pod {
  const folder = scratchFolder(t, 'restores');
  for (const name of names) mkdirSync(join(folder, name));
  const stop = new AbortController();
  const lines: string[] = [];
  return {
    folder,
    lines,
    stop,
    seconds: 0,
    step: 1,
    mark(volume, suffix = '', text = '') {
      mkdirSync(join(folder, volume, '.velero'), { recursive: true });
      writeFileSync(join(folder, volume, '.velero', `${UID}${suffix}`), text);
    },
    wait(onPause) {
      return waitForVolumes({
        volumes: new Volumes({ folder, restoreUid: UID }),
        elapsedSeconds: () => this.seconds,
        // The pause beside a look must not win it, so it really waits; the one between two looks moves the clock.
        pause: async (_ms, enough) => {
          if (enough !== undefined) return sleep(60_000, undefined, { signal: enough }).catch(() => undefined);
          this.seconds += this.step;
          onPause?.();
        },
        signal: stop.signal,
        log: (line) => lines.push(line),
      });
    },
  };
}

test('it is over when every volume has its marker', async (t) => {
  const here = pod(t, ['a', 'b']);
  const outcome = await here.wait(() => {
    if (here.seconds === 1) here.mark('b');
    if (here.seconds === 3) here.mark('a');
  });
  assert.deepEqual(outcome, { kind: 'done', volumes: ['a', 'b'], tidy: false });
  assert.equal(here.seconds, 3);
  assert.deepEqual(here.lines, ['volume b restored', 'volume a restored']);
});

test('markers that are there already are seen at once', async (t) => {
  const here = pod(t, ['a']);
  here.mark('a');
  assert.equal((await here.wait()).kind, 'done');
  assert.equal(here.seconds, 0);
});

test('a marker that goes away again before all are there does not count', async (t) => {
  const here = pod(t, ['a', 'b']);
  here.mark('a');
  const outcome = await here.wait(() => {
    if (here.seconds === 1) rmSync(join(here.folder, 'a', '.velero'), { recursive: true });
    if (here.seconds === 2) here.mark('b');
    if (here.seconds === 9) here.mark('a');
  });
  assert.equal(outcome.kind, 'done');
  assert.equal(here.seconds, 9);
});

test('one failed volume ends the wait, with all reasons', async (t) => {
  const here = pod(t, ['a', 'b', 'c']);
  here.mark('a');
  here.mark('b', '.failed', '{"message":"disk full","code":"ENOSPC","podVolumeRestore":"r-x"}');
  assert.deepEqual(await here.wait(), {
    kind: 'failed',
    reason: 'volume b: disk full [ENOSPC] (PodVolumeRestore r-x)',
  });
});

test('a code that the message ends with is not said again', async (t) => {
  const here = pod(t, ['a']);
  here.mark('a', '.failed', '{"message":"disk full [ENOSPC]","code":"ENOSPC"}');
  assert.deepEqual(await here.wait(), { kind: 'failed', reason: 'volume a: disk full [ENOSPC]' });
});

test('after a day without markers it ends and names what is missing', async (t) => {
  const here = pod(t, ['a', 'b']);
  here.step = 600;
  here.mark('b');
  assert.deepEqual(await here.wait(), {
    kind: 'deadline',
    reason: `not restored within ${DAY} s: 1 of 2 volumes: a`,
  });
});

test('the agent may set another deadline while it runs; the longest holds', async (t) => {
  const here = pod(t, ['a', 'b']);
  here.mark('a', '.options', '{"deadlineSeconds":100}');
  const outcome = await here.wait(() => {
    if (here.seconds === 50) here.mark('b', '.options', '{"deadlineSeconds":200}');
  });
  assert.equal(outcome.kind, 'deadline');
  assert.equal(here.seconds, 200);
});

test('options that cannot be used mean the default deadline, and are told once', async (t) => {
  const here = pod(t, ['a']);
  here.step = 600;
  here.mark('a', '.options', '{"deadlineSeconds":-1}');
  await here.wait();
  assert.equal(here.seconds, DAY);
  assert.equal(here.lines.filter((line) => line.startsWith('volume a waiting: deadlineSeconds')).length, 1);
});

test('every minute it says what it waits for', async (t) => {
  const here = pod(t, ['a', 'b']);
  here.mark('a', '.options', '{"deadlineSeconds":200}');
  await here.wait();
  assert.deepEqual(here.lines, [
    'waiting for 1 min: 2 of 2 volumes: a, b',
    'waiting for 2 min: 2 of 2 volumes: a, b',
    'waiting for 3 min: 2 of 2 volumes: a, b',
  ]);
});

test('no volume at all is never taken for done', async (t) => {
  const here = pod(t, []);
  here.step = 600;
  writeFileSync(join(here.folder, 'file'), '');
  symlinkSync('/tmp', join(here.folder, 'link'));
  const outcome = await here.wait();
  assert.deepEqual(outcome, {
    kind: 'deadline',
    reason: `not restored within ${DAY} s: there is no volume below ${here.folder}`,
  });
});

test('a folder of more entries than a pod has volumes is not gone through', async (t) => {
  const names = Array.from({ length: 1025 }, (_, index) => `v${index}`);
  const here = pod(t, names);
  const outcome = await here.wait(() => (here.seconds = DAY));
  assert.equal(outcome.kind, 'deadline');
  assert.match(outcome.reason, /has more than 1024 entries/);
});

test('markers may be taken away only when every agent promised to write them again', async (t) => {
  const here = pod(t, ['a', 'b']);
  for (const name of ['a', 'b']) here.mark(name);
  here.mark('a', '.options', '{"tidy":true}');
  assert.deepEqual(await here.wait(), { kind: 'done', volumes: ['a', 'b'], tidy: false });
  here.mark('b', '.options', '{"tidy":true}');
  assert.deepEqual(await here.wait(), { kind: 'done', volumes: ['a', 'b'], tidy: true });
});

test('a signal ends the wait', async (t) => {
  const here = pod(t, ['a']);
  assert.deepEqual(await here.wait(() => here.stop.abort()), { kind: 'stopped' });
});

test('a file system that does not answer holds back neither the word a minute, nor the deadline, nor a failure', async () => {
  const volumes = new SilentVolumes({ folder: '/nowhere', restoreUid: UID });
  const lines: string[] = [];
  let seconds = 0;
  const outcome = await waitForVolumes({
    volumes,
    elapsedSeconds: () => seconds,
    pause: async () => {
      seconds += 20;
    },
    signal: new AbortController().signal,
    log: (line) => lines.push(line),
  });
  assert.equal(outcome.kind, 'deadline');
  assert.equal(lines[0], 'waiting for 1 min: no answer from the file system of hung');
});

/** One volume that never answers. */
class SilentVolumes extends Volumes {
  override get unanswered(): ReadonlySet<string> {
    return new Set(['hung']);
  }
  override get problem(): undefined {
    return undefined;
  }
  override look(): Promise<void> {
    return new Promise(() => undefined);
  }
}
