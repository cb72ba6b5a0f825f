// Restores into real volumes: the marker is the last thing, nothing is said too early, and nothing is restored over a pod that runs.
import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { MoverFixture } from '../../test/harness/mover-fixture.ts';
import { scratchFolder } from '../../test/harness/scratch.ts';
import { describeTree } from '../../test/harness/tree.ts';
import { lookAtVolume } from '../../restore-helper/marker-folder.ts';
import type { Message, RestoreJob } from '../datapath/job.ts';
import { runMarkJob } from './mark-job.ts';

const UID = 'restore-uid';

interface Stored {
  readonly fixture: MoverFixture;
  readonly snapshotId: string;
  readonly source: string;
}

async function stored(t: TestContext, rootMode = 0o755): Promise<Stored> {
  const fixture = await MoverFixture.create(t);
  const volume = fixture.volume('source');
  mkdirSync(join(volume.path, 'folder'));
  writeFileSync(join(volume.path, 'folder', 'a'), 'text of a');
  writeFileSync(join(volume.path, 'b'), 'text of b', { mode: 0o600 });
  chmodSync(volume.path, rootMode);
  utimesSync(volume.path, 1000, 1_700_000_000);
  const { snapshotId } = await fixture.backUp(fixture.backupJob(volume));
  return { fixture, snapshotId, source: volume.path };
}

const modeOf = (path: string): string => (lstatSync(path).mode & 0o7777).toString(8);
const doneMarker = (path: string): string => join(path, '.velero', UID);

test('everything is as it was, the marker is there, and the root has its own time', async (t) => {
  const { fixture, snapshotId, source } = await stored(t);
  const volume = fixture.volume('target');
  const seen: Message['type'][] = [];
  const outcome = await fixture.restore(fixture.restoreJob(volume, snapshotId), {
    on: ({ type }) => {
      seen.push(type);
      assert.equal(existsSync(doneMarker(volume.path)), false, 'not before it is over');
    },
  });
  assert.equal(seen[0], 'started');
  assert.deepEqual(
    { ...outcome },
    {
      totalBytes: 18,
      files: 2,
      unchanged: 0,
      kept: 0,
      leftOut: [],
      refusedAttributes: [],
      closedRootMode: undefined,
    },
  );
  assert.deepEqual(readdirSync(join(volume.path, '.velero')), [UID]);
  assert.equal(statSync(volume.path).mtimeMs, 1_700_000_000_000);
  rmSync(join(volume.path, '.velero'), { recursive: true });
  utimesSync(volume.path, 1000, 1_700_000_000);
  assert.deepEqual(describeTree(volume.path), describeTree(source));
});

test('what a pod has written since its marker is never restored over', async (t) => {
  const { fixture, snapshotId } = await stored(t);
  const volume = fixture.volume('target');
  await fixture.restore(fixture.restoreJob(volume, snapshotId));
  writeFileSync(join(volume.path, 'b'), 'written by the pod');
  rmSync(join(volume.path, 'folder'), { recursive: true });
  for (const onNotEmpty of ['overwrite', 'keep', 'fail'] as const) {
    const again = await fixture.restore(fixture.restoreJob(volume, snapshotId, { onNotEmpty }));
    assert.deepEqual([again.totalBytes, again.files, again.kept], [18, 2, 0]);
  }
  assert.equal(readFileSync(join(volume.path, 'b'), 'utf8'), 'written by the pod');
  assert.equal(existsSync(join(volume.path, 'folder')), false);
  assert.equal(existsSync(doneMarker(volume.path)), true);
});

test('nor where a helper has removed the marker and the pod runs', async (t) => {
  const { fixture, snapshotId } = await stored(t);
  const volume = fixture.volume('target');
  writeFileSync(join(volume.path, 'b'), 'written by the pod');
  const outcome = await fixture.restore(fixture.restoreJob(volume, snapshotId, { isAwaited: false }));
  assert.deepEqual([outcome.totalBytes, outcome.foundOver], [18, 'helper']);
  assert.deepEqual(readdirSync(volume.path), ['b']);
  assert.equal(readFileSync(join(volume.path, 'b'), 'utf8'), 'written by the pod');
});

test('a marker of another restore is none of this one', async (t) => {
  const { fixture, snapshotId } = await stored(t);
  const volume = fixture.volume('target');
  await fixture.restore(fixture.restoreJob(volume, snapshotId, { restoreUid: 'another' }));
  writeFileSync(join(volume.path, 'b'), 'of the time between');
  const outcome = await fixture.restore(fixture.restoreJob(volume, snapshotId));
  assert.deepEqual([outcome.files, outcome.unchanged], [1, 1]);
  assert.equal(readFileSync(join(volume.path, 'b'), 'utf8'), 'text of b');
});

