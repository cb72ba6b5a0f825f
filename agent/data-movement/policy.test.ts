// The phase machine of a pod volume as tables (node-agent §1.8, §2.8, §10.D): from what is seen of an object to the step that follows.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { SerializedError } from '../../base/errors.ts';
import { DATA_PHASES, FINALIZER, type DataPhase } from '../../kube/index.ts';
import { aPodVolumeBackup, aPodVolumeRestore, type ObjectOptions } from '../../test/harness/pod-volume-objects.ts';
import type { MoverResult } from '../datapath/mover-process.ts';
import { decide, type Decision, messageOf, type MovementView, type PodState } from './policy.ts';
import type { RunView } from './run-view.ts';

const NOW_MS = Date.UTC(2026, 10, 20, 13);
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const FINAL = ['Completed', 'Failed', 'Canceled'] as const;
const OPEN = DATA_PHASES.filter((phase) => !FINAL.some((final) => final === phase));

const error: SerializedError = {
  name: 'WindlassError',
  message: 'the store is away',
  code: 'BLOB_UNAVAILABLE',
  retry: 'transient',
  context: {},
};
const result: MoverResult = { type: 'marked', closedRootMode: undefined };
const RUNS = {
  running: { state: 'running', progress: undefined, stopping: undefined },
  waiting: { state: 'waiting', error, attempts: 2, nextMs: NOW_MS + 8_000 },
  due: { state: 'waiting', error, attempts: 2, nextMs: NOW_MS },
  done: { state: 'done', result },
  failed: { state: 'failed', error },
  stoppedByCancel: { state: 'stopped', reason: 'cancel' },
  stoppedForPod: { state: 'stopped', reason: 'pod-gone' },
  stoppedAsOver: { state: 'stopped', reason: 'over' },
} as const satisfies Record<string, RunView>;

const HERE: PodState = { is: 'here' };
const GONE: PodState = { is: 'gone' };
const leaving = (forMs: number): PodState => ({ is: 'leaving', forMs });

type Facts = Partial<Omit<MovementView, 'movement'>> & ObjectOptions & { readonly cancel?: boolean };

function viewOf({ phase, metadata, spec, status, cancel = false, ...facts }: Facts): MovementView {
  const options = {
    ...(phase === undefined ? {} : { phase }),
    ...(metadata === undefined ? {} : { metadata }),
    ...(status === undefined ? {} : { status }),
    spec: { ...spec, ...(cancel ? { cancel } : {}) },
  };
  return {
    label: 'PVB',
    movement: facts.label === 'PVR' ? aPodVolumeRestore(options) : aPodVolumeBackup(options),
    isOurs: true,
    isReady: true,
    isQueueFull: false,
    pod: HERE,
    run: undefined,
    cancelKnownForMs: cancel ? 0 : undefined,
    acceptedKnownForMs: undefined,
    nowMs: NOW_MS,
    prepareTimeoutMs: 30 * MINUTE_MS,
    ...facts,
  };
}

const decided = (facts: Facts): Decision => decide(viewOf(facts));
const acceptedAgo = (ms: number) => ({ acceptedTimestamp: new Date(NOW_MS - ms).toISOString() });
const deleting = { deletionTimestamp: '2026-11-20T12:59:50Z', finalizers: [FINALIZER.podVolume] };

function table(name: string, rows: readonly (readonly [string, Facts, Partial<Decision>])[]): void {
  describe(name, () => {
    for (const [what, facts, expected] of rows) {
      test(what, () => {
        const decision = decided(facts);
        const compared = Object.fromEntries(Object.keys(expected).map((key) => [key, decision[key as 'do']]));
        assert.deepEqual(compared, expected, JSON.stringify(decision));
      });
    }
  });
}

