// Scenario 5: objects are cancelled and deleted in each phase, pods go and volumes are unmounted while they are read. Each ends in a
// phase that is true, and holds nothing up.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Pod } from '../../kube/api/core.ts';
import type { DataPhase, PodVolumeBackup, PodVolumeRestore } from '../../kube/api/velero.ts';
import { dataMovers, holdMover, holdWhileReading, whenNothingMoves, whileAgentSleeps } from './agent-control.ts';
import { useNodeAgent } from './node-agent.ts';
import { cutRelay, SLOW_LOCATION, startRelay } from './relay.ts';
import { makeRestoredPod } from './restored-pod.ts';
import { sharedCluster } from './shared-cluster.ts';
import { noise } from './trees.ts';
import { VELERO_NAMESPACE } from './velero.ts';
import {
  change,
  createVolumeBackup,
  createVolumeRestore,
  type VolumeKind,
  type VolumeObject,
  whenHalfDone,
  whenMoving,
  whenOver,
  whenPhase,
} from './volume-objects.ts';
import { freshName, loseNamespace, makeLocalVolume, makeNamespace, makePod, mountedVolume } from './workload.ts';

const NAMESPACE = freshName('cancel');
/** Half a minute on the slow way: time enough for anything to happen meanwhile. */
const LARGE_BYTES = 24 << 20;
const BYTES_PER_SECOND = 1 << 20;
/** Long enough to be met while it is read. */
const HUGE_BYTES = 240 << 20;
const CANCEL = { spec: { cancel: true } };
/** Nobody has made it: who needs it is accepted, and waits. */
const MISSING_LOCATION = 'nowhere';
/** Keeps an object that is deleted until its end has been seen. */
const WITNESS = 'windlass.test/witness';

const cluster = await sharedCluster();
const { kubectl, inside } = cluster;
let pod: Pod;

before(async () => {
  await useNodeAgent(cluster, 'windlass');
  await startRelay(cluster, BYTES_PER_SECOND);
  await makeNamespace(cluster, NAMESPACE);
  pod = await makePod(cluster, { namespace: NAMESPACE, name: 'web', emptyDirs: ['large', 'small'] });
  fill(pod, 'small', 1000);
});
after(async () => {
  await loseNamespace(cluster, NAMESPACE);
  await cutRelay(cluster);
});

/** With what no repository knows yet. */
function fill(of: Pod, volume: string, bytes: number): void {
  writeFileSync(join(mountedVolume(cluster, of, volume), 'file'), noise(freshName(volume), bytes));
}

async function slowBackup(name: string, of: Pod = pod, volume = 'large', bytes = LARGE_BYTES): Promise<string> {
  const fresh = freshName(name);
  fill(of, volume, bytes);
  await createVolumeBackup(cluster, { name: fresh, pod: of, volume, location: SLOW_LOCATION });
  return fresh;
}

/** As in each phase of somebody who has died in it. */
async function patchPhase(kind: 'podvolumebackup' | 'podvolumerestore', name: string, phase: DataPhase, more = {}) {
  const node = kind === 'podvolumerestore' && phase !== 'New' ? { node: 'node-1' } : {};
  const status = { phase, acceptedTimestamp: new Date().toISOString(), ...node };
  await change(cluster, kind, name, { status, ...more });
}

/** Deleted in the phase, and held by nobody but the witness in the end. */
async function deletedIn(phase: DataPhase, kind: VolumeKind, name: string, then = () => {}): Promise<void> {
  await whenPhase(cluster, kind, name, phase);
  await kubectl.ok(['-n', VELERO_NAMESPACE, 'delete', kind, name, '--wait=false']);
  then();
  const { status } = await whenOver<VolumeObject>(cluster, kind, name);
  assert.equal(status?.phase, 'Canceled', phase);
  assert.ok(status?.completionTimestamp);
  const isLetGo = ({ metadata }: VolumeObject): boolean => metadata.finalizers?.join() === WITNESS;
  await kubectl.whenObject<VolumeObject>(kind, ['-n', VELERO_NAMESPACE, name], isLetGo);
  await change(cluster, kind, name, { metadata: { finalizers: null } });
  await isGone(kind, name);
}

async function isGone(kind: string, name: string): Promise<void> {
  await kubectl.whenGone(kind, ['-n', VELERO_NAMESPACE, name]);
}

async function thenSmallWorks(): Promise<void> {
  await whenNothingMoves(cluster);
  const name = freshName('then');
  await createVolumeBackup(cluster, { name, pod, volume: 'small' });
  const { status } = await whenOver<PodVolumeBackup>(cluster, 'podvolumebackup', name);
  assert.equal(status?.phase, 'Completed', status?.message);
}

