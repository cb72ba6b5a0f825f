// The markers on a real file system, in volumes whose contents nobody vouches for.
import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { scratchFolder } from '../../test/harness/scratch.ts';
import {
  closeRoot,
  openClosedRoot,
  prepareMarkers,
  readBegunMarker,
  readDoneMarker,
  writeDoneMarker,
  writeFailureMarker,
} from './markers.ts';
import { openVolume, type VolumeRoot } from './volume-root.ts';

const UID = '9f2b7c1e-restore';
const BY = { podVolumeRestore: 'velero/again-1', uid: 'pvr-uid' };
const hasBegunMarker = (volume: VolumeRoot, uid: string): boolean => readBegunMarker(volume, uid) !== undefined;
const hasDoneMarker = (volume: VolumeRoot, uid: string): boolean => readDoneMarker(volume, uid) !== undefined;

interface Opened {
  readonly path: string;
  readonly volume: VolumeRoot;
  inside(...names: string[]): string;
}

function aVolume(t: TestContext): Opened {
  const folder = scratchFolder(t, 'volume');
  const path = join(folder, 'data');
  mkdirSync(path);
  chmodSync(path, 0o755);
  const volume = openVolume({ root: folder, names: ['data'], isMount: false });
  t.after(() => volume.close());
  return { path, volume, inside: (...names) => join(path, '.velero', ...names) };
}

const modeOf = (path: string): string => (lstatSync(path).mode & 0o7777).toString(8);

test('a completed restore leaves one file where the init container looks, with its name', (t) => {
  const umask = process.umask(0o077);
  t.after(() => process.umask(umask));
  const { volume, inside } = aVolume(t);
  assert.equal(hasDoneMarker(volume, UID), false);
  prepareMarkers(volume, UID, BY);
  assert.deepEqual([hasBegunMarker(volume, UID), hasDoneMarker(volume, UID)], [true, false]);
  assert.deepEqual(readBegunMarker(volume, UID), { by: BY });
  assert.equal(lstatSync(inside(`${UID}.begun`)).size, 4096, 'room for what is to be said at the end');
  writeDoneMarker(volume, UID, BY);
  assert.deepEqual([hasBegunMarker(volume, UID), hasDoneMarker(volume, UID)], [false, true]);
  assert.deepEqual(readdirSync(inside()), [UID]);
  assert.deepEqual(readDoneMarker(volume, UID), { by: BY });
  assert.deepEqual([modeOf(inside()), modeOf(inside(UID))], ['755', '644'], 'any user may see it');
});

test('a failure is told with its reason, cut to a length, and nothing half written stays', (t) => {
  const { volume, inside } = aVolume(t);
  const reason = { message: `no space${'!'.repeat(5000)}`, code: 'RESTORE_NO_SPACE', podVolumeRestore: 'again-1' };
  writeFailureMarker(volume, UID, reason);
  writeFailureMarker(volume, UID, reason);
  const read = JSON.parse(readFileSync(inside(`${UID}.failed`), 'utf8')) as typeof reason;
  assert.deepEqual({ ...read, message: read.message.slice(0, 8) }, { ...reason, message: 'no space' });
  assert.equal(read.message.length, 1024);
  assert.deepEqual(readdirSync(inside()), [`${UID}.failed`]);
});

test('an attempt takes back what an earlier one has said, and nothing of other restores', (t) => {
  const { volume, inside } = aVolume(t);
  writeFailureMarker(volume, UID, { message: 'm', code: 'C', podVolumeRestore: 'again-1' });
  writeDoneMarker(volume, UID, BY);
  writeFileSync(inside('another-restore'), '');
  writeFileSync(inside(`${UID}.options`), '{"deadlineSeconds":1}');
  prepareMarkers(volume, UID, BY);
  assert.deepEqual(readdirSync(inside()).sort(), [`${UID}.begun`, 'another-restore'].sort());
});

test('a link in the place of the folder is not followed', (t) => {
  const { path, volume, inside } = aVolume(t);
  const elsewhere = scratchFolder(t, 'elsewhere');
  writeFileSync(join(elsewhere, UID), 'of the node');
  symlinkSync(elsewhere, join(path, '.velero'));
  assert.equal(hasDoneMarker(volume, UID), false, 'what lies behind a link is no marker');
  prepareMarkers(volume, UID, BY);
  writeDoneMarker(volume, UID, BY);
  assert.equal(lstatSync(inside()).isDirectory(), true);
  assert.deepEqual(readdirSync(elsewhere), [UID]);
  assert.equal(readFileSync(join(elsewhere, UID), 'utf8'), 'of the node');
});

