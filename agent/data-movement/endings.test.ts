import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PodVolumeRestore } from '../../kube/index.ts';
import { aPodVolumeRestore } from '../../test/harness/pod-volume-objects.ts';
import type { MoverResult } from '../datapath/mover-process.ts';
import { Endings, type EndingsDeps } from './endings.ts';

const signal = new AbortController().signal;
const OURS = 'velero.io/pod-volume-finalizer';
const result = { type: 'marked', closedRootMode: undefined } as unknown as MoverResult;

interface Written {
  readonly metadata: { readonly finalizers?: readonly string[]; readonly annotations?: object };
  readonly status: { readonly phase: string; readonly message?: string };
}

/** What happened, in its order. */
function recorded(kind: Partial<EndingsDeps<PodVolumeRestore>['kind']>, write?: () => Promise<void>) {
  const steps: string[] = [];
  const written: Written[] = [];
  const step = (name: string) => (): void => void steps.push(name);
  const endings = new Endings<PodVolumeRestore>({
    kind: { label: 'PVR', isOurs: () => true, completed: () => ({ status: {} }), ...kind },
    clock: { nowMs: () => 0 },
    writer: {
      write: async (_movement, merge) => {
        await write?.();
        written.push(merge as Written);
        steps.push('write');
      },
    },
    events: { completed: step('event'), failed: step('event'), canceled: step('event'), warning: step('warning') },
    slots: { release: step('release') },
    log: (message) => void steps.push(message),
    onEnded: (_movement, phase) => void steps.push(`counted ${phase}`),
  });
  return { endings, steps, written };
}

const running = aPodVolumeRestore({ phase: 'InProgress', metadata: { finalizers: [OURS] } });

test('the waiting pod is told before the object says that it has failed; what is still to be done holds it', async () => {
  const told: string[] = [];
  const { endings, steps, written } = recorded({
    beforeFailure: (_movement, { code, message }) => {
      steps.push('told');
      told.push(`${code} ${message}`);
      return Promise.resolve({ a: 'b' });
    },
  });
  await endings.fail(running, { code: 'BLOB_STORE_FULL', message: 'the store is full' }, signal);
  assert.deepEqual(steps, ['told', 'write', 'event', 'counted Failed', 'release', 'ended Failed']);
  assert.deepEqual(told, ['BLOB_STORE_FULL the store is full']);
  const [{ metadata, status } = assert.fail()] = written;
  assert.equal(status.message, 'data path restore failed: the store is full');
  assert.deepEqual(metadata.annotations, { a: 'b' });
  assert.equal(metadata.finalizers, undefined, 'its finalizer stays');
});

test('a failure before the transfer says its reason alone, and lets the object go', async () => {
  const { endings, written } = recorded({});
  const accepted = aPodVolumeRestore({ phase: 'Accepted', metadata: { finalizers: [OURS] } });
  await endings.fail(accepted, { code: 'POD_GONE', message: 'the pod\nis gone' }, signal);
  assert.equal(written[0]?.status.message, 'the pod is gone');
  assert.deepEqual(written[0]?.metadata.finalizers, []);
});

test('a pod that cannot be told keeps no object from its end', async () => {
  const { endings, steps, written } = recorded({ beforeFailure: () => Promise.reject(new Error('no such volume')) });
  await endings.fail(running, { code: 'POD_GONE', message: 'gone' }, signal);
  assert.deepEqual(steps.slice(0, 2), ['the waiting pod could not be told', 'write']);
  assert.deepEqual(written[0]?.metadata.finalizers, []);
});

test('what could not be written has not ended: no event, and its slot stays', async () => {
  const conflict = (): Promise<void> => Promise.reject(new Error('conflict'));
  const { endings, steps } = recorded({}, conflict);
  await assert.rejects(endings.complete(running, result, signal), /conflict/);
  await assert.rejects(endings.fail(running, { code: 'X', message: 'x' }, signal), /conflict/);
  await assert.rejects(endings.cancel(running, undefined, signal), /conflict/);
  assert.deepEqual(steps, []);
});

test('of a cancelled object of another node nobody is told here', async () => {
  const told: string[] = [];
  const beforeFailure = (_movement: PodVolumeRestore, { message }: { message: string }): Promise<undefined> => {
    told.push(message);
    return Promise.resolve(undefined);
  };
  const foreign = recorded({ isOurs: () => false, beforeFailure });
  await foreign.endings.cancel(running, 'cancelled by hand', signal);
  assert.deepEqual([told, foreign.written[0]?.status.message], [[], 'cancelled by hand']);
  const ours = recorded({ beforeFailure });
  await ours.endings.cancel(running, undefined, signal);
  assert.deepEqual([told, ours.written[0]?.status.message], [['the restore was cancelled'], '']);
});

test('what a person should look at is an event of its own, before that of the end', async () => {
  const completed = () => ({ status: { x: 1 }, message: 'm', warning: 'w', keepFinalizer: true });
  const { endings, steps, written } = recorded({ completed });
  await endings.complete(running, result, signal);
  assert.deepEqual(steps, ['write', 'warning', 'event', 'counted Completed', 'release', 'ended Completed']);
  assert.equal(written[0]?.metadata.finalizers, undefined);
  const { status } = written[0] ?? assert.fail();
  assert.equal('x' in status && status.x, 1);
});