describe('backups', () => {
  test('cancelled in each phase before anything moves', async () => {
    const phases: readonly DataPhase[] = ['New', 'Accepted', 'Prepared', 'InProgress', 'Canceling'];
    const names = phases.map((phase) => freshName(phase.toLowerCase()));
    await whileAgentSleeps(cluster, async () => {
      for (const [at, phase] of phases.entries()) {
        const name = names[at] ?? '';
        await createVolumeBackup(cluster, { name, pod, volume: 'small' });
        await patchPhase('podvolumebackup', name, phase, CANCEL);
      }
    });
    for (const [at, name] of names.entries()) {
      const { status } = await whenOver<PodVolumeBackup>(cluster, 'podvolumebackup', name);
      assert.equal(status?.phase, 'Canceled', phases[at]);
      assert.ok(status?.completionTimestamp);
      assert.equal(status?.snapshotID, undefined);
    }
    await thenSmallWorks();
  });

  test('cancelled while bytes move, and while another waits for its slot', async () => {
    const moving = await slowBackup('moving');
    await whenMoving(cluster, 'podvolumebackup', moving);
    const waiting = await slowBackup('waiting');
    const { status: queued } = await whenPhase<PodVolumeBackup>(cluster, 'podvolumebackup', waiting, 'Prepared');
    assert.ok(queued);
    for (const name of [waiting, moving]) {
      await change(cluster, 'podvolumebackup', name, CANCEL);
      const { status } = await whenOver<PodVolumeBackup>(cluster, 'podvolumebackup', name);
      assert.equal(status?.phase, 'Canceled', name);
      assert.equal(status?.snapshotID, undefined);
    }
    await thenSmallWorks();
  });

  test('deleted while bytes move, while another waits, and before either was seen', async () => {
    const moving = await slowBackup('moving');
    await whenMoving(cluster, 'podvolumebackup', moving);
    const waiting = await slowBackup('waiting');
    await whenPhase(cluster, 'podvolumebackup', waiting, 'Prepared');
    const unseen = freshName('unseen');
    await whileAgentSleeps(cluster, async () => {
      await createVolumeBackup(cluster, { name: unseen, pod, volume: 'small' });
      await kubectl.ok(['-n', VELERO_NAMESPACE, 'delete', 'podvolumebackup', waiting, moving, unseen, '--wait=false']);
    });
    for (const name of [unseen, waiting, moving]) await isGone('podvolumebackup', name);
    await thenSmallWorks();
  });

  test('deleted while it is accepted, and while it is being cancelled', async () => {
    const accepted = freshName('accepted');
    const plan = { pod, finalizers: [WITNESS] };
    await createVolumeBackup(cluster, { ...plan, name: accepted, volume: 'small', location: MISSING_LOCATION });
    await deletedIn('Accepted', 'podvolumebackup', accepted);
    const canceling = freshName('canceling');
    fill(pod, 'large', LARGE_BYTES);
    await createVolumeBackup(cluster, { ...plan, name: canceling, volume: 'large', location: SLOW_LOCATION });
    const goOn = await holdMover(cluster);
    await change(cluster, 'podvolumebackup', canceling, CANCEL);
    await deletedIn('Canceling', 'podvolumebackup', canceling, goOn);
    await thenSmallWorks();
  });

  test('the pod is deleted while its volume is read', async () => {
    const leaving = await makePod(cluster, { namespace: NAMESPACE, name: 'leaving', emptyDirs: ['large'] });
    const name = await slowBackup('leaving', leaving);
    await whenHalfDone(cluster, 'podvolumebackup', name);
    await kubectl.ok(['-n', NAMESPACE, 'delete', 'pod', 'leaving', '--wait=false']);
    const { status } = await whenOver<PodVolumeBackup>(cluster, 'podvolumebackup', name);
    assert.equal(status?.phase, 'Failed');
    assert.match(status?.message ?? '', /pod|volume|mount/i);
    assert.equal(status?.snapshotID, undefined);
    await kubectl.whenGone('pod', ['-n', NAMESPACE, 'leaving']);
    await thenSmallWorks();
  });

  test('the volume is unmounted while it is read', async () => {
    await makeLocalVolume(cluster, NAMESPACE, 'data');
    const mounted = await makePod(cluster, { namespace: NAMESPACE, name: 'mounted', claims: ['data'] });
    fill(mounted, 'data', HUGE_BYTES);
    const name = freshName('unmounted');
    await createVolumeBackup(cluster, { name, pod: mounted, volume: 'data' });
    const goOn = await holdWhileReading(cluster, '/file');
    const path = mountedVolume(cluster, mounted, 'data').replace(inside.path(''), '');
    await inside.ok(['umount', '-l', path]);
    goOn();
    const { status } = await whenOver<PodVolumeBackup>(cluster, 'podvolumebackup', name);
    assert.equal(status?.phase, 'Failed', 'what is not there any more is not backed up');
    assert.match(status?.message ?? '', /VOLUME_/);
    assert.equal(status?.snapshotID, undefined);
    await kubectl.ok(['-n', NAMESPACE, 'delete', 'pod', 'mounted', '--force', '--grace-period=0']);
    await thenSmallWorks();
  });
});