test('a link in the place of a marker is not written through, and is none', (t) => {
  const { path, volume, inside } = aVolume(t);
  const target = join(scratchFolder(t, 'elsewhere'), 'passwd');
  writeFileSync(target, 'root');
  mkdirSync(join(path, '.velero'));
  for (const name of [UID, `${UID}.new`, `${UID}.failed`, `${UID}.begun`, `${UID}.failed.new`])
    symlinkSync(target, inside(name));
  assert.deepEqual([hasDoneMarker(volume, UID), hasBegunMarker(volume, UID)], [false, false]);
  writeFailureMarker(volume, UID, { message: 'm', code: 'C', podVolumeRestore: 'p' });
  writeDoneMarker(volume, UID, BY);
  prepareMarkers(volume, UID, BY);
  writeDoneMarker(volume, UID, BY);
  assert.equal(readFileSync(target, 'utf8'), 'root');
  assert.equal(lstatSync(inside(UID)).isFile(), true);
});

test('a file in the place of the folder gives way, as it does to Velero, and is kept', (t) => {
  const { path, volume, inside } = aVolume(t);
  writeFileSync(join(path, '.velero'), 'of the user');
  writeFileSync(join(path, `.velero.saved-${UID}`), 'of the user, too');
  assert.equal(hasDoneMarker(volume, UID), false);
  writeDoneMarker(volume, UID, BY);
  assert.deepEqual(readdirSync(inside()), [UID]);
  assert.equal(readFileSync(join(path, `.velero.saved-${UID}-2`), 'utf8'), 'of the user');
  assert.equal(readFileSync(join(path, `.velero.saved-${UID}`), 'utf8'), 'of the user, too');
});

test("what a user keeps in the folder stays, and the folder's own mode with it", (t) => {
  const { path, volume, inside } = aVolume(t);
  mkdirSync(join(path, '.velero', 'notes'), { recursive: true });
  writeFileSync(inside('notes', 'a'), 'text');
  chmodSync(inside(), 0o3700);
  prepareMarkers(volume, UID, BY);
  writeDoneMarker(volume, UID, BY);
  assert.equal(readFileSync(inside('notes', 'a'), 'utf8'), 'text');
  assert.equal(modeOf(inside()), '3755', 'only what the init container needs is added');
});

test('a folder in the place of a marker is a failure, not a marker', (t) => {
  const { path, volume, inside } = aVolume(t);
  mkdirSync(join(path, '.velero', UID), { recursive: true });
  assert.equal(hasDoneMarker(volume, UID), false);
  assert.throws(() => writeDoneMarker(volume, UID, BY), { code: 'VOLUME_MARKER' });
  assert.throws(() => prepareMarkers(volume, UID, BY), { code: 'VOLUME_MARKER' });
  assert.equal(lstatSync(inside(UID)).isDirectory(), true);
});

test('a marker that nobody has signed is one all the same', (t) => {
  const { path, volume, inside } = aVolume(t);
  mkdirSync(join(path, '.velero'));
  const signed = JSON.stringify(BY);
  for (const text of [
    '',
    'x',
    'null',
    '[]',
    '{}',
    '{"uid":7,"podVolumeRestore":"p"}',
    '{"uid":"u"}',
    signed.slice(1),
  ]) {
    writeFileSync(inside(UID), text);
    assert.deepEqual(readDoneMarker(volume, UID), { by: undefined }, text);
  }
  writeFileSync(inside(UID), `${signed}${' '.repeat(5000)}x`);
  assert.deepEqual(readDoneMarker(volume, UID), { by: BY }, 'no more than a block is read');
});

test('a closed root is opened for searching alone, and closed again', (t) => {
  const { path, volume } = aVolume(t);
  for (const [closed, opened] of [
    [0o700, '711'],
    [0o750, '751'],
    [0o2770, '2771'],
    [0o1000, '1111'],
    [0, '111'],
  ] as const) {
    chmodSync(path, closed);
    assert.equal(openClosedRoot(volume), closed);
    assert.equal(modeOf(path), opened);
    closeRoot(volume, closed);
    assert.equal(modeOf(path), closed.toString(8));
  }
});

test('a root that anybody may search is left alone, and so is one that somebody has changed', (t) => {
  const { path, volume } = aVolume(t);
  for (const mode of [0o755, 0o711, 0o777, 0o1777, 0o111]) {
    chmodSync(path, mode);
    assert.equal(openClosedRoot(volume), undefined);
    assert.equal(modeOf(path), mode.toString(8));
  }
  chmodSync(path, 0o700);
  assert.equal(openClosedRoot(volume), 0o700);
  chmodSync(path, 0o770);
  closeRoot(volume, 0o700);
  assert.equal(modeOf(path), '770', 'the workload has its own mind');
});

test('markers go to the volume that is held, whatever lies at its path by then', (t) => {
  const { path, volume } = aVolume(t);
  const held = `/proc/self/fd/${volume.fd}`;
  const moved = `${path}-moved`;
  renameSync(path, moved);
  mkdirSync(path);
  writeDoneMarker(volume, UID, BY);
  assert.equal(existsSync(join(path, '.velero')), false);
  assert.equal(existsSync(join(moved, '.velero', UID)), true);
  assert.equal(existsSync(join(held, '.velero', UID)), true);
});
