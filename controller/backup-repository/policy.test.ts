// What is next for a repository: tables from states to steps.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BackupRepository, MaintenanceEntry } from '../../kube/index.ts';
import { maintenanceDueMs, timeText } from './maintenance-schedule.ts';
import { type CheckView, decide, type Decision, type JobView, type RepositoryView } from './policy.ts';
import { notReady, ready, recorded, withDefaults } from './transitions.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const NOW = Date.parse('2026-01-10T12:00:00Z');
const ago = (ms: number): string => timeText(NOW - ms);

type Status = NonNullable<BackupRepository['status']>;

function repository(status: Status = {}, spec: Partial<BackupRepository['spec']> = {}): BackupRepository {
  return {
    apiVersion: 'velero.io/v1',
    kind: 'BackupRepository',
    metadata: {
      name: 'demo-default-kopia',
      namespace: 'velero',
      uid: 'u1',
      resourceVersion: '1',
      creationTimestamp: ago(240 * HOUR),
    },
    spec: {
      volumeNamespace: 'demo',
      backupStorageLocation: 'default',
      repositoryType: 'kopia',
      maintenanceFrequency: '1h0m0s',
      ...spec,
    },
    status,
  };
}

const LOCATION = { place: 'p1', access: 'a1', isReadOnly: false };
const OK: CheckView = { place: 'p1', access: 'a1', isOk: true, againMs: NOW + 3 * MINUTE };
const FAILED: CheckView = { ...OK, isOk: false, againMs: NOW + MINUTE };
const READY: Status = { phase: 'Ready', lastMaintenanceTime: ago(30 * MINUTE) };
const DUE: Status = { phase: 'Ready', lastMaintenanceTime: ago(90 * MINUTE) };
const job = (name: string, agoMs: number, state: JobView['state']): JobView => ({ name, startMs: NOW - agoMs, state });
const entry = (startMs: number, result: 'Succeeded' | 'Failed', lengthMs = MINUTE): MaintenanceEntry => ({
  result,
  startTimestamp: timeText(startMs),
  completeTimestamp: timeText(startMs + lengthMs),
});

function view(more: Partial<RepositoryView>): RepositoryView {
  return {
    repository: repository(READY),
    location: LOCATION,
    check: OK,
    jobs: [],
    started: undefined,
    hasFreeSlot: true,
    nowMs: NOW,
    defaultFrequencyMs: HOUR,
    keptJobs: 3,
    ...more,
  };
}