test('a marker of another PodVolumeRestore of the same Restore is not this one done, whether the pod waits or not', async (t) => {
  const { fixture, snapshotId } = await stored(t);
  const volume = fixture.volume('target');
  await fixture.restore(fixture.restoreJob(volume, snapshotId));
  writeFileSync(join(volume.path, 'b'), 'written by the pod');
  for (const isAwaited of [true, false]) {
    await assert.rejects(fixture.restore(fixture.restoreJob(volume, snapshotId, { runId: 'second', isAwaited })), {
      code: 'VOLUME_RESTORED_BEFORE',
      retry: 'never',
      message: /was restored before, by velero\/again-1$/,
    });
  }
  assert.equal(readFileSync(join(volume.path, 'b'), 'utf8'), 'written by the pod');
  const again = await fixture.restore(fixture.restoreJob(volume, snapshotId));
  assert.equal(again.foundOver, undefined, 'the marker is that of the first all the time');
});

test('the marker of another agent counts, and it is said that nothing was restored', async (t) => {
  const { fixture, snapshotId } = await stored(t);
  const volume = fixture.volume('target');
  mkdirSync(join(volume.path, '.velero'));
  writeFileSync(doneMarker(volume.path), '');
  const outcome = await fixture.restore(fixture.restoreJob(volume, snapshotId));
  assert.equal(outcome.foundOver, 'marker');
  assert.deepEqual(readdirSync(volume.path), ['.velero']);
});

test('what a restore before the backup has left in .velero is not restored, whatever it is', async (t) => {
  const { fixture, source } = await stored(t);
  const elsewhere = scratchFolder(t, 'elsewhere');
  const make: readonly ((path: string) => void)[] = [
    (path) => {
      mkdirSync(path);
      writeFileSync(join(path, 'earlier-restore'), '');
      writeFileSync(join(path, `${UID}.failed`), 'of another time');
    },
    (path) => symlinkSync(elsewhere, path),
    (path) => writeFileSync(path, 'a file'),
  ];
  for (const [i, makeFolder] of make.entries()) {
    makeFolder(join(source, '.velero'));
    const place = { root: fixture.folder, names: ['pods', 'source', ...source.split('/').slice(-3)], isMount: false };
    const { snapshotId } = await fixture.backUp(fixture.backupJob(place, { runId: `again-${i}` }));
    rmSync(join(source, '.velero'), { recursive: true });
    const volume = fixture.volume(`target-${i}`);
    const { files } = await fixture.restore(fixture.restoreJob(volume, snapshotId));
    assert.equal(files, 2);
    assert.deepEqual(readdirSync(join(volume.path, '.velero')), [UID]);
    assert.deepEqual(readdirSync(volume.path).sort(), ['.velero', 'b', 'folder']);
  }
  assert.deepEqual(readdirSync(elsewhere), []);
});

test('what is in .velero is backed up like anything else, as by Velero', async (t) => {
  const fixture = await MoverFixture.create(t);
  const volume = fixture.volume('source');
  mkdirSync(join(volume.path, '.velero'));
  writeFileSync(join(volume.path, '.velero', 'a'), 'text');
  const { files, totalBytes } = await fixture.backUp(fixture.backupJob(volume));
  assert.deepEqual([files, totalBytes], [1, 4]);
});

test('the helper finds the deadline as long as it waits, and none where none is wanted', async (t) => {
  const { fixture, snapshotId } = await stored(t);
  const options = { deadlineSeconds: 1_728_000 };
  const volume = fixture.volume('target');
  const stopped = new AbortController();
  const stop = ({ type }: Message): void => {
    if (type === 'started') stopped.abort(new DOMException('the agent is gone', 'AbortError'));
  };
  const job = fixture.restoreJob(volume, snapshotId, { helperDeadlineSeconds: 1_728_000 });
  await assert.rejects(fixture.restore(job, { on: stop, signal: stopped.signal }), { name: 'AbortError' });
  assert.deepEqual(await lookAtVolume(volume.path, UID), { state: 'waiting', options });
  await fixture.restore(job);
  assert.deepEqual(await lookAtVolume(volume.path, UID), { state: 'done', options });
  const other = fixture.volume('other');
  await fixture.restore(fixture.restoreJob(other, snapshotId));
  assert.deepEqual(await lookAtVolume(other.path, UID), { state: 'done', options: {} });
});