table('New', [
  ['of this node is accepted', {}, { do: 'accept' }],
  ['with an empty phase is accepted', { status: { phase: '' } }, { do: 'accept' }],
  ['waits for the queue of the cluster', { isQueueFull: true }, { do: 'nothing', lookAgainMs: 5_000 }],
  ['of another uploader is left alone', { isReady: false }, { do: 'nothing' }],
  ['of another node is not touched', { isOurs: false, isReady: false }, { do: 'nothing' }],
  ['is cancelled at once', { cancel: true }, { do: 'cancel' }],
  ['is cancelled although the queue is full', { cancel: true, isQueueFull: true }, { do: 'cancel' }],
  ['is cancelled although nothing is ready', { cancel: true, isReady: false }, { do: 'cancel' }],
  [
    'that is being deleted asks for its cancel',
    { metadata: deleting },
    { do: 'request-cancel', message: 'Cancel PVB because it is being deleted' },
  ],
  [
    'that no node has accepted is cancelled by that of its pod, which can tell the pod',
    { label: 'PVR', isOurs: false, isReady: false, cancel: true, cancelKnownForMs: 4_000 },
    { do: 'nothing', lookAgainMs: 6_000 },
  ],
  [
    'that no node has accepted is cancelled by any when none does',
    { label: 'PVR', isOurs: false, isReady: false, cancel: true, cancelKnownForMs: 10_000 },
    { do: 'cancel' },
  ],
  [
    'that no node has accepted and that is being deleted asks for its cancel',
    { label: 'PVR', isOurs: false, isReady: false, metadata: deleting },
    { do: 'request-cancel' },
  ],
]);

table('Accepted', [
  ['is prepared', { phase: 'Accepted', status: acceptedAgo(0) }, { do: 'prepare' }],
  [
    'has the prepare timeout, to the millisecond',
    { phase: 'Accepted', status: acceptedAgo(30 * MINUTE_MS - 1) },
    { do: 'prepare' },
  ],
  [
    'fails at the prepare timeout',
    { phase: 'Accepted', status: acceptedAgo(30 * MINUTE_MS) },
    { do: 'fail', code: 'PREPARE_TIMEOUT', message: 'timeout on preparing PVB' },
  ],
  [
    'fails with what it waited for',
    { phase: 'Accepted', label: 'PVR', status: { ...acceptedAgo(HOUR_MS), message: 'not ready yet: why' } },
    { do: 'fail', message: 'timeout on preparing PVR: not ready yet: why' },
  ],
  [
    'fails at the prepare timeout although the clock that accepted it ran ahead',
    { phase: 'Accepted', status: acceptedAgo(-1000 * HOUR_MS), acceptedKnownForMs: 30 * MINUTE_MS },
    { do: 'fail', code: 'PREPARE_TIMEOUT' },
  ],
  ['without a time of acceptance is prepared', { phase: 'Accepted' }, { do: 'prepare' }],
  ['is cancelled at once', { phase: 'Accepted', cancel: true }, { do: 'cancel' }],
  [
    'is cancelled rather than timed out',
    { phase: 'Accepted', cancel: true, status: acceptedAgo(HOUR_MS) },
    { do: 'cancel' },
  ],
  ['fails when its pod is gone', { phase: 'Accepted', pod: GONE }, { do: 'fail', code: 'POD_GONE' }],
  ['fails when its pod is leaving', { phase: 'Accepted', pod: leaving(0) }, { do: 'fail', code: 'POD_GONE' }],
  ['of another node is not touched', { phase: 'Accepted', isOurs: false }, { do: 'nothing' }],
  [
    'of another node is not timed out by us',
    { phase: 'Accepted', isOurs: false, status: acceptedAgo(HOUR_MS) },
    { do: 'nothing' },
  ],
]);

