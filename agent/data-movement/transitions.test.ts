// Exactly what each step writes (node-agent §1.8): no more, for whatever else is in the object belongs to others.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FINALIZER } from '../../kube/index.ts';
import { aPodVolumeBackup, aPodVolumeRestore } from '../../test/harness/pod-volume-objects.ts';
import * as transitions from './transitions.ts';

const NOW_MS = Date.UTC(2026, 10, 20, 13, 14, 15, 678);
const NOW = '2026-11-20T13:14:15Z';
const ON_GOING = 'velero.io/expose-on-going';
const OURS = 'velero.io/pod-volume-finalizer';

test('times are those of the API: whole seconds, cut and not rounded', () => {
  assert.equal(transitions.timestamp(NOW_MS), NOW);
  assert.equal(transitions.timestamp(NOW_MS - 678), NOW);
});

test('accepting takes the object in one write', () => {
  assert.equal(FINALIZER.podVolume, OURS);
  assert.deepEqual(transitions.accepted(aPodVolumeBackup(), NOW_MS), {
    metadata: { finalizers: [OURS], labels: { [ON_GOING]: 'true' } },
    status: { phase: 'Accepted', acceptedTimestamp: NOW },
  });
});

test('accepting a restore says by which node, and keeps the finalizers of others', () => {
  const restore = aPodVolumeRestore({ metadata: { finalizers: ['of.another/program', OURS] } });
  assert.deepEqual(transitions.accepted(restore, NOW_MS, { node: 'node-1' }), {
    metadata: { finalizers: ['of.another/program', OURS], labels: { [ON_GOING]: 'true' } },
    status: { phase: 'Accepted', acceptedTimestamp: NOW, node: 'node-1' },
  });
});

test('preparing, beginning and cancelling', () => {
  assert.deepEqual(transitions.prepared(), { status: { phase: 'Prepared', message: '' } });
  assert.deepEqual(transitions.begun(NOW_MS), {
    metadata: { labels: { [ON_GOING]: null } },
    status: { phase: 'InProgress', startTimestamp: NOW, message: '' },
  });
  assert.deepEqual(transitions.canceling(), { status: { phase: 'Canceling' } });
  assert.deepEqual(transitions.cancelRequested('why'), { spec: { cancel: true }, status: { message: 'why' } });
});

test('an end has its time, and lets the object go with the same write', () => {
  const status = { startTimestamp: '2026-11-20T13:00:00Z' };
  const backup = aPodVolumeBackup({
    phase: 'InProgress',
    status,
    metadata: { finalizers: ['of.another/program', OURS] },
  });
  const ending = { phase: 'Completed', nowMs: NOW_MS, status: { snapshotID: 's', path: '/pvb-uid' } } as const;
  assert.deepEqual(transitions.ended(backup, ending), {
    metadata: { labels: { [ON_GOING]: null }, finalizers: ['of.another/program'] },
    status: { phase: 'Completed', completionTimestamp: NOW, message: '', snapshotID: 's', path: '/pvb-uid' },
  });
});

test('an object that something is still to be done for stays held', () => {
  const restore = aPodVolumeRestore({ phase: 'InProgress', metadata: { finalizers: [OURS] } });
  const ending = { phase: 'Completed', nowMs: NOW_MS, keepFinalizer: true, annotations: { mode: '700' } } as const;
  const patch = transitions.ended(restore, ending) as { readonly metadata: object };
  assert.deepEqual(patch.metadata, { labels: { [ON_GOING]: null }, annotations: { mode: '700' } });
});

test('what never began begins with its end, but for a restore that fails', () => {
  const started = (movement: ReturnType<typeof aPodVolumeBackup>, phase: 'Failed' | 'Canceled'): unknown => {
    const patch = transitions.ended(movement, { phase, nowMs: NOW_MS }) as { status: { startTimestamp?: string } };
    return patch.status.startTimestamp;
  };
  assert.equal(started(aPodVolumeBackup({ phase: 'Accepted' }), 'Failed'), NOW);
  assert.equal(started(aPodVolumeBackup({ phase: 'Accepted' }), 'Canceled'), NOW);
  assert.equal(started(aPodVolumeBackup({ phase: 'Accepted', status: { startTimestamp: null } }), 'Canceled'), NOW);
  const restore = aPodVolumeRestore({ phase: 'Accepted' }) as unknown as ReturnType<typeof aPodVolumeBackup>;
  assert.equal(started(restore, 'Failed'), undefined);
  assert.equal(started(restore, 'Canceled'), NOW);
});

test('letting go takes nothing of others', () => {
  const held = aPodVolumeBackup({ metadata: { finalizers: [OURS, 'of.another/program'] } });
  assert.deepEqual(transitions.letGo(held), { metadata: { finalizers: ['of.another/program'] } });
  assert.deepEqual(transitions.letGo(aPodVolumeBackup(), { note: null }), {
    metadata: { finalizers: [], annotations: { note: null } },
  });
});

test('of what an object says only the reason of its cancel outlives it', () => {
  const saying = (message: string) =>
    transitions.cancelNote(aPodVolumeBackup({ phase: 'Prepared', status: { message } }));
  for (const message of [
    'Cancel PVB because it is being deleted',
    'Resume InProgress PVB failed with error e, mark it as cancel',
  ])
    assert.equal(saying(message), message);
  assert.equal(saying('waiting for a slot on this node: place 3 of 9, 1 of 1 in use'), '');
  assert.equal(transitions.cancelNote(aPodVolumeBackup()), '');
});

test('a message stays short enough to fit beside a specification that has said it already', () => {
  const long = 'x'.repeat(900_000);
  const ending = transitions.ended(aPodVolumeBackup(), { phase: 'Failed', nowMs: NOW_MS, message: long });
  assert.ok(JSON.stringify(ending).length < 10_000);
  assert.match(transitions.statusMessage(long), /^x{4096}…$/);
  assert.equal(transitions.statusMessage('short'), 'short');
});

test('a message is one line, whatever the names in it are', () => {
  assert.equal(transitions.statusMessage('no volume a\nCompleted\r\n\u001b[0m'), 'no volume a Completed [0m');
});
