// Backups of real volumes into a real repository: what counts as done, and what never does.
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readdirSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { podVolumePath } from '../../repo-format/velero/index.ts';
import { MoverFixture } from '../../test/harness/mover-fixture.ts';
import { SeededRandom } from '../../test/harness/seeded-random.ts';
import type { Message } from '../datapath/job.ts';

const claim = { namespace: 'shop', name: 'data-db', uid: 'claim-uid' };
const random = new SeededRandom(8);

function fill(path: string, files = 5): void {
  for (let i = 0; i < files; i++) writeFileSync(join(path, `file-${i}`), random.bytes(10_000));
}

/** Root may read anything. Who it is is the same for all threads. */
function asOrdinaryUser(t: TestContext): void {
  if (process.getuid?.() !== 0) return;
  process.seteuid?.(65534);
  t.after(() => process.seteuid?.(0));
}

/** Once, in the middle of the job: the volume is held, nothing of it has been read. */
function whenStarted(act: () => void): (message: Message) => void {
  let wasDone = false;
  return ({ type }) => {
    if (type !== 'started' || wasDone) return;
    wasDone = true;
    act();
  };
}

test('a snapshot has the names, tags and pin of Velero, the claim and the run', async (t) => {
  const fixture = await MoverFixture.create(t);
  const volume = fixture.volume('pod-uid');
  fill(volume.path);
  const outcome = await fixture.backUp(fixture.backupJob(volume, { claim }));
  const [snapshot, ...more] = await fixture.snapshots();
  assert.equal(more.length, 0);
  assert.ok(snapshot !== undefined);
  assert.deepEqual(
    [snapshot.source, snapshot.tags, snapshot.pins, snapshot.description, snapshot.incomplete],
    [
      { host: 'default', userName: 'default', path: 'snapshot-pod-volume/kopia/shop/db-0/data' },
      {
        'snapshot-requester': 'snapshot-pod-volume',
        'snapshot-uploader': 'kopia',
        'windlass.io/pvc-uid': 'claim-uid',
        'windlass.io/run': 'run-1',
      },
      ['velero-pin'],
      'Kopia Uploader',
      undefined,
    ],
  );
  const { snapshotId, totalBytes, incrementalBytes, files, unreadable, wasFinished, parentId } = outcome;
  assert.deepEqual(
    { snapshotId, totalBytes, incrementalBytes, files, unreadable, wasFinished, parentId },
    {
      snapshotId: snapshot.id,
      totalBytes: 50_000,
      incrementalBytes: 50_000,
      files: 5,
      unreadable: { count: 0, first: [] },
      wasFinished: false,
      parentId: undefined,
    },
  );
});

test('a run that was stored is found again, and not stored twice', async (t) => {
  const fixture = await MoverFixture.create(t);
  const volume = fixture.volume('pod-uid');
  fill(volume.path);
  const first = await fixture.backUp(fixture.backupJob(volume));
  writeFileSync(join(volume.path, 'later'), 'x');
  const again = await fixture.backUp(fixture.backupJob(volume));
  assert.deepEqual([again.wasFinished, again.snapshotId, again.totalBytes], [true, first.snapshotId, 50_000]);
  assert.equal((await fixture.snapshots()).length, 1);
  const next = await fixture.backUp(fixture.backupJob(volume, { runId: 'run-2' }));
  assert.deepEqual([next.wasFinished, next.parentId, next.files], [false, first.snapshotId, 6]);
});

test('a run that was stored and has lost packs since is stored anew', async (t) => {
  const fixture = await MoverFixture.create(t);
  const volume = fixture.volume('pod-uid');
  fill(volume.path);
  const first = await fixture.backUp(fixture.backupJob(volume));
  for (const pack of packsOf(fixture)) unlinkSync(pack);
  const again = await fixture.backUp(fixture.backupJob(volume));
  assert.equal(again.wasFinished, false);
  assert.notEqual(again.snapshotId, first.snapshotId);
  assert.deepEqual(
    (await fixture.snapshots()).map(({ id }) => id),
    [again.snapshotId],
  );
  const target = fixture.volume('restored');
  const restored = await fixture.restore(fixture.restoreJob(target, again.snapshotId));
  assert.equal(restored.files, 5);
});

/** Data packs, however the folder store nests them. */
function packsOf({ repositoryPath }: MoverFixture): string[] {
  return readdirSync(repositoryPath, { recursive: true, withFileTypes: true })
    .filter(
      (entry) =>
        entry.isFile() &&
        join(entry.parentPath, entry.name)
          .slice(repositoryPath.length + 1)
          .startsWith('p'),
    )
    .map((entry) => join(entry.parentPath, entry.name));
}

test('old damage of the repository is no reason to fail what is backed up now', async (t) => {
  const fixture = await MoverFixture.create(t);
  const old = fixture.volume('old');
  fill(old.path);
  await fixture.backUp(fixture.backupJob(old, { runId: 'old', sourcePath: podVolumePath('shop', 'old', 'data') }));
  for (const pack of packsOf(fixture)) unlinkSync(pack);
  const volume = fixture.volume('pod-uid');
  fill(volume.path);
  const outcome = await fixture.backUp(fixture.backupJob(volume));
  assert.equal(outcome.files, 5);
  assert.equal((await fixture.restore(fixture.restoreJob(fixture.volume('new'), outcome.snapshotId))).files, 5);
});