table('Prepared', [
  ['is begun', { phase: 'Prepared' }, { do: 'begin' }],
  ['has no timeout: it waits for a slot', { phase: 'Prepared', status: acceptedAgo(100 * HOUR_MS) }, { do: 'begin' }],
  ['is cancelled at once', { phase: 'Prepared', cancel: true }, { do: 'cancel' }],
  ['fails when its pod is gone', { phase: 'Prepared', pod: GONE }, { do: 'fail', code: 'POD_GONE' }],
  ['fails when its pod is leaving', { phase: 'Prepared', pod: leaving(1) }, { do: 'fail', code: 'POD_GONE' }],
  [
    'fails when its pod has started: nothing is restored over it, and nothing was',
    { phase: 'Prepared', label: 'PVR', isTooLate: true },
    { do: 'fail', code: 'POD_STARTED' },
  ],
  [
    'waits for another that moves the same volume',
    { phase: 'Prepared', label: 'PVR', busyWith: 'again-1' },
    { do: 'hold', message: 'waiting for again-1, which is being restored into the same volume' },
  ],
  ['is cancelled rather than too late', { phase: 'Prepared', isTooLate: true, cancel: true }, { do: 'cancel' }],
  ['of another node is not touched', { phase: 'Prepared', isOurs: false }, { do: 'nothing' }],
]);

table('InProgress', [
  ['without a mover runs: a new agent goes on with it', { phase: 'InProgress' }, { do: 'run' }],
  ['without a mover is cancelled', { phase: 'InProgress', cancel: true }, { do: 'cancel' }],
  ['without a mover fails when its pod is gone', { phase: 'InProgress', pod: GONE }, { do: 'fail', code: 'POD_GONE' }],
  [
    'without a mover does not begin on a pod that leaves',
    { phase: 'InProgress', pod: leaving(0) },
    { do: 'fail', code: 'POD_GONE' },
  ],
  ['that runs reports', { phase: 'InProgress', run: RUNS.running }, { do: 'report' }],
  ['that runs is told to cancel', { phase: 'InProgress', run: RUNS.running, cancel: true }, { do: 'mark-canceling' }],
  [
    'that runs may finish while its pod leaves',
    { phase: 'InProgress', run: RUNS.running, pod: leaving(15_000) },
    { do: 'nothing', lookAgainMs: 25_000 },
  ],
  [
    'that runs lets go of a pod that has been leaving for long',
    { phase: 'InProgress', run: RUNS.running, pod: leaving(40_000) },
    { do: 'stop', reason: 'pod-gone' },
  ],
  [
    'that runs is stopped when its pod is gone',
    { phase: 'InProgress', run: RUNS.running, pod: GONE },
    { do: 'stop', reason: 'pod-gone' },
  ],
  [
    'that was stopped for its pod fails',
    { phase: 'InProgress', run: RUNS.stoppedForPod, pod: leaving(50_000) },
    { do: 'fail', code: 'POD_GONE' },
  ],
  [
    'whose mover was stopped without a reason of its own runs again',
    { phase: 'InProgress', run: RUNS.stoppedAsOver },
    { do: 'run' },
  ],
  [
    'that has stopped is cancelled when that is asked for',
    { phase: 'InProgress', run: RUNS.stoppedByCancel, cancel: true },
    { do: 'cancel' },
  ],
  ['is never cancelled by what nobody asked for', { phase: 'InProgress', run: RUNS.stoppedByCancel }, { do: 'run' }],
  ['that is done completes', { phase: 'InProgress', run: RUNS.done }, { do: 'complete', result }],
  [
    'that is done completes although its pod is gone',
    { phase: 'InProgress', run: RUNS.done, pod: GONE },
    { do: 'complete' },
  ],
  ['that is done was faster than a cancel', { phase: 'InProgress', run: RUNS.done, cancel: true }, { do: 'complete' }],
  [
    'that has failed fails, with code and cause',
    { phase: 'InProgress', run: RUNS.failed },
    { do: 'fail', code: 'BLOB_UNAVAILABLE', message: 'the store is away [BLOB_UNAVAILABLE]' },
  ],
  [
    'that has failed is Failed although a cancel came',
    { phase: 'InProgress', run: RUNS.failed, cancel: true },
    { do: 'fail' },
  ],
  [
    'waits after a failure that may pass',
    { phase: 'InProgress', run: RUNS.waiting },
    { do: 'wait', error, attempts: 2, forMs: 8_000 },
  ],
  ['tries again when its time has come', { phase: 'InProgress', run: RUNS.due }, { do: 'run' }],
  ['is cancelled while it waits', { phase: 'InProgress', run: RUNS.waiting, cancel: true }, { do: 'cancel' }],
  [
    'does not wait for a pod that is gone',
    { phase: 'InProgress', run: RUNS.waiting, pod: GONE },
    { do: 'fail', code: 'POD_GONE' },
  ],
  ['of another node is not touched', { phase: 'InProgress', isOurs: false }, { do: 'nothing' }],
]);