const CHANGED = 're-establish on BSL change, create or delete';
const running = job('j1', MINUTE, 'running');
const table: readonly (readonly [string, Partial<RepositoryView>, Decision])[] = [
  ['new: initialise', { repository: repository(), check: undefined }, { do: 'initialise' }],
  ['new without its location: nothing', { repository: repository(), location: undefined }, { do: 'nothing' }],
  [
    'of another type: refused while new',
    { repository: repository({}, { repositoryType: '' }) },
    { do: 'refuse', message: 'repositories of type restic are not kept here: only kopia is' },
  ],
  [
    'of another type: left alone later',
    { repository: repository({ phase: 'Ready' }, { repositoryType: 'restic' }) },
    { do: 'nothing' },
  ],
  ['ready, never looked at: check', { check: undefined }, { do: 'check', mayCreate: false }],
  ['ready, looked at long ago: check', { check: { ...OK, againMs: NOW } }, { do: 'check', mayCreate: false }],
  ['ready, the password changed: check', { check: { ...OK, access: 'a0' } }, { do: 'check', mayCreate: false }],
  ['ready, the place changed: not ready', { check: { ...OK, place: 'p0' } }, { do: 'invalidate', message: CHANGED }],
  ['ready, the location gone: not ready', { location: undefined }, { do: 'invalidate', message: CHANGED }],
  ['ready and fresh: later', {}, { do: 'nothing', lookAgainMs: 3 * MINUTE }],
  [
    'ready, maintenance due sooner than the check',
    { repository: repository({ ...READY, lastMaintenanceTime: ago(59 * MINUTE) }) },
    { do: 'nothing', lookAgainMs: MINUTE },
  ],
  [
    'not ready: check, perhaps create',
    { repository: repository({ phase: 'NotReady' }) },
    { do: 'check', mayCreate: true },
  ],
  [
    'not ready, failed a moment ago: later',
    { repository: repository({ phase: 'NotReady' }), check: FAILED },
    { do: 'nothing', lookAgainMs: MINUTE },
  ],
  [
    'not ready, but the password changed since: check',
    { repository: repository({ phase: 'NotReady' }), check: { ...FAILED, access: 'a0' } },
    { do: 'check', mayCreate: true },
  ],
  [
    'not ready, no location: nothing',
    { repository: repository({ phase: 'NotReady' }), location: undefined },
    { do: 'nothing' },
  ],
  ['due: start', { repository: repository(DUE) }, { do: 'start-job' }],
  [
    'due, all slots taken: later',
    { repository: repository(DUE), hasFreeSlot: false },
    { do: 'nothing', lookAgainMs: 15_000 },
  ],
  [
    'due, the store away: not now',
    { repository: repository(DUE), check: FAILED },
    { do: 'nothing', lookAgainMs: MINUTE },
  ],
  [
    'due, location read-only: never',
    { repository: repository(DUE), location: { ...LOCATION, isReadOnly: true } },
    { do: 'nothing', lookAgainMs: 3 * MINUTE },
  ],
  [
    'due, one running: wait',
    { repository: repository(DUE), jobs: [running] },
    { do: 'nothing', lookAgainMs: 3 * MINUTE },
  ],
  [
    'a Job has ended: record',
    { repository: repository(DUE), jobs: [job('j1', MINUTE, 'succeeded')] },
    { do: 'record', jobs: [job('j1', MINUTE, 'succeeded')], lost: undefined },
  ],
  [
    'a Job has ended while not ready: record',
    { repository: repository({ phase: 'NotReady' }), jobs: [job('j1', MINUTE, 'failed')] },
    { do: 'record', jobs: [job('j1', MINUTE, 'failed')], lost: undefined },
  ],
  [
    'a Job that was started is gone: record it as lost',
    { started: { name: 'j1', startMs: NOW - MINUTE } },
    { do: 'record', jobs: [], lost: { name: 'j1', startMs: NOW - MINUTE } },
  ],
  [
    'a lost Job that has its entry: nothing more',
    {
      repository: repository({ ...READY, recentMaintenance: [entry(NOW - MINUTE, 'Failed')] }),
      started: { name: 'j1', startMs: NOW - MINUTE },
    },
    { do: 'nothing', lookAgainMs: 3 * MINUTE },
  ],
  [
    'a Job of an earlier repository of the name: not ours',
    { jobs: [job('old', 300 * HOUR, 'failed')] },
    { do: 'nothing', lookAgainMs: 3 * MINUTE },
  ],
  [
    'more Jobs than are kept: the oldest goes',
    {
      repository: repository({
        ...READY,
        recentMaintenance: [2, 3, 4].map((n) => entry(NOW - (6 - n) * MINUTE, 'Succeeded')),
      }),
      jobs: [5, 4, 3, 2].map((n) => job(`j${n}`, n * MINUTE, 'succeeded')),
    },
    { do: 'delete-jobs', jobs: [job('j5', 5 * MINUTE, 'succeeded')] },
  ],
  [
    'a Job past its deadline, recorded: ended',
    {
      repository: repository({ ...READY, recentMaintenance: [entry(NOW - 7 * HOUR, 'Failed')] }),
      jobs: [job('stuck', 7 * HOUR, 'overdue')],
    },
    { do: 'delete-jobs', jobs: [job('stuck', 7 * HOUR, 'overdue')] },
  ],
];

for (const [name, state, expected] of table) {
  test(name, () => assert.deepEqual(decide(view(state)), expected));
}

