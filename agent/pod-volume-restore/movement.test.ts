// What is a restore's own: whose it is and when it may begin, what its mover is asked, and how its pod is told, by real processes.
import assert from 'node:assert/strict';
import { chmodSync, existsSync, lstatSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { silentLogger } from '../../base/logger.ts';
import type { Pod } from '../../kube/index.ts';
import { aPod, aPodVolumeRestore, storeOf } from '../../test/harness/pod-volume-objects.ts';
import { scratchFolder } from '../../test/harness/scratch.ts';
import type { RestoreOutcome, VolumePlace } from '../datapath/job.ts';
import { findVolume } from '../host/find-volume.ts';
import type { VolumeResolver } from '../host/volume-resolver.ts';
import type { RepositoryDirectory } from '../repository/repository-access.ts';
import { restoreMovement, type RestoreMovementOptions } from './movement.ts';

const signal = new AbortController().signal;
const helper = (state: object) => ({ initContainerStatuses: [{ name: 'restore-wait', state }] });
const waiting = aPod({ status: helper({ running: {} }) });
const over = aPod({ status: helper({ terminated: { exitCode: 0 } }) });
const MODE = 'windlass.io/volume-root-mode';

interface Volume {
  readonly root: string;
  readonly path: string;
}

function aVolume(t: TestContext): Volume {
  const root = scratchFolder(t, 'pods');
  const path = join(root, 'pod-uid/volumes/kubernetes.io~empty-dir/data');
  mkdirSync(path, { recursive: true });
  return { root, path };
}

function movementOf(pods: readonly Pod[], root = '/nonexistent', more: Partial<RestoreMovementOptions> = {}) {
  const access = { password: 'of the repository' };
  return restoreMovement({
    nodeName: 'node-1',
    pods: storeOf(...pods),
    repositories: { access: () => Promise.resolve(access) } as unknown as RepositoryDirectory,
    volumes: {
      resolve: async (pod: Pod, name: string) => ({
        place: await findVolume(root, pod.metadata.uid, { names: [name] }),
      }),
    } as unknown as VolumeResolver,
    settings: () => ({ memoryLimitBytes: 256, parallel: 3 }),
    onNotEmpty: 'overwrite',
    receiptFolder: '/receipts',
    mover: {
      environment: { PATH: process.env['PATH'] },
      compileCache: process.env['NODE_COMPILE_CACHE'],
      logger: silentLogger,
    },
    ...more,
  });
}

test('before it is accepted a restore is of the node that has its pod, then of the one that accepted it', () => {
  const here = movementOf([waiting]);
  const elsewhere = movementOf([]);
  const reused = movementOf([aPod({ metadata: { uid: 'another pod of that name' } })]);
  const restore = aPodVolumeRestore();
  assert.deepEqual(
    [here, elsewhere, reused].map((movement) => movement.isOurs(restore)),
    [true, false, false],
  );
  const accepted = (node: string) => aPodVolumeRestore({ phase: 'Accepted', status: { node } });
  assert.equal(elsewhere.isOurs(accepted('node-1')), true);
  assert.equal(here.isOurs(accepted('node-2')), false);
  assert.deepEqual(here.acceptedStatus(), { node: 'node-1' });
});

test('it may begin when the init container waits, and only with kopia', () => {
  const isReady = (pod: Pod, uploaderType?: string) =>
    movementOf([pod]).isReady(aPodVolumeRestore({ spec: { uploaderType } }));
  assert.deepEqual(
    [isReady(waiting), isReady(waiting, ''), isReady(waiting, 'kopia'), isReady(waiting, 'restic')],
    [true, true, true, false],
  );
  assert.deepEqual([isReady(aPod()), isReady(over)], [false, false]);
});

const place: VolumePlace = { root: '/host_pods', names: ['pod-uid'], isMount: false };
const jobOf = (pod: Pod | undefined, options: Parameters<typeof aPodVolumeRestore>[0] = {}) =>
  movementOf(pod === undefined ? [] : [pod]).job(aPodVolumeRestore(options), { place, claim: undefined }, signal);

test('its mover is asked for the snapshot, the marker and what the restore says of it', async () => {
  const uploaderSettings = { WriteSparseFiles: 'true', ParallelFilesDownload: '8' };
  assert.deepEqual(await jobOf(waiting, { spec: { uploaderSettings } }), {
    kind: 'restore',
    subject: { podVolumeRestore: 'velero/again-1', pod: 'shop/db-0', volume: 'data' },
    volume: place,
    repository: { password: 'of the repository' },
    snapshotId: 'snapshot-id',
    runId: 'pvr-uid',
    receiptFolder: '/receipts',
    restoreUid: 'restore-uid',
    parallel: 8,
    isSparse: true,
    isAwaited: true,
    memoryLimitBytes: 256,
    onNotEmpty: 'overwrite',
  });
});

test('the deadline of the init container is in the job when there is one', async () => {
  const volume = { place, claim: undefined };
  const movement = movementOf([waiting], undefined, { helperDeadlineSeconds: 90 });
  const job = await movement.job(aPodVolumeRestore(), volume, signal);
  assert.ok(job.kind === 'restore' && job.helperDeadlineSeconds === 90);
});

test('once its init container has ended well, nothing is to be restored any more', async () => {
  const isAwaited = async (pod: Pod): Promise<unknown> => {
    const job = await jobOf(pod);
    return job.kind === 'restore' && job.isAwaited;
  };
  assert.equal(await isAwaited(over), false);
  assert.equal(await isAwaited(aPod({ status: helper({ terminated: { exitCode: 3 } }) })), true);
});

test('without a Restore whose name can be a file nobody could be told', async () => {
  for (const uid of ['', '../../etc', 'a/b', '.', 'a'.repeat(200)]) {
    const ownerReferences = [{ apiVersion: 'velero.io/v1', kind: 'Restore', name: 'r', uid }];
    await assert.rejects(jobOf(waiting, { metadata: { ownerReferences } }), { code: 'RESTORE_OWNER_MISSING' });
  }
});

const outcome: RestoreOutcome = {
  totalBytes: 10,
  files: 4,
  unchanged: 0,
  kept: 0,
  leftOut: [],
  refusedAttributes: [],
  closedRootMode: undefined,
};
const completed = (more: Partial<RestoreOutcome>) =>
  movementOf([]).completed(aPodVolumeRestore(), {
    type: 'restored',
    outcome: { ...outcome, ...more },
    maxRssBytes: 0,
  });

test('its status says what was there already, what was left, and what the volume did not take', () => {
  const status = { progress: { totalBytes: 10, bytesDone: 10 } };
  assert.deepEqual(completed({}), { status });
  const leftOut = '.velero of an earlier restore was left out';
  assert.deepEqual(completed({ leftOut: ['.velero'] }), { status, message: leftOut });
  const refusedAttributes = [{ attribute: 'owner', errno: 'EPERM', count: 3 }];
  const refused = 'the volume did not take owner of 3 (EPERM)';
  assert.deepEqual(completed({ unchanged: 2, kept: 1, refusedAttributes }), {
    status,
    message: `4 files restored, 2 were there already; 1 that were there were left as they are; ${refused}`,
    warning: refused,
  });
  const found = (foundOver: 'marker' | 'helper') => completed({ foundOver }).message;
  assert.match(found('marker') ?? '', /^nothing was restored now: the volume had its marker/);
  assert.match(found('helper') ?? '', /^nothing was restored now: the init container had ended well$/);
  assert.deepEqual(completed({ closedRootMode: 0o2700 }), {
    status,
    annotations: { [MODE]: '2700' },
    keepFinalizer: true,
  });
});

const failure = { code: 'RESTORE_NO_SPACE', message: 'the volume is full' };
const modeOf = (path: string): string => (lstatSync(path).mode & 0o7777).toString(8);

test('a failure reaches the pod that waits, through a closed root too, whose mode is noted', async (t) => {
  const { root, path } = aVolume(t);
  const movement = movementOf([waiting], root);
  assert.equal(await movement.beforeFailure?.(aPodVolumeRestore(), failure), undefined);
  const marker = join(path, '.velero', 'restore-uid.failed');
  assert.deepEqual(JSON.parse(readFileSync(marker, 'utf8')), { ...failure, podVolumeRestore: 'again-1' });
  rmSync(join(path, '.velero'), { recursive: true });
  chmodSync(path, 0o700);
  assert.deepEqual(await movement.beforeFailure?.(aPodVolumeRestore(), failure), { [MODE]: '700' });
  assert.deepEqual([modeOf(path), existsSync(marker)], ['711', true]);
});

test('a pod that has started is too late for a restore, and is told of no failure', async (t) => {
  const { root, path } = aVolume(t);
  const isTooLate = (...pods: readonly Pod[]) => movementOf(pods).isTooLate?.(aPodVolumeRestore({ phase: 'Prepared' }));
  assert.deepEqual([isTooLate(over), isTooLate(waiting), isTooLate()], [true, false, false]);
  assert.equal(await movementOf([over], root).beforeFailure?.(aPodVolumeRestore(), failure), undefined);
  assert.equal(existsSync(join(path, '.velero')), false);
});

test('nobody is told where there is nobody', async () => {
  assert.equal(await movementOf([]).beforeFailure?.(aPodVolumeRestore(), failure), undefined);
  const ownerReferences = [] as const;
  assert.equal(
    await movementOf([waiting]).beforeFailure?.(aPodVolumeRestore({ metadata: { ownerReferences } }), failure),
    undefined,
  );
});

test('a root gets its mode back when the init container has ended well, and not before', async (t) => {
  const { root, path } = aVolume(t);
  chmodSync(path, 0o711);
  const annotations = { [MODE]: '700' };
  const restore = aPodVolumeRestore({ phase: 'Completed', metadata: { annotations } });
  assert.equal(await movementOf([waiting], root).afterwards?.(restore), true);
  assert.equal(
    await movementOf([aPod({ status: helper({ terminated: { exitCode: 3 } }) })], root).afterwards?.(restore),
    true,
  );
  assert.equal(modeOf(path), '711');
  assert.equal(await movementOf([over], root).afterwards?.(restore), false);
  assert.equal(modeOf(path), '700');
});

test('nothing is waited for that cannot come: no pod, no volume, or somebody who deletes the restore', async (t) => {
  const { root, path } = aVolume(t);
  const annotations = { [MODE]: '700' };
  const restore = aPodVolumeRestore({ phase: 'Failed', metadata: { annotations } });
  assert.equal(await movementOf([], root).afterwards?.(restore), false);
  assert.equal(await movementOf([waiting], root).afterwards?.(aPodVolumeRestore({ phase: 'Completed' })), false);
  chmodSync(path, 0o711);
  const deletionTimestamp = '2026-11-20T13:00:00Z';
  const deleted = aPodVolumeRestore({ phase: 'Failed', metadata: { annotations, deletionTimestamp } });
  assert.equal(await movementOf([waiting], root).afterwards?.(deleted), false);
  assert.equal(modeOf(path), '700');
  rmSync(path, { recursive: true });
  assert.equal(await movementOf([over], root).afterwards?.(restore), false, 'the pod has ended and its volume is gone');
});