table('Canceling', [
  ['stops the mover', { phase: 'Canceling', cancel: true, run: RUNS.running }, { do: 'stop', reason: 'cancel' }],
  [
    'is cancelled when it has stopped',
    { phase: 'Canceling', cancel: true, run: RUNS.stoppedByCancel },
    { do: 'cancel' },
  ],
  ['is cancelled when there is no mover', { phase: 'Canceling', cancel: true }, { do: 'cancel' }],
  [
    'is cancelled when the mover failed meanwhile',
    { phase: 'Canceling', cancel: true, run: RUNS.failed },
    { do: 'cancel' },
  ],
  ['completes when the mover was faster', { phase: 'Canceling', cancel: true, run: RUNS.done }, { do: 'complete' }],
  ['of another node is left to it', { phase: 'Canceling', cancel: true, isOurs: false }, { do: 'nothing' }],
]);

describe('a cancel that the owner does not follow', () => {
  for (const phase of OPEN) {
    const limitMs = phase === 'InProgress' ? HOUR_MS : 5 * MINUTE_MS;
    const foreign = { phase, isOurs: false, isReady: false, cancel: true, pod: GONE } as const;
    test(`${phase}: any node waits ${limitMs / MINUTE_MS} minutes, then takes it`, () => {
      const before = decided({ ...foreign, cancelKnownForMs: limitMs });
      assert.equal(before.do, 'nothing');
      // It must look again by itself: no event comes from an owner that is gone.
      assert.ok(before.do === 'nothing' && (before.lookAgainMs ?? Infinity) <= MINUTE_MS);
      assert.equal(decided({ ...foreign, cancelKnownForMs: limitMs + 1 }).do, 'cancel');
    });
  }
  test('a mover that still runs here is stopped, whatever the time', () => {
    const facts = { cancel: true, run: RUNS.running, cancelKnownForMs: 2 * HOUR_MS };
    assert.equal(decided({ ...facts, phase: 'Canceling' }).do, 'stop');
    assert.equal(decided({ ...facts, phase: 'InProgress' }).do, 'mark-canceling');
  });
});

describe('an object that is being deleted', () => {
  for (const phase of OPEN.filter((name) => name !== 'Canceling')) {
    for (const label of ['PVB', 'PVR'] as const) {
      test(`${label} ${phase}: its cancel is asked for, and comes as any other`, () => {
        const facts = { phase, label, metadata: deleting };
        const message = `Cancel ${label} because it is being deleted`;
        assert.deepEqual(decided(facts), { do: 'request-cancel', message });
        assert.equal(decided({ ...facts, cancel: true }).do, 'cancel');
      });
      const isNobodys = label === 'PVR' && phase === 'New';
      if (isNobodys) continue;
      test(`${label} ${phase}: any node asks for its cancel when its own has not for five minutes`, () => {
        const foreign = { phase, label, isOurs: false, isReady: false, pod: GONE };
        const ago = (ms: number) => ({ ...deleting, deletionTimestamp: new Date(NOW_MS - ms).toISOString() });
        const before = decided({ ...foreign, metadata: ago(5 * MINUTE_MS - 1) });
        assert.ok(before.do === 'nothing' && (before.lookAgainMs ?? Infinity) <= MINUTE_MS, 'it looks again by itself');
        assert.equal(decided({ ...foreign, metadata: ago(5 * MINUTE_MS) }).do, 'request-cancel');
      });
    }
  }
});