test('a repository that is being deleted, or in a phase of a later version, is left alone', () => {
  const deleted = repository();
  const metadata = { ...deleted.metadata, deletionTimestamp: ago(0) };
  assert.deepEqual(decide(view({ repository: { ...deleted, metadata } })), { do: 'nothing' });
  const later = repository({ phase: 'Migrating' as 'Ready' });
  assert.deepEqual(decide(view({ repository: later })), { do: 'nothing' });
});

test('after failures maintenance waits as long again as it has been overdue', () => {
  const due = (failedAt: readonly number[], frequency = '1h0m0s'): number => {
    const last = NOW - 10 * HOUR;
    const recentMaintenance = failedAt.map((at) => entry(last + at - MINUTE, 'Failed'));
    const status: Status = { phase: 'Ready', lastMaintenanceTime: timeText(last), recentMaintenance };
    return (maintenanceDueMs(repository(status, { maintenanceFrequency: frequency }), HOUR) - last) / MINUTE;
  };
  assert.equal(due([]), 60);
  assert.equal(due([62 * MINUTE]), 67, 'five minutes at least');
  assert.equal(due([62 * MINUTE, 80 * MINUTE]), 100);
  assert.equal(due([80 * MINUTE, 100 * MINUTE, 140 * MINUTE]), 200, 'at most the frequency');
  assert.equal(due([62 * MINUTE], '0s'), 67, 'the default frequency where none is given');
  assert.equal(due([(24 + 30) * HOUR], '24h'), (24 + 30 + 6) * 60, 'at most six hours');
});

test('failures before the last success count no more', () => {
  const status: Status = {
    phase: 'Ready',
    lastMaintenanceTime: ago(10 * MINUTE),
    recentMaintenance: [entry(NOW - 40 * MINUTE, 'Failed')],
  };
  assert.equal(maintenanceDueMs(repository(status), HOUR), NOW + 50 * MINUTE);
});

test('a repository that was never maintained is due since it was made', () => {
  assert.equal(maintenanceDueMs(repository({ phase: 'Ready' }), HOUR), NOW - 240 * HOUR);
});

test('what is written: defaults, phases, entries', () => {
  const fresh = repository({}, { maintenanceFrequency: '0s' });
  assert.deepEqual(withDefaults(fresh, HOUR, { cacheLimitMB: '100' }), {
    spec: { maintenanceFrequency: '1h0m0s', repositoryConfig: { cacheLimitMB: '100' } },
  });
  assert.equal(withDefaults(repository(), HOUR, undefined), undefined);
  assert.deepEqual(ready(fresh, '', NOW), {
    status: { phase: 'Ready', message: null, lastMaintenanceTime: ago(0) },
  });
  assert.deepEqual(ready(repository({ phase: 'NotReady', message: 'x' }), '', NOW), {
    status: { phase: 'Ready', message: null },
  });
  assert.equal(ready(repository(READY), '', NOW), undefined);
  assert.deepEqual(notReady(repository(READY), 'why'), { status: { phase: 'NotReady', message: 'why' } });
  assert.equal(notReady(repository({ phase: 'NotReady', message: 'why' }), 'why'), undefined);
});

test('three entries are kept, by their start; a success moves the time of the last maintenance', () => {
  const before = [1, 2, 3].map((n) => entry(NOW - (10 - n) * MINUTE, 'Failed'));
  const now = repository({ ...READY, recentMaintenance: before });
  const latest = entry(NOW - 2 * MINUTE, 'Succeeded');
  assert.deepEqual(recorded(now, [latest], ['j']), {
    status: { recentMaintenance: [before[1], before[2], latest], lastMaintenanceTime: ago(MINUTE) },
  });
  const again = repository({ ...READY, recentMaintenance: [latest] });
  assert.deepEqual(recorded(again, [latest], []), {
    status: { recentMaintenance: [latest], lastMaintenanceTime: READY.lastMaintenanceTime },
  });
});