test('a claim gives an incremental whatever its pod is called, and another claim does not', async (t) => {
  const fixture = await MoverFixture.create(t);
  const volume = fixture.volume('pod-uid');
  fill(volume.path);
  const jobOf = (pod: string, runId: string, uid = claim.uid) =>
    fixture.backupJob(volume, {
      runId,
      claim: { ...claim, uid, name: uid },
      sourcePath: podVolumePath('shop', pod, 'data'),
    });
  const first = await fixture.backUp(jobOf('web-6d5f-abcde', 'run-1'));
  const second = await fixture.backUp(jobOf('web-6d5f-zyxwv', 'run-2'));
  assert.deepEqual([second.parentId, second.incrementalBytes, second.files], [first.snapshotId, 0, 5]);
  const other = await fixture.backUp(jobOf('web-6d5f-other', 'run-3', 'another-claim'));
  assert.deepEqual([other.parentId, other.incrementalBytes], [undefined, 50_000]);
});

test('a volume that another folder has replaced is not backed up, whatever was read', async (t) => {
  const fixture = await MoverFixture.create(t);
  const volume = fixture.volume('pod-uid');
  fill(volume.path);
  const replace = whenStarted(() => {
    renameSync(volume.path, `${volume.path}-away`);
    mkdirSync(volume.path);
  });
  await assert.rejects(fixture.backUp(fixture.backupJob(volume), { on: replace }), {
    code: 'VOLUME_REPLACED',
    retry: 'never',
    message: /another volume is there/,
  });
  assert.deepEqual(await fixture.snapshots(), []);
});

test('a volume that is removed while it is read is not backed up as what was left of it', async (t) => {
  const fixture = await MoverFixture.create(t);
  const volume = fixture.volume('pod-uid');
  fill(volume.path);
  const move = whenStarted(() => renameSync(volume.path, `${volume.path}-deleting`));
  await assert.rejects(fixture.backUp(fixture.backupJob(volume), { on: move }), {
    code: 'VOLUME_REPLACED',
    message: /it is gone/,
  });
  renameSync(`${volume.path}-deleting`, volume.path);
  const remove = whenStarted(() => rmSync(volume.path, { recursive: true }));
  await assert.rejects(fixture.backUp(fixture.backupJob(volume), { on: remove }), { code: 'SOURCE_UNREADABLE' });
  assert.deepEqual(await fixture.snapshots(), []);
});

test('a cancel leaves no snapshot', async (t) => {
  const fixture = await MoverFixture.create(t);
  const volume = fixture.volume('pod-uid');
  fill(volume.path, 50);
  const stopped = new AbortController();
  const stop = whenStarted(() => stopped.abort(new DOMException('cancelled', 'AbortError')));
  await assert.rejects(fixture.backUp(fixture.backupJob(volume), { on: stop, signal: stopped.signal }), {
    name: 'AbortError',
  });
  assert.deepEqual(await fixture.snapshots(), []);
});

test('a volume that is not there is told before any store is asked', async (t) => {
  const fixture = await MoverFixture.create(t, { realKeys: true });
  const { path: _, ...volume } = fixture.volume('pod-uid');
  const password = 'wrong';
  const job = (place: typeof volume) => fixture.backupJob(place, { repository: { ...fixture.access, password } });
  await assert.rejects(fixture.backUp(job({ ...volume, names: ['nobody'] })), { code: 'VOLUME_NOT_FOUND' });
  await assert.rejects(fixture.backUp(job({ ...volume, isMount: true })), { code: 'VOLUME_NOT_MOUNTED' });
  await assert.rejects(fixture.backUp(job(volume)), { code: 'PASSWORD_WRONG' });
});

test('while a password is being changed, the one before opens the repository too', async (t) => {
  const fixture = await MoverFixture.create(t, { realKeys: true });
  const volume = fixture.volume('pod-uid');
  fill(volume.path);
  const { password } = fixture.access;
  const repository = { ...fixture.access, password: 'the next one', previousPassword: password };
  assert.equal((await fixture.backUp(fixture.backupJob(volume, { repository }))).files, 5);
});

test('an unreadable file is listed and the rest is stored, also when nothing else has changed', async (t) => {
  asOrdinaryUser(t);
  const fixture = await MoverFixture.create(t);
  const volume = fixture.volume('pod-uid');
  fill(volume.path);
  writeFileSync(join(volume.path, 'broken'), 'x', { mode: 0 });
  const first = await fixture.backUp(fixture.backupJob(volume));
  assert.deepEqual([first.files, first.unreadable], [5, { count: 1, first: [{ path: 'broken', code: 'EACCES' }] }]);
  const second = await fixture.backUp(fixture.backupJob(volume, { runId: 'run-2' }));
  assert.deepEqual([second.files, second.incrementalBytes, second.unreadable.count], [5, 0, 1]);
  const found = await fixture.backUp(fixture.backupJob(volume, { runId: 'run-2' }));
  assert.deepEqual([found.wasFinished, found.unreadable.count], [true, 1], 'and is not forgotten by who comes after');
  await assert.rejects(fixture.backUp(fixture.backupJob(volume, { runId: 'run-3', onUnreadable: 'fail' })), {
    code: 'VOLUME_UNREADABLE_FILES',
    message: /1 files could not be read, for example broken: EACCES/,
  });
  assert.equal((await fixture.snapshots()).length, 2);
});

test('an empty volume is a snapshot of an empty volume', async (t) => {
  const fixture = await MoverFixture.create(t);
  const volume = fixture.volume('pod-uid');
  chmodSync(volume.path, 0o750);
  const outcome = await fixture.backUp(fixture.backupJob(volume));
  assert.deepEqual([outcome.files, outcome.totalBytes], [0, 0]);
  assert.equal((await fixture.snapshots()).length, 1);
});