test('a snapshot that is not there is said to be missing, and no marker is written', async (t) => {
  const { fixture } = await stored(t);
  const volume = fixture.volume('target');
  await assert.rejects(fixture.restore(fixture.restoreJob(volume, 'f'.repeat(32))), {
    code: 'SNAPSHOT_NOT_FOUND',
    retry: 'never',
  });
  assert.equal(existsSync(doneMarker(volume.path)), false);
});

const WITH_OLD = { b: 'older', c: 'of nobody' };

async function intoFilled(
  t: TestContext,
  more: Partial<RestoreJob>,
): Promise<{ readonly path: string; readonly outcome: Promise<unknown> }> {
  const { fixture, snapshotId } = await stored(t);
  const volume = fixture.volume('target');
  for (const [name, text] of Object.entries(WITH_OLD)) writeFileSync(join(volume.path, name), text);
  return { path: volume.path, outcome: fixture.restore(fixture.restoreJob(volume, snapshotId, more)) };
}

test('a volume that has something in it: overwritten, where it differs', async (t) => {
  const { path, outcome } = await intoFilled(t, { onNotEmpty: 'overwrite' });
  await outcome;
  assert.deepEqual(
    [readFileSync(join(path, 'b'), 'utf8'), readFileSync(join(path, 'c'), 'utf8')],
    ['text of b', 'of nobody'],
  );
  assert.equal(readFileSync(join(path, 'folder', 'a'), 'utf8'), 'text of a');
});

test('a volume that has something in it: kept, and the rest restored', async (t) => {
  const { path, outcome } = await intoFilled(t, { onNotEmpty: 'keep' });
  const { kept, files } = (await outcome) as { kept: number; files: number };
  assert.deepEqual([kept, files], [1, 1]);
  assert.equal(readFileSync(join(path, 'b'), 'utf8'), 'older');
  assert.equal(readFileSync(join(path, 'folder', 'a'), 'utf8'), 'text of a');
});

test('a volume that has something in it: refused, and left as it is', async (t) => {
  const { path, outcome } = await intoFilled(t, { onNotEmpty: 'fail' });
  await assert.rejects(outcome, { code: 'VOLUME_NOT_EMPTY', retry: 'never' });
  assert.deepEqual(readdirSync(path).sort(), Object.keys(WITH_OLD).sort());
  assert.equal(readFileSync(join(path, 'b'), 'utf8'), 'older');
});

test('what every new volume has is not something', async (t) => {
  const { fixture, snapshotId } = await stored(t);
  const volume = fixture.volume('target');
  mkdirSync(join(volume.path, 'lost+found'));
  mkdirSync(join(volume.path, '.velero'));
  await fixture.restore(fixture.restoreJob(volume, snapshotId, { onNotEmpty: 'fail' }));
  assert.equal(existsSync(doneMarker(volume.path)), true);
});

/** What is there when the agent is ended in the middle. */
async function interrupted({ fixture, snapshotId }: Stored, more: Partial<RestoreJob> = {}) {
  const volume = fixture.volume('target');
  const stopped = new AbortController();
  const on = ({ type }: Message): void => {
    if (type === 'started') stopped.abort(new DOMException('the agent is gone', 'AbortError'));
  };
  const job = fixture.restoreJob(volume, snapshotId, more);
  await assert.rejects(fixture.restore(job, { on, signal: stopped.signal }), { name: 'AbortError' });
  return volume;
}

test('an attempt that was interrupted is gone on with, also where only empty volumes are restored', async (t) => {
  const all = await stored(t);
  const { fixture, snapshotId } = all;
  const volume = await interrupted(all, { onNotEmpty: 'fail' });
  writeFileSync(join(volume.path, 'b'), 'in part');
  assert.equal(existsSync(doneMarker(volume.path)), false);
  await fixture.restore(fixture.restoreJob(volume, snapshotId, { onNotEmpty: 'fail' }));
  assert.equal(readFileSync(join(volume.path, 'b'), 'utf8'), 'text of b');
  assert.deepEqual(readdirSync(join(volume.path, '.velero')), [UID]);
});

test('a pod that somebody has let start on half of its data is no restore that was done', async (t) => {
  const all = await stored(t);
  const { fixture, snapshotId } = all;
  const volume = await interrupted(all);
  const started = { code: 'POD_STARTED', retry: 'never' };
  await assert.rejects(fixture.restore(fixture.restoreJob(volume, snapshotId, { isAwaited: false })), started);
  writeFileSync(doneMarker(volume.path), '');
  for (const isAwaited of [true, false])
    await assert.rejects(fixture.restore(fixture.restoreJob(volume, snapshotId, { isAwaited })), started);
  assert.equal(existsSync(join(volume.path, 'b')), false);
});