describe('an object that has ended', () => {
  for (const phase of FINAL) {
    const held = { finalizers: [FINALIZER.podVolume] };
    test(`${phase}: is let go by its node`, () => {
      assert.equal(decided({ phase, metadata: held }).do, 'let-go');
      assert.equal(decided({ phase, metadata: { ...held, ...deleting } }).do, 'let-go');
      assert.equal(decided({ phase }).do, 'nothing');
      assert.equal(decided({ phase, isOurs: false, metadata: held }).do, 'nothing');
      assert.equal(decided({ phase, isOurs: false, metadata: { ...held, ...deleting } }).do, 'let-go');
      assert.equal(decided({ phase, metadata: { finalizers: ['of.another/program'] } }).do, 'nothing');
    });
    test(`${phase}: nothing begins again, whatever is asked`, () => {
      const pods: readonly PodState[] = [HERE, GONE, leaving(1)];
      for (const run of [undefined, ...Object.values(RUNS).filter(({ state }) => state !== 'running')]) {
        for (const pod of pods) {
          for (const cancel of [true, false])
            assert.equal(decided({ phase, run, pod, cancel, cancelKnownForMs: 2 * HOUR_MS }).do, 'nothing');
        }
      }
    });
    test(`${phase}: a mover that still runs for it is stopped`, () => {
      const decision = decided({ phase, metadata: held, run: RUNS.running });
      assert.ok(decision.do === 'stop' && decision.reason === 'over');
    });
  }
});

test('a pod that waits again behind a closed root is told again, and held until it has seen it', () => {
  const done = { label: 'PVR', phase: 'Completed', isAwaitedAgain: true } as const;
  const held = { metadata: { finalizers: [FINALIZER.podVolume] } };
  assert.deepEqual(decide(viewOf(done)), { do: 'tell-again' });
  assert.deepEqual(decide(viewOf({ ...done, ...held })), { do: 'let-go' });
  assert.deepEqual(decide(viewOf({ ...done, isOurs: false })), { do: 'nothing' });
  const deleting = { metadata: { deletionTimestamp: '2026-11-20T13:00:00Z' } };
  assert.deepEqual(decide(viewOf({ ...done, ...deleting })), { do: 'nothing' });
});

test('Canceled is only ever a cancel that was asked for', () => {
  const pods: readonly PodState[] = [HERE, GONE, leaving(0), leaving(HOUR_MS)];
  let seen = 0;
  for (const phase of DATA_PHASES.filter((name) => name !== 'Canceling')) {
    for (const isOurs of [true, false]) {
      for (const isReady of [true, false]) {
        for (const pod of pods) {
          for (const run of [undefined, ...Object.values(RUNS)]) {
            for (const metadata of [{}, deleting]) {
              const facts = { phase, isOurs, isReady, pod, run, metadata, status: acceptedAgo(HOUR_MS) };
              const decision = decided(facts);
              assert.ok(!['cancel', 'mark-canceling'].includes(decision.do), JSON.stringify({ facts, decision }));
              seen++;
            }
          }
        }
      }
    }
  }
  assert.ok(seen > 1000);
});

test('nothing is moved for another node', () => {
  const steps = new Set<string>();
  for (const phase of DATA_PHASES.filter((name) => name !== 'New')) {
    for (const cancel of [true, false]) {
      for (const pod of [HERE, GONE]) steps.add(decided({ phase, isOurs: false, cancel, pod }).do);
    }
  }
  assert.deepEqual([...steps], ['nothing']);
});

test('a phase of a later version is left alone', () => {
  assert.deepEqual(decided({ phase: 'Snapshotting' as DataPhase }), { do: 'nothing' });
});

test('a message has its cause and the code that the documentation explains', () => {
  const cause = { ...error, message: 'connection refused', code: 'ECONNREFUSED' };
  assert.equal(messageOf({ ...error, cause }), 'the store is away: connection refused [BLOB_UNAVAILABLE]');
});