describe('restores', () => {
  let snapshotID = '';
  before(async () => {
    const name = await slowBackup('source');
    const backup = await whenPhase<PodVolumeBackup>(cluster, 'podvolumebackup', name, 'Completed');
    snapshotID = backup.status?.snapshotID ?? '';
  });

  function restoredPod(name: string): Promise<Pod> {
    return makeRestoredPod(cluster, { namespace: NAMESPACE, name, emptyDirs: ['large', 'small'] });
  }

  async function slowRestore(name: string, of: Pod, volume = 'large'): Promise<string> {
    const fresh = freshName(name);
    const plan = { name: fresh, pod: of, volume, location: SLOW_LOCATION, snapshotID, sourceNamespace: NAMESPACE };
    await createVolumeRestore(cluster, plan);
    return fresh;
  }

  test('cancelled in each phase before anything moves', async () => {
    const restored = await restoredPod('restored-1');
    const phases: readonly DataPhase[] = ['New', 'Accepted', 'Prepared', 'InProgress', 'Canceling'];
    const names: string[] = [];
    await whileAgentSleeps(cluster, async () => {
      for (const phase of phases) {
        const name = await slowRestore(phase.toLowerCase(), restored);
        names.push(name);
        await patchPhase('podvolumerestore', name, phase, CANCEL);
      }
    });
    for (const [at, name] of names.entries()) {
      const { status } = await whenOver<PodVolumeRestore>(cluster, 'podvolumerestore', name);
      assert.equal(status?.phase, 'Canceled', phases[at]);
      assert.ok(status?.completionTimestamp);
    }
    await thenSmallWorks();
  });

  test('cancelled and deleted while bytes move and while another waits', async () => {
    for (const end of ['cancel', 'delete']) {
      const restored = await restoredPod(`restored-${end}`);
      const moving = await slowRestore('moving', restored);
      await whenMoving(cluster, 'podvolumerestore', moving);
      const waiting = await slowRestore('waiting', restored, 'small');
      await whenPhase(cluster, 'podvolumerestore', waiting, 'Prepared');
      assert.equal((await dataMovers(cluster)).length, 1);
      for (const name of [waiting, moving]) {
        if (end === 'delete') {
          await kubectl.ok(['-n', VELERO_NAMESPACE, 'delete', 'podvolumerestore', name, '--wait=false']);
          await isGone('podvolumerestore', name);
        } else {
          await change(cluster, 'podvolumerestore', name, CANCEL);
          const { status } = await whenOver<PodVolumeRestore>(cluster, 'podvolumerestore', name);
          assert.equal(status?.phase, 'Canceled', name);
        }
      }
      await thenSmallWorks();
    }
  });

  test('deleted while it is accepted, and while it is being cancelled', async () => {
    const restored = await restoredPod('restored-early');
    const plan = { pod: restored, snapshotID, sourceNamespace: NAMESPACE, finalizers: [WITNESS] };
    const accepted = freshName('accepted');
    await createVolumeRestore(cluster, { ...plan, name: accepted, volume: 'small', location: MISSING_LOCATION });
    await deletedIn('Accepted', 'podvolumerestore', accepted);
    const canceling = freshName('canceling');
    await createVolumeRestore(cluster, { ...plan, name: canceling, volume: 'large', location: SLOW_LOCATION });
    await whenMoving(cluster, 'podvolumerestore', canceling);
    const goOn = await holdMover(cluster);
    await change(cluster, 'podvolumerestore', canceling, CANCEL);
    await deletedIn('Canceling', 'podvolumerestore', canceling, goOn);
    await thenSmallWorks();
  });

  test('the pod is deleted while its volume is filled', async () => {
    const restored = await restoredPod('restored-leaving');
    const name = await slowRestore('leaving', restored);
    await whenMoving(cluster, 'podvolumerestore', name);
    await kubectl.ok(['-n', NAMESPACE, 'delete', 'pod', 'restored-leaving', '--wait=false', '--grace-period=1']);
    const { status } = await whenOver<PodVolumeRestore>(cluster, 'podvolumerestore', name);
    assert.equal(status?.phase, 'Failed');
    assert.match(status?.message ?? '', /pod|volume|mount/i);
    await kubectl.whenGone('pod', ['-n', NAMESPACE, 'restored-leaving']);
    await thenSmallWorks();
  });
});