test('what another has restored in part is no reason to take a volume for empty', async (t) => {
  const all = await stored(t);
  const { fixture, snapshotId } = all;
  const volume = await interrupted(all, { runId: 'another' });
  writeFileSync(join(volume.path, 'c'), 'of the other');
  const job = fixture.restoreJob(volume, snapshotId, { onNotEmpty: 'fail' });
  await assert.rejects(fixture.restore(job), { code: 'VOLUME_NOT_EMPTY' });
  assert.equal(existsSync(join(volume.path, 'b')), false);
});

test('a failure is not told to the pod of a volume that another restores, or has restored', async (t) => {
  const all = await stored(t);
  const { fixture, snapshotId } = all;
  const volume = await interrupted(all);
  const fail = (uid: string) => {
    const mark = { outcome: 'failed', code: 'C', message: 'm', name: 'n', uid } as const;
    runMarkJob({ kind: 'mark', subject: {}, volume, restoreUid: UID, mark });
    return existsSync(`${doneMarker(volume.path)}.failed`);
  };
  assert.equal(fail('another'), false, 'while it is restored');
  await fixture.restore(fixture.restoreJob(volume, snapshotId));
  assert.equal(fail('another'), false, 'when it is');
  rmSync(join(volume.path, '.velero'), { recursive: true });
  assert.equal(fail('another'), true, 'when it is nobody’s');
});

test('a marker of another agent in a closed root is seen by the init container', async (t) => {
  const { fixture, snapshotId } = await stored(t, 0o700);
  const volume = fixture.volume('target');
  mkdirSync(join(volume.path, '.velero'));
  writeFileSync(doneMarker(volume.path), '');
  chmodSync(volume.path, 0o700);
  const outcome = await fixture.restore(fixture.restoreJob(volume, snapshotId));
  assert.deepEqual([outcome.foundOver, outcome.closedRootMode], ['marker', 0o700]);
  assert.equal(modeOf(volume.path), '711');
});

test('a volume that was replaced meanwhile gets no marker', async (t) => {
  const { fixture, snapshotId } = await stored(t);
  const volume = fixture.volume('target');
  const replace = ({ type }: Message): void => {
    if (type !== 'started') return;
    renameSync(volume.path, `${volume.path}-away`);
    mkdirSync(volume.path);
  };
  await assert.rejects(fixture.restore(fixture.restoreJob(volume, snapshotId), { on: replace }), {
    code: 'VOLUME_REPLACED',
  });
  assert.deepEqual(readdirSync(volume.path), []);
  assert.equal(existsSync(doneMarker(`${volume.path}-away`)), false);
});

test('a closed root is open as long as somebody waits, and its mode is known to whoever goes on', async (t) => {
  const { fixture, snapshotId } = await stored(t, 0o700);
  const volume = fixture.volume('target');
  const outcome = await fixture.restore(fixture.restoreJob(volume, snapshotId));
  assert.equal(outcome.closedRootMode, 0o700);
  assert.equal(modeOf(volume.path), '711');
  const again = await fixture.restore(fixture.restoreJob(volume, snapshotId));
  assert.equal(again.closedRootMode, 0o700, 'an agent that was ended before it could note it');
  const job = { kind: 'mark', subject: {}, volume, restoreUid: UID } as const;
  assert.equal(runMarkJob({ ...job, mark: { outcome: 'over', rootMode: 0o700 } }), undefined);
  assert.equal(modeOf(volume.path), '700');
  assert.equal(existsSync(doneMarker(volume.path)), true, 'the init container is run again after a reboot');
});

test('a failure is told through a closed root', (t) => {
  const root = scratchFolder(t, 'marked');
  const path = join(root, 'volume');
  mkdirSync(path, { mode: 0o700 });
  const volume = { root, names: ['volume'], isMount: false };
  const mark = { outcome: 'failed', code: 'RESTORE_NO_SPACE', message: 'full', name: 'again-1', uid: 'a' } as const;
  assert.equal(runMarkJob({ kind: 'mark', subject: {}, volume, restoreUid: UID, mark }), 0o700);
  assert.equal(modeOf(path), '711');
  assert.deepEqual(JSON.parse(readFileSync(join(path, '.velero', `${UID}.failed`), 'utf8')), {
    message: 'full',
    code: 'RESTORE_NO_SPACE',
    podVolumeRestore: 'again-1',
  });
});
